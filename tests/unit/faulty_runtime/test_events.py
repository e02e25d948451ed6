"""Events are sent to those who asked for them, and lost, held back, delayed or cut off on order."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

import grpc
import pytest

from cleaner.runtime.containerd.container_events import ContainerEvents, ReconnectDelays
from cleaner.runtime.pb import containerd_events_pb2 as pb
from cleaner.runtime.pb import containerd_events_pb2_grpc as events_grpc
from cleaner.runtime.rpc.endpoint import Endpoint
from contract import Build
from lab.waiting import DEADLINE_SECONDS, wait_until
from support.faulty_runtime import FaultyBench

APP = Build("shop/app")
CREATED = 'namespace=="k8s.io",topic=="/containers/create"'


@dataclass
class Subscription:
    """What one subscriber was told: topic, first field, and when."""

    told: "queue.SimpleQueue[tuple[str, str, float]]" = field(default_factory=queue.SimpleQueue)
    ended: threading.Event = field(default_factory=threading.Event)
    code: grpc.StatusCode | None = None

    def next(self) -> tuple[str, str]:
        topic, subject, _ = self.told.get(timeout=DEADLINE_SECONDS)
        return topic, subject


@contextmanager
def subscribed(bench: FaultyBench, *filters: str) -> Iterator[Subscription]:
    subscription, before = Subscription(), bench.server.events.following
    with grpc.insecure_channel(f"unix:{bench.server.socket}") as channel:
        stub = events_grpc.EventsStub(channel)  # type: ignore[no-untyped-call]
        stream = stub.Subscribe(pb.SubscribeRequest(filters=filters))

        def follow() -> None:
            try:
                for envelope in stream:
                    made = pb.ContainerCreate.FromString(envelope.event.value)
                    subscription.told.put((envelope.topic, made.id, monotonic()))
            except grpc.RpcError as error:
                subscription.code = error.code()
            subscription.ended.set()

        threading.Thread(target=follow, daemon=True).start()
        wait_until(lambda: bench.server.events.following > before or subscription.ended.is_set(), "it follows")
        yield subscription
        stream.cancel()
        assert subscription.ended.wait(DEADLINE_SECONDS)


@pytest.fixture
def start(bench: FaultyBench) -> Callable[[], str]:
    bench.publish(APP)
    bench.pull(APP.reference())
    return lambda: bench.start(APP.reference())


def test_events_are_filtered(bench: FaultyBench, start: Callable[[], str]) -> None:
    """A subscriber is told what it asked for: sandboxes are containers too."""
    with subscribed(bench, CREATED, 'topic=="/containers/delete"') as told:
        container_id = start()
        (sandbox_id,) = bench.server.node.sandboxes
        bench.remove(container_id)
        made, gone = "/containers/create", "/containers/delete"
        expected = [(made, sandbox_id), (made, container_id), (gone, container_id), (gone, sandbox_id)]
        assert [told.next() for _ in expected] == expected


def test_another_namespace_is_told_apart(bench: FaultyBench) -> None:
    """Events of another namespace match no filter for CRI's."""
    with subscribed(bench, CREATED) as told:
        bench.server.events.announce("/containers/create", "docker's", image="app", namespace="moby")
        bench.server.events.announce("/containers/create", "ours", image="app")
        assert told.next() == ("/containers/create", "ours")


def test_what_is_no_filter_is_rejected(bench: FaultyBench) -> None:
    """A filter that cannot be parsed ends the subscription."""
    with subscribed(bench, "nonsense") as told:
        assert told.ended.wait(DEADLINE_SECONDS)
        assert told.code is grpc.StatusCode.INVALID_ARGUMENT


def test_lost_events(bench: FaultyBench, start: Callable[[], str]) -> None:
    """Events are lost, and the stream stays."""
    with subscribed(bench, CREATED) as told:
        with bench.server.events.losing_events():
            start()
        bench.server.events.announce("/containers/create", "next", image="app")
        assert told.next() == ("/containers/create", "next")


def test_held_events(bench: FaultyBench, start: Callable[[], str]) -> None:
    """Events are held back, and then sent in order."""
    with subscribed(bench, CREATED) as told:
        with bench.server.events.holding_events():
            first = start()
            second = start()
            assert {one.id for one in bench.runtime.list_containers()} == {first, second}
            assert told.told.empty()
        assert [told.next()[1] for _ in range(4)][1::2] == [first, second]


def test_late_events(bench: FaultyBench, start: Callable[[], str]) -> None:
    """Events come so much later than what they are about."""
    bench.server.events.late_seconds = 0.05
    with subscribed(bench, CREATED) as told:
        began = monotonic()
        start()
        _, _, at = told.told.get(timeout=DEADLINE_SECONDS)
        assert at - began >= 0.05


def test_ended_streams(bench: FaultyBench, start: Callable[[], str]) -> None:
    """Streams are ended with an error; who subscribes again is told of what happens from then on."""
    with subscribed(bench, CREATED) as told:
        bench.server.events.end_streams(grpc.StatusCode.INTERNAL)
        assert told.ended.wait(DEADLINE_SECONDS)
        assert told.code is grpc.StatusCode.INTERNAL
    with subscribed(bench, CREATED) as told:
        container_id = start()
        assert [told.next()[1] for _ in range(2)][1] == container_id


def test_the_agent_follows(bench: FaultyBench, start: Callable[[], str]) -> None:
    """The agent's own subscription is served, with long image names too."""
    events = ContainerEvents(Endpoint(str(bench.server.socket)), ReconnectDelays())
    events.start()
    try:
        wait_until(lambda: events.connected and bench.server.events.following == 1, "the agent follows")
        name = f"registry.example.com/{'long/' * 40}app:v1"
        bench.server.events.announce("/containers/create", "c", image=name)
        container_id = start()
        made: dict[str, str] = {}
        wait_until(lambda: made.update(events.drain()) or container_id in made, "the event arrives")
        assert made["c"] == name
        assert made[container_id] == APP.reference()
    finally:
        events.stop()


def test_a_hook_hears_of_events(bench: FaultyBench, start: Callable[[], str]) -> None:
    """What happened is listed by the time that the hook is told, and can be asked about in it."""
    listed: list[bool] = []

    def check(topic: str, subject: str) -> None:
        if topic == "/containers/create":
            listed.append(subject in {one.id for one in bench.server.node.store.own.containers})

    bench.server.events.on_event = check
    start()
    assert listed == [True, True]
