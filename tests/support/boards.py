"""The committed boards for tests: their queries, and the values that Grafana gives their variables.

Tests read the JSON that users import, not the generator.
"""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "dashboards"
DOCS = FOLDER.parent / "docs"
NAMES = ("impact", "fleet", "node")
TARGET_LABELS = {"job", "instance", "node", "cluster", "environment", "pool"}
"""Labels that Prometheus adds to every series of a node."""
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")
GRAFANAS = {"__range": "30d", "__rate_interval": "8h", "__interval": "2h"}
"""Grafana's own variables, for 30 days in steps of two hours, scraped every two hours."""


@dataclass(frozen=True)
class BoardQuery:
    """A PromQL expression of a board, and its place."""

    where: str
    """Such as `fleet / Bytes used / A`."""
    expr: str
    is_instant: bool


def read_board(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def name_of(board: Any) -> str:
    return str(board["uid"]).removeprefix("node-image-cleaner-")


def panels_of(board: Any) -> list[Any]:
    """Its panels in order, without the rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def variables_of(board: Any) -> list[Any]:
    """Its variables in order, without the data source."""
    return [variable for variable in board["templating"]["list"] if variable["type"] != "datasource"]


def changed(board: Any, path: str, value: Any) -> Any:
    """A copy with one value replaced; `panels/Coverage/targets/A` addresses list items by name, title or letter."""
    copy = deepcopy(board)
    *parents, last = path.split("/")
    place = copy
    for word in parents:
        place = place[_key(place, word)]
    place[_key(place, last)] = value
    return copy


def _key(place: Any, word: str) -> Any:
    if isinstance(place, dict):
        return word
    return next(n for n, item in enumerate(place) if word in (item.get("name"), item.get("title"), item.get("refId")))


def queries_of(name: str) -> Iterator[BoardQuery]:
    """All PromQL of a committed board."""
    return queries_in(read_board(name))


def queries_in(board: Any) -> Iterator[BoardQuery]:
    """All PromQL of a board, panels first; `label_queries_of` has the queries of variables."""
    name = name_of(board)
    for panel in panels_of(board):
        for target in panel["targets"]:
            yield BoardQuery(f"{name} / {panel['title']} / {target['refId']}", target["expr"], target["instant"])
    for annotation in board["annotations"]["list"]:
        yield BoardQuery(f"{name} / annotation {annotation['name']}", annotation["expr"], is_instant=False)


def label_queries_of(name: str) -> Iterator[tuple[str, str, str]]:
    """Variable, series and label of all variables that are chosen from a label's values."""
    for variable in variables_of(read_board(name)):
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert match is not None, variable["query"]
            yield variable["name"], match[1], match[2]


def values_at_first(board: Any) -> dict[str, str]:
    """The initial value of each variable; one that is chosen from labels without All matches anything."""
    return {
        variable["name"]: variable.get("allValue") or variable.get("current", {}).get("value", ".+")
        for variable in variables_of(board)
    }


def words_at_first(board: Any) -> dict[str, str]:
    """The same, only for variables with fixed words: the others stay `$job` when interpolated."""
    values = values_at_first(board)
    return {
        variable["name"]: values[variable["name"]] for variable in variables_of(board) if variable["type"] == "custom"
    }


def interpolate(expr: str, values: Mapping[str, str]) -> str:
    """The expression with all variables replaced; an unknown name stays, as in Grafana."""
    known = GRAFANAS | dict(values)
    return _VARIABLE.sub(lambda match: known.get(match[1] or match[2], match[0]), expr)
