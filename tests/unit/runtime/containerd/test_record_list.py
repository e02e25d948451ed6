"""Image records are listed in parts where one message cannot hold them."""

from collections.abc import Callable
from datetime import UTC, datetime

import grpc
import pytest

from cleaner.core.errors import RuntimeRejectedError
from cleaner.core.model import Container
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.containerd.record_list import list_records, list_records_of
from cleaner.runtime.rpc import CallRejectedError, MissingApiError
from support.containerd_services import OwnContainer
from support.crio_server import CrioServer, Record, ServedImage

Code = grpc.StatusCode
Connect = Callable[..., CriRuntime]

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
DIGITS = "0123456789abcdef"
ODD = ("sha256:", "sha256", "", "sha256:A1", "sha256:0", "sha256:0-", "odd+b64:Zz", "a:b:c")
"""Targets that are no digests; `sha256:0` has one digit only."""


def serve(server: CrioServer, *targets: str) -> None:
    server.records = {f"name{number}": Record(f"name{number}", target) for number, target in enumerate(targets)}


def names_listed(runtime: CriRuntime) -> list[str]:
    return [record.name for record in list_records(runtime._containerd_api)]


def test_one_message(containerd: CrioServer, connect: Connect) -> None:
    """Records that fit into one message are listed once, without a filter."""
    serve(containerd, "sha256:a1", "sha256:b1")
    assert names_listed(connect(containerd)) == ["name0", "name1"]
    assert containerd.count("Images.List") == 1


def test_none(containerd: CrioServer, connect: Connect) -> None:
    """Without records the list is empty, also where containerd says that there is nothing."""
    runtime = connect(containerd)
    assert names_listed(runtime) == []
    containerd.fail("Images.List", Code.NOT_FOUND)
    assert names_listed(runtime) == []


@pytest.mark.parametrize("most", [8, 40, 262, 263])
def test_parts(containerd: CrioServer, connect: Connect, most: int) -> None:
    """However few a message holds, each record is listed once, also one whose target is no digest."""
    serve(containerd, *(f"sha256:{one}{other}" for one in DIGITS for other in DIGITS), *ODD[1:])
    every = list(containerd.records)  # type: ignore[arg-type]
    containerd.most_records = most
    assert sorted(names_listed(connect(containerd))) == sorted(every)


def test_each_odd_target(containerd: CrioServer, connect: Connect) -> None:
    """A target of any form is in exactly one part."""
    for target in ODD:
        serve(containerd, target, *(f"sha256:{digit}{digit}" for digit in DIGITS))
        containerd.most_records = 16
        assert sorted(names_listed(connect(containerd))) == sorted(containerd.records or ())


def test_requests(containerd: CrioServer, connect: Connect) -> None:
    """Only a part that is too large is split further."""
    serve(containerd, *(f"sha256:a{digit}" for digit in DIGITS), "sha256:00")
    containerd.most_records = 10
    assert len(names_listed(connect(containerd))) == 17
    assert containerd.count("Images.List") == 1 + 17 + 17


def test_smallest_part_too_large(containerd: CrioServer, connect: Connect) -> None:
    """Records that no part can hold are an error, at once: a part is not taken for the whole."""
    serve(containerd, "sha256:000", "sha256:001")
    containerd.most_records = 1
    with pytest.raises(CallRejectedError) as raised:
        names_listed(connect(containerd))
    assert raised.value.too_large
    assert containerd.count("Images.List") == 5


def test_other_failures(containerd: CrioServer, connect: Connect, crio: CrioServer) -> None:
    """Another failure is an error, and so is a missing API: neither is asked about in parts."""
    containerd.fail("Images.List", Code.INTERNAL)
    with pytest.raises(RuntimeRejectedError, match="INTERNAL"):
        names_listed(connect(containerd))
    assert containerd.count("Images.List") == 1
    with pytest.raises(MissingApiError):
        names_listed(connect(crio))


def test_of_targets(containerd: CrioServer, connect: Connect) -> None:
    """Records of given targets are asked for in halves where they are too large together."""
    serve(containerd, *(f"sha256:{digit}" for digit in DIGITS[:5]), "sha256:x")
    api = connect(containerd)._containerd_api
    targets = [f"sha256:{digit}" for digit in DIGITS[:5]]
    containerd.most_records = 2
    assert [record.target.digest for record in list_records_of(api, targets)] == targets
    assert containerd.count("Images.List") == 1 + 2 + 2
    assert list_records_of(api, []) == ()
    containerd.most_records = 0
    with pytest.raises(CallRejectedError, match="RESOURCE_EXHAUSTED"):
        list_records_of(api, targets)


# What needs the list


def serve_image(server: CrioServer) -> None:
    """One image with two records."""
    server.images = {"sha256:c1": ServedImage("sha256:c1", ("app:1",))}
    server.records = {name: Record(name, "sha256:a1", NOON, NOON) for name in ("sha256:c1", "app:1")}


@pytest.mark.parametrize("most", [1, 0])
def test_images(containerd: CrioServer, connect: Connect, most: int) -> None:
    """Records that are too large do not end the list of images, and pull times are those of the final check."""
    serve_image(containerd)
    containerd.most_records = most
    runtime = connect(containerd)
    [image] = runtime.list_images()
    assert image.pulled_at == NOON
    assert runtime.read_image(image.id) == image


def test_layers(containerd: CrioServer, connect: Connect) -> None:
    """The reference graph is read from parts, and not at all where a part is too large."""
    serve_image(containerd)
    containerd.records |= {"b": Record("b", "sha256:b1")}  # type: ignore[operator]
    containerd.most_records = 2
    runtime = connect(containerd)
    images = runtime.list_images()
    assert runtime.read_layers(images) is not None
    containerd.most_records = 1
    assert runtime.read_layers(images) is None
    assert "RESOURCE_EXHAUSTED" in str(runtime.layers_error)


def test_containers(containerd: CrioServer, connect: Connect) -> None:
    """Names of the images of containers outside CRI are read in parts."""
    serve_image(containerd)
    containerd.records |= {"b": Record("b", "sha256:b1")}  # type: ignore[operator]
    containerd.namespaces["k8s.io"].containers = [OwnContainer("n", "b"), OwnContainer("m", "app:1")]
    containerd.most_records = 2
    assert connect(containerd).list_containers() == (
        Container("m", frozenset({"sha256:c1", "app:1", "sha256:a1"})),
        Container("n", frozenset({"b", "sha256:b1"})),
    )
