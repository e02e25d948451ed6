"""Containers outside CRI use the image whose snapshots they run from, whatever their tag says today."""

from collections.abc import Callable

import grpc
import pytest

from cleaner.core.errors import RuntimeUnavailableError
from cleaner.runtime.client import CriRuntime
from support.containerd_services import Blob, OwnContainer, Snapshot
from support.crio_server import CrioServer, Record, ServedContainer, ServedImage

Code = grpc.StatusCode
Connect = Callable[..., CriRuntime]

TAG = "registry.example/app:1"
OLD, NEW, BASE, TWIN = ("sha256:" + pair * 32 for pair in ("c1", "c2", "c3", "c4"))
BOTTOM, OLD_TOP, NEW_TOP = ("sha256:" + pair * 32 for pair in ("b0", "b1", "b2"))
REMAPPED = f"{OLD_TOP}-100000-100000"
NAMES_OF_TAG = {TAG, NEW, f"{NEW}-target"}


def top(image_id: str, snapshot: str, snapshotter: str = "overlayfs") -> Blob:
    """The config of an image that is unpacked to this snapshot."""
    return Blob(image_id, labels={f"containerd.io/gc.ref.snapshot.{snapshotter}": snapshot})


def serve(server: CrioServer, *containers: OwnContainer) -> None:
    """An old image, and a new one that has its tag now; both over one bottom layer, which is no image."""
    server.images = {OLD: ServedImage(OLD), NEW: ServedImage(NEW, (TAG,))}
    server.records = {
        name: Record(name, f"{image_id}-target") for name, image_id in ((OLD, OLD), (NEW, NEW), (TAG, NEW))
    }
    namespace = server.namespaces["k8s.io"]
    namespace.blobs = [top(OLD, OLD_TOP), top(NEW, NEW_TOP)]
    namespace.snapshots = [
        Snapshot(BOTTOM),
        Snapshot(OLD_TOP, BOTTOM),
        Snapshot(NEW_TOP, BOTTOM),
        Snapshot(REMAPPED, OLD_TOP),
        Snapshot("old", OLD_TOP),
        Snapshot("remapped", REMAPPED),
        Snapshot("new", NEW_TOP),
        Snapshot("bottom", BOTTOM),
    ]
    namespace.containers = list(containers)


def used(runtime: CriRuntime) -> dict[str, frozenset[str]]:
    """What each container uses, after a list of images, as in a sweep."""
    runtime.list_images()
    return {container.id: container.image_names for container in runtime.list_containers()}


@pytest.mark.parametrize(("snapshot", "image_id"), [("old", OLD), ("remapped", OLD), (OLD_TOP, OLD), ("new", NEW)])
def test_it_uses_what_it_runs(containerd: CrioServer, connect: Connect, snapshot: str, image_id: str) -> None:
    """A container uses the image that its snapshot lies on, also below a snapshot of a user namespace, and no other."""
    serve(containerd, OwnContainer("n", TAG, snapshot))
    assert used(connect(containerd)) == {"n": {image_id}}


def test_images_with_the_same_layers(containerd: CrioServer, connect: Connect) -> None:
    """Images that differ in their configs only are all in use."""
    serve(containerd, OwnContainer("n", TAG, "old"))
    containerd.images[TWIN] = ServedImage(TWIN)
    containerd.namespaces["k8s.io"].blobs.append(top(TWIN, OLD_TOP))
    assert used(connect(containerd)) == {"n": {OLD, TWIN}}


@pytest.mark.parametrize(
    "container",
    [
        OwnContainer("n", TAG),
        OwnContainer("n", TAG, "gone"),
        OwnContainer("n", TAG, "old", snapshotter=""),
        OwnContainer("n", TAG, "old", snapshotter="unknown"),
        OwnContainer("n", TAG, "bottom"),
    ],
)
def test_no_image_is_found(containerd: CrioServer, connect: Connect, container: OwnContainer) -> None:
    """A container whose snapshots lead to no image uses all names of the image that has its tag."""
    serve(containerd, container)
    containerd.namespaces["k8s.io"].unloaded = {"unknown"}
    assert used(connect(containerd)) == {"n": NAMES_OF_TAG}


