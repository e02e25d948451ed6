"""What one attempt to follow container events shows."""

import socket
from pathlib import Path

import grpc
import pytest

from cleaner.core.read_state import AVAILABLE, Availability
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.containerd.event_probe import probe_container_events
from cleaner.runtime.rpc.endpoint import Endpoint
from support.crio_server import CrioServer
from support.http2_peer import Conversation, Http2Peer, Script, made
from unit.runtime.containerd.test_container_events import Connect, be_a_proxy, break_the_rules, reset


def test_a_runtime_with_events(containerd: CrioServer, connect: Connect) -> None:
    """The subscription is accepted, and given up again."""
    runtime: CriRuntime = connect(containerd)
    assert runtime.probe_container_events() is AVAILABLE
    assert runtime.container_events_state is None
    assert [call.method for call in containerd.calls] == ["Events.Subscribe"]


def test_a_runtime_without_events(crio: CrioServer, connect: Connect) -> None:
    """CRI-O has no such service."""
    state = connect(crio).probe_container_events()
    assert state.availability is Availability.NOT_OFFERED
    assert str(state.reason).startswith("Events.Subscribe: UNIMPLEMENTED")


def test_a_runtime_that_rejects_the_subscription(containerd: CrioServer, connect: Connect) -> None:
    """An answer that is an error is the reason."""
    containerd.fail("Events.Subscribe", grpc.StatusCode.PERMISSION_DENIED, "not yours")
    state = connect(containerd).probe_container_events()
    assert (state.availability, state.reason) == (
        Availability.UNAVAILABLE,
        "Events.Subscribe: PERMISSION_DENIED: not yours",
    )


@pytest.mark.parametrize("script", [be_a_proxy, break_the_rules, reset])
def test_a_stream_that_ends_at_once(folder: Path, script: Script) -> None:
    """However it ends, that is told and not raised."""
    with Http2Peer(folder / "s", script):
        state = probe_container_events(Endpoint(str(folder / "s")))
    assert state.unavailable
    assert state.reason


def test_events_that_come_at_once(folder: Path) -> None:
    """A busy runtime is a runtime with events."""

    def tell(conversation: Conversation) -> None:
        conversation.answer(made("a"), made("b"))
        conversation.listen()

    with Http2Peer(folder / "s", tell):
        assert probe_container_events(Endpoint(str(folder / "s"))) is AVAILABLE


def test_no_runtime(folder: Path) -> None:
    """A socket that is not there is told too."""
    assert "No such file" in str(probe_container_events(Endpoint(str(folder / "s"))).reason)


def test_a_runtime_that_never_answers(folder: Path) -> None:
    """A connection that nobody reads is given up."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        state = probe_container_events(Endpoint(str(folder / "s")), answer_seconds=0.05)
    assert state.reason == "Events.Subscribe: the runtime did not answer the subscription within 0.05 s"
