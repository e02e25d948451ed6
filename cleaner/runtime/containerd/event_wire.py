"""The socket of a stream of container events: when its reader has something to do, and until when it waits.

It must not change how the socket blocks: a stream that is open is waited on without a limit, and costs no wake-ups.
"""

import select
import socket
import time
from collections.abc import Callable

from cleaner.runtime.rpc import NotServingError


class SilentRuntimeError(NotServingError):
    """The runtime has sent nothing until the time that it was given."""


class EventWire:
    """A socket that tells when its reader has something to do, and when it waits again."""

    def __init__(
        self,
        wire: socket.socket,
        set_reading: Callable[[bool], None] = lambda _reading: None,
        *,
        answer_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wait for these seconds at most, until `wait_on`."""
        self._wire = wire
        self._set_reading = set_reading
        self._monotonic = monotonic
        self._answer_seconds = answer_seconds
        self._until: float | None = monotonic() + answer_seconds

    def wait_on(self, seconds: float | None = None) -> None:
        """Wait for these seconds from now on; None: without a limit."""
        self._until = None if seconds is None else self._monotonic() + seconds

    def recv(self, size: int, /) -> bytes:
        """Wait for data: what came last is handled when this is called; SilentRuntimeError where none came in time."""
        self._set_reading(False)  # noqa: FBT003 - a Callable has no keywords
        if self._until is not None:
            left_seconds = self._until - self._monotonic()
            # A runtime that sends something else all the time does not answer either.
            if left_seconds <= 0 or not is_readable(self._wire, left_seconds):
                text = f"the runtime did not answer the subscription within {self._answer_seconds:g} s"
                raise SilentRuntimeError(f"Events.Subscribe: {text}")
        self._wire.recv(1, socket.MSG_PEEK)
        # Before the data leaves the socket: it is always either there or being handled.
        self._set_reading(True)  # noqa: FBT003
        return self._wire.recv(size)

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""
        self._wire.sendall(data)


def is_readable(wire: socket.socket, seconds: float = 0.0) -> bool:
    """Whether there is data or an end to read, or is soon; `select.select` would know the first 1,024 files only."""
    poll = select.poll()
    poll.register(wire, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
