"""When a filesystem is under pressure, and to which target a sweep lowers it.

It must not measure: callers pass usages. All is decided for each part, bytes and inodes of each filesystem.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from cleaner.core.disk_usage import Part, Resource, Usage, percents

SAFETY_PERCENT = 1.0
"""A disk that is full of non-image data is kept at least this far below the kubelet's threshold."""
SHORTEST_GRACE = timedelta(minutes=1)
"""What a container needs to be created once its image is pulled."""
MOST_OF_A_DISK = 0.5
"""Watermarks that require more than this share of a filesystem available were written for a larger one."""

Targets = Mapping[Part, float]
"""The used percent to which a sweep lowers each part."""


@dataclass(frozen=True, slots=True)
class WatermarkPair:
    """From where on a sweep lowers a resource, and to where; used percent, low < high."""

    high: float
    low: float


@dataclass(frozen=True, slots=True)
class AvailableWatermarks:
    """The same in bytes that must stay available; the low watermark is where more of them are."""

    high_bytes: int
    low_bytes: int

    def pair_on(self, capacity_bytes: int) -> WatermarkPair | None:
        """In percent of one filesystem; None where that is too small for it."""
        if not 0 < self.low_bytes <= capacity_bytes * MOST_OF_A_DISK:
            return None
        high, low = (100 * (capacity_bytes - size) / capacity_bytes for size in (self.high_bytes, self.low_bytes))
        return WatermarkPair(high, low)


@dataclass(frozen=True, slots=True)
class Watermarks:
    """The watermarks of every filesystem's resources."""

    bytes: WatermarkPair
    inodes: WatermarkPair
    available: AvailableWatermarks | None = None
    """In place of `bytes`, where the filesystem is large enough."""

    def pair_for(self, usage: Usage, resource: Resource) -> WatermarkPair:
        """The watermarks of one resource of one filesystem, in percent."""
        if resource is Resource.INODES:
            return self.inodes
        return (self.available and self.available.pair_on(usage.capacity_bytes)) or self.bytes

    def are_available(self, usage: Usage) -> bool:
        """Whether those of a filesystem's bytes are the ones that are written as bytes available."""
        return self.pair_for(usage, Resource.BYTES) is not self.bytes


@dataclass(frozen=True, slots=True)
class KubeletThreshold:
    """From which used percent on the kubelet acts by itself: it removes every unused image, or evicts pods."""

    bytes: float = 84.0
    """Its defaults: it counts in whole percents, so imageGCHighThresholdPercent of 85 is reached above 84."""
    inodes: float = 95.0
    """100 less evictionHard's inodesFree."""
    minimum_age: timedelta = timedelta(minutes=2)
    """`imageMinimumGCAge`: an unused image that the kubelet has known for longer is removed."""
    safety: Mapping[Part, float] = field(default_factory=dict)
    """How far below them danger begins where a part fills fast: as far as it rises until a sweep helps."""

    def percent_of(self, resource: Resource) -> float:
        """The threshold of one resource."""
        return self.bytes if resource is Resource.BYTES else self.inodes

    def danger(self, part: Part) -> float:
        """Above this the kubelet is about to act; a part whose low watermark is not reachable is lowered to it."""
        return self.percent_of(part.resource) - self.safety.get(part, SAFETY_PERCENT)


def at_high(usage: Usage, watermarks: Watermarks) -> frozenset[Part]:
    """The parts at or above their high watermark; one without a limit never is."""
    used, watermark = percents(usage), _watermarks_of(usage, watermarks)
    return frozenset(part for part, percent in used.items() if percent >= watermark[part].high)


def low_targets(usage: Usage, watermarks: Watermarks, parts: Collection[Part] | None = None) -> dict[Part, float]:
    """The low watermarks of some parts; of all where none are given."""
    return {
        part: watermark.low
        for part, watermark in _watermarks_of(usage, watermarks).items()
        if parts is None or part in parts
    }


def above(usage: Usage, targets: Targets) -> frozenset[Part]:
    """The parts that are not yet at or below their target."""
    used = percents(usage)
    return frozenset(part for part, target in targets.items() if part in used and used[part] > target)


def above_low(usage: Usage, watermarks: Watermarks) -> frozenset[Part]:
    """The parts that are above their low watermark."""
    return above(usage, low_targets(usage, watermarks))


def fallback_targets(usage: Usage, watermarks: Watermarks, kubelet: KubeletThreshold) -> dict[Part, float]:
    """The target of each part if its low watermark is not reachable: where the kubelet's danger begins.

    Where that is at our low watermark or below, the target is our high watermark. The danger is then not reachable
    either, so the sweep would evict everything in vain. A kubelet that had really acted there would have left nothing
    to evict.
    """
    return {
        part: _fallback_target(watermark, kubelet.danger(part))
        for part, watermark in _watermarks_of(usage, watermarks).items()
    }


def _fallback_target(watermark: WatermarkPair, danger: float) -> float:
    return danger if danger > watermark.low else watermark.high


def in_danger(usage: Usage, kubelet: KubeletThreshold) -> frozenset[Part]:
    """The parts that are so full that the kubelet is about to act."""
    return frozenset(part for part, percent in percents(usage).items() if percent > kubelet.danger(part))


def danger_grace(usage: Usage, kubelet: KubeletThreshold) -> timedelta | None:
    """How long an image is kept at most while the kubelet is about to act; None while it is not.

    Past its minimum age the kubelet removes the image itself, with all others that are unused. A container whose image
    was just pulled needs the first minute to be created.
    """
    return max(kubelet.minimum_age, SHORTEST_GRACE) if in_danger(usage, kubelet) else None


def _watermarks_of(usage: Usage, watermarks: Watermarks) -> dict[Part, WatermarkPair]:
    return {
        Part(each.filesystem, resource): watermarks.pair_for(each, resource)
        for each in usage.freeable
        for resource in Resource
    }
