"""The port that Prometheus and the kubelet ask."""

import gzip
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from cleaner.core.errors import EnvironmentUnusableError
from cleaner.core.events import Checked, RuntimeDown
from cleaner.outlets.web import MOST_CLIENTS, Health, WebServer
from lab.ports import reserve_port
from lab.waiting import DEADLINE_SECONDS, wait_until
from support.without_family import command_without
from unit.outlets.happenings import CONTAINERD, FULL, UNAVAILABLE

LOCAL = "127.0.0.1"
LOCAL_IPV6 = "::1"

SERVE = """
import sys
from cleaner.core.errors import EnvironmentUnusableError
from cleaner.outlets.web import Health, WebServer
from prometheus_client import CollectorRegistry
server = WebServer(sys.argv[1], 0, CollectorRegistry(), Health(lambda: 0.0))
try:
    server.start()
except EnvironmentUnusableError as error:
    sys.exit(str(error))
print(server.port, flush=True)
sys.stdin.read()
"""


class _Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("image_cleaner_tries_total", "Tries.", registry=registry)
    return registry


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def health(clock: _Clock) -> Health:
    return Health(clock)


@pytest.fixture
def server(health: Health) -> Iterator[WebServer]:
    """Patient with its clients, so that none is dropped because the machine is busy."""
    server = WebServer(LOCAL, reserve_port(), _registry(), health)
    handler: Any = server._handler
    handler.timeout = DEADLINE_SECONDS
    server.start()
    yield server
    server.close()


def _ask(
    server: WebServer, path: str, method: str = "GET", host: str = LOCAL, **headers: str
) -> tuple[HTTPResponse, str]:
    connection = HTTPConnection(host, server.port, timeout=DEADLINE_SECONDS)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, (gzip.decompress(body) if response.headers["Content-Encoding"] else body).decode()


def _started_again(port: int) -> WebServer:
    """The port is given back by the thread that served it, a moment after `close`."""
    following = WebServer(LOCAL, port, _registry(), Health(lambda: 0.0))

    def starts() -> bool:
        try:
            following.start()
        except EnvironmentUnusableError:
            return False
        return True

    wait_until(starts, "the port is given back")
    return following


def _connect(server: WebServer) -> socket.socket:
    return socket.create_connection((LOCAL, server.port), timeout=DEADLINE_SECONDS)


def test_a_call_of_the_runtime_is_a_heartbeat(clock: _Clock, health: Health) -> None:
    """A first inspection of a large node asks long, without an event."""
    clock.seconds += 299
    health.record_runtime_call("ImageStatus", 4.0, True)
    clock.seconds += 299
    assert health.reason_not_live() is None


def test_metrics_are_served_as_text(server: WebServer) -> None:
    """/metrics is the text format unless the client asks for another, with or without a query."""
    response, body = _ask(server, "/metrics?x=1")
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "image_cleaner_tries_total 0.0" in body


def test_openmetrics_is_served_to_who_prefers_it(server: WebServer) -> None:
    """A client that asks for OpenMetrics gets it, packed if it can unpack."""
    response, body = _ask(
        server, "/metrics", Accept="application/openmetrics-text;version=1.0.0", Accept_Encoding="gzip"
    )
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.headers["Content-Encoding"] == "gzip"
    assert body.endswith("# EOF\n")


@pytest.mark.parametrize(("silent", "status"), [(0.0, 200), (299.9, 200), (300.0, 503), (4000.0, 503)])
def test_a_loop_is_live_while_it_beats(
    server: WebServer, health: Health, clock: _Clock, silent: float, status: int
) -> None:
    """/livez succeeds while the last beat is younger than five minutes, and then says how long it has been."""
    health.record(Checked(FULL, None))
    clock.seconds += silent
    response, body = _ask(server, "/livez")
    assert response.status == status
    assert status == 200 or f"silent for {silent:.0f} s" in body


def test_every_event_is_a_heartbeat(health: Health, clock: _Clock) -> None:
    """A loop that finds the runtime unavailable again and again is alive."""
    for _ in range(10):
        clock.seconds += 200
        health.record(RuntimeDown(UNAVAILABLE))
    assert health.reason_not_live() is None


