"""The exchange of a faulty runtime: it filters as containerd does, and loses, holds back or delays events on order."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic

import grpc

from cleaner.runtime.pb import containerd_events_pb2 as pb
from support.containerd_filters import matches
from support.containerd_services import Exchange
from support.faulty_runtime.journal import Journal, Kind
from support.wire import read_texts, write_texts

_Due = tuple[float, pb.Envelope]
_END = (0.0, None)


_FIELDS: Mapping[str, Mapping[int, str]] = {
    "/snapshot/prepare": {1: "key", 2: "parent", 5: "snapshotter"},
    "/snapshot/commit": {1: "key", 2: "name", 5: "snapshotter"},
    "/snapshot/remove": {1: "key", 5: "snapshotter"},
    "/containers/create": {1: "id", 2: "image"},
    "/containers/delete": {1: "id"},
    "/images/create": {1: "name"},
    "/images/update": {1: "name"},
    "/images/delete": {1: "name"},
}
"""By topic, the fields of an event as filters name them. Source: containerd `api/events`."""


class _Subscriber:
    def __init__(self, filters: Sequence[str]) -> None:
        self.filters = tuple(filters)
        self.mailbox: queue.SimpleQueue[_Due | tuple[float, None]] = queue.SimpleQueue()
        self.left = threading.Event()
        self.code: grpc.StatusCode | None = None


class FaultyExchange(Exchange):
    """Hands events to those who subscribed to them, in order."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.late_seconds = 0.0
        """How long after it happened an event is sent."""
        self.on_event: Callable[[str, str], None] = lambda _topic, _subject: None
        """Told each topic and subject once the event is sent; what happened is done by then."""
        self._journal = journal
        self._lock = threading.Lock()
        self._following: list[_Subscriber] = []
        self._muted = False
        self._backlog: list[pb.Envelope] | None = None

    def announce(self, topic: str, subject: str, *, namespace: str = "k8s.io", **fields: str) -> None:
        """Announce an event to all subscribers; fields other than the subject have containerd's names."""
        numbers = {name: number for number, name in _FIELDS[topic].items()}
        texts = {1: subject} | {numbers[name]: value for name, value in fields.items()}
        self._journal.add(Kind.EVENT, topic, subject, fields.get("image", ""))
        self.send(pb.Envelope(namespace=namespace, topic=topic, event={"value": write_texts(texts)}))
        self.on_event(topic, subject)

    def send(self, envelope: pb.Envelope) -> None:
        """Send an event, unless events are lost or held back."""
        with self._lock:
            if self._muted:
                return
            if self._backlog is not None:
                self._backlog.append(envelope)
                return
            fields = _fields_of(envelope)
            for subscriber in self._following:
                if matches(subscriber.filters, fields):
                    subscriber.mailbox.put((monotonic() + self.late_seconds, envelope))

    @contextmanager
    def losing_events(self) -> Iterator[None]:
        """Events of the with-block are never sent, though the streams stay open."""
        self._muted = True
        try:
            yield
        finally:
            self._muted = False

    @contextmanager
    def holding_events(self) -> Iterator[None]:
        """Events of the with-block are sent at its end."""
        with self._lock:
            self._backlog = []
        try:
            yield
        finally:
            with self._lock:
                backlog, self._backlog = self._backlog, None
            for envelope in backlog or ():
                self.send(envelope)

    def end_streams(self, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        """End all streams with an error; who subscribes again is served."""
        with self._lock:
            for subscriber in self._following:
                subscriber.code = code
                subscriber.left.set()
                subscriber.mailbox.put(_END)

    @property
    def following(self) -> int:
        """How many streams are open."""
        return len(self._following)

    def follow(self, filters: Sequence[str], context: grpc.ServicerContext) -> Iterator[pb.Envelope]:
        """The events that match, until the subscriber leaves or the streams are ended."""
        try:
            matches(filters, {})
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        subscriber = _Subscriber(filters)
        context.add_callback(subscriber.left.set)
        context.add_callback(lambda: subscriber.mailbox.put(_END))
        with self._lock:
            self._following.append(subscriber)
        self.filters.append(list(filters))
        try:
            yield from self._read(subscriber)
        finally:
            with self._lock:
                self._following.remove(subscriber)
        if subscriber.code is not None:
            context.abort(subscriber.code, "the stream of events was ended")

    def _read(self, subscriber: _Subscriber) -> Iterator[pb.Envelope]:
        while True:
            due, envelope = subscriber.mailbox.get()
            if envelope is None or subscriber.left.wait(max(0.0, due - monotonic())):
                return
            yield envelope


def _fields_of(envelope: pb.Envelope) -> dict[str, str]:
    """What filters can ask for."""
    texts, names = read_texts(envelope.event.value), _FIELDS.get(envelope.topic, {})
    event = {f"event.{name}": texts.get(number, "") for number, name in names.items()}
    return {"namespace": envelope.namespace, "topic": envelope.topic} | event
