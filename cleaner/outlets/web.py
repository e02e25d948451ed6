"""The port that Prometheus and the kubelet ask: /metrics, /livez and /readyz.

It must not wait for a client: a silent one is dropped after seconds, and the oldest when there are too many.
"""

import errno
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import ClassVar, cast

from prometheus_client import CollectorRegistry, MetricsHandler

from cleaner.core.errors import EnvironmentUnusableError
from cleaner.core.events import Event, RuntimeDown, RuntimeUp

CLIENT_SECONDS = 5.0
"""In which a client has to send or take something; a scrape takes 20 ms."""
MOST_CLIENTS = 16
"""Served at once, a thread each; one more, and the oldest is dropped."""
EVERY_IPV6 = "::"
EVERY_IPV4 = "0.0.0.0"  # noqa: S104 - the kubelet and Prometheus ask from other addresses
LIVE_SECONDS = 300.0
"""The longest silence of a healthy loop is one removal: RemoveImage may take its deadline of 120 s, and the final
check before it, asking whether the image is gone, with retries, and settling take a minute at worst. The pause of a
nightly sweep after it is a silence of its own, of half a minute."""


class Health:
    """An outlet to which every event is a heartbeat; knows whether the runtime answers."""

    def __init__(self, monotonic: Callable[[], float], live_seconds: float = LIVE_SECONDS) -> None:
        self._monotonic = monotonic
        self._live_seconds = live_seconds
        self._beat = monotonic()
        self._ready = False

    def record(self, event: Event) -> None:
        """Beat; and keep whether the runtime is available."""
        self._beat = self._monotonic()
        if isinstance(event, RuntimeUp | RuntimeDown):
            self._ready = isinstance(event, RuntimeUp)

    def record_runtime_call(self, _method: str, _seconds: float, _answered: bool) -> None:  # noqa: FBT001
        """Beat: the first inspection of a node asks for each image, which no event reports."""
        self._beat = self._monotonic()

    def reason_not_live(self) -> str | None:
        """None while the last beat is younger than the limit; never a question of the runtime."""
        silence = self._monotonic() - self._beat
        if silence < self._live_seconds:
            return None
        return f"the main loop has been silent for {silence:.0f} s; {self._live_seconds:.0f} s is the limit"

    def reason_not_ready(self) -> str | None:
        """None while the runtime answers."""
        return None if self._ready else "the container runtime does not answer"


_Address = tuple[str, int] | tuple[str, int, int, int]
"""As socket(7) has them: host and port; of IPv6 possibly flow and scope too."""


