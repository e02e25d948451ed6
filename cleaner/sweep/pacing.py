"""What a sweep that has time does between two evictions: rest, measure the disk, look at what is in use.

Refuses to hold anything up: it rests in slices, and a stop request, pressure or the end of its time ends it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cleaner.core.disk_usage import Usage
from cleaner.core.model import StopReason
from cleaner.core.ports import Disk, Stop, Timer

LONGEST_REST_SECONDS = 30.0
"""After one eviction: so even 200 that each took their whole deadline fit into the default window, and the loop's
heartbeat (/livez) goes on."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a sweep that nobody waits for goes through its candidates."""

    duty: float
    """Share of its time in which it works, above 0 and up to 1; the rest of it belongs to others."""
    ends_at: datetime | None
    """From then on no eviction begins; None where it has no end."""
    sample_seconds: float
    """So often it is noted what is in use."""
    is_pressing: Callable[[Usage], bool]
    """Whether at this usage another sweep has to go first."""

    def rest_seconds(self, worked_seconds: float) -> float:
        """The rest after so much work: four times as long at a duty of a fifth; at most LONGEST_REST_SECONDS."""
        return min(worked_seconds * (1 - self.duty) / self.duty, LONGEST_REST_SECONDS)

    def is_over(self, now: datetime) -> bool:
        """Whether its end has come; at the end itself it has."""
        return self.ends_at is not None and now >= self.ends_at


SLICE_SECONDS = 1.0
"""The longest wait between two measurements; no `pressure.check_every` is shorter."""


class Pauses:
    """The pauses of one sweep."""

    def __init__(self, pace: Pace, disk: Disk, timer: Timer, stop: Stop, look: Callable[[], None]) -> None:
        """`look` notes what is in use now; whoever makes this has just done so, and has not worked yet."""
        self._pace = pace
        self._disk = disk
        self._timer = timer
        self._stop = stop
        self._look = look
        self._looked = self._rested = timer.monotonic()

    def take(self) -> StopReason | None:
        """Rest from all that was done since the last pause; why the sweep ends here, or None to go on.

        CleanerError where it cannot measure or look: who cannot know what is needed evicts nothing more.
        """
        left = self._pace.rest_seconds(self._timer.monotonic() - self._rested)
        while (because := self._reason_to_end()) is None and left > 0:
            # Counted down, not read off a clock: the node may have been suspended meanwhile.
            step = min(left, SLICE_SECONDS)
            if self._stop.wait(step):
                return StopReason.STOP_REQUESTED
            left -= step
        self._rested = self._timer.monotonic()
        if because is None:
            self._look_again()
        return because

    def _reason_to_end(self) -> StopReason | None:
        if self._pace.is_over(self._timer.now()):
            return StopReason.WINDOW
        return StopReason.PRESSURE if self._pace.is_pressing(self._disk.read_usage()) else None

    def _look_again(self) -> None:
        """As often as between sweeps: a night of rests would else be a gap in what is known of the node."""
        now = self._timer.monotonic()
        if now - self._looked >= self._pace.sample_seconds:
            self._looked = now
            self._look()
