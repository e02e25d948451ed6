"""What every call promises whatever the peer does: an end by its deadline, and soon after a stop request.

The promises are those of `CriRuntime`, and know nothing of what carries the calls. Bounds are generous: what is tested
is that a call ends, and the times are printed.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

import grpc
import pytest

from cleaner.core.errors import CleanerError, RuntimeRejectedError, RuntimeUnavailableError, StopRequestedError
from cleaner.runtime.pb import containerd_snapshots_pb2 as snapshots_pb
from cleaner.runtime.pb import cri_pb2 as pb
from cleaner.runtime.rpc import methods
from cleaner.runtime.rpc.calls import Calls
from cleaner.runtime.rpc.channel import Channels, _sockets
from cleaner.runtime.rpc.endpoint import Endpoint
from cleaner.runtime.rpc.methods import Method, Socket, Span
from cleaner.runtime.rpc.server_stream import connect
from lab.waiting import wait_until
from support.hostile_peer import BEHAVIOURS, ENDLESS, HostilePeer, answering

DEADLINE = timedelta(milliseconds=300)
NEVER = timedelta(hours=1)
MIB = 1 << 20
BOUND_SECONDS = 30
"""A call that is not ended from here never ends."""


class TimedStop:
    """A stop request at a moment, which waits for nothing."""

    def __init__(self) -> None:
        self.at = float("inf")

    def requested(self) -> bool:
        return time.monotonic() >= self.at

    def wait(self, seconds: float) -> bool:
        return self.requested()


def read_many(calls: Calls) -> None:
    calls.read_many(methods.SNAPSHOT_STAT, [snapshots_pb.StatSnapshotRequest(key=str(key)) for key in range(100)])


KINDS: dict[str, Callable[[Calls], object]] = {
    "unary": lambda calls: calls.read(methods.STATUS, pb.StatusRequest()),
    "batch": read_many,
    "stream": lambda calls: calls.read_stream(methods.STREAM_IMAGES, pb.StreamImagesRequest(), list),
}


def calls_to(path: Path, stop: TimedStop, deadline: timedelta, observed: list[bool] | None = None) -> Calls:
    channels = Channels(dict.fromkeys(Socket, Endpoint(str(path))))
    reports = [] if observed is None else observed
    return Calls(channels, dict.fromkeys(Span, deadline), stop, lambda _name, _seconds, ok: reports.append(ok))


def timed(call: Callable[[], object]) -> tuple[CleanerError | None, float]:
    """The error of a call, and how long it took, in a thread that must end."""
    failures: list[CleanerError | None] = []

    def run() -> None:
        try:
            call()
        except CleanerError as error:
            failures.append(error)
        else:
            failures.append(None)

    began = time.monotonic()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(BOUND_SECONDS)
    assert not thread.is_alive(), f"after {BOUND_SECONDS} s the call has not ended"
    took = time.monotonic() - began
    print(f"ended after {took:.2f} s: {failures[0]}")
    return failures[0], took


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_deadline_holds(folder: Path, behaviour: str, kind: str) -> None:
    """Whatever a peer does, a call ends by its deadline with an error of ours, and so does closing."""
    with HostilePeer(folder / "s", BEHAVIOURS[behaviour]):
        calls = calls_to(folder / "s", TimedStop(), DEADLINE)
        failure, _ = timed(lambda: KINDS[kind](calls))
        assert isinstance(failure, RuntimeUnavailableError | RuntimeRejectedError) or behaviour not in ENDLESS
        timed(calls.close)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("behaviour", ["PING flood at once", "WINDOW_UPDATE flood", "a byte a second", "silence"])
def test_stop_ends_a_read(folder: Path, behaviour: str, kind: str) -> None:
    """A read whose deadline is an hour away ends after a stop request, the next at once; neither is a failed call."""
    stop, observed = TimedStop(), list[bool]()
    with HostilePeer(folder / "s", BEHAVIOURS[behaviour]) as peer:
        calls = calls_to(folder / "s", stop, NEVER, observed)
        stop.at = time.monotonic() + 0.2
        failure, _ = timed(lambda: KINDS[kind](calls))
        visits = peer.visits
        next_failure, _ = timed(lambda: KINDS[kind](calls))
        timed(calls.close)
        assert (type(failure), type(next_failure)) == (StopRequestedError, StopRequestedError)
        assert peer.visits == visits
        assert observed == []


def test_removal_ignores_a_stop(folder: Path) -> None:
    """A removal under way ends at its own deadline, and the read that confirms it is asked; then no read is."""
    stop = TimedStop()
    with HostilePeer(folder / "s", BEHAVIOURS["PING flood at once"]):
        calls = calls_to(folder / "s", stop, timedelta(seconds=2))
        stop.at = 0
        request = pb.RemoveImageRequest()
        failure, _ = timed(lambda: calls.ask(methods.REMOVE_IMAGE, request))
        assert isinstance(failure, RuntimeUnavailableError)
        for expected in ("RuntimeUnavailableError", "StopRequestedError"), ("StopRequestedError",):
            failure, _ = timed(lambda: calls.ask(methods.STATUS, pb.StatusRequest()))
            assert type(failure).__name__ in expected
        calls.close()


@pytest.mark.parametrize("behaviour", sorted(BEHAVIOURS))
def test_nothing_is_left_behind(folder: Path, behaviour: str) -> None:
    """A call leaves no connection behind, nor what gRPC keeps for one, though the peer may still be flooding it."""
    with HostilePeer(folder / "s", BEHAVIOURS[behaviour]) as peer:
        calls = calls_to(folder / "s", TimedStop(), DEADLINE)
        for visits in (1, 2, 3):
            timed(lambda: calls.ask(methods.VERSION, pb.VersionRequest()))
            timed(calls.disconnect)
            assert peer.visits >= visits
        calls.close()
        wait_until(lambda: not connections_to(folder / "s"), "all connections are closed")


@pytest.mark.parametrize("kind", KINDS)
def test_peer_that_accepts_nothing(folder: Path, kind: str) -> None:
    """A queue that is full, of a peer that accepts no connection, is a runtime that is down."""
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as clients:
        listener.bind(str(folder / "s"))
        listener.listen(0)
        with suppress(BlockingIOError):
            while True:
                client = clients.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect(str(folder / "s"))
        calls = calls_to(folder / "s", TimedStop(), DEADLINE)
        failure, _ = timed(lambda: KINDS[kind](calls))
        assert isinstance(failure, RuntimeUnavailableError)
        timed(calls.close)


def test_calls_beside_each_other(folder: Path) -> None:
    """What is cut are the connections of gRPC: others of this process stay, also if they never block."""
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as clients:
        listener.bind(str(folder / "other"))
        listener.listen()

        def other(*, blocking: bool) -> tuple[socket.socket, socket.socket]:
            ours = clients.enter_context(connect(Endpoint(str(folder / "other"))))
            ours.setblocking(blocking)
            return ours, clients.enter_context(listener.accept()[0])

        others = [other(blocking=False)]
        calls = calls_to(folder / "s", TimedStop(), DEADLINE)
        others += [other(blocking=False), other(blocking=True)]
        with HostilePeer(folder / "s", BEHAVIOURS["PING flood at once"]):
            for _ in range(2):
                timed(lambda: calls.ask(methods.VERSION, pb.VersionRequest()))
                others += [other(blocking=False)]
            calls.close()
        for ours, theirs in others:
            theirs.sendall(b"x")
            assert ours.recv(1) == b"x"


GARBAGE = {
    "no message": b"\xff\xff\xff",
    "truncated": b"\x0a\x7fab",
    "invalid UTF-8": b"\x0a\x04\x0a\x02\xff\xfe",
    "number instead of message": b"\x08\x01",
    "open group": b"\x0b",
}
"""Of the first field of a list's message, which holds messages whose first field is a text."""


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("method", [methods.LIST_CONTAINERS, methods.LIST_IMAGES, methods.LIST_SANDBOXES])
def test_garbage(
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    garbage: str,
    method: Method[Any, Any],
) -> None:
    """An answer that is none of this method is one line with its method and endpoint, and no empty list; no log."""
    observed: list[bool] = []
    with HostilePeer(folder / "s", answering(GARBAGE[garbage])):
        calls = calls_to(folder / "s", TimedStop(), NEVER, observed)
        failures = [
            timed(lambda: calls.ask(method, method.request()))[0],
            timed(lambda: calls.read_many(method, [method.request()] * 3))[0],
        ]
        calls.close()
        # A stream is another method to gRPC.
        calls = calls_to(folder / "s", TimedStop(), NEVER, observed)
        failures.append(timed(lambda: calls.read_stream(method, method.request(), list))[0])
        calls.close()
    for failure in failures:
        assert type(failure) is RuntimeRejectedError
        assert str(failure).startswith(f"{method.name}: the answer of unix://{folder}/s cannot be decoded: ")
        assert str(failure).isprintable()
    assert observed == [False] * 3
    assert caplog.records == []
    assert capfd.readouterr().err == ""


