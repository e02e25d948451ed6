"""What uses images: containers with their image volumes, and pod sandboxes."""

from collections.abc import Callable

import grpc
import pytest

from cleaner.core.errors import RuntimeRejectedError
from cleaner.core.model import Container
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.pb import cri_pb2 as pb
from cleaner.runtime.translate import mounted_image_names, names_by_container
from support.crio_server import CONTAINERD_SANDBOX_INFO, CrioServer, ServedContainer, ServedImage, ServedSandbox

Code = grpc.StatusCode
Connect = Callable[..., CriRuntime]
PAUSE = "registry.k8s.io/pause:3.9"


def test_container(crio: CrioServer, connect: Connect) -> None:
    """A container has every name that it knows its image by, and those of its image volumes."""
    crio.containers["c"] = ServedContainer(
        "c",
        image_id="id",
        image_ref="registry.example/a@sha256:1",
        image="registry.example/a:1",
        user_specified_image="a:1",
        volumes=("registry.example/data:1",),
    )
    names = {"id", "registry.example/a@sha256:1", "registry.example/a:1", "a:1", "registry.example/data:1"}
    assert connect(crio).list_containers() == (Container("c", frozenset(names)),)


def test_container_without_names(crio: CrioServer, connect: Connect) -> None:
    """Empty names are no names."""
    crio.containers["c"] = ServedContainer("c")
    assert connect(crio).list_containers() == (Container("c", frozenset()),)


def test_containers_listed_twice() -> None:
    """A container that is listed twice has the names of both."""
    messages = [pb.Container(id="c", image_id="a"), pb.Container(id="c", image_id="b")]
    assert names_by_container(messages) == {"c": frozenset({"a", "b"})}


def test_mounts_by_every_name() -> None:
    """An image volume has every name of its spec; other mounts have none."""
    spec = pb.ImageSpec(image="a", user_specified_image="b", image_ref="c")
    status = pb.ContainerStatus(mounts=[pb.Mount(), pb.Mount(image=spec)])
    assert mounted_image_names(status) == {"a", "b", "c"}


def test_mounts_are_read_once(crio: CrioServer, connect: Connect) -> None:
    """A container's mounts never change, so its status is read once, and again for another of its id."""
    crio.containers["c"] = ServedContainer("c", image="a", volumes=("v",))
    runtime = connect(crio)
    assert runtime.list_containers() == runtime.list_containers()
    assert crio.count("ContainerStatus") == 1
    del crio.containers["c"]
    assert runtime.list_containers() == ()
    crio.containers["c"] = ServedContainer("c", image="a")
    assert runtime.list_containers() == (Container("c", frozenset({"a"})),)


def test_container_gone_after_the_list(crio: CrioServer, connect: Connect) -> None:
    """A container that is removed between list and status is left out."""
    crio.containers = {name: ServedContainer(name) for name in "ba"}
    crio.gone.add("a")
    assert [container.id for container in connect(crio).list_containers()] == ["b"]


@pytest.mark.parametrize("code", [Code.UNKNOWN, Code.INTERNAL, Code.UNIMPLEMENTED])
def test_container_status_rejected(crio: CrioServer, connect: Connect, code: grpc.StatusCode) -> None:
    """A container whose status fails may mount any image, so the list fails."""
    crio.containers = {name: ServedContainer(name) for name in "ab"}
    crio.fail("ContainerStatus", code, about="b")
    with pytest.raises(RuntimeRejectedError, match=f"ContainerStatus: {code.name}"):
        connect(crio).list_containers()


def test_empty_container_status(crio: CrioServer, connect: Connect) -> None:
    """A status that is empty says nothing of the mounts, so the list fails."""
    crio.containers["c"] = ServedContainer("c")
    crio.speechless.add("c")
    with pytest.raises(RuntimeRejectedError, match="has no status"):
        connect(crio).list_containers()


def test_crio_sandbox(crio: CrioServer, connect: Connect) -> None:
    """CRI-O's sandboxes do not tell their image, which is pinned there."""
    crio.sandboxes = {"s": ServedSandbox("s"), "t": ServedSandbox("t", info=None)}
    assert connect(crio).list_sandbox_images() == frozenset()


