"""A peer on a runtime's socket that wastes its client's time, memory or patience, as one behaviour of many.

It writes raw HTTP/2 frames: a library of the protocol would not let it misbehave. Every connection behaves the same.
"""

import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from support.http2_peer import framed

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_SECOND_OF_SILENCE = 1.0
_STREAM = 1
"""Of the first call on a connection."""


class Visitor:
    """One client, from the peer's point of view."""

    def __init__(self, wire: socket.socket, ended: threading.Event) -> None:
        self.wire = wire
        self._ended = ended
        self._greeted = False

    def greet(self) -> None:
        """Send settings, so that the client takes this for a server."""
        self.wire.sendall(frame(_SETTINGS, 0, 0))

    def read_request(self) -> None:
        """Read until the next call has been made; the first one has the stream 1."""
        if not self._greeted:
            self._greeted = bool(self.wire.recv(len(_PREFACE), socket.MSG_WAITALL))
        while True:
            head = self.wire.recv(9, socket.MSG_WAITALL)
            if len(head) < 9:
                raise ConnectionResetError
            size, kind = int.from_bytes(head[:3]), head[3]
            if size:
                self.wire.recv(size, socket.MSG_WAITALL)
            if kind == _HEADERS:
                return

    def flood(self, *frames: bytes) -> None:
        """Send these over and over, reading nothing."""
        data = b"".join(frames) * max(1, 16384 // sum(map(len, frames)))
        while not self._ended.is_set():
            self.wire.sendall(data)

    def wait(self, seconds: float | None = None) -> None:
        """Do nothing, and read nothing."""
        self._ended.wait(seconds)

    def drip(self, data: bytes) -> None:
        """Send a byte a second."""
        for byte in data:
            self.wire.sendall(bytes([byte]))
            if self._ended.wait(_SECOND_OF_SILENCE):
                return


Behaviour = Callable[[Visitor], None]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame of HTTP/2."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """A header field without the table of HPACK; names and values of up to 126 bytes."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


OK_HEADERS = b"\x88" + _literal(b"content-type", b"application/grpc")
"""`:status: 200`, and what gRPC wants with it."""
_ANSWER_HEAD = frame(_HEADERS, _END_HEADERS, _STREAM, OK_HEADERS)
_TRAILERS = frame(_HEADERS, _END_HEADERS | _END_STREAM, _STREAM, _literal(b"grpc-status", b"0"))
_PING_FRAME = frame(_PING, 0, 0, b"flooding")


def _flooding(*frames: bytes, before: bytes = b"") -> Behaviour:
    """Floods once a call has been made."""

    def behave(visitor: Visitor) -> None:
        visitor.greet()
        visitor.read_request()
        visitor.wire.sendall(before)
        visitor.flood(*frames)

    return behave


def _ping_at_once(visitor: Visitor) -> None:
    visitor.greet()
    visitor.flood(_PING_FRAME)


def _answering(*parts: bytes) -> Behaviour:
    """Sends these once a call has been made, then nothing."""

    def behave(visitor: Visitor) -> None:
        visitor.greet()
        visitor.read_request()
        for part in parts:
            visitor.wire.sendall(part)
        visitor.wait()

    return behave


def _dripping(visitor: Visitor) -> None:
    visitor.greet()
    visitor.read_request()
    visitor.wire.sendall(_ANSWER_HEAD)
    visitor.drip(frame(_DATA, 0, _STREAM, framed(b"\0" * 1000)))


def _going_away(visitor: Visitor) -> None:
    visitor.greet()
    visitor.wire.sendall(frame(_GOAWAY, 0, 0, struct.pack(">II", 0, 0)))
    visitor.wait(0.01)


def _drip_preface(visitor: Visitor) -> None:
    visitor.drip(frame(_SETTINGS, 0, 0, b"\0\3\0\0\0d" * 20))


def _flooding_after_answers(visitor: Visitor) -> None:
    """Answers the first call as if nothing were wrong."""
    visitor.greet()
    visitor.read_request()
    visitor.wire.sendall(_ANSWER_HEAD + frame(_DATA, 0, _STREAM, _EMPTY) + _TRAILERS)
    visitor.flood(_PING_FRAME)


_EMPTY = framed(b"")

BEHAVIOURS: Mapping[str, Behaviour] = {
    "PING flood at once": _ping_at_once,
    "PING flood after the request": _flooding(_PING_FRAME),
    "SETTINGS flood": _flooding(frame(_SETTINGS, 0, 0)),
    "WINDOW_UPDATE flood": _flooding(frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))),
    "empty DATA flood": _flooding(frame(_DATA, 0, _STREAM), before=_ANSWER_HEAD),
    "CONTINUATION flood": _flooding(frame(_CONTINUATION, 0, _STREAM), before=frame(_HEADERS, 0, _STREAM, OK_HEADERS)),
    "unknown frames": _flooding(frame(0xAA, 0, 0, b"x" * 100)),
    "endless list": _flooding(frame(_DATA, 0, _STREAM, _EMPTY), before=_ANSWER_HEAD),
    "a byte a second": _dripping,
    "a byte a second of the settings": _drip_preface,
    "no trailers": _answering(_ANSWER_HEAD, frame(_DATA, 0, _STREAM, _EMPTY)),
    "headers only": _answering(_ANSWER_HEAD),
    "1 GiB announced": _answering(_ANSWER_HEAD, frame(_DATA, 0, _STREAM, struct.pack(">BI", 0, 1 << 30))),
    "silence": Visitor.wait,
    "PING flood after an answer": _flooding_after_answers,
    "silence after the settings": _answering(),
    "RST_STREAM": _answering(frame(_RST_STREAM, 0, _STREAM, struct.pack(">I", 2))),
    "GOAWAY": _going_away,
    "hangs up": lambda _visitor: None,
    "not HTTP/2": lambda visitor: visitor.flood(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
}


ENDLESS = frozenset(
    {
        "PING flood at once",
        "PING flood after the request",
        "SETTINGS flood",
        "WINDOW_UPDATE flood",
        "unknown frames",
        "a byte a second",
        "a byte a second of the settings",
        "no trailers",
        "headers only",
        "silence",
        "silence after the settings",
    }
)
"""Those that leave a call without an answer for as long as it waits; the others end it by themselves."""


def answering(message: bytes) -> Behaviour:
    """Answers every call with this message, however little it is one."""

    def behave(visitor: Visitor) -> None:
        visitor.greet()
        stream = 1
        while True:
            visitor.read_request()
            head = frame(_HEADERS, _END_HEADERS, stream, OK_HEADERS)
            trailers = frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, _literal(b"grpc-status", b"0"))
            visitor.wire.sendall(head + frame(_DATA, 0, stream, framed(message)) + trailers)
            stream += 2

    return behave


class HostilePeer:
    """Serves a socket with one behaviour until the end of its with-block, each client in a thread of its own."""

    def __init__(self, path: Path, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._ended = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._wires: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]

    @property
    def visits(self) -> int:
        """How many clients have come."""
        return len(self._wires)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        for wire in (self._listener, *self._wires):
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                wire = self._listener.accept()[0]
            except OSError:
                return
            self._wires.append(wire)
            thread = threading.Thread(target=self._receive, args=(wire,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _receive(self, wire: socket.socket) -> None:
        with wire, suppress(OSError):
            self._behaviour(Visitor(wire, self._ended))
