"""Which containers containerd makes, as it makes them: one that lives two seconds is in no list that is read later.

Its thread must not wake while none is made. Whatever ends the stream, the thread begins it again after a pause.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from time import monotonic

from cleaner.runtime.pb import containerd_events_pb2 as pb
from cleaner.runtime.rpc import CRI_NAMESPACE, SUBSCRIBE, CallRejectedError, Endpoint, ServerStream, connect

_TOPIC = "/containers/create"
_FILTER = f'namespace=="{CRI_NAMESPACE}",topic=="{_TOPIC}"'
"""By containerd itself, so that probes (`exec`), pulls and ends of tasks wake nobody."""
_MOST_KEPT = 10_000
_LONGEST_NAMES = 4096
"""Id and image name together, in characters; containerd's ids have up to 76."""
_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ReconnectDelays:
    """How long to wait before the stream is begun again."""

    first: timedelta = timedelta(seconds=1)
    """Doubled with each failure."""
    longest: timedelta = timedelta(seconds=10)
    """What is made meanwhile is missed, and a try costs less than a millisecond."""
    not_offered: timedelta = timedelta(minutes=10)
    """Where the runtime has no such service, as CRI-O; another may come."""

    def after(self, error: Exception, lasted_seconds: float, last_seconds: float) -> float:
        """Seconds to wait, by what ended the stream, how long that one lasted, and the pause before it."""
        if isinstance(error, CallRejectedError) and error.not_offered:
            return self.not_offered.total_seconds()
        longest = self.longest.total_seconds()
        anew = lasted_seconds > longest or not last_seconds
        return self.first.total_seconds() if anew else min(2 * last_seconds, longest)


class ContainerEvents:
    """Containers that were made since the last `drain`; one thread reads the stream, any other may drain."""

    connected: bool
    """Whether the runtime has read the subscription, and the connection is open."""
    problem: str | None
    """What ended the last stream; None where there was none."""

    def __init__(self, endpoint: Endpoint, pacer: ReconnectDelays | None = None) -> None:
        """Nothing is connected before `start`."""
        self.connected = False
        self.problem = None
        self._endpoint = endpoint
        self._pacer = pacer or ReconnectDelays()
        self._lock = threading.Lock()
        self._made: dict[str, str] = {}
        self._wire: socket.socket | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch from now on, in a thread with the caller's signal mask; once, and not after `stop`."""
        if self._thread is None and not self._ended.is_set():
            self._thread = threading.Thread(target=self._watch, name="uses", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread at once, whatever it waits for; fine where there is none."""
        with self._lock:
            self._ended.set()
            if self._wire is not None:
                # The runtime may have ended a moment ago.
                with suppress(OSError):
                    self._wire.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(_END_SECONDS)

    def drain(self) -> dict[str, str]:
        """Container ids with the names of their images, oldest first; each is returned once."""
        with self._lock:
            made, self._made = self._made, {}
        return made

    def put_back(self, made: dict[str, str]) -> None:
        """Return these again from the next `drain`: the caller could not use them."""
        with self._lock:
            self._made = made | self._made
            self._forget_oldest()

    def _watch(self) -> None:
        pause = 0.0
        while not self._ended.is_set():
            began = monotonic()
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 - without its thread the daemon would miss every use, unnoticed
                self.problem = str(error) or type(error).__name__
                pause = self._pacer.after(error, monotonic() - began, pause)
            self._ended.wait(pause)

    def _follow(self) -> None:
        """Read the stream until it ends, always with an error."""
        with self._connection() as wire:
            request = pb.SubscribeRequest(filters=[_FILTER])
            for message in ServerStream(wire, SUBSCRIBE, self._set_connected).read(request.SerializeToString()):
                self._store(pb.Envelope.FromString(message))

    @contextmanager
    def _connection(self) -> Iterator[socket.socket]:
        """A connection that `stop` can shut down as long as it is open."""
        with connect(self._endpoint) as wire:
            with self._lock:
                if self._ended.is_set():
                    raise ConnectionAbortedError
                self._wire = wire
            try:
                yield wire
            finally:
                with self._lock:
                    self._wire = None
                    self.connected = False

    def _set_connected(self) -> None:
        self.connected = True

    def _store(self, envelope: pb.Envelope) -> None:
        """Keep the container of an event; containerd has filtered, and another runtime may not."""
        if (envelope.namespace, envelope.topic) != (CRI_NAMESPACE, _TOPIC):
            return
        made = pb.ContainerCreate.FromString(envelope.event.value)
        if made.id and made.image and len(made.id) + len(made.image) <= _LONGEST_NAMES:
            with self._lock:
                self._made[made.id] = made.image
                self._forget_oldest()

    def _forget_oldest(self) -> None:
        for known in list(islice(self._made, max(0, len(self._made) - _MOST_KEPT))):
            del self._made[known]
