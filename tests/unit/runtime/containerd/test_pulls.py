"""Pulls in progress, as containerd's leases and ingests tell them."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import grpc
import pytest

from cleaner.core.disk_usage import Filesystem
from cleaner.core.errors import RuntimeUnavailableError
from cleaner.core.pressure.pulls import Pull, total_bytes
from cleaner.core.read_state import AVAILABLE, Availability, unavailable
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.containerd.manifests import MOST_DOCUMENT_BYTES, chain_ids
from cleaner.runtime.containerd.pulls import PullReader
from cleaner.runtime.pb import containerd_snapshots_pb2 as snapshots_pb
from cleaner.runtime.rpc.endpoint import Endpoint
from support.containerd_services import Blob, Ingest, Lease, Namespace, Snapshot
from support.crio_server import CrioServer
from support.fakes import FakeTimer
from support.pull_readers import reader_of

Code = grpc.StatusCode
Connect = Callable[..., CriRuntime]
Document = dict[str, object]

CHILD = "containerd.io/gc.ref.content."
EXPIRES = {"containerd.io/gc.expire": "2026-11-23T07:02:35Z"}
BLOCK = 4096
SIZES = (10 * BLOCK, 20 * BLOCK, 40 * BLOCK, 80 * BLOCK)
OWN_DIRECTORIES = 2 * BLOCK
SERVICES = ["Leases.List", "Leases.ListResources", "Content.ListStatuses", "Content.Info", "Content.Read"]
UNPACKING = ["Snapshots.Stat", "Snapshots.Usage"]


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass
class Served:
    """An image in a registry, and what of it a containerd has."""

    name: str
    layers: tuple[str, ...] = ("a", "b", "c", "d")
    media_type: str = "application/vnd.oci.image.layer.v1.tar+gzip"
    changes: Document = field(default_factory=dict)
    """What its manifest has instead."""

    @property
    def manifest(self) -> str:
        return digest_of(f"manifest of {self.name}")

    @property
    def config(self) -> str:
        return digest_of(f"config of {self.name}")

    def blob(self, index: int) -> str:
        return digest_of(f"blob {self.layers[index]}")

    def chain(self, index: int) -> str:
        return chain_ids([digest_of(f"diff {layer}") for layer in self.layers])[index]

    def extract(self, index: int) -> str:
        return f"extract-4711-Ab_- {self.chain(index)}"

    def config_blob(self) -> Blob:
        document = json.dumps({"rootfs": {"diff_ids": [digest_of(f"diff {layer}") for layer in self.layers]}}).encode()
        return Blob(self.config, len(document), document=document)

    def manifest_blob(self, config_bytes: int | None = None) -> Blob:
        config = self.config_blob().size if config_bytes is None else config_bytes
        named = [
            {"mediaType": self.media_type, "digest": self.blob(index), "size": SIZES[index]}
            for index in range(len(self.layers))
        ]
        found = {"config": {"digest": self.config, "size": config}, "layers": named, **self.changes}
        document = json.dumps(found).encode()
        return Blob(self.manifest, len(document), {f"{CHILD}config": self.config}, document)


IMAGE = Served("app")


@dataclass
class Node:
    """A containerd in the middle of one pull, which a test moves on."""

    own: Namespace
    resources: dict[str, str] = field(default_factory=dict)

    def publish_lease(self, name: str = "pull", **labels: str) -> None:
        self.own.leases.append(Lease(name, self.resources, labels or EXPIRES))

    def begin(self, image: Served = IMAGE) -> None:
        """Manifest and config are there, and the first layer's snapshot is made."""
        self.own.blobs += [image.manifest_blob(), image.config_blob()]
        self.resources |= {image.manifest: "content", image.config: "content"}
        self.unpack(image, 0, 0)

    def unpack(self, image: Served, index: int, size_bytes: int) -> None:
        self.own.snapshots = [one for one in self.own.snapshots if one.name != image.extract(index)]
        self.own.snapshots.append(Snapshot(image.extract(index), kind=snapshots_pb.ACTIVE, size=size_bytes))
        self.resources[image.extract(index)] = "snapshots/overlayfs"

    def commit(self, image: Served, index: int) -> None:
        self.own.snapshots = [one for one in self.own.snapshots if one.name != image.extract(index)]
        self.own.snapshots.append(Snapshot(image.chain(index)))
        self.resources.pop(image.extract(index), None)
        self.resources[image.chain(index)] = "snapshots/overlayfs"

    def write(self, image: Served, index: int, offset: int) -> None:
        ref = f"layer-{image.blob(index)}"
        self.own.ingests = [one for one in self.own.ingests if one.ref != ref]
        self.own.ingests.append(Ingest(ref, offset, SIZES[index]))
        self.resources[ref] = "ingests"

    def fetch(self, image: Served, index: int) -> None:
        self.own.ingests = [one for one in self.own.ingests if one.ref != f"layer-{image.blob(index)}"]
        self.own.blobs.append(Blob(image.blob(index), SIZES[index]))
        self.resources.pop(f"layer-{image.blob(index)}", None)
        self.resources[image.blob(index)] = "content"


