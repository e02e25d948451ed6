"""containerd's reference graph, as its own API tells it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from cleaner.core.disk_usage import Filesystem
from cleaner.core.errors import RuntimeUnavailableError
from cleaner.core.reclaim import NOTHING, Layers, Size, blob_size, reclaimable
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.pb import containerd_snapshots_pb2 as snapshots_pb
from support.containerd_services import Blob, Lease, Namespace, OwnContainer, Snapshot
from support.crio_server import CrioServer, Record, ServedImage

Code = grpc.StatusCode
Connect = Callable[..., CriRuntime]

GC = "containerd.io/gc."
TAG = "registry.example/app:1"
ID = "sha256:c1"
TOP = "snapshot:overlayfs:top"
BASE = "snapshot:overlayfs:base"
SERVICES = [
    "Images.List",
    "Leases.List",
    "Containers.List",
    "Content.List",
    "Snapshots.List",
    "Snapshots.Usage",
    "Namespaces.List",
]


def content(name: str = "1", snapshotter: str = "overlayfs") -> list[Blob]:
    """An image of two layers: manifest, config, layers; its snapshots are `top` over `base`."""
    manifest = {f"{GC}ref.content.config": f"c{name}", f"{GC}ref.content.l.0": "l0", f"{GC}ref.content.l.1": "l1"}
    config = {f"{GC}ref.snapshot.{snapshotter}": "top"}
    return [Blob(f"m{name}", 1, manifest), Blob(f"c{name}", 4096, config), Blob("l0", 4097), Blob("l1", 9000)]


def fill(server: CrioServer) -> Namespace:
    """One image, by tag and id."""
    server.images = {ID: ServedImage(ID, (TAG,))}
    server.records = {name: Record(name, "m1") for name in (ID, TAG)}
    own = server.namespaces["k8s.io"]
    own.blobs = content()
    own.snapshots = [Snapshot("base", size=100_000, inodes=7), Snapshot("top", "base", size=8192, inodes=2)]
    return own


def read(runtime: CriRuntime) -> Layers:
    layers = runtime.read_layers(runtime.list_images())
    assert layers is not None, runtime.layers_error
    return layers


def test_graph_of_an_image(containerd: CrioServer, connect: Connect) -> None:
    """Blobs are rounded up to blocks, snapshots have their own directories, and labels and parents are edges."""
    fill(containerd)
    assert read(connect(containerd)) == Layers(
        sizes={
            "blob:m1": blob_size(4096),
            "blob:c1": blob_size(4096),
            "blob:l0": blob_size(8192),
            "blob:l1": blob_size(12288),
            BASE: Size(100_000 + 8192, 7 + 2),
            TOP: Size(8192 + 8192, 2 + 2),
        },
        edges={"blob:m1": ("blob:c1", "blob:l0", "blob:l1"), "blob:c1": (TOP,), TOP: (BASE,)},
        images={ID: frozenset({"blob:m1"})},
        containers=frozenset(),
        other_namespaces=frozenset(),
        unlisted=frozenset(),
        metadata=frozenset({"blob:m1", "blob:c1"}),
        complete=True,
    )


def test_empty_blob(containerd: CrioServer, connect: Connect) -> None:
    """An empty blob takes an inode only."""
    fill(containerd).blobs.append(Blob("empty", 0))
    assert read(connect(containerd)).sizes["blob:empty"] == blob_size(0)


def test_native_snapshots(containerd: CrioServer, connect: Connect) -> None:
    """The usage of a native snapshot is all of it."""
    own = fill(containerd)
    own.blobs = content(snapshotter="native")
    own.snapshots = [Snapshot("top", size=5000, inodes=2, snapshotter="native")]
    assert read(connect(containerd)).sizes["snapshot:native:top"] == Size(5000, 2)


@pytest.mark.parametrize(
    ("filesystem", "size"),
    [
        (Filesystem.IMAGES, Size(5000, 2)),
        (Filesystem.CONTENT, Size(5000, 2, content_bytes=5000, content_inodes=2)),
        (Filesystem.SNAPSHOTS, Size(5000, 2, apart_bytes=5000, apart_inodes=2)),
    ],
)
def test_snapshots_count_for_the_filesystem_that_has_them(
    containerd: CrioServer, connect: Connect, filesystem: Filesystem, size: Size
) -> None:
    """A snapshot's size is that of the filesystem of its snapshotter, in each namespace, as it is known by then."""
    own = fill(containerd)
    own.blobs += content("2", snapshotter="native")[:2]
    own.snapshots.append(Snapshot("top", size=5000, inodes=2, snapshotter="native"))
    containerd.namespaces["moby"] = Namespace(blobs=content(snapshotter="native"), snapshots=own.snapshots[-1:])
    runtime = connect(containerd)
    assert read(runtime).sizes["snapshot:native:top"] == Size(5000, 2)
    runtime.snapshotters.place({"native": filesystem})
    layers = read(runtime)
    assert layers.sizes["snapshot:native:top"] == layers.sizes["snapshot:moby:native:top"] == size
    assert layers.sizes[TOP] == Size(16384, 4)
    assert layers.unmeasured_snapshotters == frozenset()
    assert containerd.count("Snapshots.Usage") == 4, "each once"


