"""Containers are noticed as they are made, whatever happens to the stream."""

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import DecodeError
from h2.exceptions import H2Error
from hypothesis import given, settings
from hypothesis import strategies as st

from cleaner.core.errors import RuntimeRejectedError, RuntimeUnavailableError
from cleaner.core.model import Container
from cleaner.core.read_state import AVAILABLE, Availability
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.containerd.container_events import _END_SECONDS, ContainerEvents, ReconnectDelays
from cleaner.runtime.pb import containerd_events_pb2 as pb
from cleaner.runtime.rpc.endpoint import Endpoint
from cleaner.runtime.rpc.failures import CallRejectedError, NotServingError
from cleaner.runtime.rpc.methods import SUBSCRIBE
from cleaner.runtime.rpc.server_stream import Messages, ServerStream, connect
from lab.waiting import DEADLINE_SECONDS, wait_until
from support.crio_server import CrioServer, Record, ServedImage
from support.hostile_peer import BEHAVIOURS, HostilePeer
from support.http2_peer import OK, Conversation, Http2Peer, Script, framed, made

Code = grpc.StatusCode
Connect = Callable[..., CriRuntime]

MIB = 1 << 20
TAG = "registry.example/app:1"
ID = "sha256:" + "c1" * 32
TARGET = "sha256:" + "a1" * 32
HASTY = ReconnectDelays(timedelta(milliseconds=1), timedelta(milliseconds=2), timedelta(hours=1))
IMPATIENT = ReconnectDelays(timedelta(milliseconds=1), timedelta(milliseconds=2), answer=timedelta(milliseconds=50))
PATIENT = ReconnectDelays(timedelta(hours=1), timedelta(hours=1), timedelta(hours=1))
BROKEN = NotServingError("broken")
NOT_OFFERED = CallRejectedError("Subscribe: UNIMPLEMENTED", Code.UNIMPLEMENTED, "")


def eventually(condition: Callable[[], object], what: str = "what the test waits for") -> None:
    """Return once a condition is met; fail after a deadline."""
    wait_until(lambda: bool(condition()), what)


@pytest.fixture
def watch() -> Iterator[Callable[..., ContainerEvents]]:
    """Watches a socket until the test's end."""
    watching: list[ContainerEvents] = []

    def started(path: Path, pacer: ReconnectDelays = HASTY) -> ContainerEvents:
        uses = ContainerEvents(Endpoint(str(path)), pacer)
        watching.append(uses)
        uses.start()
        return uses

    yield started
    for uses in watching:
        uses.stop()


Watch = Callable[..., ContainerEvents]


def subscribed(server: CrioServer, uses: ContainerEvents, times: int = 1) -> None:
    """Continue once the server will tell of events, for so many times since it is there."""
    eventually(lambda: uses.connected and len(server.events.filters) >= times)


def told(uses: ContainerEvents, number: int = 1) -> dict[str, str]:
    """The next so many that are told."""
    found: dict[str, str] = {}

    def taken() -> bool:
        found.update(uses.drain())
        return len(found) >= number

    eventually(taken)
    return found


def stop_watching(uses: ContainerEvents, stop: Callable[[], None] | None = None) -> None:
    """Stop, which waits for the thread unless that takes seconds; it ends in any case."""
    began = time.monotonic()
    (stop or uses.stop)()
    waited = time.monotonic() - began
    thread = uses._thread
    assert thread is not None
    assert not thread.is_alive() or waited >= _END_SECONDS
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


# What is reported


def test_container_is_reported_once(containerd: CrioServer, watch: Watch) -> None:
    """A container is reported with its image as soon as it is made, and once."""
    uses = watch(containerd.socket)
    subscribed(containerd, uses)
    containerd.events.publish("a", TAG)
    assert told(uses) == {"a": TAG}
    assert uses.drain() == {}


def test_request(containerd: CrioServer, watch: Watch) -> None:
    """What is asked for are CRI's new containers and their own snapshots, so that nothing else wakes the thread."""
    subscribed(containerd, watch(containerd.socket))
    snapshots = 'topic~="^(/snapshot/prepare|/snapshot/remove)$",event.key~="^[0-9a-f]{64}$"'
    expected = ['namespace=="k8s.io",topic=="/containers/create"', f'namespace=="k8s.io",{snapshots}']
    assert containerd.events.filters == [expected]
    [call] = containerd.calls
    assert (call.method, call.metadata["containerd-namespace"]) == ("Events.Subscribe", "k8s.io")