@pytest.fixture
def node(containerd: CrioServer) -> Node:
    made = Node(containerd.namespaces["k8s.io"])
    made.publish_lease()
    return made


@pytest.fixture
def timer() -> FakeTimer:
    return FakeTimer()


@pytest.fixture
def reader(containerd: CrioServer, timer: FakeTimer) -> Iterator[PullReader]:
    with reader_of(Endpoint(str(containerd.socket)), timer) as reader:
        yield reader


def blocks(reader: PullReader) -> list[tuple[str, float, float]]:
    """Digest, and blocks of content and of snapshots; these without the ratio, which is the default."""
    pulls = reader.read()
    assert reader.state == AVAILABLE
    return [(pull.digest, pull.content_bytes / BLOCK, pull.snapshot_bytes / BLOCK) for pull in pulls]


def test_nothing(containerd: CrioServer, reader: PullReader) -> None:
    """Where nothing is pulled that is known after one call."""
    assert reader.read() == ()
    assert [call.method for call in containerd.calls] == ["Leases.List"]


def test_a_pull_from_its_beginning_to_its_end(node: Node, reader: PullReader) -> None:
    """All of an image counts from its config on, and less with each byte on the disk, until all is unpacked."""
    empty = OWN_DIRECTORIES / BLOCK
    node.begin()
    assert blocks(reader) == [(IMAGE.manifest, 150, 150 * 2.5 - empty)]
    node.write(IMAGE, 0, 3 * BLOCK)
    node.write(IMAGE, 1, 5 * BLOCK)
    assert blocks(reader) == [(IMAGE.manifest, 142, 150 * 2.5 - empty)]
    node.fetch(IMAGE, 0)
    node.unpack(IMAGE, 0, 4 * BLOCK)
    assert blocks(reader) == [(IMAGE.manifest, 135, 150 * 2.5 - empty - 4)]
    node.commit(IMAGE, 0)
    node.unpack(IMAGE, 1, 0)
    assert blocks(reader) == [(IMAGE.manifest, 135, 140 * 2.5 - empty)]
    for index in (1, 2, 3):
        node.fetch(IMAGE, index)
    assert blocks(reader) == [(IMAGE.manifest, 0, 140 * 2.5 - empty)]
    for index in (1, 2, 3):
        node.commit(IMAGE, index)
    assert blocks(reader) == []


@pytest.mark.parametrize(
    ("filesystem", "snapshot_bytes"),
    [(Filesystem.IMAGES, 150 * BLOCK * 2.5 - OWN_DIRECTORIES), (Filesystem.SNAPSHOTS, 0), (None, 0)],
)
def test_a_pull_by_a_further_snapshotter(
    node: Node, containerd: CrioServer, connect: Connect, filesystem: Filesystem | None, snapshot_bytes: float
) -> None:
    """What is unpacked to another filesystem needs no room on that of the images; its blobs do."""
    runtime = connect(containerd)
    runtime.snapshotters.place({"overlayfs": filesystem})
    node.begin()
    assert runtime.read_pulls() == (Pull(IMAGE.manifest, 150 * BLOCK, round(snapshot_bytes)),)