def test_snapshots_on_a_filesystem_that_is_not_measured(containerd: CrioServer, connect: Connect) -> None:
    """They take nothing and are not asked for; what they hold stays held, and the graph says whose they are."""
    own = fill(containerd)
    own.blobs += content("2", snapshotter="native")[:2]
    own.snapshots += [replace(one, snapshotter="native") for one in own.snapshots]
    runtime = connect(containerd)
    runtime.snapshotters.place({"native": None, "zfs": None})
    layers = read(runtime)
    assert layers.sizes["snapshot:native:top"] == layers.sizes["snapshot:native:base"] == NOTHING
    assert layers.edges["snapshot:native:top"] == ("snapshot:native:base",)
    assert layers.unmeasured_snapshotters == {"native"}
    assert layers.complete
    assert containerd.count("Snapshots.Usage") == 2


def test_usage_is_read_once(containerd: CrioServer, connect: Connect) -> None:
    """The usage of a committed snapshot never changes, so it is asked for once, and again once it was removed."""
    own = fill(containerd)
    runtime = connect(containerd)
    assert read(runtime) == read(runtime)
    assert containerd.count("Snapshots.Usage") == 2
    top = own.snapshots.pop()
    assert TOP not in read(runtime).sizes
    own.snapshots.append(top)
    assert read(runtime).sizes[TOP] == Size(16384, 4)
    assert containerd.count("Snapshots.Usage") == 3


def test_many_snapshots(containerd: CrioServer, connect: Connect) -> None:
    """However many snapshots there are, each gets its own usage."""
    own = fill(containerd)
    own.snapshots = [Snapshot(str(number), size=number) for number in range(501)]
    sizes = read(connect(containerd)).sizes
    assert [sizes[f"snapshot:overlayfs:{number}"].bytes - 8192 for number in range(501)] == list(range(501))


def test_snapshot_gone_after_the_list(containerd: CrioServer, connect: Connect) -> None:
    """A snapshot that is removed before its usage is read has no size."""
    fill(containerd).gone.add("base")
    layers = read(connect(containerd))
    assert BASE not in layers.sizes
    assert TOP in layers.sizes


def test_records(containerd: CrioServer, connect: Connect) -> None:
    """An image has all targets of its names; a record of no image is unlisted, an odd name of its target is not."""
    fill(containerd)
    for record in (Record(TAG, "m2"), Record("An Odd Name", "m2"), Record("other", "m9")):
        containerd.records[record.name] = record  # type: ignore[index]
    layers = read(connect(containerd))
    assert layers.images == {ID: frozenset({"blob:m1", "blob:m2"})}
    assert layers.unlisted == {"blob:m9"}


