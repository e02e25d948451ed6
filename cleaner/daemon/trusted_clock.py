"""The time as the daemon believes it: the wall clock without its jumps.

It must not guess: while the clock is doubted it says so, and nightly sweeps are suspended.
"""

from datetime import datetime, timedelta

from cleaner.core.clock_trust import ClockSense, StoredTimes, sense_at_start
from cleaner.core.ports import Timer


class TrustedClock:
    """A Timer in front of the machine's: ages and stored times follow it, so that no jump makes an image look older."""

    def __init__(self, timer: Timer, stored: StoredTimes | None) -> None:
        """`stored`: the times that were stored before, which a right clock fits; None where there are none."""
        self._timer = timer
        self.sense: ClockSense = sense_at_start(timer.now(), timer.monotonic(), stored)

    def now(self) -> datetime:
        """The believed time, UTC; it moves against the monotonic one only in `accept_correction`."""
        self.sense = self.sense.updated(self._timer.now(), self._timer.monotonic())
        return self.sense.believed

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return self._timer.monotonic()

    def accept_correction(self) -> timedelta:
        """Believe the wall clock where it has earned it; by how much that moves the time.

        All stored times must follow. The time moves only here, where the caller can move them before an image's age is
        read.
        """
        before = self.now()
        self.sense = self.sense.settled()
        return self.sense.believed - before
