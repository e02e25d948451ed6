"""The rules, the tests for promtool and the documents about them, as values."""

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


def read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def rules_in(path: Path) -> list[Any]:
    """All rules of a file's groups, in order."""
    return [rule for group in read(path)["groups"] for rule in group["rules"]]


def labels_shown_by(alert: Any) -> set[str]:
    """Labels that the annotations of an alert show; none for a recording rule."""
    return set(re.findall(r"\$labels\.(\w+)", str(alert.get("annotations", ""))))


def queries_in(path: Path) -> list[str]:
    """The queries of a document's promql blocks, separated by empty lines."""
    blocks = re.findall(r"^```promql\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [query.strip() for block in blocks for query in re.split(r"\n\s*\n", block) if query.strip()]
