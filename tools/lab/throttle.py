"""A slow road to the registry: all that is served through it comes at a set rate, so that a test can observe a pull.

It listens on 127.0.0.1 only and knows no HTTP: it passes bytes on, all connections together at one rate.
"""

import math
import selectors
import socket
import socketserver
import threading
import time
from types import TracebackType
from typing import Self

from lab.errors import LabError
from lab.waiting import wait_until

_PART_BYTES = 16 * 1024
_SHORT_BYTES = 32 * 1024
"""An answer of at most this size is short. It has room for a manifest or a config, with its headers."""
_POLL_SECONDS = 0.05
_UPSTREAM_SECONDS = 10.0


class Throttle:
    """A port of its own, of which each connection is passed on to the registry's; use it in a with-block, once."""

    def __init__(self, upstream_port: int, bytes_per_second: float) -> None:
        """Describe a road; entering the with-block opens it."""
        self._budget = _Budget(bytes_per_second)
        self._server = _Server(upstream_port, self._budget)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True)

    @property
    def address(self) -> str:
        """Return host and port, as they stand in a reference."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def served_bytes(self) -> int:
        """Return how much went through so far, headers too."""
        return self._budget.taken_bytes

    def set_rate(self, bytes_per_second: float) -> None:
        """Serve at another rate from now on; 0 stops everything where it is."""
        self._budget.set_rate(bytes_per_second)

    def stop_at(self, served_bytes: float) -> None:
        """Stop all connections once this many bytes have passed in all; `math.inf` lets them go on.

        Short answers always pass. Otherwise, of two pulls at once, one could wait for its manifest and config
        because layers of the other are stopped.
        """
        self._budget.stop_at(served_bytes)

    def wait_until_stopped(self) -> None:
        """Return once the limit of `stop_at` is reached; the last parts may still be on their way."""
        wait_until(lambda: self._budget.is_at_limit, "the throttle stops at its limit")

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cut every connection, as a registry that dies; fine where that was done already."""
        self.cut()

    def cut(self) -> None:
        """End at once: connections break, and no new one comes through."""
        if not self._budget.ended.is_set():
            self._budget.end()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class _Budget:
    """How many bytes may pass; one for all connections."""

    def __init__(self, bytes_per_second: float) -> None:
        self.ended = threading.Event()
        self.taken_bytes = 0
        self._rate = bytes_per_second
        self._stop_at = math.inf
        self._free_at = 0.0
        self._changed = threading.Condition()

    def set_rate(self, bytes_per_second: float) -> None:
        with self._changed:
            self._rate = bytes_per_second
            self._changed.notify_all()

    def stop_at(self, taken_bytes: float) -> None:
        with self._changed:
            self._stop_at = taken_bytes
            self._changed.notify_all()

    @property
    def is_at_limit(self) -> bool:
        return self.taken_bytes >= self._stop_at

    def end(self) -> None:
        with self._changed:
            self.ended.set()
            self._changed.notify_all()

    def take(self, count: int, *, is_short: bool) -> None:
        """Return when so many bytes may pass, or at the end; a short answer is never stopped."""
        with self._changed:
            while ((self.is_at_limit and not is_short) or not self._rate) and not self.ended.is_set():
                self._changed.wait()
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + count / max(self._rate, 1.0)
            self.taken_bytes += count
            pause = self._free_at - now
        self.ended.wait(pause)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, upstream_port: int, budget: _Budget) -> None:
        self._upstream = ("127.0.0.1", upstream_port)
        self._budget = budget
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)

    def finish_request(self, request: "socket.socket | tuple[bytes, socket.socket]", _client_address: object) -> None:
        """Pass bytes on until one side or the road ends; in a thread of its own."""
        if not isinstance(request, socket.socket):
            return
        try:
            with socket.create_connection(self._upstream, _UPSTREAM_SECONDS) as upstream:
                self._pass_on(request, upstream)
        except OSError:
            # The registry is down, or the runtime has gone: both see a connection that ended.
            return

    def _pass_on(self, client: socket.socket, upstream: socket.socket) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(client, selectors.EVENT_READ, (client, upstream))
            waiting.register(upstream, selectors.EVENT_READ, (upstream, client))
            answered_bytes = 0
            while not self._budget.ended.is_set():
                for ready, _ in waiting.select(_POLL_SECONDS):
                    source, target = ready.data
                    part = source.recv(_PART_BYTES)
                    if not part:
                        return
                    if source is client:
                        answered_bytes = 0
                    else:
                        answered_bytes += len(part)
                        self._budget.take(len(part), is_short=answered_bytes <= _SHORT_BYTES)
                        if self._budget.ended.is_set():
                            return
                    target.sendall(part)


def road_to(registry_address: str, bytes_per_second: float) -> Throttle:
    """Return a road to a registry of the lab."""
    host, _, port = registry_address.rpartition(":")
    if host != "127.0.0.1":
        raise LabError(f"{registry_address} is not on 127.0.0.1")
    return Throttle(int(port), bytes_per_second)
