"""`created_since` returns every container that was created since a position, or None where some may be missing."""

import socket
import threading
from collections.abc import Callable

import grpc
import pytest

from cleaner.core.errors import RuntimeRejectedError, RuntimeUnavailableError
from cleaner.core.model import Container
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.containerd.container_events import ContainerEvents, ReconnectDelays
from cleaner.runtime.containerd.creations import Creations, ParentSnapshot
from cleaner.runtime.pb import containerd_events_pb2 as pb
from cleaner.runtime.rpc.endpoint import Endpoint
from lab.waiting import wait_until
from support.containerd_services import Blob
from support.crio_server import CrioServer, Record, ServedContainer, ServedImage

Code = grpc.StatusCode
Connect = Callable[..., CriRuntime]

TAG = "registry.example/app:1"
ID = "sha256:" + "c1" * 32
OTHER_ID = "sha256:" + "c2" * 32
TARGET = "sha256:" + "a1" * 32
CHAIN = "sha256:" + "d1" * 32
LABEL = "containerd.io/gc.ref.snapshot.overlayfs"
HEX = "0123456789abcdef" * 4


def eventually(condition: Callable[[], object]) -> None:
    """Return once a condition is met; fail after a deadline."""
    wait_until(lambda: bool(condition()), "what the test waits for")


def settled(server: CrioServer, uses: ContainerEvents, times: int = 1) -> int:
    """The position once the server will tell of events, and enough time has passed since."""
    eventually(lambda: uses.connected and len(server.events.filters) >= times)
    uses._connected_at -= 1
    position = uses.event_position()
    assert position is not None
    return position


def watched(server: CrioServer, connect: Connect) -> tuple[CriRuntime, int]:
    """A client that watches one image, and its position."""
    server.images = {ID: ServedImage(ID, (TAG,))}
    server.records = {name: Record(name, TARGET) for name in (ID, TAG)}
    server.namespaces["k8s.io"].blobs = [Blob(ID, labels={LABEL: CHAIN}), Blob(OTHER_ID, labels={LABEL: "sha256:d2"})]
    runtime = connect(server)
    runtime.watch_created_containers()
    return runtime, settled(server, runtime._uses)


def stored(runtime: CriRuntime, position: int) -> None:
    """Continue once an event after a position is stored."""
    eventually(lambda: runtime._uses._log.position > position)


def prepared(runtime: CriRuntime, *names: str) -> None:
    """Continue once just these containers are being created."""
    eventually(lambda: runtime._uses._log._prepared.keys() == set(names))


# When the stream can be relied on


def test_not_watched(containerd: CrioServer, crio: CrioServer, connect: Connect) -> None:
    """Where nothing is watched, or there is no such service, there is no position and no answer."""
    for server in (containerd, crio):
        runtime = connect(server)
        assert runtime.event_position() is None
        assert runtime.created_since(0) is None
    runtime.watch_created_containers()
    eventually(lambda: runtime._uses.problem)
    assert runtime.event_position() is None
    assert runtime.created_since(0) is None


def test_settling(containerd: CrioServer) -> None:
    """A stream has a position half a second after it began: containerd may not act on it before."""
    now = [100.0]
    uses = ContainerEvents(Endpoint(str(containerd.socket)), monotonic=lambda: now[0])
    uses.start()
    eventually(lambda: uses.connected)
    positions = []
    for now[0] in (100.0, 100.499, 100.5, 101.0):
        positions.append(uses.event_position())
    assert positions == [None, None, uses._log.position, uses._log.position]
    uses.stop()
    assert uses.event_position() is None


def test_stream_that_ended(containerd: CrioServer, connect: Connect) -> None:
    """Since a position before an outage some may be missing, while it lasts and after it."""
    runtime, before = watched(containerd, connect)
    runtime._uses._pacer = ReconnectDelays(*[ReconnectDelays().first / 1000] * 3)
    containerd.stop()
    eventually(lambda: not runtime._uses.connected)
    assert runtime.event_position() is None
    assert runtime.created_since(before) is None
    containerd.start()
    after = settled(containerd, runtime._uses, times=2)
    assert runtime.created_since(before) is None
    assert runtime.created_since(after) == ()


