"""Gauges that are put together when Prometheus asks, each from one consistent value.

What is not known yet has no sample, so that `time() - x` is never half a century.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import product

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cleaner.core.disk_usage import Filesystem, Resource, Usage
from cleaner.core.errors import CleanerError
from cleaner.core.events import ImagesInventoried, SpaceInventoried
from cleaner.core.kubelet import KubeletRead
from cleaner.core.model import KeepReason, Plan, Trigger
from cleaner.core.pressure import Forecast, Watermarks
from cleaner.core.read_state import Availability, OptionalRead, ReadChanged
from cleaner.core.reclaim import Holder, Size

EVICTABLE = "evictable"
"""Label value of images that the nightly sweep would evict."""

_Value = float | None


class Gauges(Collector):
    """The latest of what is known; each attribute is replaced whole, so a scrape never sees half of one."""

    def __init__(self, registry: CollectorRegistry, read_usage: Callable[[], Usage | None]) -> None:
        self._read_usage = read_usage
        self._images = dict.fromkeys((EVICTABLE, *KeepReason), 0)
        self._reclaimable: Mapping[Trigger, Size | None] = {}
        self._held: Mapping[Holder, int] = {}
        self._low_watermark_reachable: bool | None = None
        self._reads: Mapping[OptionalRead, _Value] = dict.fromkeys(OptionalRead, 0.0)
        self._last_sweep: _Value = None
        self._last_success: _Value = None
        self.build: tuple[str, str] | None = None
        self.runtime: tuple[str, str] | None = None
        self.config: tuple[str, str] | None = None
        self.watermarks: Watermarks | None = None
        self.forecast: Forecast | None = None
        self.kubelet: KubeletRead | None = None
        self.next_nightly_at: datetime | None = None
        self.installed_at: datetime | None = None
        registry.register(self)

    def record(self, event: ImagesInventoried | SpaceInventoried | KubeletRead | ReadChanged) -> None:
        """Keep the latest inventory, what was last read of the kubelet, or what can be read of the runtime."""
        match event:
            case ImagesInventoried():
                self.record_images(event.nightly)
            case SpaceInventoried():
                self.record_space(event)
            case KubeletRead():
                self.kubelet = event
            case ReadChanged():
                self._reads = {**self._reads, event.read: _READ_VALUES[event.state.availability]}

    def record_images(self, plan: Plan) -> None:
        """Take the nightly plan as of now; the sum over the states is all images."""
        counts = Counter(verdict.reason.value for verdict in plan.kept)
        self._images = {EVICTABLE: len(plan.evictions)} | {reason: counts[reason.value] for reason in KeepReason}

    def record_space(self, counted: SpaceInventoried) -> None:
        """Keep the latest estimates; no earlier one stays where nothing is estimated now."""
        self._reclaimable = {plan.trigger: plan.reclaimable for plan in (counted.nightly, counted.pressure)}
        self._held = counted.held or {}
        self._low_watermark_reachable = counted.low_watermark_reachable

    def record_sweep(self, at: float, *, success: bool) -> None:
        """Keep when the last sweep ended, in seconds since 1970, and whether it failed."""
        self._last_sweep = at
        if success:
            self._last_success = at

    def record_foreign_sweep(self, at: float, *, success: bool) -> None:
        """The same for one that another process made: it may have ended before the last of this one."""
        self._last_sweep = max(at, self._last_sweep or at)
        if success:
            self._last_success = max(at, self._last_success or at)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All families, with a sample for each value that is known."""
        yield _info("build", "The build that runs; always 1.", ["version", "revision"], self.build)
        yield _info(
            "runtime",
            "The container runtime, as it was when it last answered; always 1.",
            ["name", "version"],
            self.runtime,
        )
        yield _info("config", "The configuration in force; always 1.", ["mode", "hash"], self.config)
        usage = self._usage()
        yield from self._filesystems(usage)
        yield from self._watermarks(usage)
        yield from self._kubelet()
        yield from self._optional_reads()
        yield self._states()
        yield self._reclaimables()
        yield self._holders()
        yield from self._forecasts()
        yield from self._times()

    def _filesystems(self, usage: Usage | None) -> Iterator[GaugeMetricFamily]:
        for name, what in _SIZES.items():
            family = GaugeMetricFamily(f"image_cleaner_filesystem_{name}", what, labels=["filesystem"])
            for each in usage.all if usage else ():
                _with(family, [each.filesystem.value], _sizes(each)[name])
            yield family

    def _usage(self) -> Usage | None:
        try:
            return self._read_usage()
        except CleanerError:
            return None

    def _watermarks(self, usage: Usage | None) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        labels = ["filesystem", "resource"]
        high = GaugeMetricFamily(
            "image_cleaner_high_watermark_ratio", "Share used from which on images are evicted.", labels=labels
        )
        low = GaugeMetricFamily(
            "image_cleaner_low_watermark_ratio", "Share used down to which images are evicted.", labels=labels
        )
        watermarks = self.watermarks
        if usage is None or watermarks is None:
            return high, low
        for each, resource in product(usage.freeable, Resource):
            watermark = watermarks.pair_for(each, resource)
            _with(high, [each.filesystem.value, resource.value], watermark.high / 100)
            _with(low, [each.filesystem.value, resource.value], watermark.low / 100)
        return high, low

    def _kubelet(self) -> Iterator[GaugeMetricFamily]:
        """No samples until the kubelet's configuration was read."""
        read = self.kubelet
        watermark = GaugeMetricFamily(
            "image_cleaner_kubelet_threshold_ratio",
            "Share used above which the kubelet removes images by itself; no sample where it never does.",
            labels=["filesystem", "resource"],
        )
        for resource, act in (read.acts if read else {}).items():
            _with(watermark, [Filesystem.IMAGES.value, resource.value], act.above_percent / 100)
        yield watermark
        collides = any(collision.acts_first for collision in read.collisions) if read else None
        for name, what, value in (
            ("collision", "1 where the kubelet acts at or below one of the high watermarks, else 0.", collides),
            (
                "config_read",
                "1 where the kubelet's configuration was read, 0 where its defaults are assumed.",
                _was_read(read),
            ),
        ):
            yield _with(GaugeMetricFamily(f"image_cleaner_kubelet_{name}", what, labels=[]), [], value)

    def _optional_reads(self) -> Iterator[GaugeMetricFamily]:
        """0 before it is known; no sample where the runtime has no such service."""
        for read, name, what in (
            (
                OptionalRead.CONTAINER_EVENTS,
                "container_events_up",
                "1 while the agent follows the runtime's container events, else 0; no sample where there are none.",
            ),
            (
                OptionalRead.PULLS,
                "pulls_readable",
                "1 while pulls in progress can be read, else 0; no sample where the runtime does not tell them.",
            ),
        ):
            yield _with(GaugeMetricFamily(f"image_cleaner_{name}", what, labels=[]), [], self._reads[read])

    def _states(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "image_cleaner_images",
            "Images, by what the nightly sweep would do with them and why; the sum is all images.",
            labels=["state"],
        )
        for state, count in self._images.items():
            _with(family, [state], count)
        return family

    def _reclaimables(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "image_cleaner_reclaimable_bytes",
            "Bytes that all candidates of a trigger would free together.",
            labels=["trigger"],
        )
        for trigger, size in self._reclaimable.items():
            _with(family, [trigger.value], size.bytes if size else None)
        return family

    def _holders(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "image_cleaner_filesystem_held_bytes",
            "Bytes that count as used, by who holds them; the sum is the size less what is available.",
            labels=["holder"],
        )
        for holder, held_bytes in self._held.items():
            _with(family, [holder.value], held_bytes)
        return family

    def _forecasts(self) -> Iterator[GaugeMetricFamily]:
        forecast, reachable = self.forecast, self._low_watermark_reachable
        for name, what, value in (
            (
                "time_to_high_watermark_seconds",
                "Time until a filesystem reaches a high watermark at its steady rate; +Inf where none fills steadily.",
                forecast.seconds_to_high_watermark if forecast else None,
            ),
            (
                "time_to_kubelet_threshold_seconds",
                (
                    "Time until the kubelet would act at that rate, all candidates evicted; "
                    "+Inf where none fills steadily."
                ),
                forecast.seconds_to_kubelet_threshold if forecast else None,
            ),
            (
                "pulls_projected_bytes",
                "Bytes that pulls in progress will still take, blobs and unpacked; they count as used already.",
                forecast.pulls_projected_bytes if forecast else None,
            ),
            (
                "low_watermark_reachable",
                "1 where evicting every candidate under pressure would reach the low watermarks, else 0.",
                None if reachable is None else float(reachable),
            ),
        ):
            yield _with(GaugeMetricFamily(f"image_cleaner_{name}", what, labels=[]), [], value)

    def _times(self) -> Iterator[GaugeMetricFamily]:
        upcoming, installed = self.next_nightly_at, self.installed_at
        for name, what, value in (
            ("last_sweep", "End of the last sweep, failed or not.", self._last_sweep),
            ("last_sweep_success", "End of the last sweep that did not fail.", self._last_success),
            ("installed", "First run of the agent on this node.", installed.timestamp() if installed else None),
            (
                "next_nightly",
                "Begin of the next nightly sweep, this node's splay included.",
                upcoming.timestamp() if upcoming else None,
            ),
        ):
            yield _with(GaugeMetricFamily(f"image_cleaner_{name}_timestamp_seconds", what, labels=[]), [], value)


