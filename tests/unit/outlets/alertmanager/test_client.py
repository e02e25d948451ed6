"""Requests to an Alertmanager: what it is sent, what its answers mean, and that no secret is repeated."""

from dataclasses import replace
from pathlib import Path

import pytest

from cleaner.core.findings import Finding, Grade
from cleaner.outlets.alertmanager.client import Access, AlertmanagerApi, AlertmanagerError
from lab.ports import reserve_port
from lab.waiting import DEADLINE_SECONDS
from support.alertmanager_server import HANG, AlertmanagerServer, Received
from support.certificates import Authority, make_authority

ACCESS = Access(timeout_seconds=DEADLINE_SECONDS)
ALERTS: list[dict[str, object]] = [{"labels": {"alertname": "ImageCleanerNodeCannotReclaim"}}]
SECRET = "hunter2-hunter2"  # noqa: S105 (of nobody)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


def post(server: AlertmanagerServer, access: Access = ACCESS) -> Received:
    AlertmanagerApi(server.url, access).post(ALERTS)
    return server.received[-1]


def refusal(url: str, access: Access = ACCESS) -> AlertmanagerError:
    with pytest.raises(AlertmanagerError) as raised:
        AlertmanagerApi(url, access).post(ALERTS)
    return raised.value


@pytest.mark.parametrize("path", ["", "/", "/prefix", "/prefix/"])
def test_alerts_are_posted(path: str) -> None:
    """Alerts go to the API v2 below the address, as JSON, with no credentials unless there are some."""
    with AlertmanagerServer() as server:
        AlertmanagerApi(server.url + path, ACCESS).post(ALERTS)
        (request,) = server.received
    assert (request.method, request.path) == ("POST", f"{path.rstrip('/')}/api/v2/alerts")
    assert request.body == ALERTS
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"] == "node-image-cleaner"
    assert "Authorization" not in request.headers


def test_the_environment_decides_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy is asked and no netrc file is read, whatever the environment names."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    with AlertmanagerServer() as server:
        assert "Authorization" not in post(server).headers


@pytest.mark.parametrize(
    ("status", "transient"),
    [
        (300, False),
        (302, False),
        (399, False),
        (400, False),
        (401, False),
        (403, False),
        (404, False),
        (408, True),
        (429, True),
        (499, False),
        (500, True),
        (503, True),
    ],
)
def test_an_answer_that_is_none_is_an_error(status: int, transient: bool) -> None:
    """What the server may mend by itself passes; what a person has to mend does not, and the text says what."""
    with AlertmanagerServer(status) as server:
        error = refusal(server.url)
    assert error.transient is transient
    assert f"HTTP {status}" in str(error)
    assert ("; check " in str(error)) is (status in (401, 403, 404))


@pytest.mark.parametrize("status", [200, 202, 299])
def test_any_success_is_one(status: int) -> None:
    """From 200 to 299 it was accepted."""
    with AlertmanagerServer(status) as server:
        post(server)


def test_a_missing_server_is_transient() -> None:
    """A refused connection is one line that says so."""
    error = refusal(f"http://127.0.0.1:{reserve_port()}")
    assert (str(error), error.transient) == ("cannot be reached (Connection refused)", True)


def test_a_server_that_hangs_is_left() -> None:
    """After the timeout it is given up."""
    with AlertmanagerServer(HANG) as server:
        error = refusal(server.url, Access(timeout_seconds=0.2))
    assert (str(error), error.transient) == ("does not answer within 0.2 s", True)


def test_a_server_that_hangs_up_is_transient() -> None:
    """A connection that ends without an answer is tried again."""
    with AlertmanagerServer(HANG) as server:
        server._closing.set()
        error = refusal(server.url)
    assert (str(error), error.transient) == ("cannot be reached (RemoteDisconnected)", True)


def basic(tmp_path: Path, content: str = SECRET) -> Access:
    (tmp_path / "password").write_text(content)
    return replace(ACCESS, username="cleaner", password_file=str(tmp_path / "password"))


def bearer(tmp_path: Path, content: str = SECRET) -> Access:
    (tmp_path / "token").write_text(content)
    return replace(ACCESS, bearer_token_file=str(tmp_path / "token"))


def test_basic_credentials_come_from_a_file(tmp_path: Path) -> None:
    """User and password are sent in UTF-8, the password as it is in the file at that time."""
    with AlertmanagerServer() as server:
        access = basic(tmp_path, "päss: word\n")
        assert post(server, access).headers["Authorization"] == "Basic Y2xlYW5lcjpww6Rzczogd29yZA=="
        basic(tmp_path, "rotated")
        assert post(server, access).headers["Authorization"] == "Basic Y2xlYW5lcjpyb3RhdGVk"


def test_a_bearer_token_comes_from_a_file(tmp_path: Path) -> None:
    """The token is sent as it is in the file at that time, without the line's end."""
    with AlertmanagerServer() as server:
        access = bearer(tmp_path, f"{SECRET}\n")
        assert post(server, access).headers["Authorization"] == f"Bearer {SECRET}"
        bearer(tmp_path, "rotated")
        assert post(server, access).headers["Authorization"] == "Bearer rotated"


