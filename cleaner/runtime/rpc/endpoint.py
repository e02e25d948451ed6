"""Where a runtime listens: reading the address, and telling an unavailable runtime from a permanent problem.

Only Unix sockets are accepted: the CRI has no authentication, so it belongs on no network.
"""

import errno
import os
import socket
import stat
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from cleaner.core.credentials import without_credentials
from cleaner.core.errors import ConfigError, EnvironmentUnusableError

_LONGEST_PATH_BYTES = 107
"""unix(7): `sun_path` has 108 bytes with its terminating zero."""
_CONNECT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A Unix socket of a runtime."""

    path: str
    """Absolute."""

    def __str__(self) -> str:
        return f"unix://{self.path}"

    @property
    def target(self) -> str:
        """As gRPC wants it: a URI, so special characters are escaped."""
        return f"unix:{quote(self.path)}"


def parse_endpoint(value: str, source: str = "the runtime endpoint") -> Endpoint:
    """`unix:///path`, `unix:/path` or `/path`, as crictl reads them; `source` is what ConfigError names."""
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ConfigError(_complaint(source, value, "is no address")) from None
    if parts.scheme not in {"", "unix"}:
        raise ConfigError(_complaint(source, value, "has another scheme, and only Unix sockets are used"))
    path = unquote(parts.path)
    if parts.netloc or not path.startswith("/") or path.endswith("/"):
        raise ConfigError(_complaint(source, value, "has no absolute path of a socket"))
    if parts.query or parts.fragment or not path.isprintable():
        raise ConfigError(_complaint(source, value, "has more than a path in it"))
    if len(os.fsencode(path)) > _LONGEST_PATH_BYTES:
        raise ConfigError(
            _complaint(source, value, f"is longer than the {_LONGEST_PATH_BYTES} bytes of a socket's path")
        )
    return Endpoint(path)


def _complaint(source: str, value: str, problem: str) -> str:
    return f"{source}: {without_credentials(value)!r} {problem}; write it like unix:///run/containerd/containerd.sock"


def diagnose_endpoint(endpoint: Endpoint) -> None:
    """Raise EnvironmentUnusableError for a permanent problem.

    A runtime is only unavailable where its socket is missing in a directory that exists, or a connection is refused or
    unanswered.
    """
    try:
        _connect(endpoint.path)
    except OSError as error:
        if problem := _permanent_problem(endpoint.path, error):
            raise EnvironmentUnusableError(f"{endpoint}: {problem}") from error


def _permanent_problem(path: str, error: OSError) -> str | None:
    if isinstance(error, PermissionError):
        return f"no permission to connect ({error.strerror}); run as root, or as a member of the socket's group"
    directory = os.path.dirname(path)  # noqa: PTH120 - no Path is used here otherwise
    if not os.path.isdir(directory):  # noqa: PTH112
        return f"there is no directory {directory}; mount the host's directory there, or correct the endpoint"
    if error.errno == errno.EPROTOTYPE:
        return "what is there is a socket of another type; correct the endpoint"
    if _is_something_else(path):
        # A hostPath mount of a socket that did not exist yet leaves a directory in its place.
        return "what is there is no socket; mount its directory instead of the file, or correct the endpoint"
    return None


def _connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        probe.connect(path)


def _is_something_else(path: str) -> bool:
    try:
        return not stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        return False
