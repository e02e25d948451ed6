"""The forecast for a node, from its disks, the pulls in progress and the kubelet's thresholds.

It must not sweep, nor fail: what cannot be read is not in the forecast.
"""

from collections.abc import Callable
from datetime import timedelta

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import CleanerError
from cleaner.core.events import Event
from cleaner.core.ports import Node, Timer
from cleaner.core.pressure import (
    Forecast,
    GivenUp,
    KubeletThreshold,
    Pull,
    UsageForecaster,
    Watermarks,
    projected_usage,
)
from cleaner.core.reclaim import Size
from cleaner.core.report import SweepReport
from cleaner.daemon.kubelet_watch import KubeletWatch

MOVED_BYTES = 1 << 20
"""Since pulls were last read: less is no pull that a sweep has to make room for."""


class NodeForecaster:
    """Forecasts once a round, and says when the next round is to come."""

    def __init__(self, watermarks: Watermarks, horizon: timedelta, timer: Timer, emit: Callable[[Event], None]) -> None:
        self._timer = timer
        self._kubelet = KubeletWatch(watermarks, timer, emit)
        self._usage_forecaster = UsageForecaster(watermarks, self._kubelet.threshold, horizon)
        self._pulls: tuple[Pull, ...] = ()
        self._given_up = GivenUp()
        self._free_bytes = 0

    def kubelet_threshold_at(self, usage: Usage) -> KubeletThreshold:
        """From when on the kubelet acts by itself, and how far before that is danger."""
        return self._usage_forecaster.kubelet_threshold_at(usage)

    def forecast(self, node: Node, usage: Usage, evictable: Size | None, fingerprint: int) -> Forecast:
        """The forecast for a usage; it reads pulls in progress while anything is written, and where that failed."""
        moved = abs(usage.freeable_bytes - self._free_bytes) >= MOVED_BYTES
        if self._pulls or moved or _is_unread(node):
            self._read_pulls(node, usage)
        now = self._timer.monotonic()
        self._kubelet.check(node, usage)
        self._usage_forecaster.kubelet = self._kubelet.threshold
        self._usage_forecaster.add_measurement(usage, now)
        pulls = self._given_up.without(self._pulls, usage, evictable, fingerprint)
        return self._usage_forecaster.forecast(usage, pulls, evictable, now)

    def project(self, node: Node, usage: Usage, evictable: Size | None, fingerprint: int) -> Usage:
        """The usage as if the pulls of this moment were done; the next round counts them too."""
        self._read_pulls(node, usage)
        return projected_usage(usage, self._given_up.without(self._pulls, usage, evictable, fingerprint))

    def give_up(self, digests: frozenset[str], fingerprint: int) -> None:
        """A sweep found no room for these pulls: they count no more while the node is the same."""
        self._given_up = GivenUp(digests, fingerprint)

    def seconds_to_next_check(self, usage: Usage, longest: timedelta) -> float:
        """Seconds until the next round."""
        return self._usage_forecaster.seconds_to_next_check(usage, longest)

    def add_sweep(self, report: SweepReport) -> None:
        """Add what a sweep freed: it must not read as emptying."""
        self._usage_forecaster.add_sweep(report, self._timer.monotonic())

    def _read_pulls(self, node: Node, usage: Usage) -> None:
        """No room is made for what is not known."""
        self._free_bytes = usage.freeable_bytes
        try:
            self._pulls = node.runtime.read_pulls()
        except CleanerError:
            self._pulls = ()


def _is_unread(node: Node) -> bool:
    state = node.runtime.pulls_state
    return state is None or state.unavailable
