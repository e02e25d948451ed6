"""Image references by the distribution grammar, and the patterns that match them.

It must not guess: text that is no reference matches no pattern, so its image is kept.
Grammar: distribution/reference, `[domain/]path[:tag][@digest]`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

DEFAULT_REGISTRY = "docker.io"
NO_REFERENCE = "<none>"

_PATH_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_HOST_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,}")
_HEX_ID = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_PATTERN_FIRST = re.compile(r"\*\*|(?:[A-Za-z0-9._:\[\]-]|\*(?!\*))+")
_PATTERN_PART = re.compile(r"\*\*|(?:[a-z0-9._-]|\*(?!\*))+")
_PATTERN_TAG = re.compile(r"(?:[A-Za-z0-9_.-]|\*(?!\*))+")
_PATTERN_DIGEST = re.compile(r"(?:[A-Za-z0-9:+._-]|\*(?!\*))+")


@dataclass(frozen=True, slots=True)
class Reference:
    """One name of an image, with default registry and `library/` filled in."""

    registry: str
    repository: str
    """Path below the registry."""
    tag: str | None
    digest: str | None

    @property
    def full_repository(self) -> str:
        """Registry and path: `docker.io/library/nginx`."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.full_repository}{tag}{digest}"


@dataclass(frozen=True, slots=True)
class Name:
    """One repository under which an image is known: what a pattern is asked about."""

    full_repository: str
    tag: str | None
    """None where the image has no tag in this repository."""
    digests: frozenset[str]
    """All digests that it has in this repository."""


def split_registry(name: str) -> tuple[str | None, str]:
    """`registry/path` where the first part is a registry, else (None, all of it)."""
    first, slash, rest = name.partition("/")
    if slash and is_registry(first):
        return first.lower(), rest
    # By the grammar capitals make a registry too; as they are, since in small letters it would be a path part.
    return (first, rest) if slash and first != first.lower() else (None, name)


def is_registry(first: str) -> bool:
    """Whether the first part of a name says by itself that it is a registry."""
    return any(mark in first for mark in ".:*") or first.lower() == "localhost"


def fill_in(name: str) -> tuple[str, str]:
    """Registry and repository of a name without tag and digest, defaults filled in."""
    registry, repository = split_registry(name)
    registry = DEFAULT_REGISTRY if registry in (None, "index.docker.io") else registry
    if registry == DEFAULT_REGISTRY and "/" not in repository and repository != "**":
        repository = f"library/{repository}"
    return registry, repository


def split_suffixes(text: str) -> tuple[str, str | None, str | None]:
    """Name, tag and digest of a reference or pattern; a colon after the last slash begins the tag."""
    name, at, digest = text.partition("@")
    slash, colon = name.rfind("/"), name.rfind(":")
    has_tag = colon > slash
    tag = name[colon + 1 :] if has_tag else None
    return name[:colon] if has_tag else name, tag, digest if at else None


def parse_reference(text: str) -> Reference | None:
    """One reference; None for what the grammar does not know (`<none>`, a bare id)."""
    if _HEX_ID.fullmatch(text):
        return None
    name, tag, digest = split_suffixes(text)
    registry, repository = fill_in(name)
    valid = (
        _DOMAIN.fullmatch(registry)
        and all(_PATH_PART.fullmatch(part) for part in repository.split("/"))
        and (tag is None or _TAG.fullmatch(tag))
        and (digest is None or _DIGEST.fullmatch(digest))
    )
    return Reference(registry, repository, tag, digest) if valid else None


@lru_cache(maxsize=4096)
def names_of(references: tuple[str, ...]) -> tuple[Name, ...] | None:
    """The names under which rules and protection see an image; None where a reference makes no sense.

    A repo digest is a name of its own only where the image has no tag in that repository.
    Sorted by repository, then tag; empty for an image without references.
    """
    parsed = [parse_reference(text) for text in references]
    known = [reference for reference in parsed if reference is not None]
    if len(known) < len(parsed):
        return None
    digests: dict[str, set[str]] = {}
    tags: dict[str, set[str]] = {}
    for reference in known:
        digests.setdefault(reference.full_repository, set()).update(filter(None, [reference.digest]))
        tags.setdefault(reference.full_repository, set()).update(filter(None, [reference.tag]))
    return tuple(
        Name(repository, tag, frozenset(digests[repository]))
        for repository in sorted(tags)
        for tag in sorted(tags[repository]) or (None,)
    )


