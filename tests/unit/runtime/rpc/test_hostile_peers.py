"""What every call promises whatever the peer does: an end by its deadline, and soon after a stop request.

The promises are those of `CriRuntime`, and know nothing of what carries the calls. Bounds are generous: what is tested
is that a call ends, and the times are printed.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.core.errors import CleanerError, RuntimeRejectedError, RuntimeUnavailableError, StopRequestedError
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.pb import containerd_snapshots_pb2 as snapshots_pb
from cleaner.runtime.pb import cri_pb2 as pb
from cleaner.runtime.rpc import methods
from cleaner.runtime.rpc.calls import Calls
from cleaner.runtime.rpc.channel import Channels, _sockets
from cleaner.runtime.rpc.cutoff import Cutoff
from cleaner.runtime.rpc.endpoint import Endpoint
from cleaner.runtime.rpc.methods import Method, Socket, Span
from lab.waiting import wait_until
from support.crio_server import CrioServer, ServedImage
from support.hostile_peer import BEHAVIOURS, ENDLESS, HostilePeer, answering

DEADLINE = timedelta(milliseconds=300)
NEVER = timedelta(hours=1)
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
    """A read whose deadline is an hour away ends after a stop request, and the next at once; neither is a failed call."""
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


def connections_to(path: Path) -> int:
    """How many sockets of this process are connected to a server's socket."""
    found = 0
    for descriptor, _ in _sockets():
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
            found += copy.family == socket.AF_UNIX and copy.getpeername() == str(path)
    return found