def test_unknown_fields(folder: Path) -> None:
    """Fields that only a newer runtime has are no garbage."""
    with HostilePeer(
        folder / "s", answering(pb.VersionResponse(runtime_name="x").SerializeToString() + b"\x98\x3f\x01")
    ):
        calls = calls_to(folder / "s", TimedStop(), NEVER)
        assert calls.ask(methods.VERSION, pb.VersionRequest()).runtime_name == "x"
        calls.close()


class EndlessLists(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Streams images for ever, and has too many for one message."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        if "Stream" in handler_call_details.method:
            part = pb.StreamImagesResponse(images=[pb.Image(id="x" * MIB)]).SerializeToString()
            return grpc.unary_stream_rpc_method_handler(lambda _request, _context: repeat(part))
        return grpc.unary_unary_rpc_method_handler(too_large)


def too_large(_request: bytes, context: Any) -> bytes:
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max")
    raise AssertionError


def count(parts: Iterator[Any]) -> int:
    return sum(1 for _ in parts)


@pytest.mark.parametrize("kept", [True, False])
def test_endless_list(folder: Path, kept: bool) -> None:
    """A list without end is an error before it fills the memory, the sooner where its parts are kept."""
    server = grpc.server(ThreadPoolExecutor(2), handlers=[EndlessLists()])
    server.add_insecure_port(f"unix:{folder}/s")
    server.start()
    calls = calls_to(folder / "s", TimedStop(), NEVER)
    stream = methods.STREAM_IMAGES
    if kept:
        failure, _ = timed(lambda: calls.read_list(methods.LIST_IMAGES, stream))
    else:
        failure, _ = timed(lambda: calls.read_stream(stream, stream.request(), count))
    calls.close()
    server.stop(None)
    assert type(failure) is RuntimeRejectedError
    assert str(failure) == f"StreamImages: the list exceeds {64 if kept else 256} MiB"


def connections_to(path: Path) -> int:
    """How many sockets of this process are connected to a server's socket."""
    found = 0
    for descriptor, _ in _sockets():
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
            found += copy.family == socket.AF_UNIX and copy.getpeername() == str(path)
    return found