# What was created


def test_created(containerd: CrioServer, connect: Connect) -> None:
    """What was created is reported by id, with every name of its image, as often as it is asked."""
    runtime, before = watched(containerd, connect)
    assert runtime.created_since(before) == ()
    containerd.events.publish("b", TAG)
    containerd.events.publish("a", TAG)
    stored(runtime, before + 1)
    names = frozenset({ID, TAG, TARGET})
    for _ in range(2):
        assert runtime.created_since(before) == (Container("a", names), Container("b", names))
    assert runtime.created_since(runtime.event_position() or 0) == ()


def test_both_readers(containerd: CrioServer, connect: Connect) -> None:
    """Neither the final check nor the times of last use take anything from the other."""
    runtime, before = watched(containerd, connect)
    containerd.events.publish("a", TAG)
    stored(runtime, before)
    first = runtime.created_since(before)
    assert runtime.drain_created_containers() == first
    assert first is not None
    assert [container.id for container in first] == ["a"]
    assert runtime.created_since(before) == first
    assert runtime.drain_created_containers() == ()


@pytest.mark.parametrize(("container_id", "image"), [("a", ""), ("", TAG), ("a", "n" * 4096)])
def test_not_understood(containerd: CrioServer, connect: Connect, container_id: str, image: str) -> None:
    """A container of which too little is known, or too much, is not hidden: the answer is in doubt."""
    runtime, before = watched(containerd, connect)
    containerd.events.publish(container_id, image)
    containerd.events.publish("marker", TAG)
    eventually(lambda: "marker" in runtime._uses._made)
    assert runtime.created_since(before) is None
    assert runtime.created_since(runtime.event_position() or 0) == ()
    assert [container.id for container in runtime.drain_created_containers()] == ["marker"]


@pytest.mark.parametrize("method", ["Images.Get", "Images.List"])
@pytest.mark.parametrize(
    ("code", "error"), [(Code.INTERNAL, RuntimeRejectedError), (Code.DEADLINE_EXCEEDED, RuntimeUnavailableError)]
)
def test_names_that_cannot_be_read(
    containerd: CrioServer, connect: Connect, method: str, code: grpc.StatusCode, error: type[Exception]
) -> None:
    """Where the names cannot be read that is an error, and the next answer has the container again."""
    runtime, before = watched(containerd, connect)
    containerd.events.publish("a", TAG)
    stored(runtime, before)
    containerd.fail(method, code)
    with pytest.raises(error, match=method):
        runtime.created_since(before)
    containerd.heal()
    assert [container.id for container in runtime.created_since(before) or ()] == ["a"]


class SlowReader(ContainerEvents):
    """Handles what it has read only once somebody waits for that."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.holding = threading.Event()
        self.asked = threading.Event()

    def _store(self, envelope: pb.Envelope) -> None:
        self.holding.set()
        self.asked.wait()
        super()._store(envelope)

    def _has_read_all(self) -> bool:
        self.asked.set()
        return super()._has_read_all()


def test_event_that_is_being_read(containerd: CrioServer) -> None:
    """An event that the thread has received, and not stored yet, is waited for."""
    uses = SlowReader(Endpoint(str(containerd.socket)))
    uses.start()
    before = settled(containerd, uses)
    containerd.events.publish("a", TAG)
    uses.holding.wait()
    assert uses.created_since(before) == Creations({"a": TAG}, {})
    uses.stop()


def test_event_that_is_not_read(folder: object) -> None:
    """Data in the socket, or its end, is something to read; an empty socket is not."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        uses = ContainerEvents(Endpoint(f"{folder}/s"))
        uses._wire = ours
        assert uses._has_read_all()
        theirs.sendall(b"x")
        assert not uses._has_read_all()
        ours.recv(1)
        assert uses._has_read_all()
        uses._reading = True
        assert not uses._has_read_all()
        uses._reading = False
        theirs.close()
        assert not uses._has_read_all()


