"""Alertmanager's API v2 over HTTP: one request at a time, with credentials from files.

It must not use redirects, proxies and netrc files, which could carry credentials elsewhere; no error text holds a
secret.
"""

import errno
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

import requests
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError

from cleaner.core.findings import Finding, Grade
from cleaner.core.paths import shown
from cleaner.outlets.alertmanager.pending_alerts import Posted
from cleaner.outlets.units import one_line

LARGEST_FILE_BYTES = 1024 * 1024
LARGEST_STATUS_BYTES = 1024 * 1024
"""The status holds Alertmanager's whole configuration."""
LONGEST_REPLY_TEXT = 160

_HINTS = {
    HTTPStatus.UNAUTHORIZED: "check alertmanager.basic or alertmanager.bearer_token_file",
    HTTPStatus.FORBIDDEN: "check alertmanager.basic or alertmanager.bearer_token_file",
    HTTPStatus.NOT_FOUND: "check the path in alertmanager.url; the API v2 begins below it",
}
_TRANSIENT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class AlertmanagerError(Exception):
    """It did not accept or answer a request; the text is one line. `transient`: worth another try at once."""

    def __init__(self, text: str, *, transient: bool) -> None:
        super().__init__(text)
        self.transient = transient


@dataclass(frozen=True, slots=True)
class Access:
    """How an Alertmanager is reached; files are read for each request, so that rotated secrets count."""

    timeout_seconds: float
    """For the connection, and for each wait for bytes after that."""
    ca_file: str | None = None
    """None: the authorities of certifi."""
    cert_file: str | None = None
    key_file: str | None = None
    username: str | None = None
    password_file: str | None = None
    bearer_token_file: str | None = None


class AlertmanagerApi:
    """One Alertmanager. Every call may raise AlertmanagerError, and takes no longer than its server lets it."""

    def __init__(self, url: str, access: Access) -> None:
        self.url = url
        self._access = access

    def post(self, alerts: Posted) -> None:
        """Send it alerts: it keeps one of equal labels, with the newest annotations."""
        self._request("POST", "alerts", alerts)

    def check(self) -> Finding:
        """Whether it answers; an error where the failure is permanent."""
        try:
            version = self._read_version()
        except AlertmanagerError as error:
            return Finding("alertmanager", Grade.NOTE if error.transient else Grade.ERROR, f"{self.url}: {error}")
        return Finding("alertmanager", Grade.OK, f"{self.url}: Alertmanager {version}")

    def _read_version(self) -> str:
        text = self._request("GET", "status")
        try:
            return one_line(str(json.loads(text)["versionInfo"]["version"]))[:LONGEST_REPLY_TEXT]
        except (ValueError, LookupError, TypeError) as error:
            rule = "answers, but not as an Alertmanager does; check alertmanager.url"
            raise AlertmanagerError(rule, transient=False) from error

    def _request(self, method: str, what: str, body: Posted | None = None) -> bytes:
        """A connection of its own each time: one that is kept would be found dead after each restart."""
        address = f"{self.url.rstrip('/')}/api/v2/{what}"
        timeout = self._access.timeout_seconds
        with requests.Session() as session:
            self._prepare(session)
            try:
                response = session.request(
                    method, address, json=body, timeout=timeout, allow_redirects=False, stream=True
                )
                with response:
                    _require_ok(response.status_code)
                    return response.raw.read(LARGEST_STATUS_BYTES, decode_content=True) if body is None else b""
            # ValueError: names and headers that are rejected without an error of their own.
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                raise _translated(error, timeout) from error

    def _prepare(self, session: requests.Session) -> None:
        access = self._access
        session.trust_env = False
        session.headers["User-Agent"] = "node-image-cleaner"
        for key in ("ca_file", "cert_file", "key_file"):
            if path := getattr(access, key):
                _read(f"tls.{key}", path)
        session.verify = access.ca_file or True
        if access.cert_file and access.key_file:
            session.cert = (access.cert_file, access.key_file)
        if access.username is not None and access.password_file:
            password = _read_secret("basic.password_file", access.password_file)
            session.auth = HTTPBasicAuth(access.username.encode(), password.encode())
        if access.bearer_token_file:
            session.headers["Authorization"] = f"Bearer {_read_secret('bearer_token_file', access.bearer_token_file)}"


def _require_ok(status: int) -> None:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status < HTTPStatus.BAD_REQUEST:
        raise AlertmanagerError(f"HTTP {status}: redirects; write the final address as url", transient=False)
    hint = f"; {_HINTS[HTTPStatus(status)]}" if status in _HINTS else ""
    transient = status in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    raise AlertmanagerError(f"answers HTTP {status}{hint}", transient=transient)


def _read_secret(key: str, path: str) -> str:
    """The one line of a file, without blanks around it, as Prometheus reads such files."""
    try:
        secret = _read(key, path).decode().strip()
    except UnicodeDecodeError as error:
        raise _unfit(key, path) from error
    if not secret or not secret.isprintable():
        raise _unfit(key, path)
    return secret


def _read(key: str, path: str) -> bytes:
    try:
        return _read_file(path)
    except OSError as error:
        text = f"alertmanager.{key}: {shown(path)} cannot be read ({error.strerror}); mount it, or name another file"
        raise AlertmanagerError(text, transient=False) from error


def _read_file(path: str) -> bytes:
    """OSError for what is no file, such as a pipe, which would be waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(LARGEST_FILE_BYTES)
    finally:
        os.close(descriptor)


def _unfit(key: str, path: str) -> AlertmanagerError:
    return AlertmanagerError(
        f"alertmanager.{key}: {shown(path)} is not one line of text; write the secret alone", transient=False
    )


def _translated(error: Exception, timeout: float) -> AlertmanagerError:
    """In our own words: what requests says may repeat a header."""
    if isinstance(error, requests.Timeout):
        return AlertmanagerError(f"does not answer within {timeout:g} s", transient=True)
    if isinstance(error, requests.exceptions.SSLError):
        return AlertmanagerError(f"no TLS connection ({_innermost(error)}); check alertmanager.tls", transient=False)
    if isinstance(error, requests.ConnectionError | HTTPError):
        return AlertmanagerError(f"cannot be reached ({_innermost(error)})", transient=True)
    text = f"cannot be asked ({type(error).__name__}); check alertmanager.url and the files beside it"
    return AlertmanagerError(text, transient=False)


def _innermost(error: Exception) -> str:
    """The reason of the reason: `Connection refused`, without the address, which is said already."""
    *_, last = _chain(error)
    said = getattr(last, "verify_message", None) or getattr(last, "strerror", None) or type(last).__name__
    return one_line(str(said))[:LONGEST_REPLY_TEXT]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
