"""Every call that this program can make to a runtime, with its deadline.

Refuses to make one: that is in `calls`. What is not in this table cannot be asked of a runtime.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Generic, TypeVar

from google.protobuf.message import Message

from cleaner.runtime.pb import containerd_images_pb2, cri_pb2

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
    def name(self) -> str:
        """What errors and metrics call it: `ListImages` of CRI, `Images.List` of containerd."""
        service, name = self.path.rsplit("/", 1)
        return name if service.startswith("/runtime.v1.") else f"{service.rsplit('.', 1)[-1]}.{name}"


_RUNTIME = "/runtime.v1.RuntimeService"
_IMAGES = "/runtime.v1.ImageService"
_RECORDS = "/containerd.services.images.v1.Images"
_CRI_NAMESPACE = (("containerd-namespace", "k8s.io"),)
"""Where containerd's CRI plugin keeps all that it has."""

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
LIST_RECORDS = Method(
    f"{_RECORDS}/List",
    containerd_images_pb2.ListImagesRequest,
    containerd_images_pb2.ListImagesResponse,
    Socket.IMAGES,
    Span.LISTING,
    _CRI_NAMESPACE,
)
GET_RECORD = Method(
    f"{_RECORDS}/Get",
    containerd_images_pb2.GetImageRequest,
    containerd_images_pb2.GetImageResponse,
    Socket.IMAGES,
    Span.STATUS,
    _CRI_NAMESPACE,
)
