"""What uses images: containers with their image volumes, and pod sandboxes."""

import json
from collections.abc import Callable
from typing import Any

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


def test_container_without_its_status(crio: CrioServer, connect: Connect) -> None:
    """A listed container whose status is NOT_FOUND uses the image of the list; its mounts are read once they come."""
    crio.containers = {name: ServedContainer(name, image=f"image-{name}", volumes=("v",)) for name in "ba"}
    crio.gone.add("a")
    runtime = connect(crio)
    expected = (Container("a", frozenset({"image-a"})), Container("b", frozenset({"image-b", "v"})))
    assert runtime.list_containers() == runtime.list_containers() == expected
    crio.gone.clear()
    assert runtime.list_containers()[0] == Container("a", frozenset({"image-a", "v"}))
    assert crio.count("ContainerStatus") == 4


def test_mounts_that_are_known(crio: CrioServer, connect: Connect) -> None:
    """A container whose status was read keeps its mounts while it is listed, also if the status is gone."""
    crio.containers["c"] = ServedContainer("c", image="a", volumes=("v",))
    runtime = connect(crio)
    before = runtime.list_containers()
    crio.gone.add("c")
    assert runtime.list_containers() == before == (Container("c", frozenset({"a", "v"})),)


@pytest.mark.parametrize("other", ["d", ""])
def test_status_of_another_container(crio: CrioServer, connect: Connect, other: str) -> None:
    """A status of another container, or of none, says nothing of the mounts, so the list fails."""
    crio.containers["c"] = ServedContainer("c")
    crio.mistaken["c"] = other
    runtime = connect(crio)
    with pytest.raises(RuntimeRejectedError, match=f"ContainerStatus: asked about c, it answers about {other}"):
        runtime.list_containers()
    crio.mistaken.clear()
    assert runtime.list_containers() == (Container("c", frozenset()),)


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


def serve_lost_sandboxes(server: CrioServer, lost: str, change: Callable[[], object], at_list: int) -> None:
    """Sandboxes `s` and `t`; the status of some is gone, and at the given list something changes."""
    server.sandboxes = {name: ServedSandbox(name, json.dumps({"image": f"pause-{name}"})) for name in "st"}
    server.gone.update(lost)

    def before(method: str) -> None:
        if method == "ListPodSandbox" and server.count(method) == at_list:
            change()

    server.before_call = before


@pytest.mark.parametrize("at_list", [2, 3])
def test_sandbox_gone_after_the_list(containerd: CrioServer, connect: Connect, at_list: int) -> None:
    """A sandbox that is removed between list and status is left out, once no list has it any more."""
    serve_lost_sandboxes(containerd, "s", lambda: containerd.sandboxes.pop("s"), at_list)
    assert connect(containerd).list_sandbox_images() == {"pause-t"}
    assert (containerd.count("ListPodSandbox"), containerd.count("PodSandboxStatus")) == (at_list, at_list)


@pytest.mark.parametrize("at_list", [2, 3])
def test_sandbox_whose_status_comes(containerd: CrioServer, connect: Connect, at_list: int) -> None:
    """A sandbox whose status is NOT_FOUND for a moment tells its image a moment later."""
    serve_lost_sandboxes(containerd, "s", containerd.gone.clear, at_list)
    assert connect(containerd).list_sandbox_images() == {"pause-s", "pause-t"}


def test_sandbox_without_its_status(containerd: CrioServer, connect: Connect, stop: Any) -> None:
    """A sandbox that stays listed without a status is an error after three tries: its image is not known."""
    serve_lost_sandboxes(containerd, "st", lambda: None, 4)
    runtime = connect(containerd)
    with pytest.raises(RuntimeRejectedError, match="PodSandboxStatus: s is listed, and its status is not found"):
        runtime.list_sandbox_images()
    assert (containerd.count("ListPodSandbox"), stop.waits) == (3, [0.1, 0.1])
    containerd.gone.clear()
    assert runtime.list_sandbox_images() == {"pause-s", "pause-t"}


def test_sandboxes_that_come_meanwhile(containerd: CrioServer, connect: Connect) -> None:
    """Sandboxes that later lists have are not waited for: a node that starts pods all the time is no error."""

    def churn() -> None:
        containerd.sandboxes = {"new": ServedSandbox("new")}
        containerd.gone.add("new")

    serve_lost_sandboxes(containerd, "s", churn, 2)
    assert connect(containerd).list_sandbox_images() == {"pause-t"}


@pytest.mark.parametrize("other", ["t", ""])
def test_status_of_another_sandbox(containerd: CrioServer, connect: Connect, other: str) -> None:
    """A status of another sandbox, or of none, hides the image of this one: an error."""
    containerd.sandboxes["s"] = ServedSandbox("s", CONTAINERD_SANDBOX_INFO)
    containerd.mistaken["s"] = other
    with pytest.raises(RuntimeRejectedError, match="PodSandboxStatus: asked about s, it answers about"):
        connect(containerd).list_sandbox_images()


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
