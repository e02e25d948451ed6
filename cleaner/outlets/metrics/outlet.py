"""What Prometheus reads of this node: counters that events move, and values that are read at the scrape.

It must not use labels without a bound: no image, node or cluster; images are in the log, nodes are target labels.
"""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics import disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

from cleaner.core.disk_usage import Usage
from cleaner.core.events import (
    Checked,
    DaemonStarted,
    Event,
    EvictionEnded,
    EvictionObserved,
    EvictionRegretted,
    ForeignEviction,
    ForeignSweep,
    ImagesInventoried,
    ImagesRemovedExternally,
    LedgerDown,
    LedgerUp,
    RuntimeDown,
    RuntimeUp,
    SpaceInventoried,
    SweepEnded,
    SweepFailed,
)
from cleaner.core.kubelet import KubeletRead
from cleaner.core.pressure import Watermarks
from cleaner.core.read_state import ReadChanged
from cleaner.outlets.metrics.counters import (
    CONTAINERD,
    EvictionCounters,
    LedgerCounters,
    RuntimeCounters,
    SweepCounters,
    begin_at_zero,
)
from cleaner.outlets.metrics.gauges import Gauges

LOG_LEVELS = ("debug", "info", "warning", "error")

RUNTIME_METHODS = (
    "Version",
    "Status",
    "ListImages",
    "StreamImages",
    "ImageStatus",
    "RemoveImage",
    "ImageFsInfo",
    "ListContainers",
    "StreamContainers",
    "ContainerStatus",
    "ListPodSandbox",
    "PodSandboxStatus",
    CONTAINERD,
)
"""The `method` label: CRI's calls by name, and all of containerd's own API as one."""


class Metrics:
    """An outlet that counts events; moved by the main thread, read by the web server's."""

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        read_usage: Callable[[], Usage | None] = lambda: None,
        runtime_methods: Iterable[str] = RUNTIME_METHODS,
    ) -> None:
        # The library has only this switch for the whole process; `_created` would double the counters' series.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry or CollectorRegistry()
        self._readings = Gauges(self.registry, read_usage)
        self._sweeps = SweepCounters(self.registry)
        self._evictions = EvictionCounters(self.registry)
        self._ledger = LedgerCounters(self.registry)
        self._runtime = RuntimeCounters(self.registry, runtime_methods)
        self._messages = Counter(
            "image_cleaner_log_messages_total", "Lines written to the log, by level.", ["level"], registry=self.registry
        )
        begin_at_zero(self._messages, LOG_LEVELS)
        ProcessCollector(registry=self.registry)

    def record(self, event: Event) -> None:
        """Count one event; those that no metric is about pass."""
        match event:
            case DaemonStarted() | Checked():
                self._readings.next_nightly_at = event.next_nightly_at
                self._readings.forecast = event.forecast if isinstance(event, Checked) else None
            case RuntimeUp() | RuntimeDown():
                self._record_runtime(event)
            case ImagesInventoried() | SpaceInventoried() | KubeletRead() | ReadChanged():
                self._readings.record(event)
            case ImagesRemovedExternally():
                self._ledger.removed_externally.inc(len(event.images))
            case EvictionEnded():
                eviction = event.eviction
                sizes = eviction.estimated_bytes, eviction.reclaimed_bytes
                self._evictions.record(eviction.outcome, eviction.verdict.reason.value, *sizes)
            case SweepEnded() | SweepFailed() | ForeignSweep():
                self._record_sweep(event)
            case LedgerUp() | LedgerDown() | ForeignEviction() | EvictionObserved() | EvictionRegretted():
                self._record_ledger(event)
            case _:
                pass

    def record_runtime_call(self, method: str, seconds: float, ok: bool) -> None:  # noqa: FBT001
        """Count one request to the container runtime."""
        self._runtime.record_call(method, seconds, ok=ok)

    def record_log(self, level: str) -> None:
        """Count one line of the log."""
        self._messages.labels(level).inc()

    def record_build(self, version: str, revision: str) -> None:
        """Show which build runs."""
        self._readings.build = (version, revision)

    def record_config(self, mode: str, config_hash: str, watermarks: Watermarks) -> None:
        """Show which configuration is in force, and its watermarks."""
        self._readings.config = (mode, config_hash)
        self._readings.watermarks = watermarks

    def _record_sweep(self, event: SweepEnded | SweepFailed | ForeignSweep) -> None:
        match event:
            case SweepEnded():
                report = event.report
                self._sweeps.record_end(report.trigger, report.stop_reason, report.duration_seconds)
                self._readings.record_sweep(event.ended_at.timestamp(), success=True)
            case SweepFailed():
                self._sweeps.record_failure(event.trigger)
                self._readings.record_sweep(event.at.timestamp(), success=False)
            case ForeignSweep():
                sweep = event.sweep
                if sweep.stop_reason is None:
                    self._sweeps.record_failure(sweep.trigger)
                else:
                    self._sweeps.record_end(sweep.trigger, sweep.stop_reason, sweep.duration_seconds)
                self._readings.record_foreign_sweep(sweep.ended_at.timestamp(), success=sweep.stop_reason is not None)

    def _record_ledger(
        self, event: LedgerUp | LedgerDown | ForeignEviction | EvictionObserved | EvictionRegretted
    ) -> None:
        match event:
            case LedgerUp() | LedgerDown():
                self._ledger.up.set(isinstance(event, LedgerUp))
                if isinstance(event, LedgerUp):
                    self._readings.installed_at = event.installed_at
            case ForeignEviction():
                past = event.eviction
                self._evictions.record(past.outcome, past.reason, past.estimated_bytes, past.reclaimed_bytes)
            case EvictionObserved():
                self._ledger.observed.inc()
            case EvictionRegretted():
                self._ledger.record_regret(event.eviction)

    def _record_runtime(self, event: RuntimeUp | RuntimeDown) -> None:
        self._runtime.up.set(isinstance(event, RuntimeUp))
        if isinstance(event, RuntimeUp):
            self._readings.runtime = (event.version.name, event.version.version)
