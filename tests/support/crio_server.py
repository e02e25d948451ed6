"""A small CRI server on a Unix socket: it answers as CRI-O does, or as containerd where it has image records.

A containerd serves its own API too, from the plain values of `containerd_services`.

It is no runtime: nothing is pulled, run or stored. It serves plain values that a test may change.
"""

# ruff: noqa: N802 - the methods of a servicer have the names of the API

import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc

from cleaner.runtime.pb import containerd_images_pb2 as records_pb
from cleaner.runtime.pb import containerd_images_pb2_grpc as records_grpc
from cleaner.runtime.pb import cri_pb2 as pb
from cleaner.runtime.pb import cri_pb2_grpc as cri_grpc
from lab.waiting import DEADLINE_SECONDS
from support.containerd_services import Exchange, Namespace, Roots, add_services

Context = grpc.ServicerContext

CRIO_SANDBOX_INFO = json.dumps({"runtimeSpec": {"ociVersion": "1.2.0"}})
CONTAINERD_SANDBOX_INFO = json.dumps({"pid": 4711, "image": "registry.k8s.io/pause:3.9"})


@dataclass(frozen=True)
class ServedImage:
    """One image, with the `created` of its config as text."""

    id: str
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    size_bytes: int = 1000
    pinned: bool = False
    created: str | None = None
    info: str | None = None
    """What verbose ImageStatus has as info["info"], where it is not to be made from `created`."""
    artifact: bool = False
    """Whether it is an OCI artifact: RemoveImage by its id, which does not find it, succeeds."""
    manifest: str = ""
    """Digest of its manifest, for the digest reference that CRI-O's list invents."""
    names_history: tuple[str, ...] = ()
    """Names that it ever had, the latest first."""

    def verbose(self) -> dict[str, str]:
        """The map of a verbose ImageStatus."""
        if self.artifact:
            return {}
        spec = {"architecture": "amd64", **({"created": self.created} if self.created is not None else {})}
        return {"info": json.dumps({"labels": {}, "imageSpec": spec}) if self.info is None else self.info}

    def message(self) -> pb.Image:
        """As its status has it."""
        return pb.Image(
            id=self.id, repo_tags=self.tags, repo_digests=self.digests, size=self.size_bytes, pinned=self.pinned
        )

    def listed(self) -> pb.Image:
        """As CRI-O lists it: one without a name by its latest one, up to the first colon."""
        message = self.message()
        if self.manifest and self.names_history and not self.digests:
            message.repo_digests.append(f"{self.names_history[0].split(':', 1)[0]}@{self.manifest}")
        return message


def crio_image(
    image_id: str, names: Sequence[str], manifest: str, *, size_bytes: int = 1000, created: str | None = None
) -> ServedImage:
    """An image as CRI-O has it, pulled or built: each tag's repository is combined with its digest."""
    tags = tuple(sorted(name for name in names if "@" not in name))
    digests = _repo_digests(names, manifest)
    return ServedImage(image_id, tags, digests, size_bytes, created=created, manifest=manifest, names_history=(*names,))


def _repo_digests(names: Iterable[str], manifest: str) -> tuple[str, ...]:
    return tuple(sorted({f"{_repository(name)}@{manifest}" for name in names}))


def _repository(name: str) -> str:
    name = name.partition("@")[0]
    return name.rpartition(":")[0] if name.rfind(":") > name.rfind("/") else name


@dataclass(frozen=True)
class ServedContainer:
    """One container, of whatever state."""

    id: str
    image_id: str = ""
    image_ref: str = ""
    """A repo digest under CRI-O, the image's id under containerd."""
    image: str = ""
    """As it was requested."""
    user_specified_image: str = ""
    volumes: tuple[str, ...] = ()
    """Images that are mounted into it: only its status tells."""

    def message(self) -> pb.Container:
        """As it is listed."""
        spec = pb.ImageSpec(image=self.image, user_specified_image=self.user_specified_image)
        return pb.Container(id=self.id, image=spec, image_ref=self.image_ref, image_id=self.image_id)


@dataclass(frozen=True)
class ServedSandbox:
    """One pod sandbox."""

    id: str
    info: str | None = CRIO_SANDBOX_INFO
    """What its verbose status has as info["info"]; None leaves it out."""


