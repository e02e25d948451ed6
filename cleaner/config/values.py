"""Reads single values of the configuration file: what YAML made of them -> what the program works with.

A value of another type is an error, even where it could be converted. Each parser raises ValueError with a text
that continues `PATH: VALUE: `, says what is wrong and what to write.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from attrs import frozen

from cleaner.config.durations import LONGEST, duration_text, parse_duration
from cleaner.config.spelling import nearest
from cleaner.core.credentials import has_credentials
from cleaner.core.paths import impossible_in
from cleaner.core.references import Pattern, is_registry, parse_pattern, parse_reference

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)

Parser = Callable[[object], _T]

PARSE = "parse"
EXAMPLE = "example"
"""Under these names a key's metadata holds its parser, and what to write where a required key is missing."""

HIGHEST_PORT = 65535
WHOLE_PERCENT = 100

_KINDS = {
    str: "is text",
    bool: "is a boolean",
    int: "is a number",
    float: "is a number with a point",
    list: "is a list",
    dict: "is a mapping",
    type(None): "is empty",
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://.*")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)%")
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([KMGTP])i(?:B)?")
_BINARY_PREFIXES = ("", "K", "M", "G", "T", "P")
LARGEST_SIZE = 1024**6
_LISTEN = re.compile(r"(\[[^\[\]]+\]|[^\[\]:]*):([0-9]{1,5})")
_HOST_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z](?:[a-z0-9-]*[a-z0-9])?", re.ASCII | re.IGNORECASE)
HAS_CREDENTIALS = "has a password or a token in it; write it without"


@frozen
class Listen:
    """Where a server listens: without a host at every address; port 0 leaves the choice to the kernel."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def by(parse: Parser[object], example: str | None = None) -> dict[str, object]:
    """The metadata of a key."""
    return {PARSE: parse, EXAMPLE: example}


def kind_of(value: object) -> str:
    """What YAML made of a value: `is a number`."""
    return _KINDS.get(type(value), "is of a type that no key has")


def text(value: object) -> str:
    """Text of one line, without blanks around it, and without what is surely a password or a token."""
    if not isinstance(value, str):
        raise ValueError(f"{kind_of(value)}; write text, in quotes where YAML would see something else")
    if not value:
        raise ValueError("is empty; write some text")
    if value != value.strip() or not value.isprintable():
        raise ValueError("has blanks around it or control characters in it; write one plain line")
    if has_credentials(value):
        raise ValueError(HAS_CREDENTIALS)
    return value


def flag(value: object) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise ValueError(f"{kind_of(value)}; write true or false")
    return value


def integer(minimum: int) -> Parser[int]:
    """A whole number from `minimum` on; true and false are none, although Python counts with them."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{kind_of(value)}; write a whole number, {minimum} or more")
        if value < minimum:
            raise ValueError(f"is too small; write {minimum} or more")
        return value

    return parse


def percent(value: object) -> float:
    """A share from 1 to 100 percent; 0.8 and 1.0 were surely meant as shares of 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{kind_of(value)}; write a number of percent without a sign, such as 75")
    if isinstance(value, float) and value == 1:
        raise ValueError("could mean 1 % or 100 %; write 1 or 100")
    if 1 / WHOLE_PERCENT <= value < 1:
        raise ValueError(f"is less than one percent; write {round(WHOLE_PERCENT * value, 6):g}")
    if not 1 <= value <= WHOLE_PERCENT:
        raise ValueError("is no share of a whole; write a number from 1 to 100, such as 75")
    return float(value)


def share(value: object) -> float:
    """A share of a whole, written with its sign: `5%`; from 0 to 1."""
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('is no share; write a number with its sign, such as "5%"')
    if (percent := float(match[1])) > WHOLE_PERCENT:
        raise ValueError("is more than the whole; write 100% or less")
    return percent / WHOLE_PERCENT


def size(value: object) -> int:
    """Bytes, written with a unit: `40GiB`; `40Gi`, as Kubernetes has it, is the same."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('is no size; write a number with a unit, such as "40GiB" or "500MiB"')
    unit: int = 1024 ** _BINARY_PREFIXES.index(match[2])
    found = round(float(match[1]) * unit)
    if not 0 < found <= LARGEST_SIZE:
        raise ValueError('is no size that a disk has; write one such as "40GiB"')
    return found


def size_text(size_bytes: int) -> str:
    """In the largest unit that leaves a whole number: `40GiB`."""
    power = 0
    while power + 1 < len(_BINARY_PREFIXES) and size_bytes % 1024 == 0:
        size_bytes, power = size_bytes // 1024, power + 1
    return f"{size_bytes}{_BINARY_PREFIXES[power]}iB" if power else f"{size_bytes}B"


