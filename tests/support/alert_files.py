"""The rules, the tests of promtool and the documents around them, as values."""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
RULES = ROOT / "alerts" / "rules.yaml"
ALERTS = ROOT / "alerts" / "alerts.yaml"
ALERTMANAGER = ROOT / "alerts" / "alertmanager.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks"
PROMTOOL_TESTS = sorted((ROOT / "tests" / "alerts").glob("*.yaml"))
DOCUMENTS = sorted((ROOT / "docs").glob("*.md")) + sorted(RUNBOOKS.glob("*.md"))

_NOT_METRICS = {"and", "or", "unless", "bool", "offset", "Inf"}
_NO_METRIC_IN = (
    r"#[^\n]*",
    r'"[^"]*"',
    r"\{[^}]*\}",
    r"\[[^\]]*\]",
    r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",
)


def read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def rules_in(path: Path) -> list[Any]:
    """All rules of a file's groups, in their order."""
    return [rule for group in read(path)["groups"] for rule in group["rules"]]


def metrics_in(expression: str) -> set[str]:
    """Names of all series that an expression reads: what is left without strings, labels, windows and functions."""
    for pattern in _NO_METRIC_IN:
        expression = re.sub(pattern, " ", expression)
    names = re.findall(r"(?<![\w:.])[a-zA-Z_][\w:]*(?![\w:]*\s*\()", expression)
    return set(names) - _NOT_METRICS


def labels_shown_by(alert: Any) -> set[str]:
    """Labels that an alert's annotations show; a recording rule has none."""
    return set(re.findall(r"\$labels\.(\w+)", str(alert.get("annotations", ""))))


def queries_in(path: Path) -> list[str]:
    """The queries of a document's promql blocks; an empty line is between two."""
    blocks = re.findall(r"^```promql\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [query.strip() for block in blocks for query in re.split(r"\n\s*\n", block) if query.strip()]
