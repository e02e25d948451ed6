"""The kubelet's thresholds beside our watermarks: read when the disk is first known, and then each hour.

It must not act on them: it reports what the kubelet would do by itself, and when that changed.
"""

from collections.abc import Callable

from cleaner.core.disk_usage import Usage
from cleaner.core.events import Event
from cleaner.core.kubelet import KubeletRead, read_of, threshold_of
from cleaner.core.ports import Node, Timer
from cleaner.core.pressure import KubeletThreshold, Watermarks

CHECK_EVERY_SECONDS = 3600.0
"""The kubelet reads its files when it starts, which is rare; the agent knows of a change this much later."""


class KubeletWatch:
    """Reports what one kubelet does by itself, once until that changes."""

    def __init__(self, watermarks: Watermarks, timer: Timer, emit: Callable[[Event], None]) -> None:
        self.latest: KubeletRead | None = None
        """What was reported last; None before the first check, and where the agent does not read its files."""
        self._watermarks = watermarks
        self._timer = timer
        self._emit = emit
        self._due_at = 0.0

    @property
    def threshold(self) -> KubeletThreshold:
        """From when on it acts by itself; the defaults where its files were not read."""
        return threshold_of(self.latest) if self.latest else KubeletThreshold()

    def check(self, node: Node, usage: Usage) -> None:
        """Read its files if the hour is over; the size of the filesystem decides on thresholds in bytes."""
        if node.kubelet is None or self._timer.monotonic() < self._due_at:
            return
        self._due_at = self._timer.monotonic() + CHECK_EVERY_SECONDS
        read = read_of(node.kubelet.read(), self._watermarks, usage)
        if read != self.latest:
            self.latest = read
            self._emit(read)
