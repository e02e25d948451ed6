"""What a node's filesystems hold, as frozen values: the images' own, and the others that pulls and containers fill.

It must not measure; see `node/disk.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple


class Resource(StrEnum):
    """What of a filesystem can run out."""

    BYTES = "bytes"
    INODES = "inodes"


class Filesystem(StrEnum):
    """What a filesystem is there for; most nodes have one for all of it."""

    IMAGES = "images"
    """Unpacked images (CRI ImageFsInfo)."""
    CONTENT = "content"
    """containerd's content store: what was pulled, as it was pulled."""
    SNAPSHOTS = "snapshots"
    """Unpacked images of a further snapshotter, whose root lies elsewhere than that of the images' own."""
    CONTAINERS = "containers"
    """Containers' own layers: no eviction frees any of them."""


class Part(NamedTuple):
    """One resource of one filesystem."""

    filesystem: Filesystem
    resource: Resource


@dataclass(frozen=True, slots=True)
class Usage:
    """What one filesystem holds, as a user who is not root sees it; that of the images knows the others."""

    path: str
    capacity_bytes: int
    available_bytes: int
    inodes: int
    """0 where the filesystem has no limit."""
    inodes_available: int
    free_bytes: int
    """Root's reserve included: while a full disk refills it, a removal shows here and not in `available_bytes`."""
    filesystem: Filesystem = Filesystem.IMAGES
    others: tuple["Usage", ...] = ()
    """Those that lie elsewhere; of the images' filesystem only."""

    @property
    def all(self) -> tuple["Usage", ...]:
        """Every filesystem once, that of the images first."""
        return (self, *self.others)

    @property
    def used_percent(self) -> float:
        """The kubelet's figure: 100 x (1 - available / capacity); 0 for an empty filesystem."""
        return _used_percent(self.capacity_bytes, self.available_bytes)

    @property
    def inodes_used_percent(self) -> float | None:
        """Like `used_percent`; None where there is no limit."""
        return _used_percent(self.inodes, self.inodes_available) if self.inodes else None

    @property
    def reserved_bytes(self) -> int:
        """What counts as used though it is free: blocks that only root may fill (ext4: 5 % by default).

        No filesystem reserves inodes. 0 where more is available than free, as btrfs estimates it.
        """
        return max(0, self.free_bytes - self.available_bytes)

    @property
    def reserved_percent(self) -> float:
        """Its share of the filesystem, in percent; 0 for an empty filesystem."""
        return 100 * self.reserved_bytes / self.capacity_bytes if self.capacity_bytes > 0 else 0.0

    @property
    def apart(self) -> frozenset[Filesystem]:
        """What lies on a filesystem of its own; all else lies with the images."""
        return frozenset(other.filesystem for other in self.others)

    @property
    def freeable(self) -> tuple["Usage", ...]:
        """Those that the removal of an image can free."""
        return tuple(usage for usage in self.all if usage.filesystem is not Filesystem.CONTAINERS)

    @property
    def freeable_bytes(self) -> int:
        """Free bytes of all of these."""
        return sum(each.free_bytes for each in self.freeable)

    def percent(self, resource: Resource) -> float | None:
        """Used share of one resource, in percent; None where it has no limit."""
        return self.used_percent if resource is Resource.BYTES else self.inodes_used_percent

    def capacity(self, resource: Resource) -> int:
        """All that there is of a resource; 0 where it has no limit."""
        return self.capacity_bytes if resource is Resource.BYTES else self.inodes

    def available(self, resource: Resource) -> int:
        """What may still be used of a resource."""
        return self.available_bytes if resource is Resource.BYTES else self.inodes_available

    def freed_since(self, before: "Usage") -> int:
        """Bytes that the freeable filesystems have more than before; below 0 where others wrote more than was freed."""
        return self.freeable_bytes - before.freeable_bytes

    def less(self, pulls_projected_bytes: Mapping[Filesystem, int]) -> "Usage":
        """As if these bytes were used already; less than nothing is available where they do not fit."""
        return replace(
            self,
            available_bytes=self.available_bytes - pulls_projected_bytes.get(self.filesystem, 0),
            others=tuple(other.less(pulls_projected_bytes) for other in self.others),
        )


def percents(usage: Usage) -> dict[Part, float]:
    """Used share of every resource that has a limit, of every filesystem that a removal can free."""
    return {
        Part(each.filesystem, resource): percent
        for each in usage.freeable
        for resource in Resource
        if (percent := each.percent(resource)) is not None
    }


def _used_percent(capacity: int, available: int) -> float:
    return 100 * (capacity - available) / capacity if capacity > 0 else 0.0
