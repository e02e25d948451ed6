"""Whether the wall clock may be believed, and what time it is where it may not.

A jump must not make an image look older: the believed time leaves it out. Nightly sweeps are suspended while the clock
cannot be right. The agent detects a jump also where it did not run meanwhile, unless the machine was restarted.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

CLOCK_JUMP = timedelta(minutes=10)
"""A wall clock that jumps by more than this against the monotonic one, or is so far behind a stored time, is wrong."""

BELIEVED_AFTER = timedelta(hours=24)
"""A wall clock that jumped is believed again once it has run true for this long."""

LONGEST_ABSENCE = timedelta(days=4)
"""An agent that did not run for longer than this cannot tell a long absence from a clock that was set forward.

A long weekend is shorter. That matters on a node that is off at night: it is never up for `BELIEVED_AFTER`.
"""


ABSURD = timedelta(days=36500)
"""A stored time this far ahead did not come from a clock: it was corrupted, and does not count."""


@dataclass(frozen=True, slots=True)
class StoredTimes:
    """The times that the ledger stored before the start, by the time that was believed then."""

    newest: datetime
    """No right clock is behind it."""
    sampled_at: datetime | None = None
    """The latest inspection, where it was made in this boot of the machine; else None."""
    monotonic: float = 0.0
    """Seconds since this boot, at that inspection."""

    def expected(self, monotonic: float) -> datetime | None:
        """The time if the wall clock has not jumped since that inspection; None where there was none in this boot."""
        return None if self.sampled_at is None else self.sampled_at + timedelta(seconds=monotonic - self.monotonic)


@dataclass(frozen=True, slots=True)
class ClockSense:
    """What the monotonic clock and the stored times say about the wall clock."""

    wall: datetime
    monotonic: float
    """Seconds, read at the same moment."""
    deviation: timedelta = timedelta(0)
    """How far the wall clock is ahead of the believed time: by its jumps, or in doubt, of the newest stored time."""
    doubted: bool = False
    """Whether it did not fit the stored times at the start, and no jump has set it right since."""
    unsure_since: float = 0.0
    """Monotonic seconds of the latest jump, or of the start."""

    @property
    def sane(self) -> bool:
        """False while jumps leave it more than 10 minutes off, or while it does not fit the stored times."""
        return not self.doubted and abs(self.deviation) <= CLOCK_JUMP

    @property
    def believed(self) -> datetime:
        """The time without the jumps; in doubt, the newest stored time plus the time since the start."""
        return self.wall - self.deviation

    def updated(self, wall: datetime, monotonic: float) -> "ClockSense":
        """The state after another reading: no jump moves the believed time, nor does drift while it is not sane."""
        moved = wall - self.wall - timedelta(seconds=monotonic - self.monotonic)
        jumped = abs(moved) > CLOCK_JUMP
        deviation = self.deviation + moved if jumped or not self.sane else self.deviation
        return ClockSense(wall, monotonic, deviation, self.doubted, monotonic if jumped else self.unsure_since)

    def settled(self) -> "ClockSense":
        """The state that believes the wall clock, once it ran true for a day or fits the stored times; else this one.

        The believed time moves by the deviation, so the times stored by it have to move along.
        """
        ran_true = self.monotonic - self.unsure_since >= BELIEVED_AFTER.total_seconds()
        set_right = self.doubted and _fits(self.deviation)
        return replace(self, deviation=timedelta(0), doubted=False) if ran_true or set_right else self


def sense_at_start(wall: datetime, monotonic: float, stored: StoredTimes | None) -> ClockSense:
    """The state before a second reading: by the time to expect in this boot, else by the newest stored time.

    A clock that is off the time to expect has jumped. A clock that is behind the newest stored time, or far ahead of
    it, is doubted. The believed time is then as early as it can be: if the stored times are right, no image looks older
    than it is.
    """
    right = ClockSense(wall, monotonic, unsure_since=monotonic)
    if stored is None:
        return right
    expected = stored.expected(monotonic)
    if expected is not None and expected - wall <= ABSURD:
        return replace(right, deviation=wall - expected) if abs(wall - expected) > CLOCK_JUMP else right
    if stored.newest - wall > ABSURD or _fits(wall - stored.newest):
        return right
    return replace(right, deviation=wall - stored.newest, doubted=True)


def _fits(ahead: timedelta) -> bool:
    """Whether a right clock may be this far ahead of the newest stored time."""
    return -CLOCK_JUMP <= ahead <= LONGEST_ABSENCE
