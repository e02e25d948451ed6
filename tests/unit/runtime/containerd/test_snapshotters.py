"""Which snapshotters a containerd has beside that of the images, and where their roots lie."""

from collections.abc import Callable

import grpc
import pytest

from cleaner.core.disk_usage import Filesystem
from cleaner.core.errors import RuntimeRejectedError
from cleaner.runtime.client import CriRuntime
from support.containerd_services import NotLoaded
from support.crio_server import CrioServer

Connect = Callable[..., CriRuntime]
ROOT = "/var/lib/containerd"
KIND = "io.containerd.snapshotter.v1"
USUAL = f"{ROOT}/{KIND}.overlayfs"


@pytest.mark.parametrize(
    ("roots", "further"),
    [
        ({"overlayfs": USUAL}, {}),
        ({"overlayfs": USUAL, "native": "/fast/native"}, {"native": "/fast/native"}),
        ({"overlayfs": USUAL, "native": None}, {"native": ""}),
        ({"overlayfs": None, "native": f"{ROOT}/{KIND}.native"}, {"native": f"{ROOT}/{KIND}.native"}),
        ({"overlayfs": USUAL, "zfs": NotLoaded(f"{ROOT}/{KIND}.zfs"), "btrfs": "/b"}, {"btrfs": "/b"}),
        ({"overlayfs": USUAL, "devmapper": None, "stargz": "/s", "blockfile": "/f"}, {}),
    ],
    ids=["none", "a root of its own", "without a root", "usual place", "not loaded", "not to be trusted"],
)
def test_further_snapshotters(
    containerd: CrioServer, connect: Connect, roots: dict[str, str | NotLoaded | None], further: dict[str, str]
) -> None:
    """Those that are loaded, other than that of the images, and whose usage is files on a disk."""
    containerd.roots |= {f"{KIND}.{name}": root for name, root in roots.items()}
    containerd.roots["io.containerd.content.v1.content"] = "/content"
    assert connect(containerd).snapshotters.read_roots(USUAL) == further


def test_a_root_that_is_that_of_the_images(containerd: CrioServer, connect: Connect) -> None:
    """With a `root_path` of its own the snapshotter of the images is known by its root, whatever its folder's name."""
    containerd.roots |= {f"{KIND}.overlayfs": "/fast/snapshots", f"{KIND}.native": "/slow"}
    assert connect(containerd).snapshotters.read_roots("/fast/snapshots") == {"native": "/slow"}


def test_what_crio_has(crio: CrioServer, connect: Connect) -> None:
    """CRI-O has no snapshotters."""
    assert connect(crio).snapshotters.read_roots("/var/lib/containers/storage/overlay-images") == {}


def test_a_failure_of_introspection_is_a_failure(containerd: CrioServer, connect: Connect) -> None:
    """Otherwise bytes of a further snapshotter would count for the filesystem of the images."""
    containerd.fail("Introspection.Plugins", grpc.StatusCode.INTERNAL)
    with pytest.raises(RuntimeRejectedError, match="Plugins"):
        connect(containerd).snapshotters.read_roots(USUAL)


def test_places(containerd: CrioServer, connect: Connect) -> None:
    """Before snapshotters are placed, and for an unknown name, all snapshots lie with the images."""
    snapshotters = connect(containerd).snapshotters
    assert (snapshotters.filesystem_of("native"), list(snapshotters.further)) == (Filesystem.IMAGES, [])
    snapshotters.place({"native": Filesystem.SNAPSHOTS, "zfs": None})
    assert [snapshotters.filesystem_of(name) for name in ("native", "zfs", "overlayfs")] == [
        Filesystem.SNAPSHOTS,
        None,
        Filesystem.IMAGES,
    ]
    assert set(snapshotters.further) == {"native", "zfs"}
