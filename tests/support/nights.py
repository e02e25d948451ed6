"""What the daemon does with its clock and its triggers, round by round, on a node where nothing else happens."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from cronsim import CronSim

from cleaner.core.clock_trust import StoredTimes
from cleaner.core.history import NightlyRun
from cleaner.core.model import Mode, StopReason, Trigger
from cleaner.core.nightly import Calendar, Nightly
from cleaner.core.pressure.watermarks import WatermarkPair, Watermarks
from cleaner.core.report import SweepReport
from cleaner.core.triggers import NodeState, Triggers
from cleaner.daemon.trusted_clock import TrustedClock
from support.fakes import FakeTimer
from support.values import DAY, HOUR, MINUTE, make_usage

WATERMARKS = Watermarks(bytes=WatermarkPair(high=75, low=65), inodes=WatermarkPair(high=80, low=75))
CALM = make_usage(50)
PLAIN_UTC = ZoneInfo("UTC")


class KnownCalendar(Calendar):
    """A calendar that works out each minute once: nothing but the speed differs."""

    __slots__ = ()

    def latest(self, now: datetime) -> datetime | None:
        until = (now - self.delay).replace(second=0, microsecond=0)
        return _latest(self.nightly.schedule, self.nightly.timezone, until)


@cache
def _latest(schedule: str, timezone: ZoneInfo, until: datetime) -> datetime | None:
    return Calendar(make_nightly(schedule, timezone), timedelta(0)).latest(until)


def make_nightly(
    schedule: str = "0 0 * * *",
    timezone: ZoneInfo = PLAIN_UTC,
    window: timedelta = 4 * HOUR,
    splay: timedelta = timedelta(0),
    overdue: timedelta = 48 * HOUR,
) -> Nightly:
    return Nightly(schedule, timezone, window, splay, overdue, evictions_per_night=200, duty_cycle=0.2)


def make_triggers(
    calendar: Calendar | None = None,
    grace: timedelta = DAY,
    nightly_run: NightlyRun | None = None,
    mode: Mode = Mode.FULL,
) -> Triggers:
    return Triggers(mode, WATERMARKS, calendar or KnownCalendar(make_nightly(), timedelta(0)), grace, nightly_run)


def occurrences(schedule: str, timezone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """What cronsim gives from `start` to before `end`, in UTC, asked once from a day before both."""
    found = []
    for occurrence in CronSim(schedule, (start - DAY).astimezone(timezone)):
        at = occurrence.astimezone(UTC)
        if at >= end:
            break
        if at >= start:
            found.append(at)
    return found


@dataclass
class StoredState:
    """What a ledger keeps of one process for the next."""

    since: datetime | None
    nightly_run: NightlyRun | None = None
    times: StoredTimes | None = None
    earliest: timedelta = timedelta(0)
    """How far the earliest wrong time is before its true time: an image looks older by as much."""

    def shift(self, correction: timedelta) -> None:
        self.since = self.since and self.since + correction
        self.nightly_run = self.nightly_run and replace(
            self.nightly_run, ended_at=self.nightly_run.ended_at + correction
        )
        if self.times:
            sampled_at = self.times.sampled_at and self.times.sampled_at + correction
            self.times = replace(self.times, newest=self.times.newest + correction, sampled_at=sampled_at)
        self.earliest += correction

    def boot(self) -> None:
        """The stored seconds are of another boot."""
        self.times = self.times and StoredTimes(self.times.newest)

    def store(self, now: datetime, true: datetime, monotonic: float) -> None:
        self.times = StoredTimes(max(now, self.times.newest if self.times else now), now, monotonic)
        self.earliest = min(self.earliest, now - true)


class MachineTimer(FakeTimer):
    """Both clocks."""

    def pass_by(self, time: timedelta) -> None:
        """Let time pass, for both."""
        self.wall += time
        self.seconds += time.total_seconds()

    def boot(self) -> None:
        """The machine starts anew."""
        self.seconds = 30.0


@dataclass
class Agent:
    """The nightly runs of one process of the daemon; each sweep is over at once."""

    timer: FakeTimer
    stored: StoredState
    triggers: Triggers
    keeper: TrustedClock = field(init=False)

    def __post_init__(self) -> None:
        self.keeper = TrustedClock(self.timer, self.stored.times)
        self.triggers = replace(self.triggers, nightly_run=self.stored.nightly_run)

    def check(self) -> datetime | None:
        """One round: the occurrence that was swept for in it."""
        if correction := self.keeper.accept_correction():
            self.stored.shift(correction)
            self.triggers = self.triggers.shifted(correction)
        now = self.keeper.now()
        if self.keeper.sense.sane:
            self._keep(self.triggers.corrected(now))
        moment = self._moment(now)
        occurrence = self.triggers.occurrence_due(moment)
        if occurrence is not None:
            assert self.triggers.due(moment) is Trigger.NIGHTLY
            self._keep(self.triggers.after(make_report(started_at=now), moment))
        return occurrence

    def _moment(self, now: datetime) -> NodeState:
        return NodeState(now, self.timer.monotonic(), CALM, 1, self.keeper.sense.sane, self.stored.since)

    def _keep(self, triggers: Triggers) -> None:
        self.triggers, self.stored.nightly_run = triggers, triggers.nightly_run


def make_report(
    trigger: Trigger = Trigger.NIGHTLY,
    reason: StopReason = StopReason.DONE,
    *,
    low_watermark_met: bool = False,
    started_at: datetime,
) -> SweepReport:
    return SweepReport(
        trigger=trigger,
        dry_run=False,
        started_at=started_at,
        duration_seconds=1.0,
        filesystem_before=CALM,
        filesystem_after=CALM,
        stop_reason=reason,
        evictions=(),
        plan=None,
        not_reached=0,
        low_watermark_met=low_watermark_met,
    )


@dataclass
class NightlyNode:
    """A node with a right clock: up or down, and checked at regular intervals."""

    triggers: Triggers
    timer: MachineTimer
    stored: StoredState
    agent: Agent | None = None
    sweeps: list[tuple[datetime, datetime]] = field(default_factory=list)
    """(when, for which occurrence) of each."""

    @property
    def swept(self) -> list[datetime]:
        return [occurrence for _, occurrence in self.sweeps]

    def up(self, until: datetime, step: timedelta = 5 * MINUTE) -> None:
        """Run until then; that moment itself is left out."""
        self.agent = self.agent or Agent(self.timer, self.stored, self.triggers)
        while self.timer.wall < until:
            if occurrence := self.agent.check():
                self.sweeps.append((self.timer.wall, occurrence))
            self.stored.store(self.timer.wall, self.timer.wall, self.timer.seconds)
            self.timer.pass_by(min(step, until - self.timer.wall))

    def down(self, until: datetime) -> None:
        """Be off until then; where that is now, it is a restart."""
        self.agent = None
        self.timer.pass_by(until - self.timer.wall)


def make_nightly_node(
    calendar: Calendar,
    now: datetime,
    *,
    since: timedelta = 365 * DAY,
    nightly_run: NightlyRun | None = None,
    grace: timedelta = DAY,
) -> NightlyNode:
    """A node that has been watched from `since` before `now`."""
    return NightlyNode(make_triggers(calendar, grace), MachineTimer(now), StoredState(now - since, nightly_run))


def every(step: timedelta, start: datetime, end: datetime) -> Iterator[datetime]:
    moment = start
    while moment < end:
        yield moment
        moment += step