def test_image_without_records(containerd: CrioServer, connect: Connect) -> None:
    """An image that has no record any more reaches nothing."""
    fill(containerd)
    containerd.records = {}
    assert read(connect(containerd)).images == {ID: frozenset()}


def test_record_with_references(containerd: CrioServer, connect: Connect) -> None:
    """What a record's own labels reference, and what names the record as its holder, is freed with the image."""
    own = fill(containerd)
    containerd.records = {ID: Record(ID, "m1", labels={f"{GC}ref.content.signature": "s1"}), TAG: Record(TAG, "m1")}
    own.blobs += [Blob("s1", 1), Blob("s2", 1, {f"{GC}bref.image": TAG})]
    layers = read(connect(containerd))
    assert reclaimable(layers, [ID]).inodes == 4 + 9 + 4 + 2


def test_containers(containerd: CrioServer, connect: Connect) -> None:
    """Containers keep their snapshots, and what their labels or back references say."""
    own = fill(containerd)
    own.snapshots += [Snapshot("live", "top", snapshots_pb.ACTIVE), Snapshot("volume", "base", snapshots_pb.VIEW)]
    own.containers = [
        OwnContainer("c", snapshot="live"),
        OwnContainer("d", snapshot="gone", labels={f"{GC}ref.content": "l1"}),
        OwnContainer("rootfs", snapshotter=""),
    ]
    own.blobs.append(Blob("b", 1, {f"{GC}bref.container": "c"}))
    layers = read(connect(containerd))
    assert {"snapshot:overlayfs:live", "snapshot:overlayfs:volume", "snapshot:overlayfs:gone"} <= layers.containers
    assert layers.edges["snapshot:overlayfs:live"] == (TOP,)
    assert "snapshot:overlayfs:live" not in layers.sizes
    assert reclaimable(layers, [ID]).inodes == 3, "all but the layer that d keeps, and the snapshots"
    assert layers.edges["container:c"] == ("blob:b",)


def test_leases(containerd: CrioServer, connect: Connect) -> None:
    """Leases keep blobs and snapshots, also those that are being unpacked to; other kinds keep nothing."""
    own = fill(containerd)
    own.snapshots.append(Snapshot("unpacking", "base", snapshots_pb.ACTIVE))
    kinds = {"l0": "content", "unpacking": "snapshots/overlayfs", "i": "ingests", TAG: "images"}
    own.leases = [Lease("pull", kinds), Lease("empty")]
    layers = read(connect(containerd))
    assert layers.unlisted == {"blob:l0", "snapshot:overlayfs:unpacking"}
    assert layers.containers == frozenset()
    assert reclaimable(layers, [ID]).inodes == 3 + 4


@pytest.mark.parametrize(("hours", "kept"), [(-1, False), (1, True)])
def test_lease_that_ends(containerd: CrioServer, connect: Connect, hours: int, kept: bool) -> None:
    """A lease keeps its resources until it ends."""
    end = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fill(containerd).leases = [Lease("a", {"l0": "content"}, {f"{GC}expire": end})]
    assert ("blob:l0" in read(connect(containerd)).unlisted) is kept


def test_lease_with_an_unreadable_end(containerd: CrioServer, connect: Connect) -> None:
    """A lease whose end cannot be read still keeps its resources, as it does for containerd."""
    fill(containerd).leases = [Lease("a", {"l0": "content"}, {f"{GC}expire": "soon"})]
    assert "blob:l0" in read(connect(containerd)).unlisted


def test_lease_gone_after_the_list(containerd: CrioServer, connect: Connect) -> None:
    """A lease that is removed before its resources are read keeps nothing."""
    own = fill(containerd)
    own.leases = [Lease("a", {"l0": "content"}), Lease("b", {"l1": "content"})]
    own.gone.add("a")
    assert read(connect(containerd)).unlisted == {"blob:l1"}


