"""A web server on 127.0.0.1 that answers as an Alertmanager would, or as a broken one."""

import json
import ssl
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from lab.ports import reserve_port
from lab.waiting import DEADLINE_SECONDS

HANG = 0
"""As an answer: none, until the server is closed."""
STATUS = {"versionInfo": {"version": "0.33.1"}, "cluster": {"status": "disabled"}}


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class AlertmanagerServer:
    """Answers with one status after another, the last one for ever; in a with-block.

    Its port is reserved afterwards: a connection to it is refused.
    """

    def __init__(
        self,
        *statuses: int,
        port: int | None = None,
        tls: ssl.SSLContext | None = None,
        location: str = "",
        status: object = STATUS,
    ) -> None:
        self.received: list[Received] = []
        self._statuses = list(statuses) or [HTTPStatus.OK]
        self._location = location
        self._status = status
        self._changed = threading.Condition()
        self._closing = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner._answer(self)

            do_POST = do_GET  # noqa: N815 (http.server calls it so)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (as above)
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port or reserve_port()), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, number: int) -> Received:
        """The first, second, ... request, once it has come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= number, DEADLINE_SECONDS), self.received
            return self.received[number - 1]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self._changed:
            received = Received(
                handler.command, handler.path, dict(handler.headers), json.loads(body) if body else None
            )
            self.received.append(received)
            status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
            self._changed.notify_all()
        if status == HANG:
            self._closing.wait(DEADLINE_SECONDS)
            return
        text = json.dumps(self._status).encode() if handler.command == "GET" else b""
        handler.send_response(status)
        if self._location:
            handler.send_header("Location", self._location)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)
