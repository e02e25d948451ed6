"""What Prometheus reads of this node: counters that events move, and values that are read at the scrape.

Refuses labels without a bound: no image, node or cluster; images are in the log, nodes are target labels.
"""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

from cleaner.core.events import (
    Checked,
    DaemonStarted,
    Event,
    EvictionEnded,
    EvictionLearned,
    EvictionObserved,
    EvictionRegretted,
    ImagesCounted,
    ImagesVanished,
    KubeletRead,
    LedgerDown,
    LedgerUp,
    RuntimeDown,
    RuntimeUp,
    SpaceCounted,
    SweepEnded,
    SweepFailed,
    SweepLearned,
)
from cleaner.core.history import PastEviction
from cleaner.core.model import EvictionOutcome, EvictReason, StopReason, Trigger
from cleaner.core.pressure import Marks
from cleaner.core.usage import Usage
from cleaner.outlets.readings import Readings

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
    "Images.List",
)
"""Names of the calls as the `method` label has them: CRI's own, and containerd's with its service before it."""

_SWEEP_BUCKETS = (1, 10, 60, 300, 1800)
_REQUEST_BUCKETS = (0.01, 0.1, 1, 10, 120)
"""The last one is the deadline of RemoveImage, the longest of all calls."""


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
        self._readings = Readings(self.registry, read_usage)
        self._sweeps = _Sweeps(self.registry)
        self._evictions = _Evictions(self.registry)
        self._memory = _Memory(self.registry)
        self._runtime = _Runtime(self.registry, runtime_methods)
        self._messages = Counter(
            "cleaner_log_messages_total", "Lines written to the log.", ["level"], registry=self.registry
        )
        _begin_at_zero(self._messages, LOG_LEVELS)
        ProcessCollector(registry=self.registry)

    def record(self, event: Event) -> None:
        """Count one event; those that no metric is about pass."""
        match event:
            case DaemonStarted() | Checked():
                self._readings.next_nightly_at = event.next_nightly_at
                self._readings.outlook = event.outlook if isinstance(event, Checked) else None
            case RuntimeUp() | RuntimeDown():
                self._record_runtime(event)
            case ImagesCounted() | SpaceCounted() | KubeletRead():
                self._readings.record(event)
            case ImagesVanished():
                self._memory.vanished.inc(len(event.images))
            case EvictionEnded():
                eviction = event.eviction
                sizes = eviction.estimated_bytes, eviction.reclaimed_bytes
                self._evictions.record(eviction.outcome, eviction.verdict.reason.value, *sizes)
            case SweepEnded() | SweepFailed() | SweepLearned():
                self._record_sweep(event)
            case LedgerUp() | LedgerDown() | EvictionLearned() | EvictionObserved() | EvictionRegretted():
                self._record_memory(event)
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

    def record_config(self, mode: str, config_hash: str, marks: Marks) -> None:
        """Show which configuration is in force, and its marks."""
        self._readings.config = (mode, config_hash)
        self._readings.marks = marks

    def _record_sweep(self, event: SweepEnded | SweepFailed | SweepLearned) -> None:
        match event:
            case SweepEnded():
                report = event.report
                self._sweeps.record_end(report.trigger, report.stopped_because, report.duration_seconds)
                self._readings.record_sweep(event.ended_at.timestamp(), success=True)
            case SweepFailed():
                self._sweeps.record_failure(event.trigger)
                self._readings.record_sweep(event.at.timestamp(), success=False)
            case SweepLearned():
                sweep = event.sweep
                if sweep.stopped_because is None:
                    self._sweeps.record_failure(sweep.trigger)
                else:
                    self._sweeps.record_end(sweep.trigger, sweep.stopped_because, sweep.duration_seconds)
                self._readings.learn_sweep(sweep.ended_at.timestamp(), success=sweep.stopped_because is not None)

    def _record_memory(
        self, event: LedgerUp | LedgerDown | EvictionLearned | EvictionObserved | EvictionRegretted
    ) -> None:
        match event:
            case LedgerUp() | LedgerDown():
                self._memory.up.set(isinstance(event, LedgerUp))
                if isinstance(event, LedgerUp):
                    self._readings.installed_at = event.installed_at
            case EvictionLearned():
                past = event.eviction
                self._evictions.record(past.outcome, past.reason, past.estimated_bytes, past.reclaimed_bytes)
            case EvictionObserved():
                self._memory.observed.inc()
            case EvictionRegretted():
                self._memory.regret(event.eviction)

    def _record_runtime(self, event: RuntimeUp | RuntimeDown) -> None:
        self._runtime.up.set(isinstance(event, RuntimeUp))
        if isinstance(event, RuntimeUp):
            self._readings.runtime = (event.version.name, event.version.version)