@pytest.mark.parametrize("moment", [*SERVICES, "Leases.ListResources"])
def test_pull_that_ends_meanwhile(containerd: CrioServer, connect: Connect, moment: str) -> None:
    """What an image shares with a pull that ends while the graph is read stays, before whichever call it ends."""
    own = fill(containerd)
    own.blobs += content("2")[:2]
    own.leases = [Lease("pull", {"m2": "content"})]
    runtime = connect(containerd)
    images = runtime.list_images()

    def end_pull(method: str) -> None:
        if method == moment:
            containerd.records = {**(containerd.records or {}), "new": Record("new", "m2")}
            own.leases = []

    containerd.before_call = end_pull
    layers = runtime.read_layers(images)
    assert layers is not None
    assert reclaimable(layers, [ID]).inodes == 2, "its manifest and config"


def test_flat_lease(containerd: CrioServer, connect: Connect) -> None:
    """A flat lease keeps a manifest, and nothing that this refers to."""
    own = fill(containerd)
    own.leases = [Lease("a", {"m1": "content"}, {f"{GC}flat": "true"})]
    everything, manifest = 4 + 9 + 4, 1
    assert reclaimable(read(connect(containerd)), [ID]).inodes == everything - manifest
    own.leases = [Lease("a", {"m1": "content"})]
    assert reclaimable(read(connect(containerd)), [ID]) == Size(0, 0)


def test_flat_lease_of_a_snapshot(containerd: CrioServer, connect: Connect) -> None:
    """A flat lease keeps a snapshot with its parents."""
    fill(containerd).leases = [Lease("a", {"top": "snapshots/overlayfs"}, {f"{GC}flat": "true"})]
    assert reclaimable(read(connect(containerd)), [ID]).inodes == 4


def test_roots(containerd: CrioServer, connect: Connect) -> None:
    """Blobs and snapshots that are labelled as roots are kept without a holder."""
    own = fill(containerd)
    own.blobs.append(Blob("r", labels={f"{GC}root": "x"}))
    own.snapshots.append(Snapshot("r", labels={f"{GC}root": "x"}))
    assert read(connect(containerd)).unlisted == {"blob:r", "snapshot:overlayfs:r"}


def test_references_of_snapshots(containerd: CrioServer, connect: Connect) -> None:
    """A snapshot keeps what its labels name, beside its parent."""
    fill(containerd).snapshots.append(Snapshot("x", "base", labels={f"{GC}ref.content.0": "l0"}))
    assert read(connect(containerd)).edges["snapshot:overlayfs:x"] == (BASE, "blob:l0")


def test_other_namespace(containerd: CrioServer, connect: Connect) -> None:
    """A blob that another namespace has too stays, and CRI's snapshots are freed: each namespace has its own."""
    fill(containerd)
    snapshots = [Snapshot("top", size=1, inodes=1), Snapshot("live", "top", snapshots_pb.ACTIVE)]
    containerd.namespaces["moby"] = Namespace(blobs=[*content(), Blob("other", 5000)], snapshots=snapshots)
    layers = read(connect(containerd))
    blobs = {f"blob:{name}" for name in ("m1", "c1", "l0", "l1", "other")}
    assert layers.other_namespaces == blobs | {"snapshot:moby:overlayfs:top"}
    assert layers.sizes["blob:other"] == blob_size(8192)
    assert layers.sizes["snapshot:moby:overlayfs:top"] == Size(8193, 3)
    assert reclaimable(layers, [ID]) == layers.sizes[TOP] + layers.sizes[BASE]


