"""Which containers containerd makes, as it makes them: one that lives two seconds is in no list that is read later.

Its thread must not wake while none is made. Whatever ends the stream, the thread begins it again after a pause.

`drain` serves the times of last use, and `created_since` the final check before a removal; neither takes anything from
the other. An event that containerd has sent is read before `created_since` answers. One that containerd has not sent
yet is missed: it sends events in a thread of its own, a moment after it did what they tell.

A stream can be open and useless. One that ends again and again is not available before it has lasted a while. One that
does not tell of a container that containerd lists is begun anew, and the final check does not rely on it until it tells
of a container (`missed_containers.py`).
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from cleaner.core.read_state import AVAILABLE, ReadState, not_offered, unavailable
from cleaner.runtime.containerd.creations import CreationLog, Creations, ParentSnapshot
from cleaner.runtime.containerd.event_wire import EventWire, is_readable
from cleaner.runtime.containerd.missed_containers import MissedContainers
from cleaner.runtime.pb import containerd_events_pb2 as pb
from cleaner.runtime.rpc import CRI_NAMESPACE, SUBSCRIBE, CallRejectedError, Endpoint, ServerStream, connect

_CREATE, _PREPARE, _REMOVE = "/containers/create", "/snapshot/prepare", "/snapshot/remove"
_IN_NAMESPACE = f'namespace=="{CRI_NAMESPACE}"'
_FILTERS = (
    f'{_IN_NAMESPACE},topic=="{_CREATE}"',
    f'{_IN_NAMESPACE},topic~="^({_PREPARE}|{_REMOVE})$",event.key~="^[0-9a-f]{{64}}$"',
)
"""By containerd itself, so that probes (`exec`), pulls and ends of tasks do not wake the thread.

A snapshot whose key is an id as CRI and nerdctl make them is a container's own; pulls prepare `extract-...`. Run on
containerd 1.6.20, 1.7.24 and 2.1.9: two snapshot events in the life of a container, none for a pull or a removal.
"""
SUBSCRIPTION = pb.SubscribeRequest(filters=_FILTERS).SerializeToString()
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
_PLAIN_NAME = re.compile(r"[\w.:/+@-]{0,256}", re.ASCII)
"""What can be a snapshot's or snapshotter's name, and needs no quoting in a filter."""
_MOST_KEPT = 10_000
_LONGEST_NAMES = 4096
"""Id and image name together, in characters; containerd's ids have up to 76."""
_END_SECONDS = 5.0
_SETTLING_SECONDS = 0.5
"""A stream is relied on only from then on: containerd acts on a subscription a moment after it read it."""
_STEADY_SECONDS = 10.0
"""A stream is available only from then on: one that ends at once, again and again, is of little use."""
_READ_SECONDS = 1.0
"""How long `created_since` waits for this thread to read what has come; a moment on any node."""


@dataclass(frozen=True, slots=True)
class ReconnectDelays:
    """How long to wait before the stream is begun again."""

    first: timedelta = timedelta(seconds=1)
    """Doubled with each failure."""
    longest: timedelta = timedelta(seconds=10)
    """What is made meanwhile is missed, and a try costs less than a millisecond."""
    not_offered: timedelta = timedelta(minutes=10)
    """Where the runtime has no such service, as CRI-O; another may come."""
    answer: timedelta = timedelta(seconds=10)
    """For a runtime that accepts the connection and does not answer; as long as `longest`."""

    def after(self, error: Exception, lasted_seconds: float, last_seconds: float) -> float:
        """Seconds to wait, by what ended the stream, how long that one lasted, and the pause before it."""
        if isinstance(error, CallRejectedError) and error.not_offered:
            return self.not_offered.total_seconds()
        longest = self.longest.total_seconds()
        anew = lasted_seconds > longest or not last_seconds
        return self.first.total_seconds() if anew else min(2 * last_seconds, longest)


