"""The kubelet's marks beside ours: looked at when the disk is first known, and then each hour.

Refuses to act on them: it tells what the kubelet would do by itself, and when that changed.
"""

from collections.abc import Callable

from cleaner.core.disk_usage import Usage
from cleaner.core.events import Event
from cleaner.core.kubelet import KubeletRead, read_of, threshold_of
from cleaner.core.ports import Node, Timer
from cleaner.core.pressure import KubeletThreshold, Watermarks

CHECK_EVERY_SECONDS = 3600.0
"""The kubelet reads its files when it starts, which is rare; so much later this agent knows."""


class KubeletWatch:
    """Tells what one kubelet does by itself, once until that changes."""

    def __init__(self, watermarks: Watermarks, timer: Timer, emit: Callable[[Event], None]) -> None:
        self.latest: KubeletRead | None = None
        """What was told last; None before the first look, and where nobody is to look."""
        self._watermarks = watermarks
        self._timer = timer
        self._emit = emit
        self._due_at = 0.0

    @property
    def threshold(self) -> KubeletThreshold:
        """From when on it acts by itself; the defaults where nobody looked."""
        return threshold_of(self.latest) if self.latest else KubeletThreshold()

    def check(self, node: Node, usage: Usage) -> None:
        """Look if the hour is over; the size of the filesystem decides on thresholds in bytes."""
        if node.kubelet is None or self._timer.monotonic() < self._due_at:
            return
        self._due_at = self._timer.monotonic() + CHECK_EVERY_SECONDS
        read = read_of(node.kubelet.read(), self._watermarks, usage)
        if read != self.latest:
            self.latest = read
            self._emit(read)