def test_namespaces_are_asked_apart(containerd: CrioServer, connect: Connect) -> None:
    """Every call names the namespace that it is about."""
    fill(containerd)
    containerd.namespaces["moby"] = Namespace(blobs=content(), snapshots=[Snapshot("top")])
    read(connect(containerd))
    asked = [(call.method, call.metadata["containerd-namespace"]) for call in containerd.calls if "." in call.method]
    moby = {method for method, namespace in asked if namespace == "moby"}
    assert moby == {"Content.List", "Snapshots.List", "Snapshots.Usage"}
    assert {namespace for _, namespace in asked} == {"k8s.io", "moby"}


@pytest.mark.parametrize("snapshotter", ["stargz", "nydus", "devmapper", "fuse-overlayfs"])
def test_untrusted_snapshotter(containerd: CrioServer, connect: Connect, snapshotter: str) -> None:
    """Where a snapshotter's usage means something else, the figures are incomplete, and it is not asked."""
    fill(containerd).blobs.append(Blob("c2", labels={f"{GC}ref.snapshot.{snapshotter}": "x"}))
    assert not read(connect(containerd)).complete
    assert snapshotter not in {call.about for call in containerd.calls}


def test_untrusted_snapshotter_of_another_namespace(containerd: CrioServer, connect: Connect) -> None:
    """What another namespace unpacks to is not CRI's to free."""
    fill(containerd)
    containerd.namespaces["moby"] = Namespace(blobs=content(snapshotter="stargz"))
    assert read(connect(containerd)).complete


def test_no_api(crio: CrioServer, connect: Connect) -> None:
    """CRI-O has no such API: there is no graph, and that is no failure."""
    crio.images[ID] = ServedImage(ID, (TAG,))
    runtime = connect(crio)
    assert runtime.read_layers(runtime.list_images()) is None
    assert runtime.layers_error is None


@pytest.mark.parametrize("method", SERVICES)
def test_missing_service(containerd: CrioServer, connect: Connect, method: str) -> None:
    """Without one of the services there is no graph; it is not asked again until a call found no server."""
    fill(containerd)
    containerd.fail(method, Code.UNIMPLEMENTED, "unknown service", times=1)
    runtime = connect(containerd)
    images = ()
    assert [runtime.read_layers(images), runtime.read_layers(images)] == [None, None]
    assert containerd.count(method) <= 2, "of one batch at most"
    containerd.fail("Version", Code.UNAVAILABLE, times=1)
    with pytest.raises(RuntimeUnavailableError):
        runtime.read_version()
    assert runtime.read_layers(images) is not None


@pytest.mark.parametrize("method", [*SERVICES, "Leases.ListResources"])
def test_rejected_read(containerd: CrioServer, connect: Connect, method: str) -> None:
    """If a read is rejected there is no graph, and the reason is shown until the next one."""
    fill(containerd).leases = [Lease("a")]
    containerd.fail(method, Code.INTERNAL, "broken disk", times=1)
    runtime = connect(containerd)
    assert runtime.read_layers(()) is None
    assert runtime.layers_error == f"{method}: INTERNAL: broken disk"
    assert runtime.read_layers(()) is not None
    assert runtime.layers_error is None


@pytest.mark.parametrize("method", SERVICES)
def test_unavailable(containerd: CrioServer, connect: Connect, method: str) -> None:
    """A read that is too slow leaves no graph: a full disk must not wait for what only ranks its images."""
    fill(containerd)
    containerd.fail(method, Code.DEADLINE_EXCEEDED)
    runtime = connect(containerd)
    assert runtime.read_layers(()) is None
    assert str(runtime.layers_error).startswith(f"{method}: DEADLINE_EXCEEDED")


@pytest.mark.parametrize("method", SERVICES)
def test_short_outage_of_the_graph(containerd: CrioServer, connect: Connect, method: str) -> None:
    """A read without a server for a moment is made again, streams and batches from their start."""
    fill(containerd)
    containerd.fail(method, Code.UNAVAILABLE, times=3)
    layers = connect(containerd).read_layers(())
    assert layers is not None
    assert layers.edges["blob:c1"] == (TOP,)