def test_authority(folder: Path, watch: Watch) -> None:
    """The request names a host, which Go's gRPC server needs, and its body is one message."""
    with Http2Peer(folder / "s", Conversation.listen) as peer:
        watch(folder / "s")
        eventually(lambda: peer.conversations and peer.conversations[0].body)
        [conversation] = peer.conversations
        assert conversation.headers[":authority"] == "localhost"
        assert conversation.headers["te"] == "trailers"
        assert conversation.body[:5] == bytes([0, 0, 0, 0, len(conversation.body) - 5])


def test_others_are_ignored(containerd: CrioServer, watch: Watch) -> None:
    """Other namespaces and topics, no image, no id and absurd names are not reported, also where no runtime filters."""
    uses = watch(containerd.socket)
    subscribed(containerd, uses)
    containerd.events.publish("moby", TAG, namespace="moby")
    containerd.events.publish("gone", TAG, topic="/containers/delete")
    containerd.events.publish("none", "")
    containerd.events.publish("", TAG)
    containerd.events.publish("x", "n" * 4096)
    containerd.events.publish("y", "n" * 4095)
    containerd.events.publish("a", TAG)
    assert told(uses, 2) == {"y": "n" * 4095, "a": TAG}


def test_only_the_newest_are_kept() -> None:
    """If they are not drained, ten thousand are kept, and the oldest are forgotten."""
    uses = ContainerEvents(Endpoint("/nowhere"))
    uses.put_back({str(number): TAG for number in range(10_000)})
    uses.put_back({"first": TAG})
    kept = uses.drain()
    assert len(kept) == 10_000
    assert "first" not in kept
    uses.put_back({str(number): TAG for number in range(10_000)})
    event = pb.ContainerCreate(id="newest", image=TAG).SerializeToString()
    uses._store(pb.Envelope(namespace="k8s.io", topic="/containers/create", event={"value": event}))
    kept = uses.drain()
    assert (len(kept), "0" in kept, kept["newest"]) == (10_000, False, TAG)


# How it comes


@pytest.mark.parametrize("size", [1, 2, 5, 7, 1000])
def test_messages_that_are_cut(folder: Path, watch: Watch, size: int) -> None:
    """Messages are read however they are cut into frames: each byte alone, or all together."""
    data = made("a") + framed(b"") + made("b")
    parts = [data[start : start + size] for start in range(0, len(data), size)]

    def tell(conversation: Conversation) -> None:
        conversation.answer(*parts)
        conversation.listen()

    with Http2Peer(folder / "s", tell):
        assert told(watch(folder / "s"), 2) == {"a": "app:1", "b": "app:1"}


def test_large_messages(containerd: CrioServer, watch: Watch) -> None:
    """Megabytes pass through a window of 64 KiB."""
    uses = watch(containerd.socket)
    subscribed(containerd, uses)
    for _ in range(3):
        containerd.events.send(pb.Envelope(topic="x" * MIB))
    containerd.events.publish("a", TAG)
    assert told(uses) == {"a": TAG}
    assert uses.problem is None


def test_largest_message() -> None:
    """A message of 4 MiB is read, and of one byte more the connection is given up."""
    message = b"x" * 4 * MIB
    assert list(Messages().split(framed(message))) == [message]
    with pytest.raises(NotServingError, match="4194305 bytes"):
        list(Messages().split(framed(message + b"x")[:5]))


def test_too_large_message(containerd: CrioServer, watch: Watch) -> None:
    """After a message that is too large the stream begins anew."""
    uses = watch(containerd.socket)
    subscribed(containerd, uses)
    containerd.events.send(pb.Envelope(topic="x" * 5 * MIB))
    subscribed(containerd, uses, times=2)
    containerd.events.publish("a", TAG)
    assert told(uses) == {"a": TAG}


def test_ping(folder: Path, watch: Watch) -> None:
    """A runtime that asks whether anybody is there gets its answer."""

    def ask(conversation: Conversation) -> None:
        conversation.ask_for_a_sign()
        conversation.answer(made("a"))
        conversation.listen()

    with Http2Peer(folder / "s", ask):
        assert told(watch(folder / "s")) == {"a": "app:1"}


