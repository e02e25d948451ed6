"""The services of containerd's own API that tell what holds which bytes, over plain values that a test may change.

It collects no garbage: what a test puts here stays until the test removes it.
"""

# ruff: noqa: N802 - the methods of a servicer have the names of the API

import queue
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import grpc

from cleaner.runtime.pb import containerd_containers_pb2 as containers_pb
from cleaner.runtime.pb import containerd_containers_pb2_grpc as containers_grpc
from cleaner.runtime.pb import containerd_content_pb2 as content_pb
from cleaner.runtime.pb import containerd_content_pb2_grpc as content_grpc
from cleaner.runtime.pb import containerd_events_pb2 as events_pb
from cleaner.runtime.pb import containerd_events_pb2_grpc as events_grpc
from cleaner.runtime.pb import containerd_introspection_pb2 as introspection_pb
from cleaner.runtime.pb import containerd_introspection_pb2_grpc as introspection_grpc
from cleaner.runtime.pb import containerd_leases_pb2 as leases_pb
from cleaner.runtime.pb import containerd_leases_pb2_grpc as leases_grpc
from cleaner.runtime.pb import containerd_namespaces_pb2 as namespaces_pb
from cleaner.runtime.pb import containerd_namespaces_pb2_grpc as namespaces_grpc
from cleaner.runtime.pb import containerd_snapshots_pb2 as snapshots_pb
from cleaner.runtime.pb import containerd_snapshots_pb2_grpc as snapshots_grpc

_READ_BYTES = 1000
"""So much of a blob comes in one message; of containerd 1 MiB."""

Context = grpc.ServicerContext
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Blob:
    """One blob of the content store."""

    digest: str
    size: int = 1000
    labels: Labels = field(default_factory=dict)
    document: bytes = b""
    """What it reads as."""


@dataclass(frozen=True)
class Ingest:
    """One blob that is being written."""

    ref: str
    offset: int = 0
    total: int = 0


@dataclass(frozen=True)
class Snapshot:
    """One snapshot, of whatever kind."""

    name: str
    parent: str = ""
    kind: "snapshots_pb.Kind" = snapshots_pb.COMMITTED
    size: int = 10_000
    inodes: int = 3
    labels: Labels = field(default_factory=dict)
    snapshotter: str = "overlayfs"


@dataclass(frozen=True)
class Lease:
    """One lease with what it holds: type by id."""

    id: str
    resources: Mapping[str, str] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True)
class OwnContainer:
    """One container as containerd has it."""

    id: str
    image: str = ""
    snapshot: str = ""
    snapshotter: str = "overlayfs"
    labels: Labels = field(default_factory=dict)

    def message(self) -> containers_pb.Container:
        """As it is listed."""
        return containers_pb.Container(
            id=self.id,
            image=self.image,
            snapshot_key=self.snapshot,
            snapshotter=self.snapshotter,
            labels=dict(self.labels),
        )


@dataclass
class Namespace:
    """What one namespace has."""

    blobs: list[Blob] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)
    ingests: list[Ingest] = field(default_factory=list)
    containers: list[OwnContainer] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    """Names of snapshots, leases and blobs that are listed or known, and not found when they are read."""
    mistaken: dict[str, str] = field(default_factory=dict)
    """Names of snapshots and blobs that are asked about, and what the answer is about instead."""
    unloaded: set[str] = field(default_factory=set)
    """Snapshotters that this containerd does not have."""


Namespaces = dict[str, Namespace]


@dataclass
class Exchange:
    """Hands events to who has subscribed; it does not filter."""

    filters: list[list[str]] = field(default_factory=list)
    """What each subscriber asked for, as soon as it is told of events; also of those that have left."""
    subscribers: list["queue.SimpleQueue[events_pb.Envelope | None]"] = field(default_factory=list)

    def publish(
        self, container_id: str, image: str, topic: str = "/containers/create", namespace: str = "k8s.io"
    ) -> None:
        """Tell all subscribers of one container."""
        made = events_pb.ContainerCreate(id=container_id, image=image)
        self.send(events_pb.Envelope(namespace=namespace, topic=topic, event={"value": made.SerializeToString()}))

    def prepare(self, key: str, parent: str = "", snapshotter: str = "overlayfs") -> None:
        """Tell all subscribers that a snapshot is made on top of another."""
        self._send_about_snapshot("prepare", events_pb.SnapshotPrepare(key=key, parent=parent, snapshotter=snapshotter))

    def remove_snapshot(self, key: str) -> None:
        """Tell all subscribers that a snapshot is removed."""
        self._send_about_snapshot("remove", events_pb.SnapshotRemove(key=key))

    def _send_about_snapshot(self, what: str, event: "events_pb.SnapshotPrepare | events_pb.SnapshotRemove") -> None:
        topic = f"/snapshot/{what}"
        self.send(events_pb.Envelope(namespace="k8s.io", topic=topic, event={"value": event.SerializeToString()}))

    def send(self, envelope: events_pb.Envelope) -> None:
        """Tell all subscribers anything."""
        # A copy: who leaves meanwhile must not make the loop skip the next one.
        for subscriber in list(self.subscribers):
            subscriber.put(envelope)

    def follow(self, filters: Sequence[str], context: Context) -> Iterator[events_pb.Envelope]:
        """Return the events from now on, until the subscriber has left."""
        mailbox: queue.SimpleQueue[events_pb.Envelope | None] = queue.SimpleQueue()
        context.add_callback(lambda: mailbox.put(None))
        self.subscribers.append(mailbox)
        self.filters.append(list(filters))
        try:
            while (envelope := mailbox.get()) is not None:
                yield envelope
        finally:
            self.subscribers.remove(mailbox)


