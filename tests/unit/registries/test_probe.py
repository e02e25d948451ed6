"""One question to one registry, over real sockets on 127.0.0.1."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleaner.core.errors import EnvironmentUnusableError
from cleaner.registries.probe import PROBE_ATTEMPTS, TIMEOUTS, RegistryProbe
from lab.waiting import DEADLINE_SECONDS, wait_until
from support.registry_servers import (
    FakeRegistry,
    make_certificate,
    refusing_address,
    serve_registry,
    serve_silence,
)

PATIENT = (DEADLINE_SECONDS, DEADLINE_SECONDS)
"""For registries that answer, however busy the machine is."""


def ask(address: str) -> str | None:
    return RegistryProbe(frozenset({address}), timeouts=PATIENT)(address)


def asking_over_tls(ca_file: Path | None = None) -> RegistryProbe:
    return RegistryProbe(ca_file=str(ca_file) if ca_file else None, timeouts=PATIENT)


@pytest.mark.parametrize("status", [200, 401, 403])
def test_alive(status: int) -> None:
    """A registry that serves, or asks for a login, is alive; it is asked once, at /v2/, without a login."""
    with serve_registry(status) as registry:
        assert ask(registry.address) is None
    ((path, headers),) = registry.asked
    assert path == "/v2/"
    assert headers.keys() & {"Authorization", "Cookie"} == set()
    assert headers["User-Agent"] == "node-image-cleaner"


@pytest.mark.parametrize("status", [201, 204, 400, 402, 404, 429, 500, 502, 503])
def test_down_by_status(status: int) -> None:
    """Any other status is down; an error of the server's gets a second question, and nothing else does."""
    with serve_registry(status) as registry:
        assert ask(registry.address) == f"HTTP {status}"
    assert len(registry.asked) == (PROBE_ATTEMPTS if status >= 500 else 1)


@pytest.mark.parametrize(("first", "expected"), [(503, None), (0, None), (404, "HTTP 404")])
def test_a_transient_failure_is_not_down(first: int, expected: str | None) -> None:
    """After a server's error or a connection that breaks the second answer counts."""
    with serve_registry(first, 200) as registry:
        assert ask(registry.address) == expected


def test_a_connection_that_breaks_is_down() -> None:
    """One that ends each time without an answer is reported so."""
    with serve_registry(0) as registry:
        assert ask(registry.address) == "the connection failed"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    """A redirect is no answer of a registry, wherever it leads; that place is not asked."""
    with serve_registry(200) as elsewhere:
        location = f"http://{elsewhere.address}/v2/"
        with serve_registry(status, location=location) as registry:
            assert ask(registry.address) == f"HTTP {status}, a redirect, which is not followed"
    assert elsewhere.asked == []


def test_refused() -> None:
    """Without a server, the reason has the system's words."""
    assert ask(refusing_address()) == "Connection refused"


def test_a_name_that_does_not_resolve() -> None:
    """A name without an address is reported in the system's words; no name server is asked for one as long as this."""
    assert ask(".".join(["a" * 60] * 5)) == "Name or service not known"


@pytest.mark.parametrize("plain_http", [True, False])
def test_silence_ends(plain_http: bool) -> None:
    """A registry that accepts the connection and says nothing is down after the time for it, and not asked again."""
    with serve_silence() as silence:
        plain = frozenset({silence.address} if plain_http else ())
        asks = RegistryProbe(plain, timeouts=(0.1, 0.1))
        begin = time.monotonic()
        assert asks(silence.address) == "no answer in time"
        assert time.monotonic() - begin >= 0.1
        wait_until(lambda: bool(silence.clients), "the connection is accepted")
    assert len(silence.clients) == 1


def test_the_time_for_an_answer_is_short() -> None:
    """A connection has two seconds, and an answer three."""
    assert TIMEOUTS == RegistryProbe()._timeouts == (2.0, 3.0)


# ---- TLS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def certificate(folder: Path) -> Path:
    return make_certificate(folder)


@pytest.fixture
def private(certificate: Path) -> Iterator[FakeRegistry]:
    """A registry with a certificate of a private CA."""
    with serve_registry(401, certificate=certificate) as registry:
        yield registry