# What ends it


def close(conversation: Conversation) -> None:
    conversation.answer(made("before"))


def cut(conversation: Conversation) -> None:
    conversation.answer(made("before"), made("lost")[:20])


def go_away(conversation: Conversation) -> None:
    conversation.answer(made("before"))
    conversation.http2.close_connection()
    conversation.flush()


def reset(conversation: Conversation) -> None:
    conversation.answer(made("before"))
    conversation.http2.reset_stream(1)
    conversation.flush()


def end(conversation: Conversation) -> None:
    conversation.answer(made("before"))
    conversation.head([("grpc-status", "0")], last=True)


def fail(conversation: Conversation) -> None:
    conversation.answer(made("before"))
    conversation.head([("grpc-status", "14"), ("grpc-message", "server%20stopped")], last=True)


def fail_oddly(conversation: Conversation) -> None:
    conversation.answer(made("before"))
    conversation.head([("grpc-status", "many")], last=True)


def refuse(conversation: Conversation) -> None:
    conversation.head([*OK, ("grpc-status", "16")], last=True)


def be_a_proxy(conversation: Conversation) -> None:
    conversation.head([(":status", "503")], last=True)


def babble(conversation: Conversation) -> None:
    conversation.wire.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def break_the_rules(conversation: Conversation) -> None:
    """DATA of no stream."""
    conversation.wire.sendall(bytes([0, 0, 1, 0, 0, 0, 0, 0, 0, 9]))


def compress(conversation: Conversation) -> None:
    conversation.answer(framed(b"", compressed=1))


def send_no_envelope(conversation: Conversation) -> None:
    conversation.answer(framed(b"\xff" * 10))


ENDS: dict[Script, tuple[bool, str]] = {
    close: (True, "closed the connection|reset by peer"),
    cut: (True, "closed the connection|reset by peer"),
    go_away: (True, "ended the stream"),
    reset: (True, "ended the stream"),
    end: (True, "ended the stream"),
    fail: (True, "UNAVAILABLE: server stopped"),
    fail_oddly: (True, "UNKNOWN: no details"),
    refuse: (False, "UNAUTHENTICATED: no details"),
    be_a_proxy: (False, "HTTP status 503"),
    babble: (False, "closed the connection|reset by peer"),
    break_the_rules: (False, "invalid header"),
    compress: (False, "compressed: 1"),
    send_no_envelope: (False, "Error parsing"),
}


@pytest.mark.parametrize("ending", ENDS, ids=lambda script: script.__name__)
def test_stream_that_ends(folder: Path, watch: Watch, ending: Script) -> None:
    """However a stream ends, what came before is kept, the reason is known, and another stream is begun."""
    tells, problem = ENDS[ending]

    def tell(conversation: Conversation) -> None:
        conversation.answer(made("after"))
        conversation.listen()

    with Http2Peer(folder / "s", ending, tell):
        uses = watch(folder / "s")
        expected = {"before", "after"} if tells else {"after"}
        assert told(uses, len(expected)).keys() == expected
        assert uses.problem is not None
        assert re.search(problem, uses.problem)


def test_runtime_that_is_restarted(containerd: CrioServer, watch: Watch) -> None:
    """An unavailable runtime is tried again, and what it makes once it is up is reported."""
    containerd.stop()
    uses = watch(containerd.socket)
    eventually(lambda: uses.problem)
    for times, name in enumerate("ab", start=1):
        containerd.start()
        subscribed(containerd, uses, times)
        containerd.events.publish(name, TAG)
        assert told(uses) == {name: TAG}
        containerd.stop()
        eventually(lambda: not uses.connected)


