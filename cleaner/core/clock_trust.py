"""Whether the wall clock may be believed, and what time it is where it may not.

Refuses to make anything look older: a clock that jumped is set back by its jump, and one that cannot be right holds the
nightly sweep. A jump is one also where the agent was away meanwhile, as long as the machine was not.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

CLOCK_JUMP = timedelta(minutes=10)
"""A wall clock that moves further than this against the monotonic one, or is so far behind what was noted, is wrong."""

BELIEVED_AFTER = timedelta(hours=24)
"""A wall clock that jumped and then ran true for so long is believed again."""

LONGEST_ABSENCE = timedelta(days=4)
"""An agent that was away for longer than this cannot tell a long absence from a clock that was set forward.

A long weekend is shorter: a node that is off by night is not up for the day that belief takes.
"""


ABSURD = timedelta(days=36500)
"""A time so far ahead was never noted by a clock: somebody or something has spoilt it, and it says nothing."""


@dataclass(frozen=True, slots=True)
class StoredTimes:
    """What was noted before the start, by the time that was believed then."""

    newest: datetime
    """No right clock is behind it."""
    sampled_at: datetime | None = None
    """The latest look, where it was made in this boot of the machine; else None."""
    monotonic: float = 0.0
    """Seconds since this boot, at that look."""

    def expected(self, monotonic: float) -> datetime | None:
        """What time it is if the wall clock has not jumped since that look; None where nothing tells."""
        return None if self.sampled_at is None else self.sampled_at + timedelta(seconds=monotonic - self.monotonic)


@dataclass(frozen=True, slots=True)
class ClockSense:
    """What two clocks that ought to run together, and what was noted before the start, say of the wall clock."""

    wall: datetime
    monotonic: float
    """Seconds, at the same look."""
    deviation: timedelta = timedelta(0)
    """How far the wall clock is ahead of the time to believe: by its jumps, or in doubt, of what was noted."""
    doubted: bool = False
    """Whether it did not fit what was noted before the start; no jump has set it right since."""
    unsure_since: float = 0.0
    """Monotonic seconds of the latest jump, or of the start."""

    @property
    def sane(self) -> bool:
        """False while jumps leave it more than 10 minutes off, or while it does not fit what was noted."""
        return not self.doubted and abs(self.deviation) <= CLOCK_JUMP

    @property
    def believed(self) -> datetime:
        """The time without the jumps; in doubt, what was noted and the time that passed since the start."""
        return self.wall - self.deviation

    def updated(self, wall: datetime, monotonic: float) -> "ClockSense":
        """The state after another look: a jump moves no time that is believed, nor does drift while it is not sane."""
        moved = wall - self.wall - timedelta(seconds=monotonic - self.monotonic)
        jumped = abs(moved) > CLOCK_JUMP
        deviation = self.deviation + moved if jumped or not self.sane else self.deviation
        return ClockSense(wall, monotonic, deviation, self.doubted, monotonic if jumped else self.unsure_since)

    def settled(self) -> "ClockSense":
        """The wall clock taken as it is, once it ran true for a day or fits what was noted; else this.

        The time that is believed moves by the deviation: what was noted by it has to move along.
        """
        ran_true = self.monotonic - self.unsure_since >= BELIEVED_AFTER.total_seconds()
        set_right = self.doubted and _fits(self.deviation)
        return replace(self, deviation=timedelta(0), doubted=False) if ran_true or set_right else self


def sense_at_start(wall: datetime, monotonic: float, noted: StoredTimes | None) -> ClockSense:
    """What holds before a second look: by the time to expect in this boot, else by the newest time noted.

    Off the time to expect, the clock has jumped. Behind the newest time noted, or far ahead of it, it is doubted, and
    the time is as early as it can be: where what was noted is right, nothing looks older than it is.
    """
    right = ClockSense(wall, monotonic, unsure_since=monotonic)
    if noted is None:
        return right
    expected = noted.expected(monotonic)
    if expected is not None and expected - wall <= ABSURD:
        return replace(right, deviation=wall - expected) if abs(wall - expected) > CLOCK_JUMP else right
    if noted.newest - wall > ABSURD or _fits(wall - noted.newest):
        return right
    return replace(right, deviation=wall - noted.newest, doubted=True)


def _fits(ahead: timedelta) -> bool:
    """Whether a right clock may be so far ahead of the newest time that was noted."""
    return -CLOCK_JUMP <= ahead <= LONGEST_ABSENCE
