"""PromQL taken apart.

Refuses what does not parse: a ValueError says where.
"""

from collections.abc import Iterator
from typing import Any

import promql_parser


def nodes_of(expr: str) -> list[Any]:
    """All parts of an expression."""
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(expr), found.append)
    return found


def calls_of(expr: str, names: tuple[str, ...]) -> list[Any]:
    """All calls of the functions of these names."""
    return [node for node in nodes_of(expr) if isinstance(node, promql_parser.Call) and node.func.name in names]


def selectors_of(expr: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and matchers of all series that an expression reads; a matcher is `=~"$job"`, by its label."""
    for node in nodes_of(expr):
        if isinstance(node, promql_parser.VectorSelector):
            matchers = {matcher.name: matcher for matcher in node.matchers.matchers}
            name = node.name or matchers["__name__"].value
            yield name, {label: str(matcher).removeprefix(label) for label, matcher in matchers.items()}