@dataclass(frozen=True)
class Record:
    """One of containerd's image records."""

    name: str
    target: str
    created_at: datetime | None = None
    updated_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def message(self) -> records_pb.Image:
        """As containerd sends it."""
        return records_pb.Image(
            name=self.name,
            labels=dict(self.labels),
            target={"digest": self.target},
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


@dataclass
class _Failure:
    method: str
    code: grpc.StatusCode
    details: str
    about: str | None
    times: int


@dataclass(frozen=True)
class Call:
    """One call that was made."""

    method: str
    """As metrics name it: `ListImages`, `Images.Get`."""
    about: str
    """The image, container, sandbox, record, snapshot, lease or snapshotter that was named; empty for other lists."""
    metadata: dict[str, str]


class CrioServer:
    """The server; use it in a with-block, or start and stop it, also more than once."""

    def __init__(
        self,
        socket: Path,
        *,
        images: Iterable[ServedImage] = (),
        containers: Iterable[ServedContainer] = (),
        sandboxes: Iterable[ServedSandbox] = (),
        records: Iterable[Record] | None = None,
        on_remove: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Hold these; with records it is a containerd, which offers its own API and removes what is in use."""
        self.socket = socket
        self.images = {image.id: image for image in images}
        self.containers = {container.id: container for container in containers}
        self.sandboxes = {sandbox.id: sandbox for sandbox in sandboxes}
        self.records = None if records is None else {record.name: record for record in records}
        self.namespaces = {"k8s.io": Namespace()}
        """Of containerd; what CRI has is in the first."""
        self.events = Exchange()
        self.on_remove = on_remove
        self.version = ("cri-o", "1.36.0") if records is None else ("containerd", "2.1.9")
        self.mountpoints: Sequence[str] = ("/var/lib/containers/storage/overlay-images",)
        self.container_mountpoints: Sequence[str] = ()
        self.roots: Roots = {}
        """Of containerd's plugins."""
        self.config: str | None = None
        """Status(verbose) info["config"]."""
        self.streams = False
        """Whether the lists exist as streams; two items a message."""
        self.gone: set[str] = set()
        """Ids that are listed, and not found when they are asked about."""
        self.speechless: set[str] = set()
        """Ids of containers whose status is empty."""
        self.mistaken: dict[str, str] = {}
        """Ids and names that are asked about, and what the answer is about instead."""
        self.filters = True
        """Whether lists of records take notice of filters."""
        self.listed_twice: list[ServedImage] = []
        """Listed after the images."""
        self.most_records = sys.maxsize
        """How many image records one message can hold."""
        self.calls: list[Call] = []
        self.before_call: Callable[[str], None] = lambda _: None
        """Told each method before it is answered."""
        self._stored_in: Path | None = None
        self._failures: list[_Failure] = []
        self._failing = threading.Lock()
        self._hanging: set[str] = set()
        self._server: grpc.Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Serve, in threads of this process."""
        server = grpc.server(ThreadPoolExecutor(4), interceptors=[_Script(self)])
        cri_grpc.add_RuntimeServiceServicer_to_server(_RuntimeService(self), server)  # type: ignore[no-untyped-call]
        cri_grpc.add_ImageServiceServicer_to_server(_ImageService(self), server)  # type: ignore[no-untyped-call]
        if self.records is not None:
            records_grpc.add_ImagesServicer_to_server(_Records(self), server)  # type: ignore[no-untyped-call]
            add_services(server, self.namespaces, self.events, self.roots)
        server.add_insecure_port(f"unix:{self.socket}")
        server.start()
        self._server = server

    def stop(self) -> None:
        """End, and remove the socket."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def fail(
        self, method: str, code: grpc.StatusCode, details: str = "broken", *, about: str | None = None, times: int = -1
    ) -> None:
        """Let calls of a method fail: those about one id only, or only so many of them."""
        self._failures.append(_Failure(method, code, details, about, times))

    def hang(self, method: str) -> None:
        """Let calls of a method go unanswered until their caller gives up."""
        self._hanging.add(method)

    def heal(self) -> None:
        """Forget what was to fail or to hang."""
        self._failures.clear()
        self._hanging.clear()

    def count(self, method: str) -> int:
        """How often a method was called."""
        return sum(call.method == method for call in self.calls)

    def find_image(self, name: str) -> ServedImage | None:
        """By id, tag or digest."""
        return next((image for image in self.images.values() if name in (image.id, *image.tags, *image.digests)), None)

    def user_of(self, image: ServedImage) -> str | None:
        """A container that uses an image, where this is a CRI-O, which then refuses to remove it."""
        users = (container.id for container in self.containers.values() if container.image_id == image.id)
        return next(users, None) if self.records is None else None

    def move_tag(self, tag: str, new: ServedImage) -> None:
        """Let a CRI-O pull or build a newer image under a tag: the one that had it keeps what else it is called."""
        for image in self.images.values():
            if tag in image.tags:
                tags = tuple(each for each in image.tags if each != tag)
                self.images[image.id] = replace(image, tags=tags, digests=_repo_digests(tags, image.manifest))
        self.images[new.id] = new

    def store_in(self, directory: Path) -> None:
        """Let each image take its bytes on the directory's filesystem until it is removed; they share nothing."""
        self._stored_in = directory
        for image in self.images.values():
            with (directory / f"image-{image.id}").open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, image.size_bytes)

    def remove_image(self, image: ServedImage) -> None:
        """Remove an image with all its names."""
        names = {image.id, *image.tags, *image.digests}
        records = self.records or {}
        for name in names & records.keys():
            del records[name]
        del self.images[image.id]
        if self._stored_in is not None:
            (self._stored_in / f"image-{image.id}").unlink(missing_ok=True)
        self.on_remove(image.id)

    def play(self, call: Call, context: Context) -> None:
        """Record a call, and let it fail or hang where that was asked for."""
        self.calls.append(call)
        self.before_call(call.method)
        if call.method in self._hanging:
            over = threading.Event()
            context.add_callback(over.set)
            over.wait(DEADLINE_SECONDS)
        if failure := self._next_failure(call):
            _abort(context, failure.code, failure.details)

    def _next_failure(self, call: Call) -> _Failure | None:
        # Calls come side by side, and only so many of them are to fail.
        with self._failing:
            for failure in self._failures:
                if failure.method == call.method and failure.about in {None, call.about} and failure.times != 0:
                    failure.times -= 1
                    return failure
        return None


