"""What removing images really frees, and who holds the space of a disk, from containerd's reference graph.

It must not use the sizes that a runtime gives an image: they count a shared layer once for each image that has it.
containerd frees only what nothing reaches any more (core/metadata/gc.go).
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from cleaner.core.disk_usage import Filesystem, Part, Resource


@dataclass(frozen=True, slots=True)
class Size:
    """What something takes on the disk."""

    bytes: int
    inodes: int
    content_bytes: int = 0
    """What of it lies in the content store: blobs, where the rest is snapshots."""
    content_inodes: int = 0
    apart_bytes: int = 0
    """What of it lies in snapshots of a further snapshotter whose root has a filesystem of its own."""
    apart_inodes: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(
            self.bytes + other.bytes,
            self.inodes + other.inodes,
            self.content_bytes + other.content_bytes,
            self.content_inodes + other.content_inodes,
            self.apart_bytes + other.apart_bytes,
            self.apart_inodes + other.apart_inodes,
        )

    def amount_of(self, part: Part, *, apart: frozenset[Filesystem]) -> int:
        """What it takes of one part; `apart`: what lies on a filesystem of its own and not with the images."""
        if part.resource is Resource.BYTES:
            whole, content, snapshots = self.bytes, self.content_bytes, self.apart_bytes
        else:
            whole, content, snapshots = self.inodes, self.content_inodes, self.apart_inodes
        elsewhere = {Filesystem.CONTENT: content, Filesystem.SNAPSHOTS: snapshots, Filesystem.CONTAINERS: 0}
        if part.filesystem is not Filesystem.IMAGES:
            return elsewhere[part.filesystem]
        return whole - sum(elsewhere[each] for each in apart)


NOTHING = Size(0, 0)
NEXT_TO_NOTHING_BYTES = 1 << 20
NEXT_TO_NOTHING_SHARE = 0.01
WORTH_INODES = 100
"""Freeing less than both, and fewer inodes than these, on the filesystems that a sweep lowers is not worth an eviction.
Example: a 0.1 MiB blob of an image whose 20 MiB lie on another disk. Real layers do not grow a hundredfold when they
are unpacked. If it is not known how much the image frees elsewhere, the first alone decides about bytes."""
BLOCK_BYTES = 4096
"""Of ext4 and XFS by default: what a file takes is a multiple of it."""


def rounded_up(size_bytes: int) -> int:
    """What a file of this size takes."""
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def blob_size(size_bytes: int) -> Size:
    """What a blob takes, which lies in the content store."""
    return Size(rounded_up(size_bytes), 1, rounded_up(size_bytes), 1)


@dataclass(frozen=True, slots=True)
class Layers:
    """containerd's reference graph as read; its keys are opaque text, one for each blob or snapshot."""

    sizes: Mapping[str, Size]
    """Of every blob and committed snapshot; blobs rounded up to the block size. `NOTHING` for a snapshot on a
    filesystem that is not measured: it takes an unknown amount there, and nothing elsewhere."""
    edges: Mapping[str, tuple[str, ...]]
    """Key -> the keys that it holds. Any key may be missing from `sizes` (gone meanwhile, or a container's own
    snapshot): it takes nothing, and what it holds stays held."""
    images: Mapping[str, frozenset[str]]
    """CRI image id -> the keys that its records point to (target digests)."""
    containers: frozenset[str]
    """Keys that containers hold: their own snapshots, and the parents of these."""
    other_namespaces: frozenset[str]
    """Keys that other containerd namespaces hold."""
    unlisted: frozenset[str]
    """Keys held by leases, by gc.root labels and by records that belong to no CRI image."""
    metadata: frozenset[str] = frozenset()
    """Keys of manifests and configs: a few KiB that every eviction frees, and no reason to evict an image."""
    complete: bool = True
    """False where some snapshotter's usage cannot be trusted: the caller shows no figure made from this."""
    unmeasured_snapshotters: frozenset[str] = frozenset()
    """Those that hold images on a filesystem that is not measured."""


class Holder(StrEnum):
    """Who holds what a filesystem has; the first that does, in this order."""

    IN_USE = "in_use"
    KEPT = "kept"
    OTHER_NAMESPACES = "other_namespaces"
    UNLISTED = "unlisted"
    EVICTABLE = "evictable"
    NON_IMAGE = "non_image"
    RESERVED = "reserved"


def reclaimable(layers: Layers, image_ids: Collection[str]) -> Size:
    """What is freed once the records of all these images are gone.

    An id that is not known frees nothing; nor does what nothing held before, which is no image's to free.
    """
    return _walk_what_stays(layers, frozenset(image_ids)).reach(_records_of(layers, image_ids))


def marginal(layers: Layers, order: Sequence[str]) -> dict[str, Size]:
    """What each image frees given that those before it are gone.

    In the given order; an id that is repeated counts where it is first. The sum is `reclaimable` of them all.
    """
    ids = tuple(dict.fromkeys(order))
    walk = _walk_what_stays(layers, frozenset(ids))
    # The last eviction frees all that is not held by what stays; the one before it, what is then left; and so on.
    freed = {image_id: walk.reach(_records_of(layers, (image_id,))) for image_id in reversed(ids)}
    return {image_id: freed[image_id] for image_id in ids}