def test_reader_that_does_not_catch_up(folder: object) -> None:
    """A thread that does not read for a second leaves the answer in doubt."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        uses = ContainerEvents(Endpoint(f"{folder}/s"))
        uses._wire, uses.connected = ours, True
        assert uses.created_since(0) == Creations({}, {})
        theirs.sendall(b"x")
        assert uses.created_since(0) is None


# What is being created


def test_being_created(containerd: CrioServer, connect: Connect) -> None:
    """A container that is prepared uses the image whose layers are below it, until it is created or has failed."""
    runtime, before = watched(containerd, connect)
    containerd.events.prepare(HEX, CHAIN)
    prepared(runtime, HEX)
    assert runtime.created_since(before) == (Container(HEX, frozenset({ID})),)
    assert runtime.drain_created_containers() == ()
    containerd.events.publish(HEX, TAG)
    stored(runtime, before + 1)
    assert runtime.created_since(before) == (Container(HEX, frozenset({ID, TAG, TARGET})),)
    containerd.events.prepare("f" * 64, CHAIN)
    prepared(runtime, "f" * 64)
    containerd.events.remove_snapshot("f" * 64)
    prepared(runtime)
    assert runtime.created_since(runtime.event_position() or 0) == ()


def test_tag_that_moves(containerd: CrioServer, connect: Connect) -> None:
    """A container whose tag names another image a moment later uses the image whose layers are below it."""
    runtime, before = watched(containerd, connect)
    containerd.events.prepare(HEX, CHAIN)
    containerd.events.publish(HEX, TAG)
    stored(runtime, before + 1)
    containerd.records = {TAG: Record(TAG, "sha256:m2"), OTHER_ID: Record(OTHER_ID, "sha256:m2")}
    [container] = runtime.created_since(before) or ()
    assert {ID, OTHER_ID, TAG} <= container.image_names


def test_images_of_the_same_layers(containerd: CrioServer, connect: Connect) -> None:
    """Every image of these layers may be the one, and no other."""
    runtime, before = watched(containerd, connect)
    twin = Blob("sha256:twin", labels={LABEL: CHAIN})
    containerd.namespaces["k8s.io"].blobs.append(twin)
    containerd.events.prepare(HEX, CHAIN)
    prepared(runtime, HEX)
    assert runtime.created_since(before) == (Container(HEX, frozenset({ID, twin.digest})),)


@pytest.mark.parametrize("snapshotter", ["", "overlayfs", "native"])
def test_snapshotters(containerd: CrioServer, connect: Connect, snapshotter: str) -> None:
    """A snapshotter that the event does not tell may be any; the image of another one is in doubt."""
    runtime, before = watched(containerd, connect)
    containerd.events.prepare(HEX, CHAIN, snapshotter)
    prepared(runtime, HEX)
    expected = None if snapshotter == "native" else (Container(HEX, frozenset({ID})),)
    assert runtime.created_since(before) == expected


@pytest.mark.parametrize("parent", ["sha256:unknown", ""])
def test_no_image(containerd: CrioServer, connect: Connect, parent: str) -> None:
    """A prepared container whose image is not found is in doubt; once it is created its image's name is enough."""
    runtime, before = watched(containerd, connect)
    containerd.events.prepare(HEX, parent)
    prepared(runtime, HEX)
    assert runtime.created_since(before) is None
    containerd.events.publish(HEX, TAG)
    stored(runtime, before + 1)
    assert runtime.created_since(before) == (Container(HEX, frozenset({ID, TAG, TARGET})),)