def test_refused_connection(folder: Path, watch: Watch) -> None:
    """A socket without a listener is an unavailable runtime."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "s"))
    uses = watch(folder / "s")
    eventually(lambda: uses.problem)
    assert "refused" in str(uses.problem)


@pytest.mark.parametrize("answer", [None, (Code.UNKNOWN, "unknown service containerd.services.events.v1.Events")])
def test_no_api(
    crio: CrioServer, containerd: CrioServer, watch: Watch, answer: tuple[grpc.StatusCode, str] | None
) -> None:
    """A runtime that has no such service is not asked again for long."""
    server = crio if answer is None else containerd
    if answer is not None:
        server.fail("Events.Subscribe", *answer)
    uses = watch(server.socket)
    eventually(lambda: uses.problem)
    first = uses.problem
    assert first is not None
    assert first.startswith("Events.Subscribe: UNIMPLEMENTED" if answer is None else "Events.Subscribe: UNKNOWN")
    uses.stop()
    assert uses.problem is first
    assert server.count("Events.Subscribe") == (0 if answer is None else 1)


def test_api_that_comes(folder: Path, watch: Watch) -> None:
    """Where another runtime has come after the pause, it is watched."""
    soon = timedelta(milliseconds=1)
    with CrioServer(folder / "s"):
        uses = watch(folder / "s", ReconnectDelays(soon, soon, soon))
        eventually(lambda: uses.problem)
    with CrioServer(folder / "s", records=()) as containerd:
        subscribed(containerd, uses)


def test_pauses() -> None:
    """Pauses double up to the longest; after a stream that lasted longer than that, they begin anew."""
    pacer = ReconnectDelays()
    assert pacer.after(BROKEN, 0.0, 0.0) == 1
    assert [pacer.after(BROKEN, 0.0, last) for last in (1.0, 2.0, 5.0, 8.0, 10.0)] == [2, 4, 10, 10, 10]
    assert [pacer.after(BROKEN, lasted, 4.0) for lasted in (9.9, 10.0, 10.1)] == [8, 8, 1]
    assert pacer.after(NOT_OFFERED, 99.0, 4.0) == 600
    assert pacer.after(BROKEN, 0.0, 600.0) == 10


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=200)
def test_any_answer(data: bytes, preface: bool) -> None:
    """Whatever a runtime sends, reading it ends with a handled error."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall((bytes.fromhex("000000040000000000") if preface else b"") + data)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises((CallRejectedError, NotServingError, OSError, H2Error, DecodeError)):
            list(ServerStream(ours, SUBSCRIBE, lambda: None).read(b""))


# Whether events are followed, as the daemon reports it


class Clock:
    """Moves by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def follow(clock: Clock) -> Iterator[Callable[..., ContainerEvents]]:
    """Watches a socket by a clock that the test moves."""
    with ExitStack() as stopping:

        def started(path: Path, pacer: ReconnectDelays = HASTY) -> ContainerEvents:
            uses = ContainerEvents(Endpoint(str(path)), pacer, clock)
            stopping.callback(uses.stop)
            uses.start()
            return uses

        yield started


def availability_of(uses: ContainerEvents) -> Availability | None:
    return uses.state.availability if uses.state else None


def reason_of(uses: ContainerEvents) -> str:
    return str(uses.state.reason) if uses.state else ""


def test_not_followed() -> None:
    """Who does not watch has no state."""
    assert ContainerEvents(Endpoint("/nowhere")).state is None


def test_a_stream_is_available_once_it_has_lasted(containerd: CrioServer, follow: Watch, clock: Clock) -> None:
    """For ten seconds: what ends again and again is no help; and no longer than it is there."""
    uses = follow(containerd.socket)
    subscribed(containerd, uses)
    clock.seconds = 9.9
    assert availability_of(uses) is Availability.UNAVAILABLE
    clock.seconds = 10.0
    assert uses.state is AVAILABLE
    containerd.stop()
    eventually(lambda: uses.state is not AVAILABLE)
    assert availability_of(uses) is Availability.UNAVAILABLE


@pytest.mark.parametrize("ending", ENDS, ids=lambda script: script.__name__)
def test_a_stream_that_always_ends(folder: Path, follow: Watch, clock: Clock, ending: Script) -> None:
    """Refused, garbage, or ended at once: the reason is what ended it, also while another one is open for a moment."""
    with Http2Peer(folder / "s", *[ending] * 4, Conversation.listen) as peer:
        uses = follow(folder / "s")
        eventually(lambda: len(peer.conversations) == 5 and uses.connected)
        clock.seconds = 9.9
        assert availability_of(uses) is Availability.UNAVAILABLE
        assert re.search(ENDS[ending][1], reason_of(uses))


def test_a_runtime_that_never_answers_the_subscription(folder: Path, follow: Watch) -> None:
    """It accepts the connection and says nothing: that is given up, told, and tried again."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        listener.settimeout(DEADLINE_SECONDS)
        uses = ContainerEvents(Endpoint(str(folder / "s")), IMPATIENT)
        uses.start()
        try:
            connections = [listener.accept()[0] for _ in range(3)]
            assert "did not answer the subscription within 0.05 s" in reason_of(uses)
            assert availability_of(uses) is Availability.UNAVAILABLE
        finally:
            uses.stop()
        for connection in connections:
            connection.close()


