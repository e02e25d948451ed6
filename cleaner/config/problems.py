"""Everything that is wrong with the tree of a configuration file, each with its path and what to write.

It must not stop at the first problem: keys that are related to each other are checked even where other keys are wrong.
"""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import attrs
from attrs import frozen
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)

from cleaner.config.alerting import SECRETIVE, AlertmanagerKeys, BasicKeys
from cleaner.config.durations import duration_text
from cleaner.config.keys import FileKeys, RuleKeys, read_keys
from cleaner.config.spelling import nearest
from cleaner.config.values import EXAMPLE, PARSE, size_text
from cleaner.core.credentials import without_credentials

KeyPath = tuple[object, ...]
"""Keys and list indexes from the top of the file."""

LONGEST_VALUE = 80
LONGEST_RULE = 240
"""A proposal may repeat the value."""
ABSENT = "(absent)"
HIDDEN = "(not shown)"
RULES_REQUIRED = (
    "no rule says which images may be evicted; write "
    'rules: [{name: company, match: ["registry.example.com/team/**"], max_age: 30d}]'
)

_NO_PORT = re.compile(r"(?<=[\w.-]):(?!//|[0-9]+(?:[/@\]]|$))[^/@]+")
_BELOW = (
    (("nightly",), "splay", "window"),
    (("nightly",), "window", "overdue"),
    (("pressure", "bytes"), "low", "high"),
    (("pressure", "bytes"), "high_available", "low_available"),
    (("pressure", "inodes"), "low", "high"),
)
"""Section, the key that must be less, and the key that it must be less than."""
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")
_HUGE = 10**LONGEST_VALUE


@frozen
class Problem:
    """One thing that is wrong: one line."""

    path: KeyPath
    shown: str
    """The value in question, as `show` writes it."""
    rule: str
    """What is wrong with it, and what to write."""

    def __str__(self) -> str:
        return f"{path_text(self.path)}: {self.shown}: {_cut(self.rule, LONGEST_RULE)}"


def path_text(path: KeyPath) -> str:
    """`policy.rules[0].match[1]`; odd keys in quotes."""
    steps = (f"[{step}]" if type(step) is int else f".{_key_text(step)}" for step in path)
    return "".join(steps).removeprefix(".") or "(the file)"


def show(value: object) -> str:
    """A value on one line of at most 80 characters, without what may be a password or a token in it.

    Of lists and mappings only that they are some. Whatever a person wrote is shown by this alone.
    """
    if isinstance(value, list):
        return "[...]" if value else "[]"
    if isinstance(value, dict):
        return "{...}" if value else "{}"
    if isinstance(value, str):
        value = without_credentials(value)
        return _cut(json.dumps(value, ensure_ascii=not value.isprintable()), LONGEST_VALUE)
    if isinstance(value, int) and abs(value) >= _HUGE:
        return "(huge number)"
    return json.dumps(value) if isinstance(value, int | float | None) else f"({type(value).__name__})"


def rule_for(value: object, rule: str) -> str:
    """What is wrong and what to write, with another proposal where it would repeat what `show` hides."""
    what, _, proposal = rule.partition("; ")
    if not isinstance(value, str) or without_credentials(value) == value or not _repeats(proposal, value):
        return rule
    return f"{what}; write it without user, password and token"


def _repeats(proposal: str, value: str) -> bool:
    """Whether text has a value, or any word of it, in it."""
    pieces = [value, *re.findall(r"\w{3,}", value)]
    return any(piece.casefold() in proposal.casefold() for piece in pieces)


def read_tree(tree: object) -> tuple[FileKeys | None, list[Problem]]:
    """The file's values and no problems, or None and all of the problems, in no order."""
    problems = [*_relations(tree), *_lone_low(tree), *_repeated_names(tree), *_alertmanager(tree)]
    try:
        keys = read_keys(tree)
    except BaseValidationError as error:
        return None, problems + list(_problems_of(error, (), tree))
    return (None if problems else keys), problems


def _problems_of(error: BaseException, path: KeyPath, tree: object) -> Iterator[Problem]:
    """The leaves of a group of cattrs; their notes are the steps of the path."""
    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            yield from _problems_of(inner, path + _step(inner), tree)
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(error.cl)]
        names = (key if isinstance(key, str) else show(key) for key in error.extra_fields)
        yield from (Problem((*path, name), "(unknown key)", _proposal(name, known)) for name in names)
    elif isinstance(error, KeyError):
        yield Problem(path, ABSENT, f"is required; write {_example(path)}")
    else:
        shown = _shown(path, tree)
        yield Problem(path, shown, str(error) if shown == HIDDEN else rule_for(_at(tree, path), str(error)))


