"""Section `alertmanager` of the configuration file: its keys and the parsers that only they need.

It must not hold secrets: they stand in files, and no error message repeats what was written in place of one.
"""

import re
from datetime import timedelta
from urllib.parse import urlsplit

from attrs import field, frozen

from cleaner.config import values as value_of
from cleaner.config.values import by
from cleaner.core.credentials import has_credentials
from cleaner.core.paths import impossible_in

SECRETIVE = (("alertmanager", "basic"), ("alertmanager", "bearer_token_file"))
"""Where a person may write a secret in place of the file that holds it."""

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OWN_LABELS = ("alertname", "severity", "node")
_SECOND = timedelta(seconds=1)
_LONGEST_TIMEOUT = timedelta(minutes=1)
_LONGEST_REPEAT = timedelta(minutes=10)
"""Alertmanager keeps alerts in memory only; after a restart it has them again within this time."""


def urls(value: object) -> tuple[str, ...]:
    """One address of a web server, or a list of them; none with a user or a password in it."""
    written = value if isinstance(value, list) else [value]
    if not written:
        raise ValueError("names no server; write one address, or remove the section")
    return tuple(map(_url, written))


def secret_path(value: object) -> str:
    """A file that holds a secret; the text repeats nothing, since a secret may stand in its place."""
    if not isinstance(value, str) or not value.startswith("/") or not value.isprintable() or has_credentials(value):
        raise ValueError("is no absolute path; write the path of a file that holds the secret, never the secret itself")
    if impossible := impossible_in(value):
        raise ValueError(f"{impossible}; write a shorter path")
    return value


def labels(value: object) -> dict[str, str]:
    """Labels of Prometheus, which are text; none of those that the agent sets."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{value_of.kind_of(value)}; write names with values, such as {{cluster: eu-1}}")
    for name, content in value.items():
        if not isinstance(name, str) or not _LABEL_NAME.fullmatch(name):
            raise ValueError("has a name that is no label; write letters, digits and _, no digit first")
        if name in _OWN_LABELS:
            raise ValueError(f"sets {name}, which the agent sets; write another name")
        if not isinstance(content, str) or not content:
            raise ValueError(f"has no text for {name}; write some, in quotes where YAML would see something else")
        if has_credentials(content):
            raise ValueError(f"has a password or a token in {name}; write it without")
    return value


def _url(value: object) -> str:
    if isinstance(value, str) and "@" in value:
        raise ValueError(
            "has a user or a password in it; write it without, and alertmanager.basic with a password_file"
        )
    if isinstance(value, str) and set("?#") & set(value):
        raise ValueError("has a query or a fragment; write the address alone")
    address = value_of.text(value)
    try:
        parts = urlsplit(address)
        known = parts.scheme in ("http", "https") and value_of.is_host(_host(parts.netloc, parts.port))
    except ValueError:
        known = False
    if not known:
        raise ValueError("is no web address; write one such as http://alertmanager.monitoring.svc:9093")
    return address


def _host(netloc: str, port: int | None) -> str:
    """Without the port and the dot that ends a full name."""
    return netloc.removesuffix(f":{port}").removesuffix(".")


@frozen
class TlsKeys:
    """Section `alertmanager.tls`."""

    ca_file: str | None = field(default=None, metadata=by(value_of.optional(value_of.absolute_path)))
    cert_file: str | None = field(default=None, metadata=by(value_of.optional(value_of.absolute_path)))
    key_file: str | None = field(default=None, metadata=by(value_of.optional(value_of.absolute_path)))


@frozen
class BasicKeys:
    """Section `alertmanager.basic`."""

    username: str = field(metadata=by(value_of.text, "username: cleaner"))
    password_file: str = field(metadata=by(secret_path, "password_file: /etc/alertmanager/password"))


@frozen
class AlertmanagerKeys:
    """Section `alertmanager`; without it no alert is sent."""

    url: tuple[str, ...] = field(metadata=by(urls, "url: http://alertmanager.monitoring.svc:9093"))
    labels: dict[str, str] = field(factory=dict, metadata=by(labels))
    basic: BasicKeys | None = None
    bearer_token_file: str | None = field(default=None, metadata=by(value_of.optional(secret_path)))
    tls: TlsKeys = TlsKeys()
    timeout: timedelta = field(default=timedelta(seconds=5), metadata=by(value_of.duration(_SECOND, _LONGEST_TIMEOUT)))
    repeat_every: timedelta = field(
        default=timedelta(minutes=1), metadata=by(value_of.duration(_SECOND, _LONGEST_REPEAT))
    )
    runtime_down_for: timedelta = field(default=timedelta(minutes=2), metadata=by(value_of.duration()))
