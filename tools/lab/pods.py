"""Pods of the lab: a sandbox on the host's network, with one container of an image.

It has no pod networks: without a network plugin only the host's network is there.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from lab.errors import LabError
from lab.node import Node
from lab.pb import lab_cri_pb2 as pb

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Pod:
    """One pod that was started; it outlives restarts of containerd."""

    name: str
    sandbox_id: str
    container_id: str
    _node: Node = field(repr=False, compare=False)
    _config: pb.PodSandboxConfig = field(repr=False, compare=False)

    def stop(self) -> None:
        """Kill the container: it stays, exited, as after a crash."""
        self._node.cri.stop_container(self.container_id)

    def remove_container(self) -> None:
        """Remove the container; the sandbox stays."""
        self._node.cri.remove_container(self.container_id)

    def create_container(self, reference: str) -> str:
        """Create one more container in the sandbox, from an image that is there; return its id."""
        request = _container_request(self.sandbox_id, self._config, reference, attempt=next(_NUMBERS))
        return self._node.cri.create_container(request)

    def start_container(self, container_id: str) -> None:
        """Start one more container that was created in the sandbox."""
        self._node.cri.start_container(container_id)

    def remove_containers(self, container_ids: Iterable[str]) -> None:
        """Remove these containers, running or not; the sandbox stays."""
        for container_id in container_ids:
            self._node.cri.remove_container(container_id)

    def remove(self) -> None:
        """Remove the container and the sandbox."""
        self._node.cri.remove_sandbox(self.sandbox_id)


def start_pod(node: Node, cgroup: str, reference: str, name: str | None, *, run: bool) -> Pod:
    """Start a pod from an image that is there; without run its container stays created.

    LabError: no sandbox is left behind.
    """
    name = name or f"pod-{next(_NUMBERS)}"
    config = _sandbox_config(name, cgroup)
    sandbox_id = node.cri.run_sandbox(config)
    try:
        container_id = node.cri.create_container(_container_request(sandbox_id, config, reference))
        if run:
            node.cri.start_container(container_id)
    except LabError:
        node.cri.remove_sandbox(sandbox_id)
        raise
    return Pod(name, sandbox_id, container_id, node, config)


def _sandbox_config(name: str, cgroup: str) -> pb.PodSandboxConfig:
    network = pb.NamespaceOption(network=pb.NODE)
    return pb.PodSandboxConfig(
        metadata=pb.PodSandboxMetadata(name=name, uid=f"uid-{name}", namespace="lab"),
        linux=pb.LinuxPodSandboxConfig(
            cgroup_parent=cgroup,
            security_context=pb.LinuxSandboxSecurityContext(namespace_options=network),
        ),
    )


def _container_request(
    sandbox_id: str, config: pb.PodSandboxConfig, reference: str, attempt: int = 0
) -> pb.CreateContainerRequest:
    metadata = pb.ContainerMetadata(name="main", attempt=attempt)
    container = pb.ContainerConfig(metadata=metadata, image=pb.ImageSpec(image=reference))
    return pb.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=container, sandbox_config=config)
