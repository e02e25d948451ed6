"""The lab's own CRI calls: pull an image, run a pod, end it.

It does not share the product's client: a test must not judge a client by that client.
"""

from pathlib import Path
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from lab.errors import LabError
from lab.pb import lab_cri_pb2 as pb
from lab.waiting import DEADLINE_SECONDS

_CALL_SECONDS = DEADLINE_SECONDS
_Reply = TypeVar("_Reply", bound=Message)


class Cri:
    """One channel to one socket."""

    def __init__(self, socket: Path) -> None:
        """Describe a channel; it connects on the first call."""
        self._channel = grpc.insecure_channel(f"unix://{socket}")

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def answers(self) -> bool:
        """Say whether the runtime serves CRI yet: its socket is there before its CRI plugin."""
        try:
            self.list_sandboxes(seconds=10.0)
        except LabError:
            return False
        return True

    def list_sandboxes(self, seconds: float = _CALL_SECONDS) -> list[str]:
        """Return the ids of all sandboxes."""
        method = "RuntimeService/ListPodSandbox"
        reply = self._call(method, pb.Empty(), pb.ListPodSandboxResponse, seconds)
        return [sandbox.id for sandbox in reply.items]

    def pull(self, reference: str) -> str:
        """Pull an image and return the id that the runtime answers."""
        request = pb.PullImageRequest(image=pb.ImageSpec(image=reference))
        return self._call("ImageService/PullImage", request, pb.PullImageResponse).image_ref

    def find_image(self, reference: str) -> str | None:
        """Return the id behind a reference or id, None if the runtime has none."""
        request = pb.ImageStatusRequest(image=pb.ImageSpec(image=reference))
        return self._call("ImageService/ImageStatus", request, pb.ImageStatusResponse).image.id or None

    def list_references(self, reference: str) -> list[str]:
        """Return the tags and digests of the image behind a reference, none if there is none."""
        request = pb.ImageStatusRequest(image=pb.ImageSpec(image=reference))
        image = self._call("ImageService/ImageStatus", request, pb.ImageStatusResponse).image
        return [*image.repo_tags, *image.repo_digests]

    def run_sandbox(self, config: pb.PodSandboxConfig) -> str:
        """Start a sandbox and return its id."""
        request = pb.RunPodSandboxRequest(config=config)
        return self._call("RuntimeService/RunPodSandbox", request, pb.RunPodSandboxResponse).pod_sandbox_id

    def create_container(self, request: pb.CreateContainerRequest) -> str:
        """Create a container and return its id."""
        return self._call("RuntimeService/CreateContainer", request, pb.CreateContainerResponse).container_id

    def start_container(self, container_id: str) -> None:
        """Start a created container."""
        self._call("RuntimeService/StartContainer", pb.ContainerRequest(container_id=container_id), pb.Empty)

    def stop_container(self, container_id: str) -> None:
        """Kill a container: it stays, exited."""
        # timeout 0 is SIGKILL: the first process of a PID namespace ignores SIGTERM.
        self._call("RuntimeService/StopContainer", pb.ContainerRequest(container_id=container_id), pb.Empty)

    def remove_container(self, container_id: str) -> None:
        """Remove a container, running or not."""
        self._call("RuntimeService/RemoveContainer", pb.ContainerRequest(container_id=container_id), pb.Empty)

    def remove_sandbox(self, sandbox_id: str) -> None:
        """Stop and remove a sandbox with all its containers."""
        request = pb.PodSandboxRequest(pod_sandbox_id=sandbox_id)
        self._call("RuntimeService/StopPodSandbox", request, pb.Empty)
        self._call("RuntimeService/RemovePodSandbox", request, pb.Empty)

    def _call(self, method: str, request: Message, reply: type[_Reply], seconds: float = _CALL_SECONDS) -> _Reply:
        call = self._channel.unary_unary(
            f"/runtime.v1.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        try:
            answer: _Reply = call(request, timeout=seconds, wait_for_ready=True)
        except grpc.RpcError as error:
            raise LabError(f"{method}: {error.code().name}: {error.details()}") from error
        return answer
