"""What pulls in progress will still write to the disk, until they are fetched and unpacked.

A projection must not be absurd: a ratio has bounds, a pull that stands still for too long counts no more, and what
several pulls share counts once.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cleaner.core.disk_usage import Filesystem, Part, Resource, Usage
from cleaner.core.reclaim import Size, rounded_up

LOWEST_RATIO, HIGHEST_RATIO = 1.0, 20.0
DEFAULT_RATIO = 2.5
"""Where the node has no images to tell: half of Docker Hub's layers grow less than about 2.6 times when they are
unpacked (Zhao et al., Large-Scale Analysis of the Docker Hub Dataset, IEEE CLUSTER 2019)."""


@dataclass(frozen=True, slots=True)
class Pull:
    """An image that is being pulled, and what it will still write."""

    digest: str
    """Of its manifest, or of the layer alone where the manifest is not known."""
    content_bytes: int
    """Of blobs that are still to be fetched, rounded up to blocks."""
    snapshot_bytes: int
    """What its layers that are not unpacked yet are projected to write as snapshots."""


@dataclass(frozen=True, slots=True)
class PendingLayer:
    """A layer that is not unpacked yet, and how far it is."""

    digest: str
    snapshot: str
    """What it will be unpacked to; empty where that is not known, and then nothing is claimed for it."""
    size_bytes: int
    """Of its blob, when that is whole."""
    fetched_bytes: int
    compressed: bool = True
    unpacked_bytes: int = 0
    """What its snapshot has already."""

    @property
    def content_bytes(self) -> int:
        """What the rest of its blob will write."""
        return max(0, rounded_up(self.size_bytes) - rounded_up(self.fetched_bytes))

    def snapshot_bytes(self, ratio: float) -> int:
        """What the rest of its snapshot is projected to write."""
        whole = round(rounded_up(self.size_bytes) * (ratio if self.compressed else 1.0))
        return max(0, whole - self.unpacked_bytes)


PendingPulls = Mapping[str, Sequence[PendingLayer]]
"""By digest, what each pull has still to do."""


def ratio_of(snapshot_bytes: int, blob_bytes: int) -> float:
    """How many times larger layers are as snapshots than as blobs, within bounds; the default where there are none."""
    if blob_bytes <= 0:
        return DEFAULT_RATIO
    return min(HIGHEST_RATIO, max(LOWEST_RATIO, snapshot_bytes / blob_bytes))


def project_pulls(pending: PendingPulls, ratio: float) -> tuple[Pull, ...]:
    """The pulls by digest, without those that will write nothing more; what several share counts for the first."""
    blobs: set[str] = set()
    snapshots = {""}
    pulls = []
    for digest in sorted(pending):
        own_blobs = {layer.digest: layer.content_bytes for layer in pending[digest] if layer.digest not in blobs}
        own_snapshots = {
            layer.snapshot: layer.snapshot_bytes(ratio) for layer in pending[digest] if layer.snapshot not in snapshots
        }
        blobs |= own_blobs.keys()
        snapshots |= own_snapshots.keys()
        pulls.append(Pull(digest, sum(own_blobs.values()), sum(own_snapshots.values())))
    return tuple(pull for pull in pulls if pull.content_bytes or pull.snapshot_bytes)


class Movement:
    """Since when each pull has stood still."""

    def __init__(self, patience_seconds: float) -> None:
        """A pull that stands still for this long counts as given up."""
        self._patience_seconds = patience_seconds
        self._seen: dict[str, tuple[Hashable, float]] = {}

    def moving(self, pending: PendingPulls, now: float) -> PendingPulls:
        """Those that moved less than the patience ago; all others are forgotten. `now` is in monotonic seconds."""
        self._seen = {digest: self._last_moved(digest, tuple(layers), now) for digest, layers in pending.items()}
        still = {digest for digest, (_, since) in self._seen.items() if now - since >= self._patience_seconds}
        return {digest: layers for digest, layers in pending.items() if digest not in still}

    def _last_moved(self, digest: str, state: Hashable, now: float) -> tuple[Hashable, float]:
        seen = self._seen.get(digest)
        return seen if seen is not None and seen[0] == state else (state, now)


def total_bytes(pulls: Iterable[Pull]) -> int:
    """What all of them together will still write."""
    return sum(pull.content_bytes + pull.snapshot_bytes for pull in pulls)


def projected_usage(usage: Usage, pulls: Sequence[Pull]) -> Usage:
    """The usage as if these pulls were done."""
    return usage.less(_projected(usage, pulls))


def pulls_fit(usage: Usage, pulls: Sequence[Pull], reclaimable: Size | None) -> bool:
    """Whether they have room once all candidates are evicted.

    Where what that frees is not known: whether they have room on an empty disk.
    """
    by_filesystem, apart = {each.filesystem: each for each in usage.all}, usage.apart

    def room(filesystem: Filesystem) -> int:
        if reclaimable is None:
            return by_filesystem[filesystem].capacity_bytes
        freed = reclaimable.amount_of(Part(filesystem, Resource.BYTES), apart=apart)
        return by_filesystem[filesystem].available_bytes + freed

    return all(room(filesystem) >= size for filesystem, size in _projected(usage, pulls).items())


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Pulls that a sweep found no room for: they count no more until the node changes, or they fit after all."""

    digests: frozenset[str] = frozenset()
    fingerprint: int = 0
    """Of the images, containers and candidates of then."""

    def without(
        self, pulls: Sequence[Pull], usage: Usage, evictable: Size | None, fingerprint: int
    ) -> tuple[Pull, ...]:
        """The other pulls; all where the node has changed, or non-image data has left the disk."""
        if fingerprint != self.fingerprint or pulls_fit(usage, pulls, evictable):
            return tuple(pulls)
        return tuple(pull for pull in pulls if pull.digest not in self.digests)


def _projected(usage: Usage, pulls: Sequence[Pull]) -> Mapping[Filesystem, int]:
    content = sum(pull.content_bytes for pull in pulls)
    snapshots = sum(pull.snapshot_bytes for pull in pulls)
    if Filesystem.CONTENT in usage.apart:
        return {Filesystem.IMAGES: snapshots, Filesystem.CONTENT: content}
    return {Filesystem.IMAGES: snapshots + content}
