"""The assumptions of a rule's expression, as questions to a Prometheus: its series, its labels, its joins.

An expression that names a missing series returns nothing. That is no error, and looks as if all were well. One of these
questions then has no answer. The questions ignore thresholds.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

_COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}
_PLAIN_WORDS = re.compile(r"\w+(\|\w+)*")
_WORD = re.compile(r"(?<![\w:.])[a-zA-Z_][\w:]+(?![\w:])(?!\s*\(|\s+(?:by|without)\b)")
"""Words of two letters or more that are neither functions nor numbers."""
_KEYWORDS = {"and", "or", "unless", "bool", "offset", "Inf", "inf"}


@dataclass(frozen=True)
class Question:
    """A query that any series answers, or only one that has a label."""

    query: str
    label: str | None = None

    def __str__(self) -> str:
        return self.query if self.label is None else f"{self.query}: any with label {self.label}"

    def is_answered_by(self, found: list[Any]) -> bool:
        """Whether the series that Prometheus found answer the question."""
        return any(self.label is None or self.label in series["metric"] for series in found)


def questions_of(expression: str, shown: Iterable[str] = ()) -> Iterator[Question]:
    """The expression without its thresholds, with the labels that it shows, and the assumptions of each part."""
    parsed = promql.parse(expression)
    yield from (Question(_loosened(parsed), label) for label in (None, *shown))
    nodes: list[Any] = []
    promql.walk(parsed, nodes.append)
    for node in nodes:
        if isinstance(node, promql.VectorSelector):
            yield from _of_selector(node)
        elif isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            yield from (Question(_loosened(node.expr), label) for label in node.modifier.labels)
        elif isinstance(node, promql.BinaryExpr):
            yield from _of_join(node)


def misspellings_of(expression: str) -> Iterator[str]:
    """The expression with each series name, label and label value misspelt in turn."""
    text = promql.parse(expression).prettify()
    for word in _WORD.finditer(text):
        if word[0] not in _KEYWORDS:
            yield f"{text[: word.end()]}x{text[word.end() :]}"


def _of_selector(selector: promql.VectorSelector) -> Iterator[Question]:
    """Series with each label and value that the selector names, excluded ones too."""
    yield Question(_now(selector))
    for matcher in selector.matchers.matchers:
        yield Question(str(selector.name), matcher.name)
        if matcher.op == promql.MatchOp.NotEqual and matcher.value:
            yield Question(f'{selector.name}{{{matcher.name}="{matcher.value}"}}')
        if matcher.op == promql.MatchOp.Re and _PLAIN_WORDS.fullmatch(matcher.value):
            for word in matcher.value.split("|"):
                yield Question(f'{selector.name}{{{matcher.name}="{word}"}}')


def _of_join(join: promql.BinaryExpr) -> Iterator[Question]:
    """Both sides of an `or`; labels to join on exist on both sides, ignored or copied labels on one."""
    left, right = _loosened(join.lhs), _loosened(join.rhs)
    if str(join.op) == "or":
        yield from (Question(left), Question(right))
    if join.modifier is None:
        return
    matching = join.modifier.matching
    for label in matching.labels if matching else ():
        if matching and matching.type == promql.LabelModifierType.Include:
            yield from (Question(left, label), Question(right, label))
        else:
            yield Question(f"({left}) or ({right})", label)
    one = left if join.modifier.card == promql.VectorMatchCardinality.OneToMany else right
    yield from (Question(one, label) for label in join.modifier.group_labels or ())


def _loosened(expression: promql.Expr) -> str:
    """The same, but no comparison, `unless` or `absent` drops a series, and offsets are removed."""
    return str(promql.transform(expression, None, _loosen))


def _loosen(node: promql.Expr) -> promql.Expr | None:
    if isinstance(node, promql.VectorSelector) and node.offset is not None:
        return promql.parse(_now(node))
    if isinstance(node, promql.Call) and node.func.name == "absent":
        return promql.parse(f"({node.args[0]})")
    if not isinstance(node, promql.BinaryExpr):
        return None
    operator, modifier = str(node.op), node.modifier or ""
    if operator == "unless":
        # The series to exclude must have the same labels.
        return promql.parse(f"{node.lhs} and {modifier} {node.rhs}")
    if operator in _COMPARISONS and not (node.modifier and node.modifier.return_bool):
        return promql.parse(f"{node.lhs} {operator} bool {modifier} {node.rhs}")
    return None


def _now(selector: promql.VectorSelector) -> str:
    return f"{selector.name}{selector.matchers}" if selector.matchers.matchers else str(selector.name)
