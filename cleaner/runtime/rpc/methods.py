"""Every call that this program can make to a runtime, with its deadline.

It must not make one, see `calls.py`. What is not in this table cannot be asked of a runtime.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto
from typing import Generic, Self, TypeVar

from google.protobuf.message import Message

from cleaner.runtime.pb import (
    containerd_containers_pb2,
    containerd_content_pb2,
    containerd_events_pb2,
    containerd_images_pb2,
    containerd_introspection_pb2,
    containerd_leases_pb2,
    containerd_namespaces_pb2,
    containerd_snapshots_pb2,
    cri_pb2,
)

Request = TypeVar("Request", bound=Message)
Answer = TypeVar("Answer", bound=Message)


class Socket(Enum):
    """Which of the two endpoints serves a call; mostly they are the same one."""

    RUNTIME = auto()
    IMAGES = auto()


class Span(Enum):
    """How long a kind of call may take."""

    STATUS = auto()
    LISTING = auto()
    REMOVAL = auto()
    ENDLESS = auto()
    """A stream without a deadline."""


DEADLINES: Mapping[Span, timedelta] = {
    Span.STATUS: timedelta(seconds=5),
    Span.LISTING: timedelta(seconds=10),
    # containerd collects garbage within the call, which can take long on a large node (containerd issue 11021).
    Span.REMOVAL: timedelta(seconds=120),
}


@dataclass(frozen=True, slots=True)
class Method(Generic[Request, Answer]):
    """One remote procedure."""

    path: str
    request: type[Request]
    answer: type[Answer]
    socket: Socket
    span: Span
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def service(self) -> str:
        """The service that it belongs to; a runtime has all of a service, or nothing of it."""
        return self.path.rsplit("/", 1)[0]

    @property
    def name(self) -> str:
        """What errors and metrics call it: `ListImages` of CRI, `Images.List` of containerd."""
        name = self.path.rsplit("/", 1)[1]
        return f"{self.service.rsplit('.', 1)[-1]}.{name}" if self.optional else name

    @property
    def optional(self) -> bool:
        """Whether it is containerd's own, which a runtime may lack."""
        return not self.service.startswith("/runtime.v1.")

    def in_namespace(self, namespace: str) -> Self:
        """The same call about another namespace of containerd."""
        return replace(self, metadata=_namespace(namespace))


CRI_NAMESPACE = "k8s.io"
"""Where containerd's CRI plugin keeps all that it has."""


def _namespace(name: str) -> tuple[tuple[str, str], ...]:
    return (("containerd-namespace", name),)


def _own(
    path: str, request: type[Request], answer: type[Answer], span: Span, socket: Socket = Socket.IMAGES
) -> Method[Request, Answer]:
    """A call of containerd's own API, in CRI's namespace."""
    return Method(f"/containerd.services.{path}", request, answer, socket, span, _namespace(CRI_NAMESPACE))


_RUNTIME = "/runtime.v1.RuntimeService"
_IMAGES = "/runtime.v1.ImageService"