def some_share(value: object) -> float:
    """A share of a whole that is not nothing: above 0, up to 1."""
    if not (some := share(value)):
        raise ValueError('is nothing; write more than 0%, such as "20%"')
    return some


def choice(kind: type[_E]) -> Parser[_E]:
    """One of the words of an enumeration, in its case."""
    words = [member.value for member in kind]

    def parse(value: object) -> _E:
        if isinstance(value, str) and value in words:
            return kind(value)
        close = nearest(value, words) if isinstance(value, str) else None
        raise ValueError(f"is unknown here; write {close or ' or '.join(words)}")

    return parse


def duration(minimum: timedelta = timedelta(0), maximum: timedelta = LONGEST) -> Parser[timedelta]:
    """A duration from `minimum` to `maximum`."""

    def parse(value: object) -> timedelta:
        if isinstance(value, int) and not isinstance(value, bool):
            raise ValueError(f"has no unit; write {_with_units(value)}")
        if not isinstance(value, str):
            raise ValueError(f"{kind_of(value)}; write a duration such as 90s or 30d")
        parsed = parse_duration(value)
        if parsed < minimum:
            raise ValueError(f"is too short; write {duration_text(minimum)} or more")
        if parsed > maximum:
            raise ValueError(f"is too long; write {duration_text(maximum)} or less")
        return parsed

    return parse


def pattern(value: object) -> Pattern:
    """A pattern for image references."""
    if not isinstance(value, str):
        raise ValueError(f'{kind_of(value)}; write a pattern in quotes, such as "registry.example.com/team/**"')
    if has_credentials(value):
        raise ValueError(HAS_CREDENTIALS)
    return parse_pattern(value)


def listen(value: object) -> Listen:
    """`:port` for every address of both families, or `host:port`, or `[IPv6]:port`."""
    match = _LISTEN.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match[1] and not is_host(match[1])):
        raise ValueError(
            'is no address to listen on; write ":10099" for all addresses, or "host:port", such as "127.0.0.1:10099"'
        )
    if int(match[2]) > HIGHEST_PORT:
        raise ValueError(f"has a port that does not exist; write one from 0 to {HIGHEST_PORT}")
    return Listen(match[1].strip("[]"), int(match[2]))


def endpoint(value: object) -> str:
    """The address of a socket; `runtime` reads the rest of it."""
    address = text(value)
    scheme = _SCHEME.fullmatch(address)
    if scheme and scheme[1].lower() != "unix":
        raise ValueError("is no unix socket; write one such as unix:///run/containerd/containerd.sock")
    return address


def absolute_path(value: object) -> str:
    """A path from the root on that a file system can hold."""
    path = text(value)
    if not path.startswith("/"):
        raise ValueError(f"is relative; write the whole path, such as /{path.removeprefix('./')}")
    if impossible := impossible_in(path):
        raise ValueError(f"{impossible}; write a shorter path")
    if any(map(has_credentials, path.split("/"))):
        raise ValueError("may hold a password; write a path without `user:password@`")
    return path


def registry(value: object) -> str:
    """A registry by the name that references have: `registry.example.com` or `localhost:5000`."""
    name = text(value)
    if "://" in name:
        raise ValueError("is a URL; write its host[:port] alone, and in registries.plain_http too where it has no TLS")
    if "/" in name or "@" in name:
        raise ValueError("is more than a registry; write its host[:port] alone, without path and login")
    reference = parse_reference(f"{name}/image") if is_registry(name) else None
    if reference is None:
        raise ValueError('is no registry; write host[:port], such as "registry.example.com" or "localhost:5000"')
    if reference.registry != name:
        raise ValueError(f"is not as references have it; write {reference.registry}")
    port = name.rpartition(":")[2]
    if port.isdecimal() and not 0 < int(port) <= HIGHEST_PORT:
        raise ValueError(f"has a port that does not exist; write one from 1 to {HIGHEST_PORT}")
    return name


def optional(parse: Parser[_T]) -> Parser[_T | None]:
    """The same, or nothing."""
    return lambda value: None if value is None else parse(value)


def _with_units(value: int) -> str:
    if not 0 < value <= LONGEST.days:
        return "a duration such as 0s or 30d"
    return f"{value}s, {value}m, {value}h or {value}d"


def is_host(host: str) -> bool:
    """A name, or an address that stands in brackets exactly if it is IPv6."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return _HOST_NAME.fullmatch(host) is not None
    return isinstance(address, ipaddress.IPv6Address) == host.startswith("[")