@pytest.mark.parametrize("content", ["", "\n", f"{SECRET}\nX-Other: header", f"{SECRET}\x00", f"{SECRET}\x7f"])
@pytest.mark.parametrize("make", [basic, bearer])
def test_a_file_without_a_secret_is_named(make: type, content: str, tmp_path: Path) -> None:
    """An empty file, several lines and control characters are errors that name the file and never its content."""
    with AlertmanagerServer() as server:
        error = refusal(server.url, make(tmp_path, content))
        assert server.received == []
    assert "is not one line of text; write the secret alone" in str(error)
    assert str(tmp_path) in str(error)
    assert SECRET not in str(error)
    assert not error.transient


def test_a_token_that_fits_no_header_is_not_repeated(tmp_path: Path) -> None:
    """What the library says of such a header stays unsaid."""
    with AlertmanagerServer() as server:
        error = refusal(server.url, bearer(tmp_path, f"{SECRET}\u2603"))
    assert SECRET not in str(error)
    assert not error.transient


def test_a_binary_secret_is_refused(tmp_path: Path) -> None:
    """What is no UTF-8 is no text."""
    access = bearer(tmp_path)
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    assert "is not one line of text" in str(refusal("http://127.0.0.1:9", access))


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("bearer_token_file", "bearer_token_file"),
        ("password_file", "basic.password_file"),
        ("ca_file", "tls.ca_file"),
        ("cert_file", "tls.cert_file"),
        ("key_file", "tls.key_file"),
    ],
)
def test_a_file_that_is_not_there_is_named(field: str, key: str, tmp_path: Path) -> None:
    """A missing file is one line with its key, its path and what to do; nothing is sent."""
    with AlertmanagerServer() as server:
        access = Access(DEADLINE_SECONDS, username="cleaner", **{field: str(tmp_path / "none")})
        error = refusal(server.url, access)
        assert server.received == []
    rule = "cannot be read (No such file or directory); mount it, or name another file"
    assert (str(error), error.transient) == (f"alertmanager.{key}: {tmp_path}/none {rule}", False)


def test_tls_with_an_authority_of_its_own(authority: Authority) -> None:
    """A server whose certificate that authority signed is trusted, and only with it."""
    with AlertmanagerServer(tls=authority.server_context()) as server:
        assert post(server, replace(ACCESS, ca_file=str(authority.file))).body == ALERTS
        error = refusal(server.url)
    assert "no TLS connection (unable to get local issuer certificate); check alertmanager.tls" in str(error)
    assert not error.transient


def test_tls_with_a_certificate_of_the_client(authority: Authority) -> None:
    """A server that asks for one gets it; without one it does not talk."""
    certificate, key = authority.sign("client")
    trusting = replace(ACCESS, ca_file=str(authority.file))
    with AlertmanagerServer(tls=authority.server_context(asks_clients=True)) as server:
        assert post(server, replace(trusting, cert_file=str(certificate), key_file=str(key))).body == ALERTS
        refusal(server.url, trusting)


def test_a_file_that_is_no_certificate(authority: Authority, tmp_path: Path) -> None:
    """An authority that cannot be read as one is no reason to trust anybody."""
    (tmp_path / "ca.pem").write_text("no certificate")
    with AlertmanagerServer(tls=authority.server_context()) as server:
        error = refusal(server.url, replace(ACCESS, ca_file=str(tmp_path / "ca.pem")))
    assert not error.transient
    assert "\n" not in str(error)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int, tmp_path: Path) -> None:
    """Credentials are sent to the address of the configuration, and to no other that an answer names."""
    with AlertmanagerServer() as other, AlertmanagerServer(status, location=other.url) as server:
        error = refusal(server.url, bearer(tmp_path))
        assert (len(server.received), len(other.received)) == (1, 0)
    assert (str(error), error.transient) == (f"HTTP {status}: redirects; write the final address as url", False)


def test_check_finds_an_alertmanager() -> None:
    """One that answers is fine, with its version."""
    with AlertmanagerServer() as server:
        finding = AlertmanagerApi(server.url, ACCESS).check()
        (request,) = server.received
    assert (request.method, request.path) == ("GET", "/api/v2/status")
    assert finding == Finding("alertmanager", Grade.OK, f"{server.url}: Alertmanager 0.33.1")


@pytest.mark.parametrize("status", [[], {}, {"versionInfo": None}, {"versionInfo": {}}, "text"])
def test_check_finds_another_server(status: object) -> None:
    """One that answers otherwise is an error."""
    with AlertmanagerServer(status=status) as server:
        finding = AlertmanagerApi(server.url, ACCESS).check()
    assert finding.grade is Grade.ERROR
    assert finding.detail.endswith("answers, but not as an Alertmanager does; check alertmanager.url")


def test_check_tells_transient_from_permanent(tmp_path: Path) -> None:
    """An unavailable server is a note; a rejected login or a missing file is an error that names no secret."""
    with AlertmanagerServer(401) as server:
        rejected = AlertmanagerApi(server.url, bearer(tmp_path)).check()
    away = AlertmanagerApi(server.url, ACCESS).check()
    missing = AlertmanagerApi(server.url, replace(ACCESS, bearer_token_file=str(tmp_path / "none"))).check()
    assert [finding.grade for finding in (rejected, away, missing)] == [Grade.ERROR, Grade.NOTE, Grade.ERROR]
    assert SECRET not in rejected.detail