VERSION = Method(f"{_RUNTIME}/Version", cri_pb2.VersionRequest, cri_pb2.VersionResponse, Socket.RUNTIME, Span.STATUS)
STATUS = Method(f"{_RUNTIME}/Status", cri_pb2.StatusRequest, cri_pb2.StatusResponse, Socket.RUNTIME, Span.STATUS)
LIST_CONTAINERS = Method(
    f"{_RUNTIME}/ListContainers",
    cri_pb2.ListContainersRequest,
    cri_pb2.ListContainersResponse,
    Socket.RUNTIME,
    Span.LISTING,
)
STREAM_CONTAINERS = Method(
    f"{_RUNTIME}/StreamContainers",
    cri_pb2.StreamContainersRequest,
    cri_pb2.StreamContainersResponse,
    Socket.RUNTIME,
    Span.LISTING,
)
CONTAINER_STATUS = Method(
    f"{_RUNTIME}/ContainerStatus",
    cri_pb2.ContainerStatusRequest,
    cri_pb2.ContainerStatusResponse,
    Socket.RUNTIME,
    Span.STATUS,
)
LIST_SANDBOXES = Method(
    f"{_RUNTIME}/ListPodSandbox",
    cri_pb2.ListPodSandboxRequest,
    cri_pb2.ListPodSandboxResponse,
    Socket.RUNTIME,
    Span.LISTING,
)
SANDBOX_STATUS = Method(
    f"{_RUNTIME}/PodSandboxStatus",
    cri_pb2.PodSandboxStatusRequest,
    cri_pb2.PodSandboxStatusResponse,
    Socket.RUNTIME,
    Span.STATUS,
)
LIST_IMAGES = Method(
    f"{_IMAGES}/ListImages", cri_pb2.ListImagesRequest, cri_pb2.ListImagesResponse, Socket.IMAGES, Span.LISTING
)
STREAM_IMAGES = Method(
    f"{_IMAGES}/StreamImages", cri_pb2.StreamImagesRequest, cri_pb2.StreamImagesResponse, Socket.IMAGES, Span.LISTING
)
IMAGE_STATUS = Method(
    f"{_IMAGES}/ImageStatus", cri_pb2.ImageStatusRequest, cri_pb2.ImageStatusResponse, Socket.IMAGES, Span.STATUS
)
REMOVE_IMAGE = Method(
    f"{_IMAGES}/RemoveImage", cri_pb2.RemoveImageRequest, cri_pb2.RemoveImageResponse, Socket.IMAGES, Span.REMOVAL
)
IMAGE_FILESYSTEM = Method(
    f"{_IMAGES}/ImageFsInfo", cri_pb2.ImageFsInfoRequest, cri_pb2.ImageFsInfoResponse, Socket.IMAGES, Span.STATUS
)
LIST_RECORDS = _own(
    "images.v1.Images/List",
    containerd_images_pb2.ListImagesRequest,
    containerd_images_pb2.ListImagesResponse,
    Span.LISTING,
)
GET_RECORD = _own(
    "images.v1.Images/Get",
    containerd_images_pb2.GetImageRequest,
    containerd_images_pb2.GetImageResponse,
    Span.STATUS,
)
LIST_CONTENT = _own(
    "content.v1.Content/List",
    containerd_content_pb2.ListContentRequest,
    containerd_content_pb2.ListContentResponse,
    Span.LISTING,
)
CONTENT_INFO = _own(
    "content.v1.Content/Info",
    containerd_content_pb2.InfoRequest,
    containerd_content_pb2.InfoResponse,
    Span.STATUS,
)
READ_CONTENT = _own(
    "content.v1.Content/Read",
    containerd_content_pb2.ReadContentRequest,
    containerd_content_pb2.ReadContentResponse,
    Span.STATUS,
)
LIST_INGESTS = _own(
    "content.v1.Content/ListStatuses",
    containerd_content_pb2.ListStatusesRequest,
    containerd_content_pb2.ListStatusesResponse,
    Span.LISTING,
)
SNAPSHOT_STAT = _own(
    "snapshots.v1.Snapshots/Stat",
    containerd_snapshots_pb2.StatSnapshotRequest,
    containerd_snapshots_pb2.StatSnapshotResponse,
    Span.STATUS,
)
LIST_SNAPSHOTS = _own(
    "snapshots.v1.Snapshots/List",
    containerd_snapshots_pb2.ListSnapshotsRequest,
    containerd_snapshots_pb2.ListSnapshotsResponse,
    Span.LISTING,
)
SNAPSHOT_USAGE = _own(
    "snapshots.v1.Snapshots/Usage",
    containerd_snapshots_pb2.UsageRequest,
    containerd_snapshots_pb2.UsageResponse,
    Span.STATUS,
)
LIST_LEASES = _own(
    "leases.v1.Leases/List",
    containerd_leases_pb2.ListRequest,
    containerd_leases_pb2.ListResponse,
    Span.LISTING,
)
LEASE_RESOURCES = _own(
    "leases.v1.Leases/ListResources",
    containerd_leases_pb2.ListResourcesRequest,
    containerd_leases_pb2.ListResourcesResponse,
    Span.STATUS,
)
LIST_NAMESPACES = _own(
    "namespaces.v1.Namespaces/List",
    containerd_namespaces_pb2.ListNamespacesRequest,
    containerd_namespaces_pb2.ListNamespacesResponse,
    Span.LISTING,
)
LIST_OWN_CONTAINERS = _own(
    "containers.v1.Containers/List",
    containerd_containers_pb2.ListContainersRequest,
    containerd_containers_pb2.ListContainersResponse,
    Span.LISTING,
    Socket.RUNTIME,
)
STREAM_OWN_CONTAINERS = _own(
    "containers.v1.Containers/ListStream",
    containerd_containers_pb2.ListContainersRequest,
    containerd_containers_pb2.ListContainerMessage,
    Span.LISTING,
    Socket.RUNTIME,
)
LIST_PLUGINS = _own(
    "introspection.v1.Introspection/Plugins",
    containerd_introspection_pb2.PluginsRequest,
    containerd_introspection_pb2.PluginsResponse,
    Span.STATUS,
)
SUBSCRIBE = _own(
    "events.v1.Events/Subscribe",
    containerd_events_pb2.SubscribeRequest,
    containerd_events_pb2.Envelope,
    Span.ENDLESS,
    Socket.RUNTIME,
)