def test_a_shared_base_counts_nothing(node: Node, reader: PullReader) -> None:
    """Layers that are unpacked already write nothing, with their blobs or without; nor does a blob that is there."""
    node.begin()
    node.own.snapshots += [Snapshot(IMAGE.chain(0)), Snapshot(IMAGE.chain(1))]
    node.own.blobs += [Blob(IMAGE.blob(1)), Blob(IMAGE.blob(2))]
    assert blocks(reader) == [(IMAGE.manifest, 80, 120 * 2.5)]


def test_two_pulls_share_what_they_fetch(node: Node, reader: PullReader) -> None:
    """Of two pulls that share layers each of these counts once, and both pulls' progress counts."""
    other = Served("other", ("a", "b", "x"))
    node.begin()
    node.write(IMAGE, 0, 4 * BLOCK)
    second = Node(node.own)
    second.publish_lease("second")
    second.begin(other)
    unpacking = OWN_DIRECTORIES / BLOCK
    expected = {IMAGE.manifest: (146.0, 150 * 2.5 - unpacking), other.manifest: (40.0, 40 * 2.5)}
    if other.manifest < IMAGE.manifest:
        expected = {IMAGE.manifest: (120.0, 120 * 2.5), other.manifest: (66.0, 70 * 2.5 - unpacking)}
    assert blocks(reader) == [(digest, *expected[digest]) for digest in sorted(expected)]


@pytest.mark.parametrize("name", ["before", "later"])
def test_a_pull_unpacks_what_another_waits_for(node: Node, containerd: CrioServer, connect: Connect, name: str) -> None:
    """What one pull has unpacked of a shared layer counts as there for both, whichever of the two comes first."""
    node.begin()
    node.unpack(IMAGE, 0, 5 * BLOCK)
    second, other = Node(node.own), Served(name)
    second.publish_lease("second")
    second.resources |= {other.manifest: "content", other.config: "content", "x": "snapshots/overlayfs"}
    node.own.blobs += [other.manifest_blob(), other.config_blob()]
    pulls = connect(containerd).read_pulls()
    assert total_bytes(pulls) == (150 + 150 * 2.5 - 5) * BLOCK - OWN_DIRECTORIES


def test_documents_are_read_once(node: Node, reader: PullReader, containerd: CrioServer) -> None:
    """Manifest and config are read once, and again only after the pull was missing."""
    node.begin()
    for _ in range(3):
        assert len(reader.read()) == 1
    assert containerd.count("Content.Read") == 2
    node.own.leases.clear()
    assert reader.read() == ()
    node.publish_lease()
    assert len(reader.read()) == 1
    assert containerd.count("Content.Read") == 4


def test_a_manifest_that_is_not_labelled_yet(node: Node, reader: PullReader) -> None:
    """A manifest without its labels is asked about again; without its config nothing of it counts."""
    node.begin()
    labelled, config = node.own.blobs
    node.own.blobs[:] = [replace(labelled, labels={}), config]
    assert blocks(reader) == []
    node.own.blobs[:] = [labelled, config]
    del node.resources[IMAGE.config]
    assert blocks(reader) == []
    node.resources[IMAGE.config] = "content"
    assert len(blocks(reader)) == 1


@pytest.mark.parametrize("gone", [IMAGE.manifest, IMAGE.config])
def test_a_document_that_is_removed(node: Node, reader: PullReader, gone: str) -> None:
    """A manifest or a config that is removed before it is read leaves its pull out, and is no failure."""
    node.begin()
    node.own.gone.add(gone)
    assert blocks(reader) == []


