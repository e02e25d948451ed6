"""When the nightly sweep is due: cron occurrences, a window after each, and a splay per node.

It must not read a clock: callers pass `now`. cronsim handles cron with time zones and DST.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from cleaner.core.history import NightlyRun

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Nightly:
    """When the nightly sweep runs, and how much it may evict."""

    schedule: str
    """A cron expression that cronsim accepts."""
    timezone: ZoneInfo
    window: timedelta
    splay: timedelta
    """Longest delay after an occurrence; below `window`."""
    overdue: timedelta
    """If the last nightly sweep is older than this, a missed occurrence runs at any hour."""
    evictions_per_night: int
    duty_cycle: float = 0.2
    """Share of the time of a nightly sweep in which it works, above 0 and up to 1."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The nightly schedule of one node."""

    nightly: Nightly
    delay: timedelta
    """This node's share of the splay."""

    def due(self, now: datetime, latest_run: NightlyRun | None, since: datetime) -> datetime | None:
        """The occurrence (UTC) to sweep for now, or None.

        Only the latest occurrence counts, from its delay on and before its window ends. One that was missed counts
        after that too, once the last nightly sweep is overdue. `since`: from when on
        one could have run.
        """
        occurrence = self.latest(now)
        if occurrence is None or (latest_run is not None and occurrence <= latest_run.occurrence):
            return None
        waited = now - max(since, latest_run.ended_at if latest_run else since)
        missed = occurrence >= since and waited >= self.nightly.overdue
        return occurrence if missed or now - occurrence < self.nightly.window else None

    def end_of(self, occurrence: datetime, now: datetime) -> datetime | None:
        """When the window of an occurrence ends; None where it has ended: a sweep that catches up has no end."""
        end = occurrence + min(self.nightly.window, _END_OF_TIME - occurrence)
        return end if now < end else None

    def latest(self, now: datetime) -> datetime | None:
        """The latest occurrence (UTC) whose delay on this node is over."""
        return self._latest(now - self.delay)

    def next_start(self, now: datetime) -> datetime | None:
        """When (UTC) the next sweep would begin, this node's delay included; None if never again."""
        # Asked in the second pass of a repeated hour, cronsim begins with occurrences of the first.
        since = now - self.delay
        for occurrence in CronSim(self.nightly.schedule, since.astimezone(self.nightly.timezone)):
            if occurrence.astimezone(UTC) > since:
                return occurrence.astimezone(UTC) + self.delay
        return None

    def _latest(self, until: datetime) -> datetime | None:
        """The latest occurrence at or before `until`.

        Cronsim searches strictly before, to the minute, and mistakes the second pass of a repeated hour (DST) for the
        first. There the search starts after both passes.
        """
        local = (until + timedelta(minutes=1)).astimezone(self.nightly.timezone)
        if local.fold:
            local = (until + timedelta(minutes=61)).astimezone(self.nightly.timezone)
        backwards = CronSim(self.nightly.schedule, local, reverse=True)
        for occurrence in backwards:
            if occurrence.astimezone(UTC) <= until:
                return occurrence.astimezone(UTC)
        return None


def calendar_of(nightly: Nightly, node_name: str) -> Calendar:
    """The schedule as this node keeps it: the delay is a hash of its name, the same in every run."""
    splay_seconds = int(nightly.splay.total_seconds())
    digest = int.from_bytes(hashlib.sha256(node_name.encode()).digest()[:8], "big")
    return Calendar(nightly, timedelta(seconds=digest % splay_seconds if splay_seconds else 0))