def _was_read(kubelet: KubeletRead | None) -> _Value:
    return None if kubelet is None else kubelet.config.reason is None


_READ_VALUES: Mapping[Availability, _Value] = {
    Availability.AVAILABLE: 1.0,
    Availability.UNAVAILABLE: 0.0,
    Availability.NOT_OFFERED: None,
}

_SIZES = {
    "size_bytes": "All bytes of the filesystem, used or not.",
    "avail_bytes": "Bytes that a user who is not root may still use.",
    "files": "Inodes of the filesystem; no sample where it has no limit.",
    "files_free": "Inodes that are free; no sample where there is no limit.",
}


def _sizes(usage: Usage) -> Mapping[str, _Value]:
    return {
        "size_bytes": usage.capacity_bytes,
        "avail_bytes": usage.available_bytes,
        "files": usage.inodes or None,
        "files_free": usage.inodes_available if usage.inodes else None,
    }


def _info(name: str, what: str, labels: Sequence[str], values: Sequence[str] | None) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"image_cleaner_{name}_info", what, labels=labels)
    return _with(family, values or (), 1 if values else None)


def _with(family: GaugeMetricFamily, labels: Sequence[str], value: _Value) -> GaugeMetricFamily:
    if value is not None:
        family.add_metric(labels, value)
    return family