def test_an_index_is_no_image(node: Node, reader: PullReader, containerd: CrioServer) -> None:
    """An index is read once, and then left alone."""
    text = json.dumps({"manifests": [{"digest": IMAGE.manifest, "size": 5}]}).encode()
    node.own.blobs.append(Blob(digest_of("index"), len(text), {f"{CHILD}m.0": IMAGE.manifest}, text))
    node.resources[digest_of("index")] = "content"
    node.begin()
    for _ in range(2):
        assert [pull.digest for pull in reader.read()] == [IMAGE.manifest]
    assert containerd.count("Content.Read") == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": [{"digest": IMAGE.blob(0), "size": -1}]},
        {"layers": [{"digest": IMAGE.blob(0), "size": 1 << 50}]},
        {"layers": [{"digest": IMAGE.blob(0), "size": 5}] * 2},
        {"layers": "none"},
        {"config": {"digest": IMAGE.config, "size": 0}},
        {"config": {"digest": IMAGE.config, "size": MOST_DOCUMENT_BYTES + 1}},
    ],
)
def test_an_absurd_manifest(node: Node, reader: PullReader, changes: Document) -> None:
    """A manifest with sizes that no image has, or not as many layers as its config, leaves its pull out."""
    node.begin(Served("app", ("a",), changes=changes))
    assert blocks(reader) == []


def test_a_plain_manifest(node: Node, reader: PullReader) -> None:
    """The image of one layer of which the absurd manifests above are made counts as it is."""
    node.begin(Served("app", ("a",), changes={"layers": [{"digest": IMAGE.blob(0), "size": 5}]}))
    assert blocks(reader) == [(IMAGE.manifest, 1, 2.5 - OWN_DIRECTORIES / BLOCK)]


@pytest.mark.parametrize(("size", "taken"), [(MOST_DOCUMENT_BYTES, 1), (MOST_DOCUMENT_BYTES + 1, 0)])
def test_the_largest_manifest(node: Node, reader: PullReader, size: int, taken: int) -> None:
    """A manifest is read up to a limit; a larger one leaves its pull out."""
    node.begin()
    manifest = node.own.blobs[0]
    node.own.blobs[0] = replace(manifest, size=size, document=manifest.document.ljust(size))
    assert len(blocks(reader)) == taken


def test_a_blob_that_is_larger_than_it_says(node: Node, reader: PullReader) -> None:
    """What is longer than the limit is not read to its end."""
    node.begin()
    manifest = node.own.blobs[0]
    node.own.blobs[0] = replace(manifest, document=manifest.document.ljust(MOST_DOCUMENT_BYTES + 1))
    assert blocks(reader) == []


def test_layers_that_are_not_compressed(node: Node, reader: PullReader) -> None:
    """A layer that is a plain tar is as large as a snapshot as its blob."""
    node.begin(Served("app", media_type="application/vnd.oci.image.layer.v1.tar"))
    assert blocks(reader) == [(IMAGE.manifest, 150, 150 - OWN_DIRECTORIES / BLOCK)]


@pytest.mark.parametrize(
    ("labels", "taken"),
    [
        (EXPIRES, 1),
        ({"buildkit/lease": "kept"}, 0),
        ({**EXPIRES, "containerd.io/gc.flat": "x"}, 0),
    ],
)
def test_leases_that_are_no_pulls(
    containerd: CrioServer, reader: PullReader, labels: dict[str, str], taken: int
) -> None:
    """A lease for good, and one that keeps blobs without what they refer to, is no pull's; it is not asked about."""
    node = Node(containerd.namespaces["k8s.io"])
    node.publish_lease(**labels)
    node.begin()
    assert len(blocks(reader)) == taken
    assert containerd.count("Leases.ListResources") == taken


def test_a_lease_that_is_removed(node: Node, reader: PullReader) -> None:
    """A pull that ends between the two questions is no pull."""
    node.begin()
    node.own.gone.add("pull")
    assert blocks(reader) == []


@pytest.mark.parametrize("more", [{"x": "snapshots/stargz"}, {"x": "snapshots/native"}])
def test_snapshotters(node: Node, reader: PullReader, more: dict[str, str]) -> None:
    """A pull through two snapshotters is left out, and one through what does not unpack to files on this disk."""
    node.begin()
    node.resources |= more
    assert blocks(reader) == []
    del node.resources[IMAGE.extract(0)]
    assert len(blocks(reader)) == ("snapshots/native" in more.values())