def test_a_runtime_that_sends_everything_but_an_answer(folder: Path) -> None:
    """PINGs of its own, without end, are no answer to the subscription."""
    settings_frame, ping = bytes.fromhex("000000040000000000"), bytes.fromhex("000008060000000000") + b"anybody?"

    def ping_for_ever() -> None:
        with suppress(OSError):
            while True:
                connection = listener.accept()[0]
                connections.append(connection)
                with suppress(OSError):
                    connection.sendall(settings_frame)
                    while connection.recv(65536):
                        connection.sendall(ping)

    connections: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        peer = threading.Thread(target=ping_for_ever)
        peer.start()
        uses = ContainerEvents(Endpoint(str(folder / "s")), IMPATIENT)
        uses.start()
        try:
            eventually(lambda: len(connections) >= 3)
            # Whichever comes first: the time for an answer, or the number of frames without one.
            assert re.search("did not answer the subscription|1000 frames without a message", reason_of(uses))
        finally:
            uses.stop()
            listener.shutdown(socket.SHUT_RDWR)
            peer.join(DEADLINE_SECONDS)
        for connection in connections:
            connection.close()


def test_the_first_answer_is_awaited(folder: Path, follow: Watch) -> None:
    """Until there is one, that is the reason."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        assert "has not answered the subscription yet" in reason_of(follow(folder / "s", PATIENT))


@pytest.mark.parametrize("answer", [None, (Code.UNKNOWN, "unknown service containerd.services.events.v1.Events")])
def test_a_runtime_that_offers_no_events(
    crio: CrioServer, containerd: CrioServer, follow: Watch, answer: tuple[grpc.StatusCode, str] | None
) -> None:
    """That is no fault, and told apart from one."""
    server = crio if answer is None else containerd
    if answer is not None:
        server.fail("Events.Subscribe", *answer)
    uses = follow(server.socket)
    eventually(lambda: uses.problem)
    eventually(lambda: availability_of(uses) is Availability.NOT_OFFERED)
    assert reason_of(uses) == uses.problem


def test_events_that_come_with_another_runtime(folder: Path, follow: Watch, clock: Clock) -> None:
    """Where a runtime that has them comes, they are followed; and where that one ends, it is missed."""
    soon = timedelta(milliseconds=1)
    with CrioServer(folder / "s"):
        uses = follow(folder / "s", ReconnectDelays(soon, soon, soon))
        eventually(lambda: availability_of(uses) is Availability.NOT_OFFERED)
    with CrioServer(folder / "s", records=()) as containerd:
        subscribed(containerd, uses)
        clock.seconds += 10
        assert uses.state is AVAILABLE
    eventually(lambda: availability_of(uses) is Availability.UNAVAILABLE)


# A stream that is open, and does not tell


def deaf(server: CrioServer, uses: ContainerEvents, clock: Clock) -> None:
    """A container is listed that the stream does not tell of, and 30 s go by."""
    subscribed(server, uses)
    clock.seconds += 10
    list_containers(uses, "a")
    list_containers(uses, "a", "b")
    clock.seconds += 30


def list_containers(uses: ContainerEvents, *ids: str) -> None:
    uses.begin_list()
    uses.end_list(ids)


def test_a_stream_that_does_not_tell(containerd: CrioServer, follow: Watch, clock: Clock) -> None:
    """It is not relied on, it is told, and begun anew; until it tells of a container again."""
    uses = follow(containerd.socket)
    deaf(containerd, uses, clock)
    assert availability_of(uses) is Availability.UNAVAILABLE
    assert reason_of(uses) == "the runtime lists the container b, and its stream of events did not tell of it"
    subscribed(containerd, uses, times=2)
    clock.seconds += 100
    assert availability_of(uses) is Availability.UNAVAILABLE
    assert uses.event_position() is None
    containerd.events.publish("c", TAG)
    eventually(lambda: uses.state is AVAILABLE)
    assert uses.event_position() is not None


def test_an_outage_makes_no_stream_deaf(containerd: CrioServer, follow: Watch, clock: Clock) -> None:
    """What a stream had no time to tell before it ended is not held against the next one."""
    uses = follow(containerd.socket)
    subscribed(containerd, uses)
    clock.seconds += 10
    list_containers(uses, "a")
    list_containers(uses, "a", "b")
    containerd.stop()
    eventually(lambda: not uses.connected)
    clock.seconds += 31
    assert "did not tell of it" not in reason_of(uses)
    assert uses._missed.missed is None


def test_the_next_list_finds_it_too(containerd: CrioServer, follow: Watch, clock: Clock) -> None:
    """A final check that lists containers knows it before the daemon's next round."""
    uses = follow(containerd.socket)
    deaf(containerd, uses, clock)
    assert uses.event_position() is not None
    list_containers(uses, "a", "b")
    assert uses.event_position() is None


