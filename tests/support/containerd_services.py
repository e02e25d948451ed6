"""The services of containerd's own API that tell what holds which bytes, over plain values that a test may change.

Refuses garbage collection: what a test holds stays until the test takes it away.
"""

# ruff: noqa: N802 - the methods of a servicer have the names of the API

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import grpc

from cleaner.runtime.pb import containerd_containers_pb2 as containers_pb
from cleaner.runtime.pb import containerd_containers_pb2_grpc as containers_grpc
from cleaner.runtime.pb import containerd_content_pb2 as content_pb
from cleaner.runtime.pb import containerd_content_pb2_grpc as content_grpc
from cleaner.runtime.pb import containerd_leases_pb2 as leases_pb
from cleaner.runtime.pb import containerd_leases_pb2_grpc as leases_grpc
from cleaner.runtime.pb import containerd_namespaces_pb2 as namespaces_pb
from cleaner.runtime.pb import containerd_namespaces_pb2_grpc as namespaces_grpc
from cleaner.runtime.pb import containerd_snapshots_pb2 as snapshots_pb
from cleaner.runtime.pb import containerd_snapshots_pb2_grpc as snapshots_grpc

Context = grpc.ServicerContext
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Blob:
    """One blob of the content store."""

    digest: str
    size: int = 1000
    labels: Labels = field(default_factory=dict)


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
    containers: list[OwnContainer] = field(default_factory=list)
    vanished: set[str] = field(default_factory=set)
    """Names of snapshots and leases that are listed, and gone when they are asked about."""


Namespaces = dict[str, Namespace]


def add_services(server: grpc.Server, namespaces: Namespaces) -> None:
    """Serve these namespaces."""
    containers_grpc.add_ContainersServicer_to_server(_Containers(namespaces), server)  # type: ignore[no-untyped-call]
    content_grpc.add_ContentServicer_to_server(_Content(namespaces), server)  # type: ignore[no-untyped-call]
    leases_grpc.add_LeasesServicer_to_server(_Leases(namespaces), server)  # type: ignore[no-untyped-call]
    namespaces_grpc.add_NamespacesServicer_to_server(_Namespaces(namespaces), server)  # type: ignore[no-untyped-call]
    snapshots_grpc.add_SnapshotsServicer_to_server(_Snapshots(namespaces), server)  # type: ignore[no-untyped-call]


def _of(namespaces: Namespaces, context: Context) -> Namespace:
    metadata = {key: str(value) for key, value in context.invocation_metadata()}
    return namespaces[metadata["containerd-namespace"]]


class _Content(content_grpc.ContentServicer):
    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def List(
        self, request: content_pb.ListContentRequest, context: Context
    ) -> Iterator[content_pb.ListContentResponse]:
        for blob in _of(self._namespaces, context).blobs:
            found = content_pb.Info(digest=blob.digest, size=blob.size, labels=dict(blob.labels))
            yield content_pb.ListContentResponse(info=[found])


class _Snapshots(snapshots_grpc.SnapshotsServicer):
    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def _all(self, snapshotter: str, context: Context) -> Iterable[Snapshot]:
        every = _of(self._namespaces, context).snapshots
        return [snapshot for snapshot in every if snapshot.snapshotter == snapshotter]

    def List(
        self, request: snapshots_pb.ListSnapshotsRequest, context: Context
    ) -> Iterator[snapshots_pb.ListSnapshotsResponse]:
        for one in self._all(request.snapshotter, context):
            found = snapshots_pb.Info(name=one.name, parent=one.parent, kind=one.kind, labels=dict(one.labels))
            yield snapshots_pb.ListSnapshotsResponse(info=[found])

    def Usage(self, request: snapshots_pb.UsageRequest, context: Context) -> snapshots_pb.UsageResponse:
        gone = _of(self._namespaces, context).vanished
        for one in self._all(request.snapshotter, context):
            if one.name == request.key and one.name not in gone:
                return snapshots_pb.UsageResponse(size=one.size, inodes=one.inodes)
        context.abort(grpc.StatusCode.NOT_FOUND, f"snapshot {request.key} does not exist: not found")
        raise AssertionError


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
            if one.id == request.id and one.id not in namespace.vanished:
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
