"""A reference graph while it is put together: CRI's namespace in full, of the others only that they hold.

It must not call containerd, see `graph.py`: it keeps what was read as keys and sizes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cleaner.core.model import Image
from cleaner.core.reclaim import Layers, Size, blob_size
from cleaner.runtime.containerd.gc_labels import GcLabels, blob_key, is_blob, record_key
from cleaner.runtime.containerd.records import Records


@dataclass(slots=True)
class GraphDraft:
    """What was read so far; every set holds keys."""

    sizes: dict[str, Size] = field(default_factory=dict)
    edges: dict[str, tuple[str, ...]] = field(default_factory=dict)
    containers: set[str] = field(default_factory=set)
    other_namespaces: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)
    flat: set[str] = field(default_factory=set)
    """Blobs that a lease holds, but not what they refer to."""
    snapshotters: set[str] = field(default_factory=set)
    """Those that hold what images are unpacked to."""

    def add_blob(self, digest: str, size_bytes: int) -> str:
        """A blob of any namespace; gives its key."""
        key = blob_key(digest)
        self.sizes[key] = blob_size(size_bytes)
        return key

    def add_gc_labels(self, key: str, gc_labels: GcLabels) -> None:
        """What the labels of an object of CRI's namespace say."""
        self.hold(key, gc_labels.holds)
        for holder in gc_labels.held_by:
            self.hold(holder, (key,))
        if gc_labels.root:
            self.unlisted.add(key)
        self.snapshotters |= gc_labels.snapshotters

    def hold(self, holder: str, keys: Iterable[str]) -> None:
        """One key holds others too."""
        if held := tuple(keys):
            self.edges[holder] = self.edges.get(holder, ()) + held

    def finish(self, records: Records, images: Iterable[Image], *, complete: bool) -> Layers:
        """The graph, with the records sorted by the CRI images that they are."""
        targets = {image.id: records.targets_of(image) for image in images}
        nameless = records.names_by_target.keys() - frozenset().union(*targets.values())
        metadata = frozenset(key for key in self.edges if is_blob(key))
        renamed = self._part_bytes_from_references()
        return Layers(
            sizes=self.sizes,
            edges=self.edges,
            images={image_id: self._keys_of(known, records, renamed) for image_id, known in targets.items()},
            containers=_rename(self.containers, renamed),
            other_namespaces=frozenset(self.other_namespaces),
            unlisted=_rename(self.unlisted, renamed) | self._keys_of(nameless, records, renamed) | self.flat,
            metadata=metadata,
            complete=complete,
        )

    def _keys_of(self, targets: Iterable[str], records: Records, renamed: Mapping[str, str]) -> frozenset[str]:
        """The targets themselves, and records with these targets where labels make them hold more."""
        keys = {blob_key(target) for target in targets}
        own = {record_key(name) for target in targets for name in records.names_by_target[target]}
        return _rename(keys | (own & self.edges.keys()), renamed)

    def _part_bytes_from_references(self) -> dict[str, str]:
        """Give blobs of which somebody holds the bytes alone a second key, for the blob with what it refers to.

        Flat leases hold so, and other namespaces: what a blob refers to is said in each namespace by labels of its own.
        """
        renamed = {key: f"whole:{key}" for key in (self.flat | self.other_namespaces) & self.edges.keys()}
        if renamed:
            self.edges = {
                renamed.get(key, key): tuple(renamed.get(held, held) for held in keys)
                for key, keys in self.edges.items()
            }
            for key, whole in renamed.items():
                self.hold(whole, (key,))
        return renamed


def _rename(keys: Iterable[str], renamed: Mapping[str, str]) -> frozenset[str]:
    return frozenset(renamed.get(key, key) for key in keys)