def test_ready_while_the_runtime_answers(server: WebServer, health: Health) -> None:
    """/readyz follows the runtime, and is 503 before it was ever there."""
    statuses = [_ask(server, "/readyz")[0].status]
    for event in (CONTAINERD, Checked(FULL, None), RuntimeDown(UNAVAILABLE), Checked(FULL, None)):
        health.record(event)
        statuses.append(_ask(server, "/readyz")[0].status)
    assert statuses == [503, 200, 200, 503, 503]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/metrics/", 404), ("POST", "/metrics", 501), ("DELETE", "/nowhere", 501)],
)
def test_anything_else_is_refused_in_a_line(server: WebServer, method: str, path: str, status: int) -> None:
    """Other paths are 404, other methods 501."""
    response, body = _ask(server, path, method)
    assert response.status == status
    assert body


def test_what_is_no_request_is_refused(server: WebServer) -> None:
    """Bytes that are no HTTP request get an error, and the next client is served."""
    with _connect(server) as client:
        client.sendall(b"\x16\x03\x01\x02\r\n\r\n")
        assert b"400" in client.makefile("rb").read()
    assert _ask(server, "/livez")[0].status == 200


def test_a_client_that_leaves_is_no_trouble(server: WebServer, capfd: pytest.CaptureFixture[str]) -> None:
    """A port scan that sends nothing gets nothing, and nothing is printed."""
    _connect(server).close()
    assert _ask(server, "/livez")[0].status == 200
    assert capfd.readouterr() == ("", "")


def test_hanging_clients_hinder_no_other(server: WebServer) -> None:
    """While clients hang, others are served."""
    hanging = [_connect(server) for _ in range(MOST_CLIENTS - 1)]
    assert _ask(server, "/livez")[0].status == 200
    for client in hanging:
        client.close()


def test_a_silent_client_has_seconds() -> None:
    """A client has five seconds to send or receive something."""
    handler: Any = WebServer(LOCAL, 0, _registry(), Health(lambda: 0.0))._handler
    assert handler.timeout == 5.0


def test_one_client_too_many_costs_the_oldest(server: WebServer) -> None:
    """Threads are bounded: silent clients cannot shut others out."""
    hanging = [_connect(server) for _ in range(MOST_CLIENTS)]
    assert _ask(server, "/livez")[0].status == 200
    assert hanging[0].recv(1) == b""
    for client in hanging:
        client.close()


def test_a_taken_port_is_an_error_with_a_way_out(server: WebServer) -> None:
    """A port in use names the address and what to do, in a line."""
    second = WebServer(LOCAL, server.port, _registry(), Health(lambda: 0.0))
    with pytest.raises(
        EnvironmentUnusableError, match="taken by another program, perhaps another cleaner: stop it"
    ) as raised:
        second.start()
    assert f"{LOCAL}:{server.port}" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "port", "says"),
    [
        (LOCAL, 65_536, "no address that can be served"),
        (LOCAL, -1, "no address that can be served"),
        ("a" * 70 + ".example", 0, "no address that can be served"),
    ],
)
def test_a_bad_address_is_an_error_with_a_way_out(host: str, port: int, says: str) -> None:
    """An address that cannot be bound says why and what to set."""
    with pytest.raises(EnvironmentUnusableError, match=says):
        WebServer(host, port, _registry(), Health(lambda: 0.0)).start()


@pytest.fixture
def ipv6() -> None:
    """Skip on a machine without IPv6, which containers often are; in CI that is a failure."""
    try:
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind((LOCAL_IPV6, 0))
    except OSError as error:
        if os.environ.get("CI"):
            pytest.fail(f"there is no IPv6 here: {error}")
        pytest.skip(f"there is no IPv6 here: {error}")


def _serving(host: str, port: int = 0) -> WebServer:
    server = WebServer(host, port, _registry(), Health(lambda: 0.0))
    server.start()
    return server


def _hosts_that_answer(server: WebServer) -> set[str]:
    """Which loopback addresses get an answer at its port; refused ones are left out."""
    answering = set()
    for host in (LOCAL, LOCAL_IPV6):
        try:
            status = _ask(server, "/livez", host=host)[0].status
        except ConnectionRefusedError:
            continue
        assert status == 200
        answering.add(host)
    return answering


