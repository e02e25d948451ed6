"""How full a lab's disk was, read many times a second in a thread beside whatever a test or a benchmark does.

Nothing is smoothed: each reading is kept, and figures are made of the readings themselves.
"""

import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from lab import Lab


@dataclass(frozen=True)
class Reading:
    """One reading of the disk."""

    at: float
    """Unix seconds, as in a log."""
    used_percent: float
    available_bytes: int


class UsageWatch:
    """Reads while a with-block runs; what it read stays."""

    def __init__(self, lab: Lab, hertz: float) -> None:
        self.readings: list[Reading] = []
        self._lab = lab
        self._period = 1 / hertz
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self.readings.append(self._reading())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def highest(self) -> float:
        """The most that was seen, in percent."""
        return max(reading.used_percent for reading in self.readings)

    def seconds_from(self, percent: float) -> float:
        """How long a level was reached or passed, from reading to reading."""
        pairs = zip(self.readings, self.readings[1:], strict=False)
        return sum(after.at - before.at for before, after in pairs if before.used_percent >= percent)

    def by_second(self, step: float = 1.0) -> list[tuple[float, float]]:
        """Seconds since the begin, and the highest percent within that step."""
        highest: dict[int, float] = {}
        for reading in self.readings:
            number = int((reading.at - self.readings[0].at) / step)
            highest[number] = max(reading.used_percent, highest.get(number, 0.0))
        return [(number * step, percent) for number, percent in sorted(highest.items())]

    def _reading(self) -> Reading:
        usage = self._lab.usage()
        return Reading(time.time(), usage.used_percent, usage.available_bytes)

    def _read(self) -> None:
        while not self._ended.wait(self._period):
            self.readings.append(self._reading())