class ContainerEvents:
    """Containers that were made since the last `drain`, or since a position; one thread reads the stream for others."""

    connected: bool
    """Whether the runtime has read the subscription, and the connection is open."""
    problem: str | None
    """What ended the last stream; None where there was none."""

    def __init__(
        self,
        endpoint: Endpoint,
        pacer: ReconnectDelays | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is connected before `start`."""
        self.connected = False
        self.problem = None
        self._endpoint = endpoint
        self._pacer = pacer or ReconnectDelays()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._caught_up = threading.Condition(self._lock)
        self._reading = False
        self._made: dict[str, str] = {}
        self._log = CreationLog()
        self._missed = MissedContainers()
        self._offered = True
        self._connected_at = 0.0
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
            self._shut_down()
        if self._thread is not None:
            self._thread.join(_END_SECONDS)

    @property
    def state(self) -> ReadState | None:
        """Whether events are followed now; None before `start`."""
        if self._thread is None:
            return None
        with self._lock:
            self._judge()
            if self._missed.missed is not None:
                lost = self._missed.missed
                return unavailable(
                    f"the runtime lists the container {lost}, and its stream of events did not tell of it"
                )
            if self._has_lasted(_STEADY_SECONDS):
                return AVAILABLE
            problem = self.problem or "the runtime has not answered the subscription yet"
            return unavailable(problem) if self._offered else not_offered(problem)

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

    def event_position(self) -> int | None:
        """Where the stream is now, for `created_since`; None while it is not connected or not to be relied on."""
        with self._lock:
            relied_on = self._has_lasted(_SETTLING_SECONDS) and self._missed.missed is None
            return self._log.position if relied_on else None

    def created_since(self, position: int) -> Creations | None:
        """Containers made, or being made, since a position; None where the stream was not whole since then."""
        with self._lock:
            if not self._caught_up.wait_for(self._has_read_all, _READ_SECONDS) or not self.connected:
                return None
            return self._log.since(position, self._monotonic())

    def begin_list(self) -> None:
        """All containers of CRI's namespace are about to be listed, as containerd itself has them."""
        with self._lock:
            if self._has_lasted(_SETTLING_SECONDS):
                self._missed.begin_list()

    def end_list(self, ids: Collection[str]) -> None:
        """They are listed: the stream has to tell of those that are new."""
        with self._lock:
            self._missed.end_list(ids, self._monotonic())
            self._judge()

    def _judge(self) -> None:
        """Begin the stream anew where it turns out not to tell of a container."""
        if self.connected and self._has_read_all() and self._missed.judge(self._monotonic()):
            self._shut_down()

    def _has_lasted(self, seconds: float) -> bool:
        return self.connected and self._monotonic() - self._connected_at >= seconds

    def _has_read_all(self) -> bool:
        """Whether everything that the runtime has sent is stored."""
        return not self._reading and (self._wire is None or not is_readable(self._wire))

    def _shut_down(self) -> None:
        """End the stream under its thread; the runtime may have ended a moment ago."""
        if self._wire is not None:
            with suppress(OSError):
                self._wire.shutdown(socket.SHUT_RDWR)

    def _watch(self) -> None:
        pause = 0.0
        while not self._ended.is_set():
            began = self._monotonic()
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 - without its thread the daemon would miss every use, unnoticed
                self.problem = str(error) or type(error).__name__
                self._offered = not (isinstance(error, CallRejectedError) and error.not_offered)
                pause = self._pacer.after(error, self._monotonic() - began, pause)
            self._ended.wait(pause)

    def _follow(self) -> None:
        """Read the stream until it ends, always with an error."""
        answer_seconds = self._pacer.answer.total_seconds()
        with self._connection() as connection:
            wire = EventWire(connection, self._set_reading, answer_seconds=answer_seconds, monotonic=self._monotonic)

            def set_connected() -> None:
                wire.wait_on()
                self._set_connected()

            for message in ServerStream(wire, SUBSCRIBE, set_connected).read(SUBSCRIPTION):
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
                    self.connected = self._reading = False
                    self._caught_up.notify_all()

    def _set_connected(self) -> None:
        with self._lock:
            self._log.begin()
            self._missed.begin_stream()
            self._connected_at = self._monotonic()
            self.connected = True

    def _set_reading(self, reading: bool) -> None:  # noqa: FBT001 - a Callable has no keywords
        with self._lock:
            self._reading = reading
            self._caught_up.notify_all()

    def _store(self, envelope: pb.Envelope) -> None:
        """Keep what an event tells; containerd has filtered, and another runtime may not."""
        if envelope.namespace != CRI_NAMESPACE:
            return
        value = envelope.event.value
        with self._lock:
            if envelope.topic == _CREATE:
                self._store_created(pb.ContainerCreate.FromString(value))
            elif envelope.topic == _PREPARE:
                self._store_prepared(pb.SnapshotPrepare.FromString(value))
            elif envelope.topic == _REMOVE:
                self._log.store_removed(pb.SnapshotRemove.FromString(value).key)

    def _store_created(self, made: pb.ContainerCreate) -> None:
        """One without an image name, or with absurd names, is no use, and makes `since` answer unknown."""
        if 0 < len(made.id) <= _LONGEST_NAMES:
            self._missed.store_told(made.id)
        if made.id and made.image and len(made.id) + len(made.image) <= _LONGEST_NAMES:
            self._log.store_created(made.id, made.image)
            self._made[made.id] = made.image
            self._forget_oldest()
        else:
            self._log.interrupt()

    def _store_prepared(self, prepared: pb.SnapshotPrepare) -> None:
        if not _CONTAINER_ID.fullmatch(prepared.key):
            return
        if _PLAIN_NAME.fullmatch(prepared.parent) and _PLAIN_NAME.fullmatch(prepared.snapshotter):
            parent = ParentSnapshot(prepared.parent, prepared.snapshotter)
            self._log.store_prepared(prepared.key, parent, self._monotonic())
        else:
            self._log.interrupt()

    def _forget_oldest(self) -> None:
        for known in list(islice(self._made, max(0, len(self._made) - _MOST_KEPT))):
            del self._made[known]