def test_containerd_sandbox(containerd: CrioServer, connect: Connect) -> None:
    """The sandboxes of containerd tell their image, which is read once for each."""
    containerd.sandboxes["s"] = ServedSandbox("s", CONTAINERD_SANDBOX_INFO)
    runtime = connect(containerd)
    assert runtime.list_sandbox_images() == runtime.list_sandbox_images() == {PAUSE}
    assert containerd.count("PodSandboxStatus") == 1
    del containerd.sandboxes["s"]
    assert runtime.list_sandbox_images() == frozenset()


def test_next_sandbox(containerd: CrioServer, connect: Connect) -> None:
    """The image of the next sandbox counts before one runs, as the runtime's configuration now has it."""
    containerd.sandboxes["s"] = ServedSandbox("s", CONTAINERD_SANDBOX_INFO)
    containerd.config = '{"sandboxImage": "registry.example/pause:4"}'
    runtime = connect(containerd)
    assert runtime.list_sandbox_images() == {PAUSE, "registry.example/pause:4"}
    containerd.config = '{"sandboxImage": "registry.example/pause:5", "containerdRootDir": "/var/lib/containerd"}'
    assert runtime.list_sandbox_images() == {PAUSE, "registry.example/pause:5"}


@pytest.mark.parametrize("config", ["{}", '{"sandboxImage": ""}', ""])
def test_next_sandbox_not_told(containerd: CrioServer, connect: Connect, config: str) -> None:
    """A runtime need not tell the image of the next sandbox."""
    containerd.config = config
    assert connect(containerd).list_sandbox_images() == frozenset()


@pytest.mark.parametrize("pinned", [True, False])
def test_next_sandbox_rejected(containerd: CrioServer, connect: Connect, pinned: bool) -> None:
    """A runtime that cannot tell the next sandbox image is believed where it pins images, and an error elsewhere."""
    containerd.images["p"] = ServedImage("p", (PAUSE,), pinned=pinned)
    containerd.fail("Status", Code.UNKNOWN, "mkdir /var/lib/containerd/introspection: no space left on device")
    runtime = connect(containerd)
    runtime.list_images()
    if pinned:
        assert runtime.list_sandbox_images() == frozenset()
    else:
        with pytest.raises(RuntimeRejectedError, match="no space left"):
            runtime.list_sandbox_images()


def test_sandbox_gone_after_the_list(containerd: CrioServer, connect: Connect) -> None:
    """A sandbox that is removed between list and status is left out."""
    containerd.sandboxes = {name: ServedSandbox(name, CONTAINERD_SANDBOX_INFO) for name in "st"}
    containerd.gone.update("st")
    assert connect(containerd).list_sandbox_images() == frozenset()


@pytest.mark.parametrize("method", ["ListPodSandbox", "PodSandboxStatus", "Status"])
def test_sandboxes_rejected(containerd: CrioServer, connect: Connect, method: str) -> None:
    """Without knowing the sandboxes' images nothing may be evicted, so any failure is an error."""
    containerd.sandboxes["s"] = ServedSandbox("s")
    containerd.fail(method, Code.INTERNAL)
    with pytest.raises(RuntimeRejectedError, match=f"{method}: INTERNAL"):
        connect(containerd).list_sandbox_images()


def test_unreadable_sandbox(containerd: CrioServer, connect: Connect) -> None:
    """A sandbox status or configuration that is no JSON hides an image that may be needed: an error."""
    runtime = connect(containerd)
    containerd.config = "{"
    with pytest.raises(RuntimeRejectedError, match=r"Status: its info\['config'\] is no JSON"):
        runtime.list_sandbox_images()
    containerd.config = None
    containerd.sandboxes["s"] = ServedSandbox("s", "{")
    with pytest.raises(RuntimeRejectedError, match=r"PodSandboxStatus: its info\['info'\] is no JSON"):
        runtime.list_sandbox_images()