def test_a_private_ca_is_trusted_where_it_is_named(private: FakeRegistry, certificate: Path) -> None:
    """With its CA in ca_file a registry is alive."""
    assert asking_over_tls(certificate)(private.address) is None


def test_an_unknown_certificate_is_down(private: FakeRegistry) -> None:
    """Without it the certificate does not verify: the registry is down, and no question reached it."""
    reason = asking_over_tls()(private.address)
    assert reason is not None
    assert reason.startswith("TLS: self")
    assert private.asked == []


@pytest.mark.parametrize(
    ("name", "days", "says"), [("IP:127.0.0.2", 2, "IP address mismatch"), ("IP:127.0.0.1", -1, "expired")]
)
def test_a_wrong_certificate_is_down(folder: Path, name: str, days: int, says: str) -> None:
    """One for another host, or that has expired, is down though its CA is trusted."""
    wrong = make_certificate(folder, name, days)
    with serve_registry(200, certificate=wrong) as registry:
        reason = asking_over_tls(wrong)(registry.address)
    assert reason is not None
    assert reason.startswith("TLS: ")
    assert says in reason


def test_https_unless_it_is_configured(private: FakeRegistry) -> None:
    """A registry is asked over https, whatever its name, and one without TLS is down then."""
    with serve_registry(200) as plain:
        assert (asking_over_tls()(plain.address) or "").startswith("TLS: ")
        assert ask(plain.address) is None
    assert ask(private.address) is not None


def test_public_cas_stay_trusted(
    private: FakeRegistry, certificate: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of CAs comes beside the public ones, here those of the environment, and removes none."""
    other = make_certificate(folder, "DNS:other.example.com")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert asking_over_tls(other)(private.address) is None


def test_a_file_of_cas_is_read_anew(private: FakeRegistry, certificate: Path, tmp_path: Path) -> None:
    """A renewed file counts from the next question on; a missing one is a reason to be down."""
    path = tmp_path / "ca.pem"
    path.write_bytes(make_certificate(tmp_path, "DNS:other.example.com").read_bytes())
    asks = asking_over_tls(path)
    assert (asks(private.address) or "").startswith("TLS: ")
    path.write_bytes(certificate.read_bytes())
    assert asks(private.address) is None
    path.unlink()
    assert (asks(private.address) or "").startswith(f"registries.ca_file: {path}: No such file or directory; write ")


@pytest.mark.parametrize(("content", "says"), [(None, "No such file or directory"), ("no pem", "holds no certificate")])
def test_a_file_of_cas_that_is_none(tmp_path: Path, content: str | None, says: str) -> None:
    """What cannot be read as CAs is said at the start, with what to write."""
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    with pytest.raises(EnvironmentUnusableError, match=f"registries.ca_file: {path}: {says}.*; write the path of"):
        RegistryProbe(ca_file=str(path))


# ---- the environment


def test_a_login_of_the_machine_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ~/.netrc that knows the registry is left alone."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with serve_registry(200) as registry:
        assert ask(registry.address) is None
    assert "Authorization" not in registry.asked[0][1]


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is used, except for the hosts in NO_PROXY."""
    with serve_registry(200) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
        assert ask("registry.example.com:5000") is None
        assert [path for path, _ in proxy.asked] == ["http://registry.example.com:5000/v2/"]
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert ask(refusing_address()) == "Connection refused"


@pytest.mark.parametrize("ca_file", [False, True])
def test_a_proxy_that_is_down(monkeypatch: pytest.MonkeyPatch, certificate: Path, ca_file: bool) -> None:
    """A proxy that rejects the request is reported as such, without its password."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@{refusing_address()}")
    asks = asking_over_tls(certificate if ca_file else None)
    assert asks("registry.example.com") == "the proxy: Connection refused"


def test_docker_hub_is_where_docker_io_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """`docker.io` is asked at registry-1.docker.io; here through a proxy, so that the real one is not."""
    with serve_registry(200) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
        assert ask("docker.io") is None
    assert proxy.asked[0][0] == "http://registry-1.docker.io/v2/"