def _abort(context: Context, code: grpc.StatusCode, details: str) -> NoReturn:
    context.abort(code, details)
    raise AssertionError


class _Script(grpc.ServerInterceptor):  # type: ignore[type-arg]
    """Leads every call through the server's script."""

    def __init__(self, server: CrioServer) -> None:
        self._server = server

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        method = _metric_name(handler_call_details.method)
        behaviour = handler.unary_stream if handler.response_streaming else handler.unary_unary

        def scripted(request: Any, context: Context) -> Any:
            metadata = {key: str(value) for key, value in context.invocation_metadata()}
            self._server.play(Call(method, _subject(request), metadata), context)
            return behaviour(request, context)

        wrap = (
            grpc.unary_stream_rpc_method_handler if handler.response_streaming else grpc.unary_unary_rpc_method_handler
        )
        return wrap(scripted, handler.request_deserializer, handler.response_serializer)


def _metric_name(path: str) -> str:
    service, method = path.strip("/").split("/")
    return f"{service.rsplit('.', 1)[-1]}.{method}" if service.startswith("containerd.") else method


def _subject(request: Any) -> str:
    for name in ("container_id", "pod_sandbox_id", "name", "key", "id", "snapshotter", "digest"):
        if hasattr(request, name):
            return str(getattr(request, name))
    return str(request.image.image) if hasattr(request, "image") else ""


class _RuntimeService(cri_grpc.RuntimeServiceServicer):
    def __init__(self, server: CrioServer) -> None:
        self._server = server

    def Version(self, request: pb.VersionRequest, context: Context) -> pb.VersionResponse:
        name, version = self._server.version
        return pb.VersionResponse(runtime_name=name, runtime_version=version)

    def Status(self, request: pb.StatusRequest, context: Context) -> pb.StatusResponse:
        told = request.verbose and self._server.config is not None
        return pb.StatusResponse(info={"config": self._server.config or ""} if told else {})

    def ListContainers(self, request: pb.ListContainersRequest, context: Context) -> pb.ListContainersResponse:
        return pb.ListContainersResponse(containers=[served.message() for served in self._server.containers.values()])

    def StreamContainers(
        self, request: pb.StreamContainersRequest, context: Context
    ) -> Iterator[pb.StreamContainersResponse]:
        _refuse_unless(self._server.streams, context)
        for some in _in_pairs([served.message() for served in self._server.containers.values()]):
            yield pb.StreamContainersResponse(containers=some)

    def ContainerStatus(self, request: pb.ContainerStatusRequest, context: Context) -> pb.ContainerStatusResponse:
        container = self._server.containers.get(request.container_id)
        if container is None or container.id in self._server.gone:
            _abort(context, grpc.StatusCode.NOT_FOUND, f"could not find container {request.container_id!r}")
        if container.id in self._server.speechless:
            return pb.ContainerStatusResponse()
        mounts = [pb.Mount(), *(pb.Mount(image=pb.ImageSpec(image=name)) for name in container.volumes)]
        told = self._server.mistaken.get(container.id, container.id)
        return pb.ContainerStatusResponse(status=pb.ContainerStatus(id=told, mounts=mounts))

    def ListPodSandbox(self, request: pb.ListPodSandboxRequest, context: Context) -> pb.ListPodSandboxResponse:
        return pb.ListPodSandboxResponse(items=[pb.PodSandbox(id=known) for known in self._server.sandboxes])

    def PodSandboxStatus(self, request: pb.PodSandboxStatusRequest, context: Context) -> pb.PodSandboxStatusResponse:
        sandbox = self._server.sandboxes.get(request.pod_sandbox_id)
        if sandbox is None or sandbox.id in self._server.gone:
            _abort(context, grpc.StatusCode.NOT_FOUND, f"could not find pod {request.pod_sandbox_id!r}")
        status = pb.PodSandboxStatus(id=self._server.mistaken.get(sandbox.id, sandbox.id))
        told = request.verbose and sandbox.info is not None
        return pb.PodSandboxStatusResponse(status=status, info={"info": sandbox.info or ""} if told else {})