class _Sweeps:
    """Attempts, failures, and how sweeps ended."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._all = Counter(
            "cleaner_sweeps_total", "Sweeps begun and over, failed ones too.", ["trigger"], registry=registry
        )
        self._failures = Counter(
            "cleaner_sweep_failures_total", "Sweeps that could not go on.", ["trigger"], registry=registry
        )
        self._stops = Counter(
            "cleaner_sweep_stops_total", "Why sweeps that did not fail ended.", ["because"], registry=registry
        )
        self._duration = Histogram(
            "cleaner_sweep_duration_seconds",
            "Duration of sweeps that did not fail.",
            buckets=_SWEEP_BUCKETS,
            registry=registry,
        )
        for counter, values in ((self._all, Trigger), (self._failures, Trigger), (self._stops, StopReason)):
            _begin_at_zero(counter, values)

    def record_end(self, trigger: Trigger, because: str, seconds: float) -> None:
        self._all.labels(trigger.value).inc()
        self._stops.labels(str(because)).inc()
        self._duration.observe(seconds)

    def record_failure(self, trigger: Trigger) -> None:
        self._all.labels(trigger.value).inc()
        self._failures.labels(trigger.value).inc()


class _Evictions:
    """Images that went, stayed against our will, or were saved by the last look."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gone = Counter("cleaner_evictions_total", "Images evicted.", ["reason"], registry=registry)
        self._reclaimed = Counter(
            "cleaner_reclaimed_bytes_total", "Bytes measured to be freed.", ["reason"], registry=registry
        )
        self._estimated = Counter(
            "cleaner_estimated_bytes_total", "Bytes foretold to be freed.", ["reason"], registry=registry
        )
        self._failed = Counter("cleaner_eviction_failures_total", "Evictions that failed.", registry=registry)
        self._spared = Counter("cleaner_evictions_spared_total", "Images that the last look saved.", registry=registry)
        _begin_at_zero(self._gone, EvictReason)
        _begin_at_zero(self._reclaimed, EvictReason)
        _begin_at_zero(self._estimated, EvictReason)

    def record(self, outcome: EvictionOutcome, reason: str, estimated: int | None, reclaimed: int | None) -> None:
        match outcome:
            case EvictionOutcome.EVICTED:
                self._gone.labels(reason).inc()
                self._reclaimed.labels(reason).inc(reclaimed or 0)
                self._estimated.labels(reason).inc(estimated or 0)
            case EvictionOutcome.FAILED:
                self._failed.inc()
            case EvictionOutcome.SPARED:
                self._spared.inc()
            case EvictionOutcome.PLANNED:
                pass


class _Memory:
    """Whether it lasts, and what it says of evictions that were a mistake."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.up = Gauge("cleaner_ledger_up", "Whether the ledger can be read and written.", registry=registry)
        self._repulls = Counter(
            "cleaner_repulls_total", "Evicted images pulled again within a week.", registry=registry
        )
        self._repulled = Counter(
            "cleaner_repulled_bytes_total", "Sizes of these images, as the runtime gives them.", registry=registry
        )
        self.observed = Counter(
            "cleaner_observed_evictions_total", "Images that would have gone in mode observe.", registry=registry
        )
        self._regretted = Counter(
            "cleaner_observed_regrets_total", "Of these, pulled or used afterwards.", registry=registry
        )
        self.vanished = Counter(
            "cleaner_images_vanished_total", "Images that went without this agent.", registry=registry
        )

    def regret(self, past: PastEviction) -> None:
        if past.outcome is EvictionOutcome.PLANNED:
            self._regretted.inc()
            return
        self._repulls.inc()
        self._repulled.inc(past.size_bytes)


class _Runtime:
    """Whether the runtime answers, and the requests to it."""

    def __init__(self, registry: CollectorRegistry, methods: Iterable[str]) -> None:
        self.up = Gauge("cleaner_runtime_up", "Whether the container runtime answers.", registry=registry)
        self._requests = Counter(
            "cleaner_runtime_requests_total", "Requests to the runtime.", ["method"], registry=registry
        )
        self._failures = Counter(
            "cleaner_runtime_request_failures_total", "Requests that failed.", ["method"], registry=registry
        )
        self._duration = Histogram(
            "cleaner_runtime_request_duration_seconds",
            "Duration of requests to the runtime.",
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        for method in methods:
            _begin_at_zero(self._requests, (method,))
            _begin_at_zero(self._failures, (method,))

    def record_call(self, method: str, seconds: float, *, ok: bool) -> None:
        self._requests.labels(method).inc()
        self._duration.observe(seconds)
        if not ok:
            self._failures.labels(method).inc()


def _begin_at_zero(metric: MetricWrapperBase, values: Iterable[str]) -> None:
    """Make every child of a label exist, so that `increase()` sees the first one counted."""
    for value in values:
        metric.labels(str(value))
