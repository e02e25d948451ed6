"""CRI and containerd's image service over a node in memory; the other services are those of `containerd_services`."""

# ruff: noqa: N802 - the methods of a servicer have the names of the API

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import grpc

from cleaner.runtime.pb import containerd_images_pb2 as records_pb
from cleaner.runtime.pb import containerd_images_pb2_grpc as records_grpc
from cleaner.runtime.pb import cri_pb2 as pb
from cleaner.runtime.pb import cri_pb2_grpc as cri_grpc
from lab.pb import lab_cri_pb2 as lab_pb
from support.containerd_filters import matches
from support.crio_server import Record
from support.faulty_runtime.node import FaultyNode, MissingError
from support.faulty_runtime.storage import NoSpaceError
from support.wire import write_texts

Context = grpc.ServicerContext

_ID = 1
"""The number of the id in a status, and of the status in an answer; written also where the agent does not read it."""


class RuntimeService(cri_grpc.RuntimeServiceServicer):
    """CRI's RuntimeService, as far as the agent calls it."""

    def __init__(self, node: FaultyNode) -> None:
        self._node = node

    def Version(self, request: pb.VersionRequest, context: Context) -> pb.VersionResponse:
        return pb.VersionResponse(runtime_name="containerd", runtime_version=self._node.store.version.number)

    def Status(self, request: pb.StatusRequest, context: Context) -> pb.StatusResponse:
        config = json.dumps({"sandboxImage": self._node.pause_reference})
        return pb.StatusResponse(info={"config": config} if request.verbose else {})

    def ListContainers(self, request: pb.ListContainersRequest, context: Context) -> pb.ListContainersResponse:
        return pb.ListContainersResponse(containers=[one.message() for one in self._node.containers.values()])

    def ContainerStatus(self, request: pb.ContainerStatusRequest, context: Context) -> pb.ContainerStatusResponse:
        container = self._node.containers.get(request.container_id)
        if container is None:
            _abort(context, grpc.StatusCode.NOT_FOUND, f"container {request.container_id!r}: not found")
        mounts = [pb.Mount(image=pb.ImageSpec(image=name)) for name in container.volumes]
        status = pb.ContainerStatus.FromString(write_texts({_ID: container.id}))
        status.mounts.extend(mounts)
        return pb.ContainerStatusResponse(status=status)

    def ListPodSandbox(self, request: pb.ListPodSandboxRequest, context: Context) -> pb.ListPodSandboxResponse:
        return pb.ListPodSandboxResponse(items=[pb.PodSandbox(id=known) for known in self._node.sandboxes])

    def PodSandboxStatus(self, request: pb.PodSandboxStatusRequest, context: Context) -> pb.PodSandboxStatusResponse:
        sandbox = self._node.sandboxes.get(request.pod_sandbox_id)
        if sandbox is None:
            _abort(context, grpc.StatusCode.NOT_FOUND, f"sandbox {request.pod_sandbox_id!r}: not found")
        status = write_texts({_ID: write_texts({_ID: sandbox.id}).decode()})
        answer = pb.PodSandboxStatusResponse.FromString(status)
        if request.verbose:
            answer.info["info"] = sandbox.info or ""
        return answer


class ImageService(cri_grpc.ImageServiceServicer):
    """CRI's ImageService, as far as the agent calls it."""

    def __init__(self, node: FaultyNode) -> None:
        self._node = node

    def ListImages(self, request: pb.ListImagesRequest, context: Context) -> pb.ListImagesResponse:
        return pb.ListImagesResponse(images=[one.message() for one in self._node.store.images().values()])

    def ImageStatus(self, request: pb.ImageStatusRequest, context: Context) -> pb.ImageStatusResponse:
        artifact = self._node.store.find(request.image.image)
        served = None if artifact is None else self._node.store.images().get(artifact.image_id)
        if served is None:
            return pb.ImageStatusResponse()
        return pb.ImageStatusResponse(image=served.message(), info=served.verbose() if request.verbose else {})

    def RemoveImage(self, request: pb.RemoveImageRequest, context: Context) -> pb.RemoveImageResponse:
        self._node.remove_image(request.image.image)
        return pb.RemoveImageResponse()

    def ImageFsInfo(self, request: pb.ImageFsInfoRequest, context: Context) -> pb.ImageFsInfoResponse:
        where = pb.FilesystemUsage(fs_id=pb.FilesystemIdentifier(mountpoint=self._node.store.storage.path))
        return pb.ImageFsInfoResponse(image_filesystems=[where])


