"""When a call under way is ended from outside: at its hard deadline, and soon after a stop request.

A deadline that the library of the protocol keeps is no hard one. A peer that sends PINGs without end and reads nothing
held gRPC for as long as it liked, beyond the deadline of the call. So a thread watches the call, and ends it by
shutting down its connection, which no peer survives.

Calls that are answered quickly cost it nothing: it sleeps while none is under way, and else wakes twice a second.

A stop request ends reads only, after a grace that a healthy runtime does not need:

    0.0 s  SIGTERM arrives while ListContainers waits for its answer
    0.5 s  the thread finds the stop request at the latest
    2.0 s  the connection is shut down: StopRequestedError, which the next reads raise at once

A removal under way keeps its own deadline: whether it was carried out has to be known. The read that confirms it has
the same grace again.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cleaner.core.errors import CleanerError, RuntimeUnavailableError, StopRequestedError
from cleaner.core.ports import Stop

_SLICE_SECONDS = 0.5
"""Between two looks at the call under way."""
_SLACK_SECONDS = 0.5
"""Until a deadline that nothing else has kept is enforced: what the library says of it tells more."""
_GRACE_SECONDS = 1.5
"""For all reads together once a stop is requested."""


@dataclass(slots=True)
class _Call:
    """The call under way."""

    name: str
    seconds: float
    ends_at: float
    stoppable: bool
    failure: CleanerError | None = None
    """Why it was ended."""


class Cutoff:
    """Watches the calls of one thread, one at a time."""

    def __init__(self, stop: Stop, cut: Callable[[], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        """`cut` makes the call under way fail, whatever it waits for; another thread calls it."""
        self._stop = stop
        self._cut = cut
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._busy = threading.Event()
        self._closed = threading.Event()
        self._call: _Call | None = None
        self._stop_ends_at: float | None = None
        """Until when reads may take; None before a stop request."""
        self._thread: threading.Thread | None = None

    @property
    def failure(self) -> CleanerError | None:
        """Why the call under way was ended, to be raised in place of what it raises; None where it was not."""
        return self._call.failure if self._call else None

    @contextmanager
    def watch(self, name: str, seconds: float, *, stoppable: bool) -> Iterator[None]:
        """End the call after these seconds, and where it is `stoppable`, soon after a stop request.

        StopRequestedError at once where the grace for reads is over.
        """
        call = _Call(name, seconds, self._monotonic() + seconds + _SLACK_SECONDS, stoppable)
        if stoppable and (failure := self._stop_failure(call)):
            raise failure
        self._start()
        with self._lock:
            self._call = call
            if not self._busy.is_set():
                self._busy.set()
        try:
            yield
        finally:
            with self._lock:
                self._call = None

    def renew_grace(self) -> None:
        """Give reads the grace again, once a removal has ended that a stop request did not end."""
        self._stop_ends_at = None

    def close(self) -> None:
        """End the thread; fine where there is none."""
        self._closed.set()
        self._busy.set()
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="cutoff", daemon=True)
            thread.start()
            # Only now: Ctrl-C may come while it starts, and what was not started cannot be joined.
            self._thread = thread

    def _run(self) -> None:
        while not self._closed.is_set():
            self._busy.wait()
            self._closed.wait(_SLICE_SECONDS)
            with self._lock:
                self._check()

    def _check(self) -> None:
        """End the call under way if it is time, again and again until it has ended: it may have a new connection."""
        if self._call is None:
            self._busy.clear()
            return
        self._call.failure = self._call.failure or self._failure_of(self._call)
        if self._call.failure is not None:
            self._cut()

    def _failure_of(self, call: _Call) -> CleanerError | None:
        if self._monotonic() >= call.ends_at:
            return RuntimeUnavailableError(f"{call.name}: no answer within {call.seconds:g} s")
        return self._stop_failure(call) if call.stoppable else None

    def _stop_failure(self, call: _Call) -> StopRequestedError | None:
        """The error of a read for which a stop request leaves no time."""
        if not self._stop.requested():
            return None
        now = self._monotonic()
        if self._stop_ends_at is None:
            self._stop_ends_at = now + _GRACE_SECONDS
        if now < self._stop_ends_at:
            return None
        return StopRequestedError(f"{call.name}: a stop was requested")
