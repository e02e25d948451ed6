"""The counters and histograms of the scrape: each family stands here once, with its help text.

Refuses events: what a happening counts as is decided in `metrics`.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from cleaner.core.history import PastEviction
from cleaner.core.model import EvictionOutcome, EvictReason, StopReason, Trigger

_SWEEP_BUCKETS = (1, 10, 60, 300, 1800)
_REQUEST_BUCKETS = (0.01, 0.1, 1, 10, 120)
"""The last one is the deadline of RemoveImage, the longest of all calls."""


class Sweeps:
    """Attempts, failures, and how sweeps ended."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._all = Counter(
            "cleaner_sweeps_total",
            "Sweeps that are over, failed ones and dry runs too.",
            ["trigger"],
            registry=registry,
        )
        self._failures = Counter(
            "cleaner_sweep_failures_total",
            "Sweeps that could not read what they must know, or broke.",
            ["trigger"],
            registry=registry,
        )
        self._stops = Counter(
            "cleaner_sweep_stops_total", "Sweeps that did not fail, by why they ended.", ["because"], registry=registry
        )
        self._duration = Histogram(
            "cleaner_sweep_duration_seconds",
            "Duration of sweeps that did not fail.",
            buckets=_SWEEP_BUCKETS,
            registry=registry,
        )
        for counter, values in ((self._all, Trigger), (self._failures, Trigger), (self._stops, StopReason)):
            begin_at_zero(counter, values)

    def record_end(self, trigger: Trigger, because: str, seconds: float) -> None:
        """Count a sweep that did what it could."""
        self._all.labels(trigger.value).inc()
        self._stops.labels(str(because)).inc()
        self._duration.observe(seconds)

    def record_failure(self, trigger: Trigger) -> None:
        """Count a sweep that failed; it has no duration."""
        self._all.labels(trigger.value).inc()
        self._failures.labels(trigger.value).inc()


class Evictions:
    """Images that went, stayed against our will, or were saved by the last look."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gone = Counter(
            "cleaner_evictions_total", "Images that evictions took, by why.", ["reason"], registry=registry
        )
        self._reclaimed = Counter(
            "cleaner_reclaimed_bytes_total",
            "Bytes that the filesystem gained by evictions, as measured.",
            ["reason"],
            registry=registry,
        )
        self._estimated = Counter(
            "cleaner_estimated_bytes_total",
            "Bytes that the same evictions were foretold to free.",
            ["reason"],
            registry=registry,
        )
        self._failed = Counter(
            "cleaner_eviction_failures_total",
            "Evictions that failed: the image or records of it are still there, or the last look failed.",
            registry=registry,
        )
        self._spared = Counter(
            "cleaner_evictions_spared_total", "Images that the last look before their removal saved.", registry=registry
        )
        begin_at_zero(self._gone, EvictReason)
        begin_at_zero(self._reclaimed, EvictReason)
        begin_at_zero(self._estimated, EvictReason)

    def record(self, outcome: EvictionOutcome, reason: str, estimated: int | None, reclaimed: int | None) -> None:
        """Count an eviction; bytes that nobody foretold or measured add nothing, to neither of what is compared."""
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


class Memory:
    """Whether it lasts, and what it says of evictions that were a mistake."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.up = Gauge(
            "cleaner_ledger_up",
            "1 while what the agent remembers is kept on disk, else 0: then nightly sweeps hold.",
            registry=registry,
        )
        self._repulls = Counter(
            "cleaner_repulls_total", "Evicted images that were pulled again within 7 days.", registry=registry
        )
        self._repulled = Counter(
            "cleaner_repulled_bytes_total",
            "Sizes of the images that were pulled again, as the runtime gives them: compressed under containerd.",
            registry=registry,
        )
        self.observed = Counter(
            "cleaner_observed_evictions_total",
            "Images that would have gone in mode observe, each once.",
            registry=registry,
        )
        self._regretted = Counter(
            "cleaner_observed_regrets_total",
            "Images that would have gone in mode observe and were pulled or used since.",
            registry=registry,
        )
        self.vanished = Counter(
            "cleaner_images_vanished_total", "Images that went without an eviction of this agent.", registry=registry
        )

    def regret(self, past: PastEviction) -> None:
        """Count an image that was wanted after all."""
        if past.outcome is EvictionOutcome.PLANNED:
            self._regretted.inc()
            return
        self._repulls.inc()
        self._repulled.inc(past.size_bytes)


CONTAINERD = "containerd"
"""Fifteen methods of it would be 30 series; which one failed is in the log."""


class Runtime:
    """Whether the runtime answers, and the requests to it."""

    def __init__(self, registry: CollectorRegistry, methods: Iterable[str]) -> None:
        self.up = Gauge("cleaner_runtime_up", "1 while the container runtime answers, else 0.", registry=registry)
        self._requests = Counter(
            "cleaner_runtime_requests_total",
            "Requests to the container runtime, each try.",
            ["method"],
            registry=registry,
        )
        self._failures = Counter(
            "cleaner_runtime_request_failures_total",
            "Requests to the container runtime that failed.",
            ["method"],
            registry=registry,
        )
        self._duration = Histogram(
            "cleaner_runtime_request_duration_seconds",
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