def test_a_stream_that_tells(containerd: CrioServer, follow: Watch, clock: Clock) -> None:
    """Containers with and without an image, before and after they are listed, are no reason to doubt it."""
    uses = follow(containerd.socket)
    subscribed(containerd, uses)
    clock.seconds += 10
    list_containers(uses, "a")
    containerd.events.publish("b", TAG)
    containerd.events.publish("none", "")
    told(uses)
    eventually(uses._has_read_all)
    list_containers(uses, "a", "b", "none", "late")
    containerd.events.publish("late", TAG)
    told(uses)
    clock.seconds += 100
    assert uses.state is AVAILABLE
    assert len(containerd.events.filters) == 1


def test_a_list_before_the_stream_is_relied_on(containerd: CrioServer, follow: Watch, clock: Clock) -> None:
    """What is created in the moment before containerd acts on a subscription is not missed."""
    uses = follow(containerd.socket)
    subscribed(containerd, uses)
    clock.seconds = 0.4
    list_containers(uses, "a")
    clock.seconds = 0.6
    list_containers(uses, "a", "b")
    clock.seconds = 100
    assert uses.state is AVAILABLE


def test_what_is_not_read_yet_is_not_missed(folder: Path, clock: Clock) -> None:
    """A thread that has data to read may be about to learn of the container."""
    uses = ContainerEvents(Endpoint(str(folder / "s")), PATIENT, clock)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        uses._wire = ours
        uses._set_connected()
        clock.seconds = 10
        list_containers(uses, "a")
        list_containers(uses, "a", "b")
        theirs.sendall(b"x")
        clock.seconds = 100
        list_containers(uses, "a", "b")
        assert uses.event_position() is not None
        ours.recv(1)
        list_containers(uses, "a", "b")
        assert uses.event_position() is None


# Peers that keep their client busy


FLOODS = [
    "PING flood at once",
    "PING flood after the request",
    "SETTINGS flood",
    "WINDOW_UPDATE flood",
    "empty DATA flood",
    "unknown frames",
]


@pytest.mark.parametrize("behaviour", FLOODS)
def test_flood(folder: Path, watch: Watch, behaviour: str) -> None:
    """A peer that sends frames without end, and no message, is given up: it would keep a core busy."""
    with HostilePeer(folder / "s", BEHAVIOURS[behaviour]):
        uses = watch(folder / "s", PATIENT)
        eventually(lambda: uses.problem)
        assert uses.problem == "Events.Subscribe: the runtime sent 1000 frames without a message"
        assert not uses.connected


def test_frames_of_messages(folder: Path, watch: Watch) -> None:
    """Messages may have as many frames in all as they like."""

    def tell(conversation: Conversation) -> None:
        conversation.answer(*[made("a")] * 600, *[made("b")] * 600)
        conversation.listen()

    with Http2Peer(folder / "s", tell):
        uses = watch(folder / "s")
        assert told(uses, 2) == {"a": "app:1", "b": "app:1"}
        assert uses.problem is None


