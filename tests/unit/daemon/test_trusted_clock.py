"""The believed time, by exhaustion: whatever a clock does, no nightly run twice, and nothing looks older than it is."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from cleaner.core.clock_trust import StoredTimes
from cleaner.core.history import NightlyRun
from cleaner.daemon.trusted_clock import TrustedClock
from support.fakes import FakeTimer
from support.nights import Agent, KnownCalendar, MachineTimer, StoredState, make_nightly, make_triggers
from support.values import DAY, HOUR, MINUTE

NOTHING = timedelta(0)
NEITHER, PROCESS, MACHINE = "no restart", "of the agent", "of the machine"
YEAR = 365 * DAY
MIDNIGHT = datetime(2026, 6, 10, tzinfo=UTC)
CALENDAR = KnownCalendar(make_nightly(), 7 * MINUTE)
WITHIN_TEN_MINUTES = 10 * MINUTE


@dataclass
class Wrong:
    """A node whose wall clock is set wrong; what is true is known only here."""

    true: datetime
    timer: MachineTimer = field(init=False)
    stored: StoredState = field(init=False)
    agent: Agent = field(init=False)
    swept: list[tuple[datetime, datetime]] = field(default_factory=list)
    """(true time, occurrence) of each sweep."""

    def __post_init__(self) -> None:
        last = CALENDAR.latest(self.true)
        assert last is not None
        self.timer = MachineTimer(self.true)
        self.stored = StoredState(self.true - YEAR, NightlyRun(last, last + HOUR), StoredTimes(self.true - MINUTE))
        self.start()

    def start(self) -> None:
        self.agent = Agent(self.timer, self.stored, make_triggers(CALENDAR))

    def restart(self, what: str = PROCESS, downtime: timedelta = 2 * MINUTE) -> None:
        """Of the agent, or of the whole machine."""
        self._pass_by(downtime)
        if what == MACHINE:
            self.timer.boot()
            self.stored.boot()
        self.start()

    def set_clock(self, by: timedelta) -> None:
        self.timer.wall += by

    def run(self, time: timedelta, step: timedelta = 30 * MINUTE) -> None:
        """Check every `step`; nothing may look older than it is, and no nightly run may start by an untrusted clock."""
        end = self.true + time
        while True:
            occurrence = self.agent.check()
            now = self.agent.keeper.now()
            self.stored.store(now, self.true, self.timer.seconds)
            assert now - self.true - self.stored.earliest <= WITHIN_TEN_MINUTES, self.true
            if occurrence is not None:
                assert self.agent.keeper.sense.sane
                self.swept.append((self.true, occurrence))
            if self.true >= end:
                return
            self._pass_by(min(step, end - self.true))

    def _pass_by(self, time: timedelta) -> None:
        self.true += time
        self.timer.pass_by(time)

    @property
    def sane(self) -> bool:
        return self.agent.keeper.sense.sane

    def assert_each_occurrence_once(self) -> None:
        occurrences = [occurrence for _, occurrence in self.swept]
        assert len(set(occurrences)) == len(occurrences)


def minutes_of_the_window() -> Iterator[timedelta]:
    """Each from half an hour before the occurrence until its window is over."""
    return (minute * MINUTE for minute in range(-30, 250))


@pytest.mark.parametrize(
    ("by", "restarts"),
    [
        *((by, restarts) for by in (-HOUR, YEAR) for restarts in (NEITHER, PROCESS, MACHINE)),
        *((by, restarts) for by in (HOUR, 3 * DAY) for restarts in (NEITHER, PROCESS)),
    ],
)
def test_a_clock_that_stays_wrong(by: timedelta, restarts: str) -> None:
    """Set wrong at any minute of a window, a clock suspends nightly runs for a day, and ages continue as they were.

    After a restart of the machine this is so unless a time of absence explains the jump.
    """
    for minute in minutes_of_the_window():
        node = Wrong(MIDNIGHT - 2 * HOUR)
        node.run(2 * HOUR + minute, step=HOUR)
        node.set_clock(by)
        if restarts != NEITHER:
            node.restart(restarts)
        began, before = node.true, len(node.swept)
        node.run(24 * HOUR - MINUTE, step=3 * HOUR)
        assert (node.sane, len(node.swept)) == (False, before), minute
        node.run(MINUTE)
        assert node.sane
        node.run(50 * HOUR, step=3 * HOUR)
        assert [occurrence > began + by for _, occurrence in node.swept[before:]].count(True) >= 2, minute
        node.assert_each_occurrence_once()


WRONG_AND_RIGHT = [
    (20 * MINUTE, NEITHER, NEITHER),
    (20 * MINUTE, NEITHER, PROCESS),
    (20 * MINUTE, NEITHER, MACHINE),
    (20 * MINUTE, PROCESS, NEITHER),
    (20 * MINUTE, PROCESS, PROCESS),
    (20 * MINUTE, MACHINE, NEITHER),
    (20 * MINUTE, MACHINE, MACHINE),
    (23 * HOUR, NEITHER, NEITHER),
    (23 * HOUR, PROCESS, PROCESS),
    (23 * HOUR, MACHINE, PROCESS),
]
"""For how long it is wrong, what is started anew in that time, and what when it is right."""


@pytest.mark.parametrize(
    ("by", "wrong_for", "restarts", "restarts_right"),
    [
        (by, *case)
        for by in (-HOUR, HOUR, YEAR)
        for case in WRONG_AND_RIGHT
        if (by, case[1]) != (HOUR, MACHINE)  # looks the same as an hour in which the machine was off
    ],
)
def test_a_clock_that_is_set_right(by: timedelta, wrong_for: timedelta, restarts: str, restarts_right: str) -> None:
    """Set wrong and right again, a clock is sane at once; no occurrence is swept for twice, and the next one is."""
    for minute in minutes_of_the_window():
        node = Wrong(MIDNIGHT - 70 * MINUTE)
        node.run(70 * MINUTE + minute, step=HOUR)
        node.set_clock(by)
        if restarts != NEITHER:
            node.restart(restarts)
        before = len(node.swept)
        node.run(wrong_for, step=3 * HOUR)
        assert (node.sane, len(node.swept)) == (False, before)
        node.set_clock(-by)
        if restarts_right != NEITHER:
            node.restart(restarts_right)
        node.run(MINUTE)
        assert node.sane
        node.run(MIDNIGHT + 49 * HOUR - node.true, step=3 * HOUR)
        node.assert_each_occurrence_once()
        assert MIDNIGHT + 2 * DAY in [occurrence for _, occurrence in node.swept]
        assert {occurrence for _, occurrence in node.swept} <= {MIDNIGHT + day * DAY for day in range(3)}


@pytest.mark.parametrize(
    ("by", "hours", "days"), [(-HOUR, 20, [1]), (HOUR, 20, [1]), (3 * DAY, 72, [3, 4]), (YEAR, 72, [3, 4])]
)
def test_a_wrong_clock_and_a_restart_at_every_hour(by: timedelta, hours: int, days: list[int]) -> None:
    """Restarted at every hour with a wrong clock, the agent continues from the stored time without nightly runs."""
    node = Wrong(MIDNIGHT - HOUR)
    node.run(MINUTE)
    node.set_clock(by)
    for _ in range(hours):
        node.restart()
        node.run(HOUR)
        assert not node.sane
    assert node.swept == []
    node.set_clock(-by)
    node.run(DAY + 2 * HOUR)
    assert [occurrence for _, occurrence in node.swept] == [MIDNIGHT + day * DAY for day in days]


def test_a_wrong_time_that_was_believed_is_corrected_once() -> None:
    """Nightly runs stored by a clock a year ahead are corrected once it is right and believed; the next one runs."""
    for restarts in (False, True):
        node = Wrong(MIDNIGHT - HOUR)
        node.set_clock(YEAR)
        node.run(3 * DAY)
        assert node.stored.nightly_run is not None
        assert node.stored.nightly_run.occurrence > node.true + 300 * DAY
        node.set_clock(-YEAR)
        if restarts:
            node.restart()
        before = len(node.swept)
        node.run(24 * HOUR)
        assert node.sane
        corrected = node.stored.nightly_run
        assert corrected is not None
        assert corrected.occurrence <= node.true
        node.run(72 * HOUR)
        assert [occurrence for _, occurrence in node.swept[before:]] == [MIDNIGHT + day * DAY for day in range(4, 7)]
        node.assert_each_occurrence_once()


@pytest.mark.parametrize("by", [-5 * MINUTE, -10 * MINUTE])
def test_a_clock_set_back_a_little(by: timedelta) -> None:
    """A correction of minutes just after the hour makes the hour come twice, and the nightly run once."""
    for minute in range(30):
        for restarts in (False, True):
            node = Wrong(MIDNIGHT - 10 * MINUTE)
            node.run(10 * MINUTE + minute * MINUTE, step=MINUTE)
            node.set_clock(by)
            if restarts:
                node.restart(downtime=NOTHING)
            node.run(3 * HOUR, step=MINUTE)
            assert [occurrence for _, occurrence in node.swept] == [MIDNIGHT]


@pytest.mark.parametrize("by", [-YEAR, -HOUR, HOUR, 3 * DAY, YEAR])
def test_a_restart_after_belief_doubts_nothing(by: timedelta) -> None:
    """A believed correction has moved the stored times: an agent that starts right after it trusts its clock."""
    for minutes in (0, 1, 60):
        node = Wrong(MIDNIGHT - HOUR)
        node.run(HOUR)
        node.set_clock(by)
        node.run(24 * HOUR + minutes * MINUTE)
        assert node.sane
        node.restart()
        assert (node.sane, node.agent.keeper.now()) == (True, node.timer.wall)


def test_a_doubt_lasts_over_a_restart_in_its_boot() -> None:
    """A machine that boots a year behind is doubted by the agent and by the one after it, and time continues."""
    node = Wrong(MIDNIGHT - HOUR)
    node.run(HOUR)
    node.set_clock(-YEAR)
    node.restart(MACHINE)
    node.run(HOUR)
    for _ in range(3):
        node.restart()
        node.run(HOUR)
        assert not node.sane
        assert abs(node.agent.keeper.now() - node.true) <= 2 * MINUTE
    node.set_clock(YEAR)
    node.run(MINUTE)
    assert node.sane


def test_a_long_absence_in_one_boot_is_no_reason_for_doubt() -> None:
    """An agent that was stopped for a month while the machine was up knows how long that was."""
    node = Wrong(MIDNIGHT - HOUR)
    node.run(HOUR)
    node.restart(downtime=30 * DAY)
    assert node.sane


@pytest.mark.parametrize("by", [HOUR, YEAR])
def test_belief_makes_no_nightly_run_overdue(by: timedelta) -> None:
    """When a clock that was set forward is believed by day, the suspended nightly run waits for the next occurrence."""
    node = Wrong(MIDNIGHT - HOUR)
    node.run(13 * HOUR)
    node.set_clock(by)
    node.run(25 * HOUR)
    assert node.sane
    assert len(node.swept) == 1
    node.run(12 * HOUR)
    assert len(node.swept) == 2


# ---- the timer


def test_it_is_the_machines_timer() -> None:
    """Without jumps it says what the machine's clocks say."""
    timer = FakeTimer()
    keeper = TrustedClock(timer, None)
    timer.move(hours=30)
    assert (keeper.now(), keeper.monotonic(), keeper.accept_correction()) == (timer.wall, timer.seconds, NOTHING)


def test_the_time_moves_only_when_it_is_asked_to() -> None:
    """However long ago a jump was, the time follows the wall clock in `accept_correction` and nowhere else, once."""
    timer = FakeTimer()
    keeper, began = TrustedClock(timer, None), timer.wall
    timer.wall += YEAR
    for hours in range(1, 50):
        timer.move(hours=1)
        assert keeper.now() == began + hours * HOUR
        assert not keeper.sense.sane
    assert keeper.accept_correction() == YEAR
    assert (keeper.now(), keeper.sense.sane) == (timer.wall, True)
    assert keeper.accept_correction() == NOTHING


def test_a_jump_that_is_undone_corrects_nothing() -> None:
    """What was stored meanwhile was right."""
    timer = FakeTimer()
    keeper = TrustedClock(timer, None)
    timer.wall += YEAR
    keeper.now()
    timer.wall -= YEAR
    assert (keeper.accept_correction(), keeper.sense.sane) == (NOTHING, True)