def test_a_layer_alone(node: Node, reader: PullReader) -> None:
    """A layer of no known image counts as far as it is being fetched, where its size is known and none is absurd."""
    node.write(IMAGE, 0, 3 * BLOCK)
    node.own.ingests += [
        Ingest(f"layer-{digest_of('unknown')}", BLOCK, 0),
        Ingest(f"layer-{digest_of('negative')}", 0, -1),
        Ingest(f"layer-{digest_of('absurd')}", 0, 1 << 50),
        Ingest(f"layer-{digest_of('of no lease')}", 0, BLOCK),
        Ingest(f"config-{IMAGE.config}", 0, BLOCK),
    ]
    node.resources |= {one.ref: "ingests" for one in node.own.ingests if one.ref != f"layer-{digest_of('of no lease')}"}
    assert blocks(reader) == [(IMAGE.blob(0), 7, 0)]


def test_a_layer_that_is_being_committed(node: Node, reader: PullReader) -> None:
    """A layer whose ingest has ended while its lease still names it is whole, though its blob is not listed yet."""
    node.begin()
    node.write(IMAGE, 0, SIZES[0])
    node.write(IMAGE, 1, BLOCK)
    (before,) = reader.read()
    node.own.ingests = [one for one in node.own.ingests if one.ref != f"layer-{IMAGE.blob(0)}"]
    assert reader.read() == (before,)
    node.fetch(IMAGE, 0)
    assert reader.read() == (before,)


def test_no_layer_is_written(node: Node, reader: PullReader, containerd: CrioServer) -> None:
    """Where no layer is being fetched there are no offsets to ask for."""
    node.resources[f"config-{IMAGE.config}"] = "ingests"
    assert blocks(reader) == []
    assert containerd.count("Content.ListStatuses") == 0


def test_a_snapshot_that_is_committed_meanwhile(node: Node, reader: PullReader) -> None:
    """What was being unpacked when the lease was read, and has no usage since, is whole, unless it is begun anew."""
    node.begin()
    node.fetch(IMAGE, 0)
    node.own.gone.add(IMAGE.extract(0))
    assert blocks(reader) == [(IMAGE.manifest, 140, 140 * 2.5)]
    again = f"extract-9-again {IMAGE.chain(0)}"
    node.own.snapshots.append(Snapshot(again, kind=snapshots_pb.ACTIVE, size=BLOCK))
    node.resources[again] = "snapshots/overlayfs"
    assert blocks(reader) == [(IMAGE.manifest, 140, 150 * 2.5 - 3)]


@pytest.mark.parametrize(("seconds", "asked"), [(0.24, 2), (0.25, 1)])
def test_a_usage_that_takes_long_is_asked_for_once(
    node: Node, containerd: CrioServer, seconds: float, asked: int
) -> None:
    """A snapshot whose usage takes a quarter of a second counts as whole from the next reading on."""
    timer = FakeTimer()
    node.begin()
    node.fetch(IMAGE, 0)
    node.unpack(IMAGE, 0, 1)
    containerd.before_call = lambda method: timer.move(seconds=seconds) if method == "Snapshots.Usage" else None
    with reader_of(Endpoint(str(containerd.socket)), timer) as reader:
        before, after = blocks(reader), blocks(reader)
    assert after == (before if asked == 2 else [(IMAGE.manifest, 140, 140 * 2.5)])
    assert containerd.count("Snapshots.Usage") == asked


def test_a_pull_that_was_given_up(node: Node, reader: PullReader, timer: FakeTimer) -> None:
    """A pull without progress for ten minutes counts no more, until it moves again."""
    node.begin()
    node.write(IMAGE, 0, BLOCK)
    assert len(reader.read()) == 1
    timer.move(minutes=9, seconds=59)
    assert len(reader.read()) == 1
    timer.move(seconds=1)
    assert reader.read() == ()
    node.unpack(IMAGE, 0, 1)
    assert len(reader.read()) == 1