def test_frames_of_one_message() -> None:
    """A thousand frames may come before a message, and not one more."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = ServerStream(ours, SUBSCRIBE, lambda: None)
        for _ in range(1000):
            stream._count_frame()
        with pytest.raises(NotServingError, match="1000 frames"):
            stream._count_frame()


def test_peer_that_does_not_read(folder: Path) -> None:
    """What cannot be sent in time is an error, and no wait that nothing ends."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        with connect(Endpoint(str(folder / "s"))) as wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 1000))
            with suppress(BlockingIOError):
                while True:
                    wire.send(b"x" * 4096)
            with pytest.raises(NotServingError, match="read nothing for 5 s"):
                next(ServerStream(wire, SUBSCRIBE, lambda: None).read(b""))


def test_limit_of_sending(folder: Path) -> None:
    """Sending is limited to five seconds."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        with connect(Endpoint(str(folder / "s"))) as wire:
            assert struct.unpack("ll", wire.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16)) == (5, 0)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_stop_whatever_the_peer_does(folder: Path, watch: Watch, behaviour: str) -> None:
    """The thread ends, whatever it is doing with a peer."""
    with HostilePeer(folder / "s", BEHAVIOURS[behaviour]) as peer:
        uses = watch(folder / "s", PATIENT)
        eventually(lambda: peer.visits)
        stop_watching(uses)


# Stopping


def test_stop_before_start(folder: Path) -> None:
    """What was never started is stopped at once, and cannot be started then."""
    uses = ContainerEvents(Endpoint(str(folder / "s")))
    uses.stop()
    uses.start()
    assert uses._thread is None


def test_start_twice(containerd: CrioServer, watch: Watch) -> None:
    """A second start changes nothing."""
    uses = watch(containerd.socket)
    thread = uses._thread
    uses.start()
    assert uses._thread is thread


def test_stop_while_connected(containerd: CrioServer, watch: Watch) -> None:
    """A thread that waits for events ends at once; stopping again is fine."""
    uses = watch(containerd.socket, PATIENT)
    subscribed(containerd, uses)
    stop_watching(uses)
    stop_watching(uses)
    assert not uses.connected


@pytest.mark.parametrize("socket_is_there", [False, True], ids=["away", "no-api"])
def test_stop_while_pausing(folder: Path, watch: Watch, socket_is_there: bool) -> None:
    """A thread that waits before its next try ends at once."""
    server = CrioServer(folder / "s")
    if socket_is_there:
        server.start()
    uses = watch(folder / "s", PATIENT)
    eventually(lambda: uses.problem)
    stop_watching(uses)
    server.stop()


def test_stop_while_no_server_answers(folder: Path, watch: Watch) -> None:
    """A thread whose connection is not read ends at once."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        uses = watch(folder / "s", PATIENT)
        eventually(lambda: uses._wire is not None)
        stop_watching(uses)


