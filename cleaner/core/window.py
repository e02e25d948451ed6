"""When the nightly sweep is due: cron occurrences, a window after each, and a splay per node.

Refuses to know the time: `now` comes in, and a decision goes out. Cron with time zones and DST is cronsim's.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

CLOCK_JUMP = timedelta(minutes=10)
"""A wall clock that moves further than this against the monotonic one holds the nightly sweep."""

BELIEVED_AFTER = timedelta(hours=24)
"""A wall clock that jumped and then ran true for so long is believed again."""


@dataclass(frozen=True, slots=True)
class Nightly:
    """When the nightly sweep runs, and how much it may take."""

    schedule: str
    """A cron expression that cronsim accepts."""
    timezone: ZoneInfo
    window: timedelta
    splay: timedelta
    """Longest delay after an occurrence; below `window`."""
    evictions_per_night: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """The nightly schedule of one node."""

    nightly: Nightly
    delay: timedelta
    """This node's share of the splay."""

    def due(self, now: datetime, done: datetime | None) -> datetime | None:
        """The occurrence (UTC) to sweep for now, or None.

        Only the latest occurrence counts, from its delay on and before its window ends; `done` is the latest
        occurrence that was dealt with.
        """
        occurrence = self._latest(now - self.delay)
        if occurrence is None or (done is not None and occurrence <= done):
            return None
        return occurrence if now - occurrence < self.nightly.window else None

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

        Cronsim looks strictly before, to the minute, and takes the second pass of a repeated hour (DST) for the first:
        there it is asked from after both.
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


@dataclass(frozen=True, slots=True)
class ClockSense:
    """Whether the wall clock may be believed: between two looks it must run along with the monotonic one."""

    wall: datetime
    monotonic: float
    """Seconds, at the same look."""
    offset: timedelta = timedelta(0)
    """How far jumps have moved the wall clock; a jump back takes a jump away."""
    jumped_at: float = 0.0
    """Monotonic seconds of the latest jump."""

    @property
    def sane(self) -> bool:
        """False while jumps leave it more than 10 minutes off."""
        return abs(self.offset) <= CLOCK_JUMP

    def look(self, wall: datetime, monotonic: float) -> "ClockSense":
        """The state after another look; a new time that held for a day is believed."""
        jump = wall - self.wall - timedelta(seconds=monotonic - self.monotonic)
        if abs(jump) > CLOCK_JUMP:
            return ClockSense(wall, monotonic, self.offset + jump, monotonic)
        held = monotonic - self.jumped_at >= BELIEVED_AFTER.total_seconds()
        return ClockSense(wall, monotonic, timedelta(0) if held else self.offset, self.jumped_at)
