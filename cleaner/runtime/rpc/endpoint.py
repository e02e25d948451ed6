"""Where a runtime listens: reading the address. See `reachability.py` for what is there.

Only Unix sockets are accepted: the CRI has no authentication, so it belongs on no network.
"""

import os
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from cleaner.core.credentials import without_credentials
from cleaner.core.errors import ConfigError
from cleaner.core.paths import shown

_LONGEST_PATH_BYTES = 107
"""unix(7): `sun_path` has 108 bytes with its terminating zero."""


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
    # gRPC takes a second slash for a host, and a comma for a list of addresses.
    path = "/" + path.lstrip("/")
    if parts.query or parts.fragment or "," in path or not path.isprintable():
        raise ConfigError(_complaint(source, value, "has more than a path in it"))
    if len(os.fsencode(path)) > _LONGEST_PATH_BYTES:
        raise ConfigError(
            _complaint(source, value, f"is longer than the {_LONGEST_PATH_BYTES} bytes of a socket's path")
        )
    return Endpoint(path)


def _complaint(source: str, value: str, problem: str) -> str:
    return f"{source}: {shown(repr(without_credentials(value)))} {problem}; write it like unix:///run/containerd/containerd.sock"
