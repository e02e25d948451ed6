"""Containers that CRI does not list: their images are in use all the same."""

from collections.abc import Callable

import grpc
import pytest

from cleaner.core.errors import RuntimeRejectedError, RuntimeUnavailableError
from cleaner.core.image_users import ids_in_use, image_users
from cleaner.core.model import Container
from cleaner.runtime.client import CriRuntime
from support.containerd_services import OwnContainer
from support.crio_server import CrioServer, Record, ServedContainer, ServedImage, ServedSandbox

Code = grpc.StatusCode
Connect = Callable[..., CriRuntime]

TAG = "registry.example/app:1"
ID = "sha256:" + "c1" * 32
TARGET = "sha256:" + "a1" * 32


def serve(server: CrioServer, *containers: OwnContainer) -> None:
    """One image, and these containers of containerd's own."""
    server.images = {ID: ServedImage(ID, (TAG,))}
    server.records = {name: Record(name, TARGET) for name in (ID, TAG, "An Odd Name")} | {"b": Record("b", "sha256:b")}
    server.namespaces["k8s.io"].containers = list(containers)


def test_unlisted_container(containerd: CrioServer, connect: Connect) -> None:
    """It has the target of its image's record, and every name with that target."""
    serve(containerd, OwnContainer("n", TAG))
    assert connect(containerd).list_containers() == (Container("n", frozenset({ID, TAG, "An Odd Name", TARGET})),)


@pytest.mark.parametrize("name", [TAG, "An Odd Name"])
def test_its_image_is_in_use(containerd: CrioServer, connect: Connect, name: str) -> None:
    """Its image is in use, also where only a name that is no reference ties the two."""
    serve(containerd, OwnContainer("n", name))
    runtime = connect(containerd)
    assert ids_in_use(runtime.list_images(), image_users(runtime.list_containers(), ())) == {ID}


def test_listed_containers(containerd: CrioServer, connect: Connect) -> None:
    """CRI's containers, those whose status is gone too, are listed once, and sandboxes not at all."""
    serve(containerd, *(OwnContainer(known, TAG) for known in ("c", "v", "s")))
    containerd.containers = {known: ServedContainer(known, image_id=ID) for known in ("c", "v")}
    containerd.gone.add("v")
    containerd.sandboxes["s"] = ServedSandbox("s")
    assert connect(containerd).list_containers() == tuple(Container(known, frozenset({ID})) for known in "cv")


def test_known_sandboxes(containerd: CrioServer, connect: Connect) -> None:
    """Sandboxes that are known already are not listed again for this."""
    serve(containerd, OwnContainer("s", TAG))
    containerd.sandboxes["s"] = ServedSandbox("s")
    runtime = connect(containerd)
    runtime.list_sandbox_images()
    assert runtime.list_containers() == ()
    assert containerd.count("ListPodSandbox") == 1


def test_order(containerd: CrioServer, connect: Connect) -> None:
    """All containers are in the order of their ids."""
    serve(containerd, OwnContainer("b"))
    containerd.containers = {known: ServedContainer(known) for known in "ca"}
    assert [container.id for container in connect(containerd).list_containers()] == ["a", "b", "c"]


def test_images_that_are_unknown(containerd: CrioServer, connect: Connect) -> None:
    """A name without a record is reported as it is; no name is none."""
    serve(containerd, OwnContainer("gone", "registry.example/gone:1"), OwnContainer("none"))
    expected = (Container("gone", frozenset({"registry.example/gone:1"})), Container("none", frozenset()))
    assert connect(containerd).list_containers() == expected
    assert containerd.count("Images.List") == 0


def test_two_images(containerd: CrioServer, connect: Connect) -> None:
    """Each container has the names of its own image, and the records are listed once."""
    serve(containerd, OwnContainer("m", "b"), OwnContainer("n", TAG))
    found = {container.id: container.image_names for container in connect(containerd).list_containers()}
    assert found["m"] == {"b", "sha256:b"}
    assert TAG in found["n"]
    assert containerd.count("Images.List") == 1


def test_no_api(crio: CrioServer, connect: Connect) -> None:
    """Without that API there are none, and it is asked once."""
    crio.containers["c"] = ServedContainer("c")
    runtime = connect(crio)
    assert runtime.list_containers() == runtime.list_containers() == (Container("c", frozenset()),)


@pytest.mark.parametrize("method", ["Containers.List", "Images.Get", "Images.List", "ListPodSandbox"])
@pytest.mark.parametrize(
    ("code", "error"), [(Code.INTERNAL, RuntimeRejectedError), (Code.DEADLINE_EXCEEDED, RuntimeUnavailableError)]
)
def test_failing_read(
    containerd: CrioServer, connect: Connect, method: str, code: grpc.StatusCode, error: type[Exception]
) -> None:
    """A container that is not seen may use any image, so a read that fails is an error."""
    serve(containerd, OwnContainer("n", TAG))
    containerd.fail(method, code)
    with pytest.raises(error, match=method):
        connect(containerd).list_containers()


@pytest.mark.parametrize("other", ["registry.example/other:1", ""])
def test_answer_about_another_record(containerd: CrioServer, connect: Connect, other: str) -> None:
    """A record of another name does not tell which image a container has: the read of the containers fails."""
    serve(containerd, OwnContainer("n", TAG))
    containerd.mistaken[TAG] = other
    with pytest.raises(RuntimeRejectedError, match=f"Images.Get: asked about {TAG}"):
        connect(containerd).list_containers()


def test_list_too_large(containerd: CrioServer, connect: Connect) -> None:
    """A list that exceeds one message is read as a stream, in the same namespace."""
    serve(containerd, OwnContainer("n", TAG), OwnContainer("m", TAG))
    containerd.fail("Containers.List", Code.RESOURCE_EXHAUSTED)
    assert [container.id for container in connect(containerd).list_containers()] == ["m", "n"]
    assert containerd.count("Containers.ListStream") == 1
