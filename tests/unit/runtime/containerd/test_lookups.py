"""Blobs and snapshots are looked up by name, and every answer is about what was asked for."""

from collections.abc import Callable

import pytest

from cleaner.core.errors import RuntimeRejectedError
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.containerd.lookups import find_blobs, find_snapshots
from support.containerd_services import Blob, Snapshot
from support.crio_server import CrioServer

Connect = Callable[..., CriRuntime]


def serve(server: CrioServer) -> None:
    server.namespaces["k8s.io"].blobs = [Blob("sha256:a"), Blob("sha256:b")]
    server.namespaces["k8s.io"].snapshots = [Snapshot("one"), Snapshot("two", snapshotter="native")]


def test_found(containerd: CrioServer, connect: Connect) -> None:
    """What is there comes in the order of the names, and None for what is not."""
    serve(containerd)
    api = connect(containerd)._containerd_api
    blobs = find_blobs(api, ["sha256:b", "sha256:c", "sha256:a"])
    assert [blob and blob.digest for blob in blobs] == ["sha256:b", None, "sha256:a"]
    snapshots = find_snapshots(api, "overlayfs", ["two", "one"])
    assert [snapshot and snapshot.name for snapshot in snapshots] == [None, "one"]
    assert find_blobs(api, []) == find_snapshots(api, "overlayfs", []) == []


@pytest.mark.parametrize("other", ["other", ""])
def test_answer_about_another(containerd: CrioServer, connect: Connect, other: str) -> None:
    """An answer about another blob or snapshot, or about none, is an error."""
    serve(containerd)
    containerd.namespaces["k8s.io"].mistaken = {"sha256:b": other, "one": other}
    api = connect(containerd)._containerd_api
    with pytest.raises(RuntimeRejectedError, match=f"Content.Info: asked about sha256:b, it answers about {other}"):
        find_blobs(api, ["sha256:a", "sha256:b"])
    with pytest.raises(RuntimeRejectedError, match=f"Snapshots.Stat: asked about one, it answers about {other}"):
        find_snapshots(api, "overlayfs", ["one"])
