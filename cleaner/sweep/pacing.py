"""What a nightly sweep does between two evictions: pause, measure the disk, inspect what is in use.

A pause must not hold anything up: it has slices, and a stop request, pressure or the end of the window ends it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cleaner.core.disk_usage import Usage
from cleaner.core.model import StopReason
from cleaner.core.ports import Disk, Stop, Timer

LONGEST_PAUSE_SECONDS = 30.0
"""After one eviction: so even 200 that each took their whole deadline fit into the default window, and the loop's
heartbeat (/livez) continues."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How gently a nightly sweep works through its candidates."""

    duty_cycle: float
    """Share of its time in which it works, above 0 and up to 1; in the remaining time it pauses."""
    ends_at: datetime | None
    """From then on no eviction begins; None where it has no end."""
    sample_seconds: float
    """Seconds between two inspections of what is in use."""
    is_pressing: Callable[[Usage], bool]
    """Whether at this usage another sweep has to run first."""

    def pause_seconds(self, worked_seconds: float) -> float:
        """The pause after this work: four times as long at a duty cycle of a fifth; at most LONGEST_PAUSE_SECONDS."""
        return min(worked_seconds * (1 - self.duty_cycle) / self.duty_cycle, LONGEST_PAUSE_SECONDS)

    def is_over(self, now: datetime) -> bool:
        """Whether its end has come; at the end itself it has."""
        return self.ends_at is not None and now >= self.ends_at


SLICE_SECONDS = 1.0
"""The longest wait between two measurements; no `pressure.check_every` is shorter."""


class Pacer:
    """The pauses of one sweep."""

    def __init__(self, pace: Pace, disk: Disk, timer: Timer, stop: Stop, inspect: Callable[[], None]) -> None:
        """`inspect` stores what is in use now; the caller has just done so, and has not evicted anything yet."""
        self._pace = pace
        self._disk = disk
        self._timer = timer
        self._stop = stop
        self._inspect = inspect
        self._inspected_at = self._paused_at = timer.monotonic()

    def pause(self) -> StopReason | None:
        """Pause for the work since the last pause; why the sweep ends here, or None to continue.

        CleanerError where it cannot measure or inspect: a sweep that does not know what is in use evicts nothing more.
        """
        left = self._pace.pause_seconds(self._timer.monotonic() - self._paused_at)
        while (reason := self._reason_to_end()) is None and left > 0:
            # Counted down, not read off a clock: the node may have been suspended meanwhile.
            step = min(left, SLICE_SECONDS)
            if self._stop.wait(step):
                return StopReason.STOP_REQUESTED
            left -= step
        self._paused_at = self._timer.monotonic()
        if reason is None:
            self._inspect_if_due()
        return reason

    def _reason_to_end(self) -> StopReason | None:
        if self._pace.is_over(self._timer.now()):
            return StopReason.WINDOW_CLOSED
        return StopReason.YIELDED_TO_PRESSURE if self._pace.is_pressing(self._disk.read_usage()) else None

    def _inspect_if_due(self) -> None:
        """As often as between sweeps: a long nightly sweep must not leave a gap in what is known of the node."""
        now = self._timer.monotonic()
        if now - self._inspected_at >= self._pace.sample_seconds:
            self._inspected_at = now
            self._inspect()