class Images(records_grpc.ImagesServicer):
    """containerd's image records."""

    def __init__(self, node: FaultyNode) -> None:
        self._node = node

    def Get(self, request: records_pb.GetImageRequest, context: Context) -> records_pb.GetImageResponse:
        record = self._records(context).get(request.name)
        if record is None:
            _abort(context, grpc.StatusCode.NOT_FOUND, f"image {request.name!r}: not found")
        return records_pb.GetImageResponse(image=record.message())

    def List(self, request: records_pb.ListImagesRequest, context: Context) -> records_pb.ListImagesResponse:
        listed = [one for one in self._records(context).values() if matches(request.filters, _fields_of(one))]
        return records_pb.ListImagesResponse(images=[record.message() for record in listed])

    def _records(self, context: Context) -> Mapping[str, Record]:
        namespace = dict(context.invocation_metadata()).get("containerd-namespace")
        return self._node.store.records if namespace == "k8s.io" else {}


def _fields_of(record: Record) -> dict[str, str]:
    return {"name": record.name, "target.digest": record.target}


def pod_handlers(node: FaultyNode) -> "Iterator[grpc.GenericRpcHandler[Any, Any]]":
    """The calls of CRI by which a kubelet pulls images and runs pods: those that `lab.cri` makes."""

    def pull(request: lab_pb.PullImageRequest) -> lab_pb.PullImageResponse:
        return lab_pb.PullImageResponse(image_ref=node.pull(request.image.image))

    def run_sandbox(_request: lab_pb.RunPodSandboxRequest) -> lab_pb.RunPodSandboxResponse:
        return lab_pb.RunPodSandboxResponse(pod_sandbox_id=node.run_sandbox())

    def create(request: lab_pb.CreateContainerRequest) -> lab_pb.CreateContainerResponse:
        volumes = tuple(mount.image.image for mount in request.config.mounts if mount.image.image)
        made = node.create_container(request.pod_sandbox_id, request.config.image.image, volumes=volumes)
        return lab_pb.CreateContainerResponse(container_id=made)

    def remove_container(request: lab_pb.ContainerRequest) -> lab_pb.Empty:
        node.remove_container(request.container_id)
        return lab_pb.Empty()

    def remove_sandbox(request: lab_pb.PodSandboxRequest) -> lab_pb.Empty:
        node.remove_sandbox(request.pod_sandbox_id)
        return lab_pb.Empty()

    def change_nothing(_request: Any) -> lab_pb.Empty:
        # A container is in the lists whether or not it runs.
        return lab_pb.Empty()

    images = {"PullImage": _handler(pull, lab_pb.PullImageRequest)}
    pods = {
        "RunPodSandbox": _handler(run_sandbox, lab_pb.RunPodSandboxRequest),
        "CreateContainer": _handler(create, lab_pb.CreateContainerRequest),
        "StartContainer": _handler(change_nothing, lab_pb.ContainerRequest),
        "StopContainer": _handler(change_nothing, lab_pb.ContainerRequest),
        "RemoveContainer": _handler(remove_container, lab_pb.ContainerRequest),
        "StopPodSandbox": _handler(change_nothing, lab_pb.PodSandboxRequest),
        "RemovePodSandbox": _handler(remove_sandbox, lab_pb.PodSandboxRequest),
    }
    yield grpc.method_handlers_generic_handler("runtime.v1.ImageService", images)
    yield grpc.method_handlers_generic_handler("runtime.v1.RuntimeService", pods)


def _handler(act: Callable[[Any], Any], request: Any) -> "grpc.RpcMethodHandler[Any, Any]":
    def answer(message: Any, context: Context) -> Any:
        try:
            return act(message)
        except (MissingError, KeyError) as error:
            _abort(context, grpc.StatusCode.NOT_FOUND, str(error))
        except NoSpaceError as error:
            _abort(context, grpc.StatusCode.UNKNOWN, str(error))

    return grpc.unary_unary_rpc_method_handler(answer, request.FromString, lambda message: message.SerializeToString())


def _abort(context: Context, code: grpc.StatusCode, details: str) -> NoReturn:
    context.abort(code, details)
    raise AssertionError
