"""The metrics that events move: counters, histograms, and whether runtime and ledger are up.

It must not know events, see `outlet.py`: that decides what an event counts as.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from cleaner.core.history import PastEviction
from cleaner.core.model import EvictionOutcome, EvictReason, StopReason, Trigger

_SWEEP_BUCKETS = (1, 10, 60, 300, 1800)
_REQUEST_BUCKETS = (0.01, 0.1, 1, 10, 120)
"""The last one is the deadline of RemoveImage, the longest of all calls."""


class SweepCounters:
    """Attempts, failures, and how sweeps ended."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._all = Counter(
            "image_cleaner_sweeps_total",
            "Sweeps that are over, failed ones and dry runs too.",
            ["trigger"],
            registry=registry,
        )
        self._failures = Counter(
            "image_cleaner_sweep_failures_total",
            "Sweeps that failed: a read failed, or an unexpected error ended them.",
            ["trigger"],
            registry=registry,
        )
        self._stops = Counter(
            "image_cleaner_sweep_ends_total",
            "Sweeps that did not fail, by stop reason.",
            ["reason"],
            registry=registry,
        )
        self._duration = Histogram(
            "image_cleaner_sweep_duration_seconds",
            "Duration of sweeps that did not fail.",
            buckets=_SWEEP_BUCKETS,
            registry=registry,
        )
        for counter, values in ((self._all, Trigger), (self._failures, Trigger), (self._stops, StopReason)):
            begin_at_zero(counter, values)

    def record_end(self, trigger: Trigger, reason: str, seconds: float) -> None:
        """Count a sweep that did what it could."""
        self._all.labels(trigger.value).inc()
        self._stops.labels(str(reason)).inc()
        self._duration.observe(seconds)

    def record_failure(self, trigger: Trigger) -> None:
        """Count a sweep that failed; it has no duration."""
        self._all.labels(trigger.value).inc()
        self._failures.labels(trigger.value).inc()


class EvictionCounters:
    """Images that were evicted, whose eviction failed, or that the final check spared."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gone = Counter(
            "image_cleaner_evictions_total", "Evicted images, by reason.", ["reason"], registry=registry
        )
        self._reclaimed = Counter(
            "image_cleaner_reclaimed_bytes_total",
            "Bytes that evictions were measured to free.",
            ["reason"],
            registry=registry,
        )
        self._estimated = Counter(
            "image_cleaner_estimated_bytes_total",
            "Bytes that the same evictions were estimated to free.",
            ["reason"],
            registry=registry,
        )
        self._failed = Counter(
            "image_cleaner_eviction_failures_total",
            "Evictions that failed: the image or records of it are still there, or the final check failed.",
            registry=registry,
        )
        self._spared = Counter(
            "image_cleaner_evictions_spared_total",
            "Images that the final check before their removal spared.",
            registry=registry,
        )
        begin_at_zero(self._gone, EvictReason)
        begin_at_zero(self._reclaimed, EvictReason)
        begin_at_zero(self._estimated, EvictReason)

    def record(self, outcome: EvictionOutcome, reason: str, estimated: int | None, reclaimed: int | None) -> None:
        """Count an eviction; one without a measurement adds no estimated bytes either, since both are compared."""
        match outcome:
            case EvictionOutcome.EVICTED:
                self._gone.labels(reason).inc()
                self._reclaimed.labels(reason).inc(reclaimed or 0)
                self._estimated.labels(reason).inc(0 if reclaimed is None else estimated or 0)
            case EvictionOutcome.FAILED:
                self._failed.inc()
            case EvictionOutcome.SPARED:
                self._spared.inc()
            case EvictionOutcome.PLANNED:
                pass


class LedgerCounters:
    """Whether the ledger is stored on disk, and what it says of evictions that were a mistake."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.up = Gauge(
            "image_cleaner_ledger_up",
            "1 while the ledger is stored on disk, else 0: then nightly sweeps are suspended.",
            registry=registry,
        )
        self._repulls = Counter(
            "image_cleaner_repulls_total", "Evicted images that were pulled again within 7 days.", registry=registry
        )
        self._repulled = Counter(
            "image_cleaner_repulled_bytes_total",
            "Sizes of the images that were pulled again, as the runtime gives them: compressed under containerd.",
            registry=registry,
        )
        self.observed = Counter(
            "image_cleaner_observed_evictions_total",
            "Images that would have been evicted in mode observe, each once.",
            registry=registry,
        )
        self._regretted = Counter(
            "image_cleaner_observed_regrets_total",
            "Images that would have been evicted in mode observe and were pulled or used since.",
            registry=registry,
        )
        self.removed_externally = Counter(
            "image_cleaner_images_removed_externally_total",
            "Images that were removed without an eviction of this agent.",
            registry=registry,
        )

    def record_regret(self, past: PastEviction) -> None:
        """Count an image that was re-pulled, or used although mode observe would have evicted it."""
        if past.outcome is EvictionOutcome.PLANNED:
            self._regretted.inc()
            return
        self._repulls.inc()
        self._repulled.inc(past.size_bytes)


CONTAINERD = "containerd"
"""Fifteen methods of it would be 30 series; which one failed is in the log."""


class RuntimeCounters:
    """Whether the runtime answers, and the requests to it."""

    def __init__(self, registry: CollectorRegistry, methods: Iterable[str]) -> None:
        self.up = Gauge("image_cleaner_runtime_up", "1 while the container runtime answers, else 0.", registry=registry)
        self._requests = Counter(
            "image_cleaner_runtime_requests_total",
            "Requests to the container runtime, each try.",
            ["method"],
            registry=registry,
        )
        self._failures = Counter(
            "image_cleaner_runtime_request_failures_total",
            "Requests to the container runtime that failed.",
            ["method"],
            registry=registry,
        )
        self._duration = Histogram(
            "image_cleaner_runtime_request_duration_seconds",
            "Duration of requests to the container runtime, all methods.",
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        for method in methods:
            begin_at_zero(self._requests, (method,))
            begin_at_zero(self._failures, (method,))

    def record_call(self, method: str, seconds: float, *, ok: bool) -> None:
        """Count a request, and its failure; those of containerd's own API have their service before a dot."""
        method = CONTAINERD if "." in method else method
        self._requests.labels(method).inc()
        self._duration.observe(seconds)
        if not ok:
            self._failures.labels(method).inc()


def begin_at_zero(metric: MetricWrapperBase, values: Iterable[str]) -> None:
    """Make every child of a label exist, so that `increase()` sees the first one counted."""
    for value in values:
        metric.labels(str(value))
