"""containerd's reference graph, read over its own API: what holds which bytes on the disk.

It must not return half a graph: a read that fails is an error, and without that API there is none. An object that is
created between two of the lists seems to have no holder, and no image is estimated to free it. Leases are read before
records: a pull drops its lease only once its record is there, so one of the two tells what it shares. Source of the
rules: containerd `core/metadata/gc.go`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cleaner.core.model import Image
from cleaner.core.reclaim import Layers, Size
from cleaner.runtime.containerd.containers import read_containers
from cleaner.runtime.containerd.gc_labels import (
    EXPIRE,
    FLAT,
    GcLabels,
    blob_key,
    container_key,
    read_gc_labels,
    record_key,
    snapshot_key,
)
from cleaner.runtime.containerd.graph_draft import GraphDraft
from cleaner.runtime.containerd.record_list import list_records
from cleaner.runtime.containerd.records import Records, index_records
from cleaner.runtime.containerd.snapshot_sizes import SnapshotSizes
from cleaner.runtime.containerd.snapshotters import TRUSTED, Snapshotters
from cleaner.runtime.pb import containerd_content_pb2 as content_pb
from cleaner.runtime.pb import containerd_leases_pb2 as leases_pb
from cleaner.runtime.pb import containerd_namespaces_pb2 as namespaces_pb
from cleaner.runtime.pb import containerd_snapshots_pb2 as snapshots_pb
from cleaner.runtime.rpc import CRI_NAMESPACE, ContainerdApi, MissingApiError, methods
from cleaner.runtime.translate import parse_time


@dataclass(frozen=True, slots=True)
class _Blob:
    digest: str
    size_bytes: int
    gc_labels: GcLabels


@dataclass(frozen=True, slots=True)
class _Snapshot:
    name: str
    parent: str
    committed: bool
    """False: a container's own, or one that is being unpacked to."""
    gc_labels: GcLabels


def _utc_now() -> datetime:
    return datetime.now(UTC)


