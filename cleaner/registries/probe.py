"""The probe of one registry: `GET /v2/`, as any client of the distribution API begins.

It must not log in, follow a redirect, or trust a certificate that does not verify: such an answer may come from another
server, and counts as none. Source: distribution-spec, endpoint end-1.
"""

import errno
import os
import ssl
import stat
from collections.abc import Iterator
from threading import Event

from requests import PreparedRequest, RequestException, Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import ProxyError, SSLError, Timeout
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt, wait_random
from tenacity.nap import sleep_using_event
from urllib3 import ProxyManager

from cleaner.core.errors import EnvironmentUnusableError
from cleaner.core.paths import shown
from cleaner.core.references import DEFAULT_REGISTRY

ALIVE = frozenset({200, 401, 403})
"""With these answers the registry serves images, if only to clients that log in."""
TIMEOUTS = 2.0, 3.0
"""Seconds for a connection, and between two bytes; the whole question is bounded by `probe_round.py`."""
PROBE_ATTEMPTS = 2
"""The second is for transient failures: a connection refused or reset, a server error. A timeout is not tried again."""
FIRST_ERROR = 500
LARGEST_CA_BYTES = 4 * 1024**2
"""Twenty times what the public authorities take."""
DOCKER_HUB = "registry-1.docker.io"
"""The host that serves `docker.io`. Source: distribution/reference, and every client's default."""


class RegistryProbe:
    """Asks registries, any number at once."""

    def __init__(
        self,
        plain_http: frozenset[str] = frozenset(),
        ca_file: str | None = None,
        timeouts: tuple[float, float] = TIMEOUTS,
    ) -> None:
        """EnvironmentUnusableError where the CAs cannot be read; they are trusted beside the public ones."""
        self._plain_http = plain_http
        self._ca_file = ca_file
        self._timeouts = timeouts
        if ca_file:
            _context_of(ca_file)

    def __call__(self, registry: str) -> str | None:
        """Why a registry is down; None where it is alive."""
        scheme = "http" if registry in self._plain_http else "https"
        host = DOCKER_HUB if registry == DEFAULT_REGISTRY else registry
        retrying = Retrying(
            stop=stop_after_attempt(PROBE_ATTEMPTS),
            wait=wait_random(0.1, 0.5),
            retry=retry_if_result(lambda answer: answer.may_recover),
            retry_error_callback=_last,
            sleep=sleep_using_event(Event()),
        )
        return retrying(self._ask, f"{scheme}://{host}/v2/").reason

    def _ask(self, url: str) -> "_Answer":
        try:
            with self._session() as session, self._get(session, url) as response:
                return _read(response.status_code)
        except RequestException as error:
            return _explain(error)
        except EnvironmentUnusableError as error:
            return _Answer(str(error))

    def _session(self) -> Session:
        """Of one question, without a memory; proxies are those of the environment."""
        session = Session()
        session.auth = _no_login
        if self._ca_file:
            session.mount("https://", _Trusting(_context_of(self._ca_file)))  # read anew: certificates are renewed
        return session

    def _get(self, session: Session, url: str) -> Response:
        headers = {"User-Agent": "node-image-cleaner", "Connection": "close"}
        # Streamed: the status is enough, whatever a body would hold.
        return session.get(url, headers=headers, timeout=self._timeouts, allow_redirects=False, stream=True)


class _Answer:
    """Why a registry is down, None where it is not, and whether that may be transient."""

    def __init__(self, reason: str | None, *, may_recover: bool = False) -> None:
        self.reason = reason
        self.may_recover = may_recover


class _Trusting(HTTPAdapter):
    """Connections that trust more CAs than the public ones, through a proxy too; requests has no setting for both."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *sizes: object, **settings: object) -> None:
        """As requests would make them."""
        super().init_poolmanager(*sizes, ssl_context=self._context, **settings)  # type: ignore[arg-type]

    def proxy_manager_for(self, proxy: str, **settings: object) -> ProxyManager:
        """The same through a proxy."""
        manager: ProxyManager = super().proxy_manager_for(proxy, ssl_context=self._context, **settings)
        return manager


def _context_of(ca_file: str) -> ssl.SSLContext:
    try:
        _require_file(ca_file)
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        wrong = "holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        what = "write the path of a file with CA certificates in PEM, or null for the public ones alone"
        raise EnvironmentUnusableError(f"registries.ca_file: {shown(ca_file)}: {wrong}; {what}") from error


def _require_file(path: str) -> None:
    """OSError for what cannot be read to its end: OpenSSL waits for ever for a pipe, and reads a device without one."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is no file")
        if len(os.read(descriptor, LARGEST_CA_BYTES + 1)) > LARGEST_CA_BYTES:
            raise OSError(errno.EFBIG, f"is larger than {LARGEST_CA_BYTES // 1024**2} MiB")
    finally:
        os.close(descriptor)


def _no_login(request: PreparedRequest) -> PreparedRequest:
    """In the place of a login, or requests would look for one in ~/.netrc."""
    return request


def _last(state: RetryCallState) -> _Answer:
    """What the last attempt brought."""
    answer: _Answer = state.outcome.result() if state.outcome else _Answer("it was not asked")
    return answer


def _read(status: int) -> _Answer:
    if status in ALIVE:
        return _Answer(None)
    redirect = ", a redirect, which is not followed" if 300 <= status < 400 else ""  # noqa: PLR2004 - RFC 9110, 15.4
    return _Answer(f"HTTP {status}{redirect}", may_recover=status >= FIRST_ERROR)


def _explain(error: RequestException) -> _Answer:
    """In words of our own or the system's: an error of requests holds the URL of a proxy, with its password."""
    if isinstance(error, Timeout):
        return _Answer("no answer in time")
    root = [*_causes(error)][-1]
    if isinstance(error, SSLError):
        return _Answer(f"TLS: {getattr(root, 'verify_message', None) or getattr(root, 'reason', None) or 'failed'}")
    reason = (root.strerror if isinstance(root, OSError) else None) or "the connection failed"
    return _Answer(f"the proxy: {reason}" if isinstance(error, ProxyError) else reason, may_recover=True)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it wraps, which urllib3 keeps in three ways; the system's own error is the last."""
    yield error
    wrapped = [getattr(error, "reason", None), *error.args, error.__cause__, error.__context__]
    for inner in wrapped:
        if isinstance(inner, BaseException):
            yield from _causes(inner)
            return
