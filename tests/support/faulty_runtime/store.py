"""What a faulty runtime stores: image records, blobs, snapshots and leases, and the collection of what nothing holds.

A record that is removed frees what only it held; what a lease or a container's snapshot holds stays.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from cleaner.core.references import parse_reference
from cleaner.runtime.pb import containerd_snapshots_pb2 as snapshots_pb
from support.containerd_services import Blob, Labels, Lease, Namespace, Snapshot
from support.crio_server import Record, ServedImage
from support.faulty_runtime.artifacts import SNAPSHOTTER, Artifact
from support.faulty_runtime.events import FaultyExchange
from support.faulty_runtime.journal import Journal, Kind
from support.faulty_runtime.storage import Storage
from support.faulty_runtime.versions import Version

CRI = "k8s.io"
PINNED = {"io.cri-containerd.pinned": "pinned"}


@dataclass
class ImageStore:
    """Images as containerd keeps them. Each change is made under the lock and announced after it."""

    storage: Storage
    now: Callable[[], datetime]
    version: Version
    events: FaultyExchange
    journal: Journal
    namespaces: dict[str, Namespace] = field(default_factory=lambda: {CRI: Namespace()})
    """Lists are replaced, never changed, so that a reader has one state of them."""
    records: dict[str, Record] = field(default_factory=dict)
    """Of CRI's namespace, by name."""
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    """Everything that ever was on the node, by the manifest's digest."""
    hidden: frozenset[str] = frozenset()
    """Names of records that CRI does not show: it has deleted the name that it writes for them."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def own(self) -> Namespace:
        """CRI's namespace."""
        return self.namespaces[CRI]

    # Records

    def put_record(self, name: str, target: str, labels: Labels = {}) -> None:  # noqa: B006 - it is not changed
        """Create a record, or let it point here from now on."""
        with self.lock:
            known, now = self.records.get(name), self.now()
            created_at = now if known is None else known.created_at
            self.records = {**self.records, name: Record(name, target, created_at, now, dict(labels))}
            self.hidden -= {name}
        self.events.announce("/images/create" if known is None else "/images/update", name)

    def complete_records(self, names: Iterable[str], target: str, labels: Labels = {}) -> None:  # noqa: B006
        """Create the records that CRI keeps of an image, and update those that differ."""
        for name in names:
            known = self.records.get(name)
            if known is None or known.target != target or self.version.rewrites_records:
                self.put_record(name, target, labels)

    def delete_record(self, name: str) -> None:
        """Delete a record; fine where there is none. What it held is collected later."""
        with self.lock:
            found = self.records.get(name)
            self.records = {known: record for known, record in self.records.items() if known != name}
            self.hidden |= {known for known in self.records if normalised(known) == name and found is not None}
        if found is not None:
            self.journal.add(Kind.REMOVAL, "record", name)
            self.events.announce("/images/delete", name)

    def names_of(self, image_id: str) -> list[str]:
        """Names of the records of an image, its own id among them, sorted."""
        return sorted(n for n, record in self.records.items() if self.artifacts[record.target].image_id == image_id)

    def find(self, name: str) -> Artifact | None:
        """The image behind a record's name or an image id."""
        record = self.records.get(name)
        if record is not None:
            return self.artifacts[record.target]
        return next((found for found in self._present() if found.image_id == name), None)

    def images(self) -> dict[str, ServedImage]:
        """As CRI lists them, by id: under normalised names, which may not be those of the records."""
        with self.lock:
            return {artifact.image_id: self._served(artifact) for artifact in self._present()}

    def removable_names(self, image_id: str) -> list[str]:
        """The records that CRI's RemoveImage deletes: one whose name is not normalised stays."""
        return [name for name in self.names_of(image_id) if name == image_id or name == normalised(name)]

    def _present(self) -> Iterator[Artifact]:
        for target in dict.fromkeys(record.target for n, record in self.records.items() if n not in self.hidden):
            yield self.artifacts[target]

    def _served(self, artifact: Artifact) -> ServedImage:
        names = [normalised(name) for name in self.names_of(artifact.image_id) if name != artifact.image_id]
        labels = [self.records[name].labels for name in self.names_of(artifact.image_id)]
        return ServedImage(
            artifact.image_id,
            tags=tuple(name for name in names if "@" not in name),
            digests=tuple(name for name in names if "@" in name),
            size_bytes=artifact.size_bytes,
            pinned=any(known.items() >= PINNED.items() for known in labels),
            created=artifact.created,
        )

    # Content and snapshots

    def write_documents(self, artifact: Artifact, source: Labels) -> None:
        """Write manifest and config, with the labels that hold the rest."""
        self.artifacts[artifact.digest] = artifact
        for digest, document in ((artifact.digest, artifact.manifest), (artifact.image_id, artifact.config)):
            self.write_blob(digest, len(document), {**artifact.labels()[digest], **source}, document)

    def write_blob(self, digest: str, size: int, labels: Labels, document: bytes = b"") -> None:
        """Write a blob; one that is there gets the labels beside its own."""
        with self.lock:
            self.storage.write(digest, size)
            known = {blob.digest: blob for blob in self.own.blobs}
            blob = known.get(digest, Blob(digest, size, {}, document))
            known[digest] = replace(blob, labels={**blob.labels, **labels})
            self.own.blobs = list(known.values())

    def unpack(self, artifact: Artifact) -> None:
        """Make the snapshots that are not there yet, lowest first."""
        parent = ""
        for layer in artifact.layers:
            if layer.chain_id not in {snapshot.name for snapshot in self.own.snapshots}:
                key = f"extract-1 {layer.chain_id}"
                self.events.announce("/snapshot/prepare", key, parent=parent, **self._snapshotter)
                self.add_snapshot(Snapshot(layer.chain_id, parent, size=layer.size_bytes, inodes=1))
                self.events.announce("/snapshot/commit", key, name=layer.chain_id, **self._snapshotter)
            parent = layer.chain_id

    def add_snapshot(self, snapshot: Snapshot) -> None:
        """Add a committed snapshot."""
        with self.lock:
            self.storage.write(snapshot.name, snapshot.size)
            self.own.snapshots = [*self.own.snapshots, snapshot]

    def prepare_snapshot(self, name: str, parent: str) -> None:
        """Add a container's own snapshot, which takes no space."""
        with self.lock:
            self.own.snapshots = [*self.own.snapshots, Snapshot(name, parent, kind=snapshots_pb.ACTIVE)]
        self.events.announce("/snapshot/prepare", name, parent=parent, **self._snapshotter)

    def remove_snapshot(self, name: str) -> None:
        """Remove a snapshot that nothing is built on."""
        with self.lock:
            self.own.snapshots = [snapshot for snapshot in self.own.snapshots if snapshot.name != name]
            self.storage.remove(name)
        self.journal.add(Kind.REMOVAL, "snapshot", name)
        self.events.announce("/snapshot/remove", name, **self._snapshotter)

    def set_leases(self, leases: Iterable[Lease]) -> None:
        """Replace all leases."""
        self.own.leases = list(leases)

    # Garbage

    def collect_garbage(self) -> None:
        """Remove what neither a record nor a lease nor a container's snapshot holds."""
        with self.lock:
            held = self._held()
            blobs = [blob for blob in self.own.blobs if blob.digest not in held]
            snapshots = [snapshot for snapshot in self.own.snapshots if snapshot.name not in held]
            self.own.blobs = [blob for blob in self.own.blobs if blob not in blobs]
            self.own.snapshots = [snapshot for snapshot in self.own.snapshots if snapshot not in snapshots]
            elsewhere = {b.digest for name, other in self.namespaces.items() if name != CRI for b in other.blobs}
            for name in {blob.digest for blob in blobs} - elsewhere | {snapshot.name for snapshot in snapshots}:
                self.storage.remove(name)
        for blob in blobs:
            self.journal.add(Kind.REMOVAL, "blob", blob.digest)
        for snapshot in sorted(snapshots, key=lambda one: one.name):
            self.journal.add(Kind.REMOVAL, "snapshot", snapshot.name)
            if self.version.announces_collected_snapshots:
                self.events.announce("/snapshot/remove", snapshot.name, **self._snapshotter)

    @property
    def _snapshotter(self) -> dict[str, str]:
        """What events tell of it."""
        return {"snapshotter": SNAPSHOTTER} if self.version.tells_snapshotters else {}

    def _held(self) -> set[str]:
        """Names of blobs and snapshots that a root reaches."""
        holds: dict[str, list[str]] = {}
        for blob in self.own.blobs:
            holds[blob.digest] = [value for label, value in blob.labels.items() if _refers(label)]
        for snapshot in self.own.snapshots:
            holds[snapshot.name] = [snapshot.parent]
        left, held = self._roots(), set[str]()
        while left:
            name = left.pop()
            if name not in held:
                held.add(name)
                left += holds.get(name, ())
        return held

    def _roots(self) -> list[str]:
        objects: list[Blob | Snapshot] = [*self.own.blobs, *self.own.snapshots]
        rooted = [_name_of(one) for one in objects if "containerd.io/gc.root" in one.labels]
        active = [one.name for one in self.own.snapshots if one.kind != snapshots_pb.COMMITTED]
        leased = [name for lease in self.own.leases for name in lease.resources]
        return [*rooted, *active, *leased, *(record.target for record in self.records.values())]


def normalised(name: str) -> str:
    """A name as CRI shows it: with the default registry; one that is no reference as it is."""
    parsed = parse_reference(name)
    return name if parsed is None else str(parsed)


def source_labels(reference: str, known: Mapping[str, str]) -> dict[str, str]:
    """The label by which a pull marks all content: the registry without its port, and its repositories."""
    parsed = parse_reference(reference)
    if parsed is None:
        return {}
    label = f"containerd.io/distribution.source.{parsed.registry.partition(':')[0]}"
    repositories = set(filter(None, known.get(label, "").split(","))) | {parsed.repository}
    return {label: ",".join(sorted(repositories))}


def _refers(label: str) -> bool:
    return label.startswith(("containerd.io/gc.ref.content", f"containerd.io/gc.ref.snapshot.{SNAPSHOTTER}"))


def _name_of(one: Blob | Snapshot) -> str:
    return one.digest if isinstance(one, Blob) else one.name
