"""One gRPC call whose answers come for as long as the connection lasts, read by the thread that waits for them.

It has no threads, timers, keep-alive or reconnecting. An open grpcio channel wakes its threads ten times a second; here
the caller's thread wakes only when the runtime sends something.
"""

import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import unquote

import grpc
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from cleaner.runtime.rpc.endpoint import Endpoint
from cleaner.runtime.rpc.failures import CallRejectedError, NotServingError, bounded_line
from cleaner.runtime.rpc.methods import Method

_LARGEST_MESSAGE_BYTES = 4 * 1024 * 1024
_CONNECT_SECONDS = 5.0
_SEND_SECONDS = 5.0
_TIMEVAL = struct.Struct("ll")
_MOST_FRAMES = 1000
"""Of a message, and before it. 4 MiB have 256; a peer that sends nothing but PINGs would keep a core busy for ever."""
_READ_BYTES = 16 * 1024
_PREFIX = struct.Struct(">BI")
"""gRPC before each message: whether it is compressed, and its length."""
_PING = b"cleaner?"
_CODES: Mapping[str, grpc.StatusCode] = {str(code.value[0]): code for code in grpc.StatusCode}


def connect(endpoint: Endpoint) -> socket.socket:
    """A connection whose answers are waited for without a limit; OSError where there is none at once."""
    wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # With a timeout a full queue of a runtime that hangs is an error, and not a wait that nothing ends.
        wire.settimeout(_CONNECT_SECONDS)
        wire.connect(endpoint.path)
        wire.settimeout(None)
        seconds = _TIMEVAL.pack(int(_SEND_SECONDS), 0)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
    except BaseException:
        wire.close()
        raise
    return wire


class Wire(Protocol):
    """What a stream needs of a socket."""

    def recv(self, size: int, /) -> bytes:
        """Wait for data; none at the end."""
        ...

    def sendall(self, data: bytes, /) -> object:
        """Send all of it."""
        ...


class ServerStream:
    """A call with one request and many answers, on a connection of its own."""

    def __init__(self, wire: Wire, method: Method[Any, Any], on_open: Callable[[], None]) -> None:
        """Nothing is sent yet; `on_open` is called once the runtime has read the request."""
        self._wire = wire
        self._method = method
        self._on_open = on_open
        # Without an encoding headers are bytes, so that odd ones are no error of their own.
        self._http2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._messages = Messages()
        self._frames = 0
        """Since the last message."""

    def read(self, request: bytes) -> Iterator[bytes]:
        """Each answer as it arrives; this ends with an error only.

        CallRejectedError for a gRPC status, NotServingError for an end without one, or a peer that only keeps this
        process busy, OSError and h2's errors.
        """
        self._send_request(request)
        while data := self._wire.recv(_READ_BYTES):
            for event in self._http2.receive_data(data):
                self._count_frame()
                for message in self._read_event(event):
                    self._frames = 0
                    yield message
            self._flush()
        raise NotServingError(f"{self._method.name}: the runtime closed the connection")

    def _send_request(self, request: bytes) -> None:
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", self._method.path),
            # As in `channel.py`: Go's gRPC server rejects a socket's path.
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *self._method.metadata,
        ]
        self._http2.initiate_connection()
        stream_id = self._http2.get_next_available_stream_id()
        self._http2.send_headers(stream_id, headers)
        self._http2.send_data(stream_id, _PREFIX.pack(0, len(request)) + request, end_stream=True)
        # Frames are read in order, so its answer says that the request was read. It is the only one that is ever sent.
        self._http2.ping(_PING)
        self._flush()

    def _count_frame(self) -> None:
        self._frames += 1
        if self._frames > _MOST_FRAMES:
            raise NotServingError(f"{self._method.name}: the runtime sent {_MOST_FRAMES} frames without a message")

    def _flush(self) -> None:
        """Send what HTTP/2 wants answered: settings, pings, room for more data.

        A runtime that has ended accepts nothing any more; what it sent before is still to be read, and then its end.
        One that accepts nothing although it has not ended is given up: it would hold this thread for ever.
        """
        if data := self._http2.data_to_send():
            try:
                self._wire.sendall(data)
            except BlockingIOError as error:
                text = f"{self._method.name}: the runtime read nothing for {_SEND_SECONDS:g} s"
                raise NotServingError(text) from error
            except OSError:
                pass

    def _read_event(self, event: Event) -> Iterator[bytes]:
        match event:
            case DataReceived():
                yield from self._messages.split(event.data or b"")
                self._http2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            case ResponseReceived() | TrailersReceived():
                self._raise_status(dict(event.headers or ()))
            case PingAckReceived():
                self._on_open()
            case StreamEnded() | StreamReset() | ConnectionTerminated():
                raise NotServingError(f"{self._method.name}: the runtime ended the stream")

    def _raise_status(self, headers: Mapping[bytes, bytes]) -> None:
        """An error for a status other than OK, which may come at once or after the last answer."""
        status, http_status = headers.get(b"grpc-status"), headers.get(b":status", b"200")
        if http_status != b"200":
            raise NotServingError(f"{self._method.name}: HTTP status {_text(http_status)}")
        if status not in {None, b"0"}:
            code = _CODES.get(_text(status), grpc.StatusCode.UNKNOWN)
            details = bounded_line(unquote(_text(headers.get(b"grpc-message", b"no details"))))
            raise CallRejectedError(f"{self._method.name}: {code.name}: {details}", code, details)


class Messages:
    """gRPC's messages out of a stream of bytes that is cut anywhere."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._pending = bytearray()

    def split(self, data: bytes) -> Iterator[bytes]:
        """What is complete with these bytes; NotServingError for what cannot be read, nor anything after it."""
        self._pending += data
        while len(self._pending) >= _PREFIX.size:
            compressed, length = _PREFIX.unpack_from(self._pending)
            if compressed or length > _LARGEST_MESSAGE_BYTES:
                raise NotServingError(f"a message of {length} bytes, compressed: {compressed}, is not read")
            end = _PREFIX.size + length
            if len(self._pending) < end:
                return
            message = bytes(self._pending[_PREFIX.size : end])
            del self._pending[:end]
            yield message


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
