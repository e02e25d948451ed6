"""The time as the daemon believes it: the wall clock without its jumps.

Refuses to guess: while the clock is doubted it says so, and who needs the right hour waits.
"""

from datetime import datetime, timedelta

from cleaner.core.clock_trust import ClockSense, StoredTimes, sense_at_start
from cleaner.core.ports import Timer


class TrustedClock:
    """A Timer in front of the machine's: ages and notes go by it, so that no jump makes an image look older."""

    def __init__(self, timer: Timer, noted: StoredTimes | None) -> None:
        """`noted`: what was noted before, which a right clock fits; None where nothing was."""
        self._timer = timer
        self.sense: ClockSense = sense_at_start(timer.now(), timer.monotonic(), noted)

    def now(self) -> datetime:
        """The believed time, UTC; it moves against the monotonic one only in `accept_correction`."""
        self.sense = self.sense.updated(self._timer.now(), self._timer.monotonic())
        return self.sense.believed

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return self._timer.monotonic()

    def accept_correction(self) -> timedelta:
        """Believe the wall clock where it has earned it; by how much that moves the time, which all notes must follow.

        Only here, where the caller can move them before anybody asks how old an image is.
        """
        before = self.now()
        self.sense = self.sense.settled()
        return self.sense.believed - before