@dataclass(frozen=True)
class NotLoaded:
    """The root of a plugin that could not be loaded."""

    root: str


Roots = dict[str, str | NotLoaded | None]
"""By a plugin's type and id, as its folder is named: where it keeps what it has; None where it does not say."""


def add_services(server: grpc.Server, namespaces: Namespaces, events: Exchange, roots: Roots) -> None:
    """Serve these namespaces, events and plugins."""
    introspection_grpc.add_IntrospectionServicer_to_server(_Introspection(roots), server)  # type: ignore[no-untyped-call]
    containers_grpc.add_ContainersServicer_to_server(_Containers(namespaces), server)  # type: ignore[no-untyped-call]
    content_grpc.add_ContentServicer_to_server(_Content(namespaces), server)  # type: ignore[no-untyped-call]
    events_grpc.add_EventsServicer_to_server(_Events(events), server)  # type: ignore[no-untyped-call]
    leases_grpc.add_LeasesServicer_to_server(_Leases(namespaces), server)  # type: ignore[no-untyped-call]
    namespaces_grpc.add_NamespacesServicer_to_server(_Namespaces(namespaces), server)  # type: ignore[no-untyped-call]
    snapshots_grpc.add_SnapshotsServicer_to_server(_Snapshots(namespaces), server)  # type: ignore[no-untyped-call]


def _of(namespaces: Namespaces, context: Context) -> Namespace:
    metadata = {key: str(value) for key, value in context.invocation_metadata()}
    return namespaces[metadata["containerd-namespace"]]


class _Introspection(introspection_grpc.IntrospectionServicer):
    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def Plugins(self, request: introspection_pb.PluginsRequest, context: Context) -> introspection_pb.PluginsResponse:
        wanted = {filter_.removeprefix("type==") for filter_ in request.filters}
        plugins = []
        for name, root in self._roots.items():
            kind, _, plugin_id = name.rpartition(".")
            failure = introspection_pb.Failure(code=9) if isinstance(root, NotLoaded) else None
            path = root.root if isinstance(root, NotLoaded) else root
            exports = {"root": path} if path is not None else {"platform": "linux"}
            plugins.append(introspection_pb.Plugin(type=kind, id=plugin_id, exports=exports, init_err=failure))
        return introspection_pb.PluginsResponse(plugins=[one for one in plugins if one.type in wanted])


class _Content(content_grpc.ContentServicer):
    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def List(
        self, request: content_pb.ListContentRequest, context: Context
    ) -> Iterator[content_pb.ListContentResponse]:
        for blob in _of(self._namespaces, context).blobs:
            if request.filters and not any(_has_label(blob, filter_) for filter_ in request.filters):
                continue
            found = content_pb.Info(digest=blob.digest, size=blob.size, labels=dict(blob.labels))
            yield content_pb.ListContentResponse(info=[found])

    def Info(self, request: content_pb.InfoRequest, context: Context) -> content_pb.InfoResponse:
        blob = self._find(request.digest, context)
        told = _of(self._namespaces, context).mistaken.get(blob.digest, blob.digest)
        return content_pb.InfoResponse(info=content_pb.Info(digest=told, size=blob.size, labels=dict(blob.labels)))

    def Read(
        self, request: content_pb.ReadContentRequest, context: Context
    ) -> Iterator[content_pb.ReadContentResponse]:
        if request.digest in _of(self._namespaces, context).gone:
            context.abort(grpc.StatusCode.NOT_FOUND, f"content {request.digest}: not found")
        document = self._find(request.digest, context).document
        for start in range(0, len(document), _READ_BYTES):
            yield content_pb.ReadContentResponse(offset=start, data=document[start : start + _READ_BYTES])

    def ListStatuses(
        self, request: content_pb.ListStatusesRequest, context: Context
    ) -> content_pb.ListStatusesResponse:
        ingests = _of(self._namespaces, context).ingests
        statuses = [content_pb.Status(ref=one.ref, offset=one.offset, total=one.total) for one in ingests]
        return content_pb.ListStatusesResponse(statuses=statuses)

    def _find(self, digest: str, context: Context) -> Blob:
        for blob in _of(self._namespaces, context).blobs:
            if blob.digest == digest:
                return blob
        context.abort(grpc.StatusCode.NOT_FOUND, f"content {digest}: not found")
        raise AssertionError


