"""Where a runtime keeps images, content and containers' layers: as CRI and containerd's plugins say it."""

from collections.abc import Callable

import grpc
import pytest

from cleaner.core.disk_usage import Filesystem
from cleaner.core.errors import RuntimeRejectedError
from cleaner.runtime.client import CriRuntime
from support.crio_server import CrioServer

Connect = Callable[..., CriRuntime]
ROOT = "/var/lib/containerd"
OVERLAY = "io.containerd.snapshotter.v1.overlayfs"
CONTENT = "io.containerd.content.v1.content"
STORAGE = "/var/lib/containers/storage"


def test_what_containerd_says(containerd: CrioServer, connect: Connect) -> None:
    """Images and containers as CRI names them, the content store as its plugin exports it; others do not count."""
    containerd.mountpoints = containerd.container_mountpoints = (f"{ROOT}/{OVERLAY}",)
    containerd.roots |= {
        CONTENT: f"{ROOT}/{CONTENT}",
        OVERLAY: f"{ROOT}/{OVERLAY}",
        "io.containerd.metadata.v1.bolt": "/elsewhere",
    }
    assert connect(containerd).read_filesystems() == {
        Filesystem.IMAGES: f"{ROOT}/{OVERLAY}",
        Filesystem.CONTENT: f"{ROOT}/{CONTENT}",
        Filesystem.CONTAINERS: f"{ROOT}/{OVERLAY}",
    }


def test_a_root_of_its_own_comes_first(containerd: CrioServer, connect: Connect) -> None:
    """Before version 2 CRI names the usual place, also where `root_path` is another: the export is right."""
    containerd.mountpoints = (f"{ROOT}/{OVERLAY}",)
    containerd.roots |= {OVERLAY: "/fast/snapshots", "io.containerd.snapshotter.v1.native": "/slow"}
    assert connect(containerd).read_filesystems() == {Filesystem.IMAGES: "/fast/snapshots"}


def test_an_export_that_is_missing(containerd: CrioServer, connect: Connect) -> None:
    """A plugin that does not say where it lies is ignored, and CRI's answer is used."""
    containerd.mountpoints = (f"{ROOT}/{OVERLAY}",)
    containerd.roots |= {OVERLAY: None, CONTENT: None}
    assert connect(containerd).read_filesystems() == {Filesystem.IMAGES: f"{ROOT}/{OVERLAY}"}


def test_what_crio_says(crio: CrioServer, connect: Connect) -> None:
    """CRI-O has no such service: there is what CRI names, containers' filesystem too."""
    crio.mountpoints, crio.container_mountpoints = (f"{STORAGE}/overlay-images",), (f"{STORAGE}/overlay-containers",)
    assert connect(crio).read_filesystems() == {
        Filesystem.IMAGES: f"{STORAGE}/overlay-images",
        Filesystem.CONTAINERS: f"{STORAGE}/overlay-containers",
    }


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED])
def test_a_containerd_without_the_service(containerd: CrioServer, connect: Connect, code: grpc.StatusCode) -> None:
    """Where introspection is not offered, or knows nothing, CRI's answer is used."""
    containerd.mountpoints = (f"{ROOT}/{OVERLAY}",)
    containerd.fail("Introspection.Plugins", code)
    assert connect(containerd).read_filesystems() == {Filesystem.IMAGES: f"{ROOT}/{OVERLAY}"}


def test_a_failure_of_introspection_is_a_failure(containerd: CrioServer, connect: Connect) -> None:
    """Any other failure is an error: otherwise half of the filesystems would count as all."""
    containerd.fail("Introspection.Plugins", grpc.StatusCode.INTERNAL)
    with pytest.raises(RuntimeRejectedError, match="Plugins"):
        connect(containerd).read_filesystems()