def gaining(
    layers: Layers,
    image_ids: Collection[str],
    lowered: frozenset[Filesystem] | None = None,
    apart: frozenset[Filesystem] = frozenset(),
) -> frozenset[str]:
    """Of these images, those of which a layer is freed once all of them are gone.

    `lowered`: the filesystems that a sweep lowers, where some lie `apart`; None: any. An image that frees next to
    nothing on them, compared with what it frees elsewhere, gains nothing.
    """
    stays = _walk_what_stays(layers, frozenset(image_ids)).reached | layers.metadata
    counted = apart | {Filesystem.IMAGES} if lowered is None else lowered

    def gains(image_id: str) -> bool:
        keys = _reach_of(layers, image_id) - stays
        return _is_worth([layers.sizes[key] for key in keys if key in layers.sizes], counted, apart)

    return frozenset(image_id for image_id in image_ids if gains(image_id))


def alone(layers: Layers) -> dict[str, Size]:
    """What each image frees if only it is evicted: what it reaches and nothing else does."""
    walk = _Walk(layers)
    walk.reach(chain(layers.containers, layers.other_namespaces, layers.unlisted))
    reach = {image_id: _reach_of(layers, image_id) for image_id in layers.images}
    holders = Counter(chain.from_iterable(reach.values()))
    return {
        image_id: sum_of(layers, (key for key in keys if holders[key] == 1 and key not in walk.reached))
        for image_id, keys in reach.items()
    }


def sum_of(layers: Layers, keys: Iterable[str]) -> Size:
    """Size of some keys."""
    return _total(layers.sizes[key] for key in keys if key in layers.sizes)


def bytes_by_holder(
    layers: Layers, used_bytes: int, in_use: Collection[str], evictable: Collection[str], reserved_bytes: int = 0
) -> dict[Holder, int]:
    """Bytes by the first holder that reaches them; always all holders, none negative.

    in_use: these images and all containers; kept: all images in neither collection; evictable: what only these images
    hold; non_image: all other usage, such as containers' own files; reserved: what only root may fill, of which
    `used_bytes` is to include all. The sum is `used_bytes`, save where the images hold more than that, since both were
    not read at once: then non_image is 0 and nothing is scaled.
    """
    kept = layers.images.keys() - set(in_use) - set(evictable)
    roots: dict[Holder, Iterable[str]] = {
        Holder.IN_USE: chain(layers.containers, _records_of(layers, in_use)),
        Holder.KEPT: _records_of(layers, kept),
        Holder.OTHER_NAMESPACES: layers.other_namespaces,
        Holder.UNLISTED: layers.unlisted,
        Holder.EVICTABLE: _records_of(layers, evictable),
    }
    walk = _Walk(layers)
    found = {holder: walk.reach(keys).bytes for holder, keys in roots.items()}
    non_image = max(0, used_bytes - reserved_bytes - sum(found.values()))
    return {**found, Holder.NON_IMAGE: non_image, Holder.RESERVED: reserved_bytes}


class _Walk:
    """One walk through the graph, in steps; each key counts in the step that reaches it first."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self.reached: set[str] = set()

    def reach(self, roots: Iterable[str]) -> Size:
        """Size of what these roots hold and no earlier step has reached."""
        found: list[str] = []
        pending = list(roots)
        while pending:
            key = pending.pop()
            if key not in self.reached:
                self.reached.add(key)
                found.append(key)
                pending.extend(self._layers.edges.get(key, ()))
        return sum_of(self._layers, found)


def _total(sizes: Iterable[Size]) -> Size:
    """Their sum, without an object for each step: a node has tens of thousands of keys."""
    size_bytes = inodes = content_bytes = content_inodes = apart_bytes = apart_inodes = 0
    for size in sizes:
        size_bytes += size.bytes
        inodes += size.inodes
        content_bytes += size.content_bytes
        content_inodes += size.content_inodes
        apart_bytes += size.apart_bytes
        apart_inodes += size.apart_inodes
    return Size(size_bytes, inodes, content_bytes, content_inodes, apart_bytes, apart_inodes)


def _is_worth(freed: Collection[Size], lowered: frozenset[Filesystem], apart: frozenset[Filesystem]) -> bool:
    """Whether these layers free more than next to nothing on the filesystems that a sweep lowers."""
    size = _total(freed)
    size_bytes, inodes = (
        sum(size.amount_of(Part(filesystem, resource), apart=apart) for filesystem in lowered) for resource in Resource
    )
    elsewhere_unknown = any(not (size.bytes or size.inodes) for size in freed)
    enough_bytes = NEXT_TO_NOTHING_BYTES
    if not elsewhere_unknown:
        enough_bytes = min(enough_bytes, math.ceil(NEXT_TO_NOTHING_SHARE * size.bytes))
    return inodes >= WORTH_INODES or (size_bytes >= enough_bytes and size_bytes + inodes > 0)


def _walk_what_stays(layers: Layers, going: frozenset[str]) -> _Walk:
    """A walk that has reached all that is held by anything but the images to evict."""
    staying = _records_of(layers, layers.images.keys() - going)
    walk = _Walk(layers)
    walk.reach(chain(layers.containers, layers.other_namespaces, layers.unlisted, staying))
    return walk


def _reach_of(layers: Layers, image_id: str) -> set[str]:
    """All keys that one image's records reach."""
    walk = _Walk(layers)
    walk.reach(_records_of(layers, (image_id,)))
    return walk.reached


def _records_of(layers: Layers, image_ids: Iterable[str]) -> Iterator[str]:
    """The keys that the records of these images point to; none for an id that is not known."""
    return chain.from_iterable(layers.images.get(image_id, ()) for image_id in image_ids)
