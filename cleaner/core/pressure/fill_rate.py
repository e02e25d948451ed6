"""How fast a filesystem fills, and when to measure again: the basis of early sweeps.

It must not mistake a burst for a trend: until more than half of the window rises, no rise is steady.
"""

import math
from collections import deque
from datetime import timedelta
from itertools import pairwise
from typing import NamedTuple

BUCKETS = 16
"""Equal parts of the window. A rise over 7 of them or less is a burst, over 9 or more it is steady, whatever their
edges: with the 5 s between two measurements added that is 40 % and 60 % of a window of five minutes."""
MEDIAN = BUCKETS // 2 - 1
"""The lower one: so many buckets and one more may stand still before nothing is steady."""
FALLS = 2
"""So many buckets may fall and a rise still counts in full: one deletion by others, on the edge of two. Noise falls in
about half of them."""
LONGEST_INTERVAL_BUCKETS = MEDIAN
"""What happened between two measurements further apart is not known: all of it may be one step."""
CELLS_PER_BUCKET = 4
"""The level is kept at the edges of cells; the newest edge is at most a cell old."""
CELLS = BUCKETS * CELLS_PER_BUCKET
RECENT_INTERVALS = 3
SHORTEST_INTERVAL_SECONDS = 0.1
"""A measurement sooner than this after another says more about the clock than about the disk."""
PAUSE_SHARE = 0.25


class _Measurement(NamedTuple):
    at: float
    filled: int
    """What is used and all that our evictions freed: only others make it fall."""


class FillRate:
    """How fast one resource of one filesystem fills.

    It keeps a fixed number of levels, not the measurements. Usage counts as standing still also where nothing is
    known: before the first measurement, and until the end of an interval of more than 7/16 of the window.
    """

    def __init__(self, window: timedelta) -> None:
        self._cell_seconds = window.total_seconds() / CELLS
        self._longest_seconds = self._cell_seconds * CELLS_PER_BUCKET * LONGEST_INTERVAL_BUCKETS
        self.reset()

    def add_measurement(self, at: float, used: int) -> None:
        """A measurement: monotonic seconds, and bytes or inodes used.

        Left out where it is not at least 0.1 s later than the last.
        """
        measurement = _Measurement(at, used + self._given_back)
        if self._last is None:
            self._begin(measurement)
            return
        seconds = at - self._last.at
        if seconds < SHORTEST_INTERVAL_SECONDS:
            return
        self._recent.append(max(0, measurement.filled - self._last.filled) / seconds)
        if seconds > self._longest_seconds:
            self._begin(measurement)
        else:
            self._draw(self._last, measurement)

    def add_freed(self, amount: int) -> None:
        """Add what our own evictions freed since the last call: it must not read as emptying."""
        self._given_back += max(0, amount)

    def reset(self) -> None:
        """Know nothing: the capacity changed, or it could not be read for long."""
        self._given_back = 0
        self._last: _Measurement | None = None
        self._recent: deque[float] = deque(maxlen=RECENT_INTERVALS)
        self._levels = _standing_still()

    @property
    def steady_rate(self) -> float:
        """Units per second, at least 0: the rate of the middle bucket; 0.0 unless the rise is steady.

        A median, since neither a pull, a step nor a deletion moves it while most of the window goes on as it was; the
        mean would count a step as a rise, and spread it over the whole window. Where more than two buckets fall, as
        they do when usage goes up and down around a level, the third deepest fall is taken off: what comes and goes
        fills nothing. Usage that stays within a band is worth a third of the band per bucket at the very most.
        """
        edges = list(self._levels)[::CELLS_PER_BUCKET]
        rises = sorted(after - before for before, after in pairwise(edges))
        return max(0.0, rises[MEDIAN] + min(0.0, rises[FALLS])) / (self._cell_seconds * CELLS_PER_BUCKET)

    @property
    def latest_rate(self) -> float:
        """Units per second, at least 0: the fastest of the last three intervals, however short."""
        return max(self._recent, default=0.0)

    @property
    def sustained_rate(self) -> float:
        """Units per second, at least 0: the slowest of the last three intervals; 0.0 before there are so many."""
        return min(self._recent) if len(self._recent) == RECENT_INTERVALS else 0.0

    def _begin(self, measurement: _Measurement) -> None:
        self._first = self._last = measurement
        self._cells = 0
        self._levels = _standing_still()

    def _draw(self, last: _Measurement, measurement: _Measurement) -> None:
        """Keep the levels at the cells' edges that this measurement passed, on a straight line from the last."""
        slope = (measurement.filled - last.filled) / (measurement.at - last.at)
        passed = int((measurement.at - self._first.at) / self._cell_seconds)
        for cell in range(self._cells + 1, passed + 1):
            seconds = self._first.at + cell * self._cell_seconds - last.at
            self._levels.append(last.filled - self._first.filled + slope * seconds)
        self._cells = passed
        self._last = measurement


def seconds_until(room: int, rate: float) -> float:
    """When `room` (bytes or inodes) is used up at a rate per second; infinite where it never is."""
    if room <= 0:
        return 0.0
    return room / rate if rate > 0 else math.inf


def pause_before(seconds: float, longest: float, shortest: float = 0.5) -> float:
    """Seconds to the next measurement: a quarter of the time that is left, so that three more come before it is over.

    Never below `shortest`, nor above `longest`, which takes precedence.
    """
    return min(longest, max(shortest, PAUSE_SHARE * seconds))


def _standing_still() -> deque[float]:
    """Levels relative to the first measurement, oldest first."""
    return deque([0.0] * (CELLS + 1), maxlen=CELLS + 1)
