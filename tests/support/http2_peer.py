"""A runtime that speaks HTTP/2 as a test scripts it, wrongly where the test asks for that.

gRPC's own server cannot do that: it says nothing wrong and cuts no message.
"""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, PingAckReceived, RequestReceived, StreamEnded

from cleaner.runtime.pb import containerd_events_pb2 as pb

OK = ((":status", "200"), ("content-type", "application/grpc"))
Script = Callable[["Conversation"], None]


def framed(message: bytes, compressed: int = 0) -> bytes:
    """A message as gRPC sends it."""
    return struct.pack(">BI", compressed, len(message)) + message


def made(container_id: str, image: str = "app:1") -> bytes:
    """The event of a new container, as gRPC sends it."""
    event = pb.ContainerCreate(id=container_id, image=image).SerializeToString()
    envelope = pb.Envelope(namespace="k8s.io", topic="/containers/create", event={"value": event})
    return framed(envelope.SerializeToString())


class Conversation:
    """One connection whose request has come."""

    headers: dict[str, str]
    body: bytes

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self.http2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.body = b""

    def open(self) -> None:
        """Read until the request is complete."""
        self.http2.initiate_connection()
        self.flush()
        for event in self._events():
            if isinstance(event, RequestReceived):
                self.headers = {str(key): str(value) for key, value in event.headers or ()}
            elif isinstance(event, DataReceived):
                self.body += event.data or b""
            elif isinstance(event, StreamEnded):
                return

    def answer(self, *parts: bytes) -> None:
        """An answer of these bytes, each in a frame of its own."""
        self.head(OK)
        for part in parts:
            self.http2.send_data(1, part)
            self.flush()

    def head(self, headers: Sequence[tuple[str, str]], *, last: bool = False) -> None:
        """Headers or trailers."""
        self.http2.send_headers(1, headers, end_stream=last)
        self.flush()

    def ask_for_a_sign(self) -> None:
        """Ping, and go on once that was answered."""
        self.http2.ping(b"answer!!")
        self.flush()
        for event in self._events():
            if isinstance(event, PingAckReceived):
                return

    def flush(self) -> None:
        self.wire.sendall(self.http2.data_to_send())

    def listen(self) -> None:
        """Until the client is gone."""
        for _ in self._events():
            pass

    def _events(self) -> Iterator[Event]:
        while data := self.wire.recv(65536):
            events = self.http2.receive_data(data)
            self.flush()
            yield from events


class Http2Peer:
    """Answers one connection after the other, each as the next script says; the last one stays."""

    def __init__(self, path: Path, *scripts: Script) -> None:
        self.conversations: list[Conversation] = []
        self._scripts = list(scripts)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Wakes the one that accepts, too.
        self._listener.shutdown(socket.SHUT_RDWR)
        for conversation in self.conversations:
            with suppress(OSError):
                conversation.wire.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        while self._scripts:
            try:
                wire = self._listener.accept()[0]
            except OSError:
                return
            with wire, suppress(OSError):
                conversation = Conversation(wire)
                self.conversations.append(conversation)
                conversation.open()
                self._scripts.pop(0)(conversation)