@pytest.mark.parametrize(("parent", "snapshotter"), [('"', ""), ("x" * 257, ""), (CHAIN, "over lay")])
def test_names_of_no_snapshot(containerd: CrioServer, connect: Connect, parent: str, snapshotter: str) -> None:
    """A name that no snapshot has is never asked about: the answer is in doubt."""
    runtime, before = watched(containerd, connect)
    containerd.events.prepare(HEX, parent, snapshotter)
    containerd.events.publish("marker", TAG)
    eventually(lambda: "marker" in runtime._uses._made)
    assert runtime.created_since(before) is None
    assert runtime.created_since(runtime.event_position() or 0) == ()
    assert containerd.count("Content.List") == 0


@pytest.mark.parametrize("key", ["extract-4711-Ab_- " + CHAIN, "ctrbox", HEX[1:], HEX + "0", HEX.upper()])
def test_other_snapshots(containerd: CrioServer, connect: Connect, key: str) -> None:
    """What a pull prepares, and what is no id of a container, is no container, also where no runtime filters."""
    runtime, before = watched(containerd, connect)
    containerd.events.prepare(key, CHAIN)
    containerd.events.publish("a", TAG)
    stored(runtime, before)
    assert [container.id for container in runtime.created_since(before) or ()] == ["a"]


@pytest.mark.parametrize(
    ("code", "error"), [(Code.INTERNAL, RuntimeRejectedError), (Code.DEADLINE_EXCEEDED, RuntimeUnavailableError)]
)
def test_content_that_cannot_be_read(
    containerd: CrioServer, connect: Connect, code: grpc.StatusCode, error: type[Exception]
) -> None:
    """Where labels cannot be read that is an error; without such a service a prepared container is in doubt."""
    runtime, before = watched(containerd, connect)
    containerd.events.prepare(HEX, CHAIN)
    prepared(runtime, HEX)
    containerd.fail("Content.List", code)
    with pytest.raises(error, match=r"Content\.List"):
        runtime.created_since(before)
    containerd.heal()
    containerd.fail("Content.List", Code.UNIMPLEMENTED)
    assert runtime.created_since(before) is None


def test_what_is_asked(containerd: CrioServer, connect: Connect) -> None:
    """Where nothing was created nothing is asked; else labels are read once for all."""
    runtime, before = watched(containerd, connect)
    containerd.calls.clear()
    assert runtime.created_since(before) == ()
    assert containerd.calls == []
    for key in (HEX, "f" * 64):
        containerd.events.prepare(key, CHAIN)
    prepared(runtime, HEX, "f" * 64)
    assert len(runtime.created_since(before) or ()) == 2
    assert [call.method for call in containerd.calls] == ["Content.List"]


def test_parent(containerd: CrioServer, connect: Connect) -> None:
    """What is kept of a preparation is the snapshot below it."""
    runtime, before = watched(containerd, connect)
    containerd.events.prepare(HEX, CHAIN)
    prepared(runtime, HEX)
    assert runtime._uses.created_since(before) == Creations({}, {HEX: ParentSnapshot(CHAIN, "overlayfs")})


def test_image_volumes(containerd: CrioServer, connect: Connect) -> None:
    """A created container uses what is mounted into it as soon as CRI tells its status, and CRI may not know others."""
    runtime, before = watched(containerd, connect)
    containerd.events.publish("sandbox", TAG)
    containerd.events.publish("a", TAG)
    stored(runtime, before + 1)
    assert [container.id for container in runtime.created_since(before) or ()] == ["a", "sandbox"]
    containerd.containers["a"] = ServedContainer("a", image_ref=ID, volumes=("registry.example/data:1",))
    found = {container.id: container.image_names for container in runtime.created_since(before) or ()}
    assert "registry.example/data:1" in found["a"]
    assert "registry.example/data:1" not in found["sandbox"]
    containerd.fail("ContainerStatus", Code.INTERNAL)
    with pytest.raises(RuntimeRejectedError, match="ContainerStatus"):
        runtime.created_since(before)