def test_its_image_is_gone(containerd: CrioServer, connect: Connect) -> None:
    """An image that only shares lower layers does not replace the image of the container's tag: both are in use."""
    serve(containerd, OwnContainer("n", TAG, "old"))
    containerd.images = {BASE: ServedImage(BASE), NEW: ServedImage(NEW, (TAG,))}
    containerd.namespaces["k8s.io"].blobs = [top(BASE, BOTTOM), top(NEW, NEW_TOP)]
    assert used(connect(containerd)) == {"n": NAMES_OF_TAG | {BASE}}


def test_its_image_was_removed(containerd: CrioServer, connect: Connect) -> None:
    """An image that is listed no longer is not known to be the container's."""
    serve(containerd, OwnContainer("n", TAG, "old"))
    runtime = connect(containerd)
    assert used(runtime) == {"n": {OLD}}
    del containerd.images[OLD]
    assert used(runtime) == {"n": NAMES_OF_TAG}


def test_its_image_is_back(containerd: CrioServer, connect: Connect) -> None:
    """An image that is there again is found by the next list."""
    serve(containerd, OwnContainer("n", TAG, "old"))
    both, blobs = containerd.images, containerd.namespaces["k8s.io"].blobs
    containerd.images, containerd.namespaces["k8s.io"].blobs = {NEW: both[NEW]}, blobs[1:]
    runtime = connect(containerd)
    assert used(runtime) == {"n": NAMES_OF_TAG}
    containerd.images, containerd.namespaces["k8s.io"].blobs = both, blobs
    assert used(runtime) == {"n": {OLD}}


def test_an_image_that_was_unpacked_later(containerd: CrioServer, connect: Connect) -> None:
    """An image that was not unpacked when it was first read is read again for a new container."""
    serve(containerd, OwnContainer("m", TAG, "new"))
    containerd.namespaces["k8s.io"].blobs = [Blob(OLD), top(NEW, NEW_TOP)]
    runtime = connect(containerd)
    assert used(runtime) == {"m": {NEW}}
    serve(containerd, OwnContainer("m", TAG, "new"), OwnContainer("n", TAG, "old"))
    assert used(runtime) == {"m": {NEW}, "n": {OLD}}


def test_another_snapshotter(containerd: CrioServer, connect: Connect) -> None:
    """Snapshots of the same name in two snapshotters are two."""
    serve(containerd, OwnContainer("n", TAG, "other", snapshotter="native"))
    containerd.namespaces["k8s.io"].blobs = [top(OLD, OLD_TOP), top(NEW, OLD_TOP, "native")]
    containerd.namespaces["k8s.io"].snapshots += [
        Snapshot("other", OLD_TOP, snapshotter="native"),
        Snapshot(OLD_TOP, snapshotter="native"),
    ]
    assert used(connect(containerd)) == {"n": {NEW}}


def test_snapshots_in_a_circle(containerd: CrioServer, connect: Connect) -> None:
    """Parents in a circle, which no containerd tells, end the walk."""
    serve(containerd, OwnContainer("n", TAG, "x"))
    containerd.namespaces["k8s.io"].snapshots = [Snapshot("x", "y"), Snapshot("y", "x")]
    assert used(connect(containerd)) == {"n": NAMES_OF_TAG}


def test_what_never_changes_is_read_once(containerd: CrioServer, connect: Connect) -> None:
    """Parents and tops are read once, for all containers; without one nothing is read."""
    serve(containerd)
    runtime = connect(containerd)
    used(runtime)
    assert containerd.count("Content.Info") == 1, "of the only image with a reference, as evidence"
    serve(containerd, OwnContainer("m", TAG, "new"), OwnContainer("n", TAG, "old"))
    used(runtime)
    containerd.calls.clear()
    assert used(runtime) == {"m": {NEW}, "n": {OLD}}
    assert (containerd.count("Content.Info"), containerd.count("Snapshots.Stat")) == (0, 0)


