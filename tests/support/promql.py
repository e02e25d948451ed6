"""What PromQL asks for, read by a real parser.

Refuses to guess: an expression that does not parse is an error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser

_PATTERNS = (promql_parser.MatchOp.Re, promql_parser.MatchOp.NotRe)
_ALTERNATIVES = re.compile(r"[\w|]+")


@dataclass(frozen=True)
class Asked:
    """A label matcher."""

    label: str
    pattern: str
    is_pattern: bool
    """Whether it is a regular expression, else the value itself."""

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


def selectors_in(expression: str) -> Iterator[Selector]:
    """All of them, in no order that means something; one for each name where `__name__` is asked for several."""
    parts: list[Any] = []
    promql_parser.walk(promql_parser.parse(expression), parts.append)
    for part in parts:
        if isinstance(part, promql_parser.VectorSelector):
            matchers = part.matchers.matchers
            asked = tuple(Asked(each.name, each.value, each.op in _PATTERNS) for each in matchers)
            names = part.name or next(each.pattern for each in asked if each.label == "__name__")
            for name in names.split("|"):
                yield Selector(name, tuple(each for each in asked if each.label != "__name__"))