def _shown(path: KeyPath, tree: object) -> str:
    """The value, unless it may be or hold a secret."""
    value = _at(tree, path)
    if path[:1] in (("registries",), ("web",)) and isinstance(value, str):
        # What stands where a port belongs may be a password: `user:password`, without a host.
        value = _NO_PORT.sub(":***", value)
    written = value if isinstance(value, list) else [value]
    is_url = path == ("alertmanager", "url") and any(isinstance(one, str) and set("@?#") & set(one) for one in written)
    return HIDDEN if is_url or any(path[: len(part)] == part for part in SECRETIVE) else show(value)


def _step(error: BaseException) -> KeyPath:
    """The notes that cattrs has added to an error: the key or the index below which it arose."""
    notes: list[IterableValidationNote | AttributeValidationNote] = getattr(error, "__notes__", [])
    return tuple(note.index if isinstance(note, IterableValidationNote) else note.name for note in notes)


def _proposal(name: str, known: list[str]) -> str:
    close = nearest(name, known)
    return f"write {close}" if close else f"remove it, or write one of {', '.join(known)}"


def _example(path: KeyPath) -> str:
    """Required keys have names of their own."""
    required = (field for section in (RuleKeys, AlertmanagerKeys, BasicKeys) for field in attrs.fields(section))
    return next(str(field.metadata[EXAMPLE]) for field in required if field.name == path[-1])


def _relations(tree: object) -> Iterator[Problem]:
    for path, lesser, greater in _BELOW:
        section = _at(tree, path)
        written = section if isinstance(section, dict) else {}
        keys = _section_of(path)
        low, high = (_value_or_default(keys, name, written) for name in (lesser, greater))
        if low is None or high is None or low < high:
            continue
        if lesser in written:
            rule = f"is not below {_said(greater, high, written)}; write less"
            yield Problem((*path, lesser), show(written[lesser]), rule)
        else:
            rule = f"is not above {_said(lesser, low, written)}; write more, or a {lesser} below it"
            yield Problem((*path, greater), show(written[greater]), rule)


def _lone_low(tree: object) -> Iterator[Problem]:
    """A low watermark in bytes means nothing without a high one."""
    path: KeyPath = ("pressure", "bytes", "low_available")
    low, high = _at(tree, path), _at(tree, (*path[:-1], "high_available"))
    if low is not None and high is None:
        yield Problem(path, show(low), "counts with high_available only; write that too, a smaller size")


def _section_of(path: KeyPath) -> type:
    section: Any = FileKeys
    for step in path:
        section = attrs.fields_dict(section)[str(step)].type
    return section  # type: ignore[no-any-return]


def _value_or_default(section: type, name: str, written: dict[object, object]) -> Any:  # noqa: ANN401 - a number or a duration
    """None where what is written is wrong by itself, which is another problem."""
    field: Any = attrs.fields_dict(section)[name]
    if name not in written:
        return field.default
    try:
        return field.metadata[PARSE](written[name])
    except ValueError:
        return None


def _said(name: str, value: float | timedelta, written: dict[object, object]) -> str:
    if isinstance(value, timedelta):
        spoken = duration_text(value)
    else:
        spoken = size_text(value) if isinstance(value, int) else f"{value:g}"
    return f"{name}, which is {spoken}" + ("" if name in written else " by default")


def _repeated_names(tree: object) -> Iterator[Problem]:
    rules = _at(tree, ("policy", "rules"))
    first: dict[str, int] = {}
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        name = _at(rule, ("name",))
        if isinstance(name, str) and first.setdefault(name, index) != index:
            path = ("policy", "rules", index, "name")
            yield Problem(path, show(name), f"is the name of policy.rules[{first[name]}] too; write another")


def _alertmanager(tree: object) -> Iterator[Problem]:
    """Keys that exclude each other, and keys that are of use together only."""
    section = ("alertmanager",)
    if _at(tree, (*section, "basic")) is not None and _at(tree, (*section, "bearer_token_file")) is not None:
        yield Problem((*section, "bearer_token_file"), HIDDEN, "cannot go with basic; remove one of them")
    for one, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        path = (*section, "tls", one)
        if _at(tree, path) is not None and _at(tree, (*section, "tls", other)) is None:
            yield Problem(path, show(_at(tree, path)), f"is of no use without {other}; write both, or none")


def _at(tree: object, path: KeyPath) -> object:
    """What the tree has at a path; None where it ends before."""
    for step in path:
        if isinstance(tree, dict):
            tree = tree.get(step)
        elif isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            tree = tree[step]
        else:
            return None
    return tree


def _key_text(key: object) -> str:
    return key if isinstance(key, str) and _PLAIN_KEY.fullmatch(key) else show(key)


def _cut(line: str, longest: int) -> str:
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