class _Handler(MetricsHandler):
    """One request; what is not /metrics is answered by a line of text."""

    timeout = CLIENT_SECONDS
    health: ClassVar[Health]

    def do_GET(self) -> None:  # noqa: N802 - http.server calls it so
        """Answer by path, whatever the query."""
        match self.path.partition("?")[0]:
            case "/metrics":
                super().do_GET()
            case "/livez":
                self._say(self.health.reason_not_live())
            case "/readyz":
                self._say(self.health.reason_not_ready())
            case _:
                self._send(HTTPStatus.NOT_FOUND, "there is /metrics, /livez and /readyz")

    def _say(self, against: str | None) -> None:
        self._send(HTTPStatus.SERVICE_UNAVAILABLE if against else HTTPStatus.OK, against or "ok")

    def _send(self, status: HTTPStatus, line: str) -> None:
        body = f"{line}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    """Bounded: a client too many costs the oldest its connection, so that no crowd of silent ones shuts others out."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: _Address, handler: type[_Handler]) -> None:
        self.address_family = _family_of(address)
        self._clients: deque[socket.socket] = deque()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind; `::` serves IPv4 too, also where the machine's default (`bindv6only`) is another."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept, and make room first."""
        client, address = super().get_request()
        self._clients = deque(other for other in self._clients if other.fileno() >= 0)
        if len(self._clients) >= MOST_CLIENTS:
            _hang_up(self._clients.popleft())
        self._clients.append(client)
        return client, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that hung up or was too slow."""


def _hang_up(client: socket.socket) -> None:
    with suppress(OSError):  # it may be closed already
        client.shutdown(socket.SHUT_RDWR)


class WebServer:
    """Serves the port from a thread of its own, and each client from another."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Health) -> None:
        """`host`: a name or an address; "" is every address of this machine, IPv4 and IPv6."""
        self._host, self._port = host.strip("[]"), port
        self._handler = type("Handler", (_Handler,), {"registry": registry, "health": health})
        self._server: _Server | None = None
        self._closed = threading.Event()

    @property
    def port(self) -> int:
        """The port that is served; before `start` the one asked for, which may be 0 for any."""
        return int(self._server.server_address[1]) if self._server else self._port

    def start(self) -> None:
        """Bind and serve; EnvironmentUnusableError where the address cannot be had."""
        try:
            self._server = _open_server(self._host, self._port, self._handler)
        except (OSError, OverflowError, UnicodeError) as error:  # OverflowError: no port; UnicodeError: no name
            host = f"[{self._host}]" if ":" in self._host else self._host
            problem = _explain(error, self._host, self._port)
            raise EnvironmentUnusableError(f"web.listen: {host}:{self._port} {problem}") from error
        threading.Thread(target=self._serve, args=(self._server,), name="web", daemon=True).start()

    def close(self) -> None:
        """Give the port back; clients that are being served may finish."""
        if self._server and not self._closed.is_set():
            self._closed.set()
            _hang_up(self._server.socket)  # wakes the thread that waits for a client

    def _serve(self, server: _Server) -> None:
        """Without a poll interval: no wake-up but for a client."""
        with server:
            while not self._closed.is_set():
                server.handle_request()


def _open_server(host: str, port: int, handler: type[_Handler]) -> _Server:
    """The server at the first address that works; OSError of the last one where none does.

    A machine may have one family only: then socket(2) fails for the other one, or bind(2) finds no address. A port
    that is taken ends the search: on the other family alone it would serve half of what was asked for, and probes of
    the first half would get another program's answers.
    """
    *preferred, last = _addresses_of(host, port)
    for address in preferred:
        try:
            return _Server(address, handler)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
    return _Server(last, handler)


def _addresses_of(host: str, port: int) -> list[_Address]:
    """Where to listen, the best first: one socket at `::` serves both families; of a name, IPv4 comes first."""
    if not host:
        return [(EVERY_IPV6, port), (EVERY_IPV4, port)]
    # Without the port: the resolver would take 65536 for 0.
    found = [address for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    addresses = [(str(address[0]), port, *address[2:]) for address in found]
    return cast("list[_Address]", sorted(addresses, key=lambda address: ":" in address[0]))


def _family_of(address: _Address) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def _explain(error: Exception, host: str, port: int) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EADDRINUSE:
        where = "" if host else _taken_on(port)
        return f"is taken{where} by another program, perhaps another cleaner: stop it, or set another port"
    if code in (errno.EACCES, errno.EPERM):
        return "may not be served without privileges: set a port above 1023"
    if code == errno.EADDRNOTAVAIL:
        return f'is no address of this machine: set one that is, or ":{port}" for all of them'
    if code == errno.EAFNOSUPPORT:
        family = "IPv6" if ":" in host else "IPv4"
        return f'cannot be served, since {family} is disabled on this machine: set ":{port}" for what there is'
    return f'is no address that can be served ({error}): set one like ":10099"'


def _taken_on(port: int) -> str:
    """The family on which another program has the port, where it is one of the two."""
    taken = [name for name, address in (("IPv4", EVERY_IPV4), ("IPv6", EVERY_IPV6)) if _is_taken((address, port))]
    return f" on {taken[0]}" if len(taken) == 1 else ""


def _is_taken(address: _Address) -> bool:
    """Whether the port is taken on this family alone."""
    with suppress(OSError), socket.socket(family := _family_of(address)) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            trial.bind(address)
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