class GraphReader:
    """Reads the graph anew each time; only the sizes of committed snapshots are kept."""

    def __init__(self, api: ContainerdApi, snapshotters: Snapshotters, now: Callable[[], datetime] = _utc_now) -> None:
        """Read nothing yet; the clock tells which leases are over."""
        self._api = api
        self._now = now
        self._snapshotters = snapshotters
        self._sizes = SnapshotSizes(api, snapshotters)

    def read(self, images: Iterable[Image]) -> Layers | None:
        """The graph behind these images, which are all that CRI lists; None where the runtime has no such API."""
        try:
            return self._read(images)
        except MissingApiError:
            return None

    def _read(self, images: Iterable[Image]) -> Layers:
        draft = GraphDraft()
        self._read_leases(draft)
        records = self._read_records(draft)
        self._read_containers(draft)
        self._read_content(draft)
        trusted = draft.snapshotters & TRUSTED
        for snapshotter in sorted(trusted):
            self._read_snapshots(draft, snapshotter)
        for namespace in self._list_other_namespaces():
            self._read_other_namespace(draft, namespace)
        self._sizes.keep_only(draft.sizes.keys())
        unmeasured = frozenset(name for name in trusted if self._snapshotters.filesystem_of(name) is None)
        layers = draft.finish(records, images, complete=trusted == draft.snapshotters)
        return replace(layers, unmeasured_snapshotters=unmeasured)

    def _read_records(self, draft: GraphDraft) -> Records:
        messages = list_records(self._api)
        for message in messages:
            draft.add_gc_labels(record_key(message.name), read_gc_labels(message.labels))
        return index_records(messages)

    def _read_leases(self, draft: GraphDraft) -> None:
        answer = self._api.read(methods.LIST_LEASES, leases_pb.ListRequest())
        leases = [lease for lease in (answer.leases if answer else ()) if not self._is_over(lease)]
        requests = [leases_pb.ListResourcesRequest(id=lease.id) for lease in leases]
        held = self._api.read_many(methods.LEASE_RESOURCES, requests)
        for lease, resources in zip(leases, held, strict=True):
            blobs = draft.flat if FLAT in lease.labels else draft.unlisted
            for resource in resources.resources if resources else ():
                _add_resource(resource, blobs, draft.unlisted)

    def _is_over(self, lease: leases_pb.Lease) -> bool:
        """A time that cannot be read ends no lease, as in containerd."""
        end = parse_time(lease.labels.get(EXPIRE, ""))
        return end is not None and end < self._now()

    def _read_containers(self, draft: GraphDraft) -> None:
        for container in read_containers(self._api):
            key = container_key(container.id)
            draft.add_gc_labels(key, read_gc_labels(container.labels))
            draft.containers.add(key)
            if container.snapshotter and container.snapshot_key:
                draft.containers.add(snapshot_key(container.snapshotter, container.snapshot_key))

    def _read_content(self, draft: GraphDraft) -> None:
        for blob in self._list_content(CRI_NAMESPACE):
            draft.add_gc_labels(draft.add_blob(blob.digest, blob.size_bytes), blob.gc_labels)

    def _read_snapshots(self, draft: GraphDraft, snapshotter: str) -> None:
        snapshots = self._list_snapshots(CRI_NAMESPACE, snapshotter)
        for snapshot in snapshots:
            key = snapshot_key(snapshotter, snapshot.name)
            draft.hold(key, [snapshot_key(snapshotter, snapshot.parent)] if snapshot.parent else ())
            draft.add_gc_labels(key, snapshot.gc_labels)
            if not snapshot.committed and key not in draft.unlisted:
                draft.containers.add(key)
        draft.sizes |= self._read_sizes(CRI_NAMESPACE, snapshotter, snapshots)

    def _list_other_namespaces(self) -> list[str]:
        answer = self._api.read(methods.LIST_NAMESPACES, namespaces_pb.ListNamespacesRequest())
        return sorted({namespace.name for namespace in (answer.namespaces if answer else ())} - {CRI_NAMESPACE})

    def _read_other_namespace(self, draft: GraphDraft, namespace: str) -> None:
        """All that it has counts as held: containerd collects its garbage by itself."""
        blobs = self._list_content(namespace)
        draft.other_namespaces.update(draft.add_blob(blob.digest, blob.size_bytes) for blob in blobs)
        snapshotters = frozenset[str]().union(*(blob.gc_labels.snapshotters for blob in blobs))
        for snapshotter in sorted(snapshotters & TRUSTED):
            sizes = self._read_sizes(namespace, snapshotter, self._list_snapshots(namespace, snapshotter))
            draft.sizes |= sizes
            draft.other_namespaces |= sizes.keys()

    def _list_content(self, namespace: str) -> list[_Blob]:
        method = methods.LIST_CONTENT.in_namespace(namespace)
        return self._api.read_stream(method, content_pb.ListContentRequest(), _digest_content)

    def _list_snapshots(self, namespace: str, snapshotter: str) -> list[_Snapshot]:
        method = methods.LIST_SNAPSHOTS.in_namespace(namespace)
        request = snapshots_pb.ListSnapshotsRequest(snapshotter=snapshotter)
        return self._api.read_stream(method, request, _digest_snapshots)

    def _read_sizes(self, namespace: str, snapshotter: str, snapshots: Iterable[_Snapshot]) -> dict[str, Size]:
        names = [snapshot.name for snapshot in snapshots if snapshot.committed]
        return self._sizes.read(namespace, snapshotter, names)


def _add_resource(resource: leases_pb.Resource, blobs: set[str], snapshots: set[str]) -> None:
    """What a lease holds; ingests are no blobs yet, and other kinds take nothing.

    A snapshot's parents are held by flat leases too.
    """
    kind, _, snapshotter = resource.type.partition("/")
    if kind == "content":
        blobs.add(blob_key(resource.id))
    elif kind == "snapshots":
        snapshots.add(snapshot_key(snapshotter, resource.id))


def _digest_content(parts: Iterator[content_pb.ListContentResponse]) -> list[_Blob]:
    return [_Blob(blob.digest, blob.size, read_gc_labels(blob.labels)) for part in parts for blob in part.info]


def _digest_snapshots(parts: Iterator[snapshots_pb.ListSnapshotsResponse]) -> list[_Snapshot]:
    return [
        _Snapshot(found.name, found.parent, found.kind == snapshots_pb.COMMITTED, read_gc_labels(found.labels))
        for part in parts
        for found in part.info
    ]