def _has_label(blob: Blob, filter_: str) -> bool:
    """Whether one of containerd's filters matches: `labels."KEY"=="VALUE"`."""
    _, key, _, value, _ = filter_.split('"')
    return blob.labels.get(key) == value


class _Snapshots(snapshots_grpc.SnapshotsServicer):
    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def _all(self, snapshotter: str, context: Context) -> Iterable[Snapshot]:
        if snapshotter in _of(self._namespaces, context).unloaded:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"snapshotter not loaded: {snapshotter}: invalid argument")
        every = _of(self._namespaces, context).snapshots
        return [snapshot for snapshot in every if snapshot.snapshotter == snapshotter]

    def List(
        self, request: snapshots_pb.ListSnapshotsRequest, context: Context
    ) -> Iterator[snapshots_pb.ListSnapshotsResponse]:
        for one in self._all(request.snapshotter, context):
            found = snapshots_pb.Info(name=one.name, parent=one.parent, kind=one.kind, labels=dict(one.labels))
            yield snapshots_pb.ListSnapshotsResponse(info=[found])

    def Stat(self, request: snapshots_pb.StatSnapshotRequest, context: Context) -> snapshots_pb.StatSnapshotResponse:
        for one in self._all(request.snapshotter, context):
            if one.name == request.key:
                told = _of(self._namespaces, context).mistaken.get(one.name, one.name)
                return snapshots_pb.StatSnapshotResponse(
                    info=snapshots_pb.Info(name=told, parent=one.parent, kind=one.kind)
                )
        context.abort(grpc.StatusCode.NOT_FOUND, f"snapshot {request.key} does not exist: not found")
        raise AssertionError

    def Usage(self, request: snapshots_pb.UsageRequest, context: Context) -> snapshots_pb.UsageResponse:
        gone = _of(self._namespaces, context).gone
        for one in self._all(request.snapshotter, context):
            if one.name == request.key and one.name not in gone:
                return snapshots_pb.UsageResponse(size=one.size, inodes=one.inodes)
        context.abort(grpc.StatusCode.NOT_FOUND, f"snapshot {request.key} does not exist: not found")
        raise AssertionError


class _Events(events_grpc.EventsServicer):
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def Subscribe(self, request: events_pb.SubscribeRequest, context: Context) -> Iterator[events_pb.Envelope]:
        return self._exchange.follow(request.filters, context)


class _Leases(leases_grpc.LeasesServicer):
    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def List(self, request: leases_pb.ListRequest, context: Context) -> leases_pb.ListResponse:
        leases = _of(self._namespaces, context).leases
        return leases_pb.ListResponse(leases=[leases_pb.Lease(id=one.id, labels=dict(one.labels)) for one in leases])

    def ListResources(
        self, request: leases_pb.ListResourcesRequest, context: Context
    ) -> leases_pb.ListResourcesResponse:
        namespace = _of(self._namespaces, context)
        for one in namespace.leases:
            if one.id == request.id and one.id not in namespace.gone:
                resources = [leases_pb.Resource(id=known, type=kind) for known, kind in one.resources.items()]
                return leases_pb.ListResourcesResponse(resources=resources)
        context.abort(grpc.StatusCode.NOT_FOUND, f"lease {request.id}: not found")
        raise AssertionError


class _Namespaces(namespaces_grpc.NamespacesServicer):
    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def List(
        self, request: namespaces_pb.ListNamespacesRequest, context: Context
    ) -> namespaces_pb.ListNamespacesResponse:
        known = [namespaces_pb.Namespace(name=name) for name in self._namespaces]
        return namespaces_pb.ListNamespacesResponse(namespaces=known)


class _Containers(containers_grpc.ContainersServicer):
    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def List(
        self, request: containers_pb.ListContainersRequest, context: Context
    ) -> containers_pb.ListContainersResponse:
        containers = _of(self._namespaces, context).containers
        return containers_pb.ListContainersResponse(containers=[container.message() for container in containers])

    def ListStream(
        self, request: containers_pb.ListContainersRequest, context: Context
    ) -> Iterator[containers_pb.ListContainerMessage]:
        for container in _of(self._namespaces, context).containers:
            yield containers_pb.ListContainerMessage(container=container.message())