@pytest.mark.usefixtures("ipv6")
@pytest.mark.parametrize(
    ("host", "answering"),
    [
        ("", {LOCAL, LOCAL_IPV6}),
        ("[::]", {LOCAL, LOCAL_IPV6}),
        ("0.0.0.0", {LOCAL}),
        (LOCAL, {LOCAL}),
        ("[::1]", {LOCAL_IPV6}),
        ("localhost", {LOCAL}),
    ],
)
def test_a_host_is_served_on_its_families(host: str, answering: set[str]) -> None:
    """Without a host both families are served; an address of IPv4, and a name that has one, only there."""
    with closing(_serving(host)) as server:
        assert _hosts_that_answer(server) == answering


@pytest.mark.usefixtures("ipv6")
@pytest.mark.parametrize(
    ("missing", "host", "answers"),
    [("AF_INET6", "", LOCAL), ("AF_INET", "", LOCAL_IPV6), ("AF_INET6", "localhost", LOCAL)],
)
def test_a_machine_with_one_family_serves_that_one(missing: str, host: str, answers: str) -> None:
    """Where IPv6 is disabled (`ipv6.disable=1`), or IPv4, the probes of the other family are answered."""
    command = [*command_without(missing), sys.executable, "-c", SERVE, host]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with closing(HTTPConnection(answers, port, timeout=DEADLINE_SECONDS)) as connection:
                connection.request("GET", "/livez")
                assert connection.getresponse().status == 200
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("host", "missing", "says"),
    [
        ("::1", ["AF_INET6"], 'web.listen: [::1]:0 cannot be served, since IPv6 is disabled on this machine: set ":0"'),
        (LOCAL, ["AF_INET"], "web.listen: 127.0.0.1:0 cannot be served, since IPv4 is disabled on this machine: set"),
        ("", ["AF_INET", "AF_INET6"], "web.listen: :0 cannot be served, since IPv4 is disabled"),
    ],
)
def test_an_address_of_a_missing_family_is_an_error_with_a_way_out(host: str, missing: list[str], says: str) -> None:
    """An operator who names an address of a family that the machine lacks is told so, in a line."""
    command = [*command_without(*missing), sys.executable, "-c", SERVE, host]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
    assert ended.returncode == 1
    assert says in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.usefixtures("ipv6")
@pytest.mark.parametrize(
    ("other", "says"),
    [
        ("0.0.0.0", "is taken on IPv4 by another program, perhaps another cleaner: stop it"),
        (LOCAL, "is taken on IPv4 by another program, perhaps another cleaner: stop it"),
        ("::1", "is taken on IPv6 by another program, perhaps another cleaner: stop it"),
        ("", "is taken by another program, perhaps another cleaner: stop it"),
    ],
)
def test_a_port_that_is_taken_on_one_family_is_served_on_none(other: str, says: str) -> None:
    """Half of the addresses would be another program's, so the agent says which and ends."""
    with closing(_serving(other)) as first, pytest.raises(EnvironmentUnusableError, match=says) as raised:
        _serving("", first.port)
    assert f"web.listen: :{first.port} " in str(raised.value)


@pytest.mark.usefixtures("ipv6")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_taken_address_is_named_in_full(host: str) -> None:
    """A host that was named is repeated, IPv6 in brackets, as it is written in the file."""
    with closing(_serving(host)) as first, pytest.raises(EnvironmentUnusableError, match="is taken by") as raised:
        _serving(host, first.port)
    assert f"web.listen: {'[::1]' if ':' in host else host}:{first.port} is" in str(raised.value)


def test_a_closed_server_gives_its_port_back(server: WebServer) -> None:
    """After close the port is free for the next one, and closing again does nothing."""
    port = server.port
    server.close()
    server.close()
    following = _started_again(port)
    assert _ask(following, "/livez")[0].status == 200
    following.close()


def test_a_server_that_never_started_can_be_closed() -> None:
    """Closing before starting is no error, and the port is the one asked for."""
    server = WebServer(LOCAL, 10099, _registry(), Health(lambda: 0.0))
    server.close()
    assert server.port == 10099