def test_queue_that_is_full(folder: Path, watch: Watch) -> None:
    """A runtime that accepts no connection is unavailable: connecting waits for nothing that a stop could not end."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(str(folder / "s"))
        listener.listen(0)
        other.connect(str(folder / "s"))
        uses = watch(folder / "s", PATIENT)
        eventually(lambda: uses.problem)
        stop_watching(uses)


def test_stop_while_connecting(containerd: CrioServer) -> None:
    """A connection that comes after the stop is closed at once."""
    uses = ContainerEvents(Endpoint(str(containerd.socket)))
    uses.stop()
    with pytest.raises(ConnectionAbortedError), uses._connection():
        raise AssertionError
    assert uses._wire is None


def test_runtime_that_is_gone_already(containerd: CrioServer) -> None:
    """A stop just when the connection ended is fine."""
    uses = ContainerEvents(Endpoint(str(containerd.socket)))
    uses._wire = socket.socket(socket.AF_UNIX)
    uses.stop()
    uses._wire.close()


# What the runtime's client makes of it


def serve_image(server: CrioServer) -> None:
    server.images = {ID: ServedImage(ID, (TAG,))}
    server.records = {name: Record(name, TARGET) for name in (ID, TAG)}


def watched(server: CrioServer, connect: Connect, *names: str) -> CriRuntime:
    """A client that has noticed containers of these names."""
    runtime = connect(server)
    runtime.watch_created_containers()
    subscribed(server, runtime._uses)
    for name in names:
        server.events.publish(name, TAG)
    eventually(lambda: len(runtime._uses._made) == len(names))
    return runtime


def test_names(containerd: CrioServer, connect: Connect) -> None:
    """What was made is reported by id, with every name of its image, and once."""
    serve_image(containerd)
    runtime = watched(containerd, connect, "b", "a")
    names = frozenset({ID, TAG, TARGET})
    assert runtime.drain_created_containers() == (Container("a", names), Container("b", names))
    assert runtime.drain_created_containers() == ()


def test_nothing_made(containerd: CrioServer, connect: Connect) -> None:
    """Where nothing was made, or nothing is watched, nothing is asked."""
    assert connect(containerd).drain_created_containers() == ()
    assert watched(containerd, connect).drain_created_containers() == ()
    assert [call.method for call in containerd.calls] == ["Events.Subscribe"]


@pytest.mark.parametrize("method", ["Images.Get", "Images.List"])
@pytest.mark.parametrize(
    ("code", "error"), [(Code.INTERNAL, RuntimeRejectedError), (Code.DEADLINE_EXCEEDED, RuntimeUnavailableError)]
)
def test_names_that_cannot_be_read(
    containerd: CrioServer, connect: Connect, method: str, code: grpc.StatusCode, error: type[Exception]
) -> None:
    """Where the names cannot be read nothing is lost: all is reported the next time."""
    serve_image(containerd)
    runtime = watched(containerd, connect, "a")
    containerd.fail(method, code)
    with pytest.raises(error, match=method):
        runtime.drain_created_containers()
    containerd.heal()
    containerd.events.publish("b", TAG)
    eventually(lambda: len(runtime._uses._made) == 2)
    assert [container.id for container in runtime.drain_created_containers()] == ["a", "b"]


def test_image_that_is_gone(containerd: CrioServer, connect: Connect) -> None:
    """An image that has no record any more, or a runtime without records, leaves the one name of the event."""
    runtime = watched(containerd, connect, "a")
    assert runtime.drain_created_containers() == (Container("a", frozenset({TAG})),)
    containerd.fail("Images.Get", Code.UNIMPLEMENTED)
    containerd.events.publish("b", TAG)
    eventually(lambda: runtime._uses._made)
    assert runtime.drain_created_containers() == (Container("b", frozenset({TAG})),)


def test_disconnecting(containerd: CrioServer, connect: Connect) -> None:
    """Between checks the client is connected to nothing, and watches on; closing ends that too."""
    serve_image(containerd)
    runtime = watched(containerd, connect)
    runtime.disconnect()
    containerd.events.publish("a", TAG)
    eventually(lambda: runtime._uses._made)
    assert [container.id for container in runtime.drain_created_containers()] == ["a"]
    stop_watching(runtime._uses, runtime.close)
    eventually(lambda: not containerd.events.subscribers)
    runtime.close()


def test_leaving_the_block(containerd: CrioServer, stop: object) -> None:
    """The end of a with-block ends the thread."""
    with ExitStack() as block:
        runtime = block.enter_context(CriRuntime(Endpoint(str(containerd.socket)), stop))  # type: ignore[arg-type]
        runtime.watch_created_containers()
        stop_watching(runtime._uses, block.close)


def test_lists_are_compared_with_events(containerd: CrioServer, connect: Connect, clock: Clock) -> None:
    """Each list of the client counts; where containerd's own list is missing, none does."""
    runtime = connect(containerd)
    runtime._uses._monotonic = clock
    runtime.watch_created_containers()
    subscribed(containerd, runtime._uses)
    clock.seconds = 10
    containerd.fail("Containers.List", Code.UNIMPLEMENTED)
    runtime.list_containers()
    assert runtime._uses._missed._listed is None
    containerd.heal()
    containerd.fail("Version", Code.UNAVAILABLE)
    with pytest.raises(RuntimeUnavailableError):
        runtime.read_version()
    runtime.list_containers()
    assert runtime._uses._missed._listed == frozenset()


def test_no_api_to_watch(crio: CrioServer, connect: Connect) -> None:
    """A runtime without events is used as ever, and tells of none."""
    runtime = connect(crio)
    runtime.watch_created_containers()
    eventually(lambda: runtime._uses.problem)
    assert runtime.drain_created_containers() == ()
    assert runtime.list_containers() == ()
