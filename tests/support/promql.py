"""What PromQL asks for, read by a real parser.

It does not guess: an expression that does not parse is a ValueError that says where.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser

_ALTERNATIVES = re.compile(r"[\w|]+")


@dataclass(frozen=True)
class Asked:
    """A label matcher."""

    label: str
    pattern: str
    written: str
    """As it stands behind the label: `=~"a|b"`."""

    @property
    def is_pattern(self) -> bool:
        """Whether it is a regular expression, else the value itself."""
        return self.written.startswith(("=~", "!~"))

    def misses(self, values: tuple[str, ...]) -> list[str]:
        """What it names that is none of the values: itself, or one of its alternatives; empty matches none."""
        if not self.is_pattern:
            return [self.pattern] if self.pattern not in ("", *values) else []
        if _ALTERNATIVES.fullmatch(self.pattern):
            return [word for word in self.pattern.split("|") if word not in values]
        return [] if any(re.fullmatch(self.pattern, value) for value in values) else [self.pattern]


@dataclass(frozen=True)
class Selector:
    """The series that a part of an expression reads."""

    name: str
    matchers: tuple[Asked, ...]

    @property
    def written(self) -> dict[str, str]:
        """What is asked of each label, as it is written."""
        return {each.label: each.written for each in self.matchers}


def nodes_of(expression: str) -> list[Any]:
    """All parts of an expression."""
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(expression), found.append)
    return found


def calls_of(expression: str, names: tuple[str, ...]) -> list[Any]:
    """All calls of the functions of these names."""
    return [node for node in nodes_of(expression) if isinstance(node, promql_parser.Call) and node.func.name in names]


def selectors_of(expression: str) -> Iterator[Selector]:
    """All of them, in no order that means something; one for each name where `__name__` is asked for several."""
    for part in nodes_of(expression):
        if isinstance(part, promql_parser.VectorSelector):
            matchers = part.matchers.matchers
            asked = tuple(Asked(each.name, each.value, str(each).removeprefix(each.name)) for each in matchers)
            names = part.name or next(each.pattern for each in asked if each.label == "__name__")
            for name in names.split("|"):
                yield Selector(name, tuple(each for each in asked if each.label != "__name__"))


def metrics_in(expression: str) -> set[str]:
    """Names of all series that an expression reads."""
    return {each.name for each in selectors_of(expression)}