@lru_cache(maxsize=8192)
def identity_keys(text: str) -> frozenset[str]:
    """What two texts share when they mean the same image: its id, its digest or its full tag.

    With a digest the tag says nothing more. A short name and its full form share a key.
    """
    if bare := _HEX_ID.fullmatch(text):
        return frozenset({bare.group(1)})
    reference = parse_reference(text)
    if reference is None:
        # A name that makes no sense may still end in a digest, and that says which image is meant.
        digest = _HEX_ID.fullmatch(text.rpartition("@")[2])
        return frozenset(filter(None, [text, digest and digest.group(1)]))
    if reference.digest:
        return frozenset({reference.digest.removeprefix("sha256:")})
    return frozenset({f"{reference.full_repository}:{reference.tag or 'latest'}"})


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern; `text` is as it was written."""

    text: str
    repository: re.Pattern[str] | None
    """None for `<none>`, which matches images with no reference."""
    tag: re.Pattern[str] | None = None
    digest: re.Pattern[str] | None = None

    def matches(self, name: Name, *, without_tag: bool = False) -> bool:
        """Whether it covers a name; `without_tag`: a tag in the pattern covers a name that has none."""
        if self.repository is None or not self.repository.fullmatch("/" + name.full_repository):
            return False
        if self.tag and not (self.tag.fullmatch(name.tag) if name.tag else without_tag):
            return False
        return self.digest is None or any(self.digest.fullmatch(digest) for digest in name.digests)

    @property
    def matches_no_reference(self) -> bool:
        """Whether it is `<none>`."""
        return self.repository is None


def parse_pattern(text: str) -> Pattern:
    """`registry[:port]/repository[:tag][@digest]` with `*` and `**`; ValueError says what is wrong with it."""
    if text == NO_REFERENCE:
        return Pattern(text, None)
    name, tag, digest = split_suffixes(text)
    _refuse_malformed(text, name, tag, digest)
    if name != "**" and not ("/" in name and is_registry(name.partition("/")[0])):
        raise ValueError(_missing_part(name, suffix=text[len(name) :]))
    path = "/".join(fill_in(name)) if "/" in name else name
    return Pattern(text, _path_regex(path), _star_regex(tag), _star_regex(digest))


def _refuse_malformed(text: str, name: str, tag: str | None, digest: str | None) -> None:
    if not text or text != text.strip():
        raise ValueError("is empty or has blanks around it")
    first, *parts = name.split("/")
    if not (_PATTERN_FIRST.fullmatch(first) and all(_PATTERN_PART.fullmatch(part) for part in parts)):
        raise ValueError("has a part that no reference can have (`**` stands for whole parts only)")
    if tag is not None and not _PATTERN_TAG.fullmatch(tag):
        raise ValueError("has a tag that no reference can have")
    if digest is not None and not (_PATTERN_DIGEST if "*" in digest else _DIGEST).fullmatch(digest):
        raise ValueError("has a digest that no reference can have")


def _missing_part(name: str, suffix: str) -> str:
    if "/" not in name and is_registry(name):
        full = f"{name}{suffix}/**" if suffix[1:].isdecimal() else f"{name}/**{suffix}"
        return f"names no repository; write {full}"
    return f"names no registry; write {'/'.join(fill_in(name.lower()))}{suffix}"


def _path_regex(path: str) -> re.Pattern[str]:
    """`**` eats its own slash, so that `a/**` covers `a` and `**/b` covers `b`."""
    runs = [""]
    for part in path.split("/"):
        if part == "**":
            runs.append("")
        else:
            runs[-1] += "/" + _with_stars(_literals(part), "[^/]")
    return re.compile(_with_stars(runs, "(?:/[^/]++)", end="(?![^/])"))


def _star_regex(text: str | None) -> re.Pattern[str] | None:
    return None if text is None else re.compile(_with_stars(_literals(text), "."))


def _literals(text: str) -> list[str]:
    return [re.escape(literal) for literal in text.split("*")]


def _with_stars(pieces: list[str], one: str, end: str = "") -> str:
    """The pieces with any number of `one` between; `end` has to follow those in the middle.

    A middle piece matches where it first occurs and never elsewhere (`(?>`), so no pattern takes long on any name.
    """
    if len(pieces) == 1:
        return pieces[0]
    first, *middle, last = pieces
    return first + "".join(f"(?>{one}*?{piece}{end})" for piece in middle) + f"{one}*{last}"
