"""Blocks that a filesystem reserves for root, where they put the low watermark out of reach.

They count as used (`used_percent` is that of a user who is not root), and no eviction frees any. Example: of a disk
with 40 % reserved and a low watermark of 65 %, images and all other data may take 25 %. Other data takes 30 %: no
eviction reaches the low watermark, and without the reserve all of them together would leave 30 % used. It must not
measure.
"""

from dataclasses import dataclass

from cleaner.core.disk_usage import Part, Resource, Usage
from cleaner.core.pressure.targets import bytes_above
from cleaner.core.pressure.watermarks import WatermarkPair, Watermarks
from cleaner.core.reclaim import Size


@dataclass(frozen=True, slots=True)
class Reserve:
    """What one filesystem reserves, and the watermarks of its bytes that it collides with."""

    usage: Usage
    watermarks: WatermarkPair
    available: bool = False
    """Whether the watermarks are written as bytes available."""

    @property
    def is_above_low(self) -> bool:
        """Whether it is above the low watermark by itself: not even an empty filesystem would be below."""
        return self.usage.reserved_percent > self.watermarks.low

    @property
    def is_at_high(self) -> bool:
        """Whether it is at the high watermark by itself: pressure would never end."""
        return self.usage.reserved_percent >= self.watermarks.high


def reserves_in_the_way(usage: Usage, watermarks: Watermarks, freed: Size | None) -> tuple[Reserve, ...]:
    """Those without which the low watermark would be in reach, and those that are above it by themselves.

    `freed`: what all candidates free, at most; None where that is not known.
    """
    reserves = (
        Reserve(each, watermarks.pair_for(each, Resource.BYTES), watermarks.are_available(each))
        for each in usage.freeable
    )
    return tuple(each for each in reserves if each.is_above_low or (freed is not None and _decides(each, usage, freed)))


def _decides(reserve: Reserve, usage: Usage, freed: Size) -> bool:
    """Whether evicting all candidates would be enough without it, and is not with it."""
    own = reserve.usage
    most = freed.amount_of(Part(own.filesystem, Resource.BYTES), apart=usage.apart)
    missing = bytes_above(own, reserve.watermarks.low)
    return missing - own.reserved_bytes <= most < missing
