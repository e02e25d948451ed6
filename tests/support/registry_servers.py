"""Registries of a few lines on 127.0.0.1: HTTP or HTTPS, answering, hanging or dripping as a test says."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread, Timer

from lab.ports import reserve_port
from lab.waiting import DEADLINE_SECONDS


@dataclass
class FakeRegistry:
    """What it answers, and what it was asked."""

    port: int = 0
    statuses: list[int] = field(default_factory=lambda: [200])
    """One after the other, the last one for ever; 0 ends the connection without an answer."""
    location: str | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers of each question."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def next_status(self) -> int:
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


@contextmanager
def serve_registry(
    *statuses: int, certificate: Path | None = None, location: str | None = None
) -> Iterator[FakeRegistry]:
    """A registry that answers; with a certificate (and its key in the same file) over TLS."""
    registry = FakeRegistry(statuses=list(statuses or (200,)), location=location)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.asked.append((self.path, dict(self.headers)))
            if not (status := registry.next_status()):
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(status)
            if registry.location:
                self.send_header("Location", registry.location)
            self.end_headers()
            with suppress(OSError):  # who needs the status only does not wait for the body
                self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that does not trust the certificate hangs up."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    registry.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class Silence:
    """Takes connections and answers nothing."""

    listener: socket.socket
    clients: list[socket.socket] = field(default_factory=list)
    """Whoever came."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def hang_up(self) -> None:
        """End all connections and take none, so that a client without a deadline of its own ends too."""
        for wire in (self.listener, *self.clients):
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)


@contextmanager
def serve_silence(drip: bytes = b"", every_seconds: float = 0.05) -> Iterator[Silence]:
    """No answer, or a byte now and then for ever; a client that waits past every deadline is hung up on."""
    listener = socket.create_server(("127.0.0.1", 0))
    silence = Silence(listener)
    over = Event()

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                silence.clients.append(client)
                if drip:
                    Thread(target=keep_dripping, args=(client,)).start()

    def keep_dripping(client: socket.socket) -> None:
        with suppress(OSError):
            while not over.wait(every_seconds):
                client.sendall(drip)

    limit = Timer(DEADLINE_SECONDS, silence.hang_up)
    limit.start()
    thread = Thread(target=accept)
    thread.start()
    try:
        yield silence
    finally:
        limit.cancel()
        over.set()
        silence.hang_up()
        listener.close()
        thread.join()
        for client in silence.clients:
            client.close()


def refusing_address() -> str:
    """An address where nobody listens, and nobody will."""
    return f"127.0.0.1:{reserve_port()}"


def make_certificate(folder: Path, name: str = "IP:127.0.0.1", days: int = 2) -> Path:
    """A certificate that signs itself, with its key, in one PEM file; `days` below 0: it has expired."""
    path = folder / f"{name.replace(':', '-')}-{days}.pem"
    key, request = folder / "key.pem", folder / "request.pem"
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={path.stem}"]
    sign = ["x509", "-req", "-in", request, "-signkey", key, "-copy_extensions", "copy", "-days", str(days)]
    for command in (
        [*new, "-addext", f"subjectAltName={name}", "-keyout", key, "-out", request],
        [*sign, "-out", path],
    ):
        subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
    return path