def test_what_is_gone_is_dropped(containerd: CrioServer, connect: Connect) -> None:
    """A container of the same id and snapshot may be another one later: nothing of the first is kept."""
    serve(containerd, OwnContainer("n", TAG, "old"))
    runtime = connect(containerd)
    used(runtime)
    serve(containerd)
    used(runtime)
    serve(containerd, OwnContainer("n", TAG, "old"))
    containerd.namespaces["k8s.io"].snapshots = [Snapshot("old", NEW_TOP)]
    assert used(runtime) == {"n": {NEW}}


@pytest.mark.parametrize(
    ("method", "code", "error"),
    [
        ("Snapshots.Stat", Code.DEADLINE_EXCEEDED, RuntimeUnavailableError),
        ("Content.Info", Code.DEADLINE_EXCEEDED, RuntimeUnavailableError),
    ],
)
def test_failing_read(
    containerd: CrioServer, connect: Connect, method: str, code: grpc.StatusCode, error: type[Exception]
) -> None:
    """A read that fails is an error: the container may use any image."""
    serve(containerd, OwnContainer("n", TAG, "old"))
    runtime = connect(containerd)
    runtime.list_images()
    containerd.fail(method, code)
    with pytest.raises(error, match=method):
        runtime.list_containers()


@pytest.mark.parametrize("service", ["snapshots.v1.Snapshots", "content.v1.Content"])
def test_missing_service(containerd: CrioServer, connect: Connect, service: str) -> None:
    """Without one of the services the names of the tag are what is known."""
    serve(containerd, OwnContainer("n", TAG, "old"))
    method = {"snapshots.v1.Snapshots": "Snapshots.Stat", "content.v1.Content": "Content.Info"}[service]
    containerd.fail(method, Code.UNIMPLEMENTED, f"unknown service containerd.services.{service}")
    assert used(connect(containerd)) == {"n": NAMES_OF_TAG}


@pytest.mark.parametrize("about", [OLD, NEW])
def test_an_unreadable_config_keeps_its_image_alone(containerd: CrioServer, connect: Connect, about: str) -> None:
    """One image whose config cannot be read may be any container's; the list of containers is there all the same."""
    serve(containerd, OwnContainer("n", TAG, "old"))
    containerd.fail("Content.Info", Code.INTERNAL, about=about)
    uses = used(connect(containerd))["n"]
    assert {OLD, about} <= uses


def test_a_snapshotter_that_answers_with_an_error(containerd: CrioServer, connect: Connect) -> None:
    """Its containers may run any image that is unpacked to it; images of other snapshotters are not theirs."""
    serve(containerd, OwnContainer("n", TAG, "old"))
    containerd.images[BASE] = ServedImage(BASE)
    containerd.records = {**(containerd.records or {}), BASE: Record(BASE, f"{BASE}-target")}
    containerd.namespaces["k8s.io"].blobs.append(top(BASE, BOTTOM, "native"))
    containerd.fail("Snapshots.Stat", Code.INTERNAL)
    uses = used(connect(containerd))["n"]
    assert {OLD, NEW, TAG} <= uses
    assert BASE not in uses


@pytest.mark.parametrize("name", ["", TAG])
def test_a_listed_container_without_an_id_of_its_image(containerd: CrioServer, connect: Connect, name: str) -> None:
    """A container that CRI lists without an id or digest of its image uses the image whose snapshots it runs from."""
    serve(containerd, OwnContainer("n", TAG, "old"))
    containerd.containers["n"] = ServedContainer("n", image=name)
    runtime = connect(containerd)
    runtime.list_images()
    uses = frozenset[str]().union(*(one.image_names for one in runtime.list_containers() if one.id == "n"))
    assert OLD in uses


def test_a_store_that_rejects_everything_is_not_asked_for_ever(containerd: CrioServer, connect: Connect) -> None:
    """Each batch gives up after so many errors, and its images are local."""
    many = [f"sha256:{number:064}" for number in range(1000)]
    containerd.images = {i: ServedImage(i, (f"registry.example/app:{i[-4:]}",)) for i in many}
    containerd.records = {name: Record(name, i) for i in many for name in (i, f"registry.example/app:{i[-4:]}")}
    containerd.fail("Content.Info", Code.INTERNAL)
    assert all(image.local for image in connect(containerd).list_images())
    assert containerd.count("Content.Info") <= 40 * 64