class _ImageService(cri_grpc.ImageServiceServicer):
    def __init__(self, server: CrioServer) -> None:
        self._server = server

    def _messages(self) -> list[pb.Image]:
        return [served.listed() for served in (*self._server.images.values(), *self._server.listed_twice)]

    def ListImages(self, request: pb.ListImagesRequest, context: Context) -> pb.ListImagesResponse:
        return pb.ListImagesResponse(images=self._messages())

    def StreamImages(self, request: pb.StreamImagesRequest, context: Context) -> Iterator[pb.StreamImagesResponse]:
        _refuse_unless(self._server.streams, context)
        for some in _in_pairs(self._messages()):
            yield pb.StreamImagesResponse(images=some)

    def ImageStatus(self, request: pb.ImageStatusRequest, context: Context) -> pb.ImageStatusResponse:
        image = self._server.find_image(request.image.image)
        if image is None or image.id in self._server.gone or self._is_ambiguous(request.image.image, image):
            return pb.ImageStatusResponse()
        message = image.message()
        message.id = self._server.mistaken.get(image.id, image.id)
        return pb.ImageStatusResponse(image=message, info=image.verbose() if request.verbose else {})

    def _is_ambiguous(self, name: str, image: ServedImage) -> bool:
        """Whether a name is the id of an artifact that is listed by several names, which its store refuses."""
        return image.artifact and name == image.id and any(each.id == name for each in self._server.listed_twice)

    def RemoveImage(self, request: pb.RemoveImageRequest, context: Context) -> pb.RemoveImageResponse:
        image = self._server.find_image(request.image.image)
        if image is not None and not (image.artifact and request.image.image == image.id):
            if user := self._server.user_of(image):
                details = f"image used by {user}: image is in use by a container"
                _abort(context, grpc.StatusCode.UNKNOWN, details)
            self._server.remove_image(image)
        return pb.RemoveImageResponse()

    def ImageFsInfo(self, request: pb.ImageFsInfoRequest, context: Context) -> pb.ImageFsInfoResponse:
        return pb.ImageFsInfoResponse(
            image_filesystems=_filesystems(self._server.mountpoints),
            container_filesystems=_filesystems(self._server.container_mountpoints),
        )


def _filesystems(paths: Sequence[str]) -> list[pb.FilesystemUsage]:
    return [pb.FilesystemUsage(fs_id=pb.FilesystemIdentifier(mountpoint=path)) for path in paths]


class _Records(records_grpc.ImagesServicer):
    def __init__(self, server: CrioServer) -> None:
        self._server = server

    def Get(self, request: records_pb.GetImageRequest, context: Context) -> records_pb.GetImageResponse:
        record = (self._server.records or {}).get(request.name)
        if record is None:
            _abort(context, grpc.StatusCode.NOT_FOUND, f"image {request.name!r}: not found")
        message = record.message()
        message.name = self._server.mistaken.get(record.name, record.name)
        return records_pb.GetImageResponse(image=message)

    def List(self, request: records_pb.ListImagesRequest, context: Context) -> records_pb.ListImagesResponse:
        every = (self._server.records or {}).values()
        filters = request.filters if self._server.filters else ()
        records = [found for found in every if not filters or _matches(found, filters)]
        if len(records) > self._server.most_records:
            _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "trying to send message larger than max")
        messages = [record.message() for record in records]
        for message in messages:
            message.name = self._server.mistaken.get(message.name, message.name)
        return records_pb.ListImagesResponse(images=messages)


def _matches(record: Record, filters: Iterable[str]) -> bool:
    """Whether one of containerd's filters matches: `name=="…"`, `target.digest=="…"` or `target.digest~="…"`."""
    for filter_ in filters:
        field_, operator, value = filter_.partition("~=" if "~=" in filter_ else "==")
        found = {"name": record.name, "target.digest": record.target}[field_]
        if found == json.loads(value) if operator == "==" else re.search(value[1:-1], found):
            return True
    return False


def _refuse_unless(offered: bool, context: Context) -> None:
    if not offered:
        _abort(context, grpc.StatusCode.UNIMPLEMENTED, "Method not implemented!")


def _in_pairs(messages: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(messages), 2):
        yield messages[start : start + 2]
