"""Gauges that are put together when Prometheus asks, each from one consistent value.

Refuses to invent: what is not known yet has no sample, so that `time() - x` is never half a century.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cleaner.core.errors import CleanerError
from cleaner.core.events import SpaceCounted
from cleaner.core.model import KeepReason, Plan, Resource, Trigger, Usage
from cleaner.core.pressure import Marks
from cleaner.core.reclaim import Holder, Size

FILESYSTEM = "images"
"""Label value of the filesystem that holds the images."""
EVICTABLE = "evictable"
"""Label value of images that the nightly sweep would take."""

Value = float | None


class Readings(Collector):
    """The latest of what is known; each attribute is replaced whole, so a scrape never sees half of one."""

    def __init__(self, registry: CollectorRegistry, read_usage: Callable[[], Usage | None]) -> None:
        self._read_usage = read_usage
        self._images = dict.fromkeys((EVICTABLE, *KeepReason), 0)
        self._reclaimable: Mapping[Trigger, Size | None] = {}
        self._held: Mapping[Holder, int] = {}
        self._last_sweep: Value = None
        self._last_success: Value = None
        self.build: tuple[str, str] | None = None
        self.runtime: tuple[str, str] | None = None
        self.config: tuple[str, str] | None = None
        self.marks: Marks | None = None
        self.next_nightly_at: datetime | None = None
        registry.register(self)

    def count_images(self, plan: Plan) -> None:
        """Take the nightly plan as of now; the sum over the states is all images."""
        counts = Counter(verdict.reason.value for verdict in plan.kept)
        self._images = {EVICTABLE: len(plan.evictions)} | {reason: counts[reason.value] for reason in KeepReason}

    def count_space(self, counted: SpaceCounted) -> None:
        """Take what is foretold; nothing of before stays where nothing is foretold now."""
        self._reclaimable = {plan.trigger: plan.reclaimable for plan in (counted.nightly, counted.pressure)}
        self._held = counted.held or {}

    def record_sweep(self, at: float, *, success: bool) -> None:
        """Note when the last sweep ended, in seconds since 1970, and whether it failed."""
        self._last_sweep = at
        if success:
            self._last_success = at

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All families, with a sample for each value that is known."""
        yield _info("build", "The build that runs.", ["version", "revision"], self.build)
        yield _info("runtime", "The container runtime.", ["name", "version"], self.runtime)
        yield _info("config", "The configuration in force.", ["mode", "hash"], self.config)
        yield from self._filesystems()
        yield from self._watermarks()
        yield self._states()
        yield self._reclaimables()
        yield self._holders()
        yield from self._times()

    def _filesystems(self) -> Iterator[GaugeMetricFamily]:
        for name, what, value in _sizes(self._usage()):
            family = GaugeMetricFamily(f"cleaner_filesystem_{name}", what, labels=["filesystem"])
            yield _with(family, [FILESYSTEM], value)

    def _usage(self) -> Usage | None:
        try:
            return self._read_usage()
        except CleanerError:
            return None

    def _watermarks(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        labels = ["filesystem", "resource"]
        high = GaugeMetricFamily(
            "cleaner_high_watermark_ratio", "From this share used on, images are evicted.", labels=labels
        )
        low = GaugeMetricFamily(
            "cleaner_low_watermark_ratio", "Down to this share used, images are evicted.", labels=labels
        )
        marks = self.marks
        if marks is not None:
            for resource in Resource:
                _with(high, [FILESYSTEM, resource.value], marks.of(resource).high / 100)
                _with(low, [FILESYSTEM, resource.value], marks.of(resource).low / 100)
        return high, low

    def _states(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "cleaner_images", "Images, by what the nightly sweep would do with them and why.", labels=["state"]
        )
        for state, count in self._images.items():
            _with(family, [state], count)
        return family

    def _reclaimables(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "cleaner_reclaimable_bytes", "What that trigger's candidates together would free.", labels=["trigger"]
        )
        for trigger, size in self._reclaimable.items():
            _with(family, [trigger.value], size.bytes if size else None)
        return family

    def _holders(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "cleaner_filesystem_held_bytes", "Who holds what is used; the sum is all of it.", labels=["holder"]
        )
        for holder, held_bytes in self._held.items():
            _with(family, [holder.value], held_bytes)
        return family

    def _times(self) -> Iterator[GaugeMetricFamily]:
        upcoming = self.next_nightly_at
        for name, what, value in (
            ("last_sweep", "End of the last sweep, failed or not.", self._last_sweep),
            ("last_sweep_success", "End of the last sweep that did not fail.", self._last_success),
            ("next_nightly", "Begin of the next nightly sweep.", upcoming.timestamp() if upcoming else None),
        ):
            yield _with(GaugeMetricFamily(f"cleaner_{name}_timestamp_seconds", what, labels=[]), [], value)


def _sizes(usage: Usage | None) -> Iterator[tuple[str, str, Value]]:
    limited = usage if usage is not None and usage.inodes else None
    yield "size_bytes", "Size of the filesystem.", usage.capacity_bytes if usage else None
    yield "avail_bytes", "Bytes that a user who is not root may still use.", usage.available_bytes if usage else None
    yield "files", "Inodes of the filesystem.", limited.inodes if limited else None
    yield "files_free", "Inodes that are free.", limited.inodes_available if limited else None


def _info(name: str, what: str, labels: Sequence[str], values: Sequence[str] | None) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"cleaner_{name}_info", what, labels=labels)
    return _with(family, values or (), 1 if values else None)


def _with(family: GaugeMetricFamily, labels: Sequence[str], value: Value) -> GaugeMetricFamily:
    if value is not None:
        family.add_metric(labels, value)
    return family