def test_the_nodes_own_ratio(node: Node, containerd: CrioServer, connect: Connect) -> None:
    """Once the images of the node were read, their ratio counts; a graph that cannot be read changes nothing."""
    runtime = connect(containerd)
    node.begin()
    (first,) = runtime.read_pulls()
    there = Served("there", ("z",))
    node.own.blobs += [
        replace(there.manifest_blob(), labels={f"{CHILD}config": there.config, f"{CHILD}l.0": there.blob(0)}),
        replace(there.config_blob(), labels={"containerd.io/gc.ref.snapshot.overlayfs": there.chain(0)}),
        Blob(there.blob(0), SIZES[0]),
    ]
    node.own.snapshots.append(Snapshot(there.chain(0), size=4 * SIZES[0] - OWN_DIRECTORIES))
    assert runtime.read_layers(()) is not None
    (second,) = runtime.read_pulls()
    containerd.fail("Content.List", Code.INTERNAL, times=1)
    assert runtime.read_layers(()) is None
    (third,) = runtime.read_pulls()
    assert first.snapshot_bytes == 150 * BLOCK * 2.5 - OWN_DIRECTORIES
    assert second == third == Pull(IMAGE.manifest, 150 * BLOCK, 150 * BLOCK * 4 - OWN_DIRECTORIES)


def test_a_pull_that_waits_for_another(node: Node, containerd: CrioServer, connect: Connect) -> None:
    """A pull that has no snapshot yet counts where the node's images tell what will unpack it."""
    there = Served("there", ("z",))
    runtime = connect(containerd)
    node.begin()
    del node.resources[IMAGE.extract(0)]
    assert runtime.read_pulls() == ()
    node.own.blobs.append(replace(there.config_blob(), labels={"containerd.io/gc.ref.snapshot.overlayfs": "top"}))
    assert runtime.read_layers(()) is not None
    assert [pull.digest for pull in runtime.read_pulls()] == [IMAGE.manifest]


def test_no_api(crio: CrioServer, containerd: CrioServer, node: Node, connect: Connect) -> None:
    """CRI-O has no such API: no pull is known, that is no failure, and the ratio is no concern."""
    runtime = connect(crio)
    assert runtime.pulls_state is None
    assert runtime.read_pulls() == ()
    assert runtime.pulls_state is not None
    assert runtime.pulls_state.availability is Availability.NOT_OFFERED
    assert runtime.read_layers(()) is None
    node.begin()
    containerd.fail("Content.Info", Code.UNIMPLEMENTED, "unknown service", times=1)
    runtime = connect(containerd)
    assert runtime.read_pulls() == ()
    assert runtime.pulls_state is not None
    assert runtime.pulls_state.availability is Availability.NOT_OFFERED


@pytest.mark.parametrize("code", [Code.INTERNAL, Code.DEADLINE_EXCEEDED])
@pytest.mark.parametrize("method", [*SERVICES, *UNPACKING])
def test_rejected_read(node: Node, containerd: CrioServer, connect: Connect, method: str, code: Code) -> None:
    """A call that is rejected or late leaves no pulls, with the reason, and ends no check."""
    node.begin()
    node.write(IMAGE, 0, 1)
    containerd.fail(method, code, "broken disk", times=1)
    runtime = connect(containerd)
    assert runtime.read_pulls() == ()
    assert runtime.pulls_state == unavailable(f"{method}: {code.name}: broken disk")
    assert len(runtime.read_pulls()) == 1
    assert runtime.pulls_state == AVAILABLE


def test_no_server(node: Node, containerd: CrioServer, connect: Connect) -> None:
    """An unavailable runtime is unavailable for this call as for all others."""
    node.begin()
    containerd.fail("Leases.List", Code.UNAVAILABLE)
    with pytest.raises(RuntimeUnavailableError):
        connect(containerd).read_pulls()
