"""The boards against the schema of Grafana's own types, tools/board_schema/, which rejects faulty boards."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from support.boards import NAMES, changed, panels_of, read_board

FOLDER = Path(__file__).parents[2] / "tools" / "board_schema"
SCHEMA = json.loads((FOLDER / "board.schema.json").read_text("utf-8"))
check_board = fastjsonschema.compile(SCHEMA, use_default=False)
check_panel = fastjsonschema.compile(SCHEMA | {"$ref": "#/definitions/AnyPanel"}, use_default=False)

GRAPH = "panels/Bytes used"
DEFAULTS = f"{GRAPH}/fieldConfig/defaults"
OVERRIDE = {"matcher": {"id": "byName", "options": "A"}, "properties": [{"id": "custom.lineStyle", "value": "dash"}]}
BROKEN = [
    ("colour", "red", "must not contain {'colour'}"),
    ("schemaVersion", "42", "schemaVersion must be number"),
    ("graphTooltip", 3, "graphTooltip must be one of"),
    ("templating/list/job/definition", "label_values(up, job)", "must not contain {'definition'}"),
    ("templating/list/job/refresh", "2", "refresh must be"),
    ("annotations/list/DiskPressure/expression", "up", "must not contain {'expression'}"),
    (f"{GRAPH}/type", "timeserie", "type must be one of"),
    (f"{GRAPH}/type", "stat", "custom must not contain"),
    (f"{GRAPH}/options", {"colorMode": "none"}, "options must contain ['legend', 'tooltip']"),
    (f"{GRAPH}/unit", "bytes", "must not contain {'unit'}"),
    (f"{GRAPH}/gridPos/w", "6", "w must be number"),
    (f"{GRAPH}/options/tooltip/mode", "all", "mode must be one of"),
    (f"{GRAPH}/options/legend", "list", "legend must be object"),
    (f"{GRAPH}/options/textMode", "auto", "options must not contain {'textMode'}"),
    (f"{DEFAULTS}/max", "1", "max must be number"),
    (f"{DEFAULTS}/thresholds/steps", [{"value": 1}], "steps[0] must contain ['color']"),
    (f"{DEFAULTS}/custom/drawStyle", "lin", "drawStyle must be one of"),
    (f"{DEFAULTS}/custom/lineWidth", "2", "lineWidth must be number"),
    (f"{DEFAULTS}/custom/lineWeight", 2, "custom must not contain {'lineWeight'}"),
    (f"{GRAPH}/fieldConfig/overrides", [OVERRIDE], "lineStyle must be object"),
    ("panels/Coverage/options/reduceOptions/calcs", "lastNotNull", "calcs must be array"),
    ("panels/Coverage/fieldConfig/defaults/custom", {"drawStyle": "line"}, "custom must not contain"),
    ("panels/Fullest nodes/options/displayMode", "bar", "displayMode must be one of"),
    ("panels/Nodes/options/footer", {"show": False}, "options must not contain {'footer'}"),
    ("panels/Nodes/fieldConfig/defaults/custom/align", "centre", "align must be one of"),
]


def overridden(panel: Any) -> Iterator[Any]:
    """The panel once for each override, with its properties as defaults: the schema checks only defaults."""
    for override in panel["fieldConfig"]["overrides"]:
        copy = deepcopy(panel)
        for part in override["properties"]:
            *parents, last = part["id"].split(".")
            place = copy["fieldConfig"]["defaults"]
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = part["value"]
        yield copy


def check(board: Any) -> None:
    """Raise if the schema rejects the board or one of its overrides."""
    check_board(board)
    for panel in panels_of(board):
        for copy in overridden(panel):
            check_panel(copy)


@pytest.mark.parametrize("name", NAMES)
def test_a_board_is_valid(name: str) -> None:
    """Grafana knows every field and its type; options and fields fit the type of the panel."""
    check(read_board(name))


@pytest.mark.parametrize(("path", "value", "message"), BROKEN)
def test_a_broken_board_is_rejected(path: str, value: Any, message: str) -> None:
    """The schema names the fault and its place."""
    with pytest.raises(fastjsonschema.JsonSchemaValueException) as raised:
        check(changed(read_board("fleet"), path, value))
    assert message in raised.value.message


def test_the_schema_is_of_the_pinned_package() -> None:
    """The schema names its source, licence and pinned version; the lock file names no registry."""
    version = json.loads((FOLDER / "package.json").read_text("utf-8"))["devDependencies"]["@grafana/schema"]
    assert f"@grafana/schema {version}, Apache-2.0" in SCHEMA["$comment"]
    packages = json.loads((FOLDER / "package-lock.json").read_text("utf-8"))["packages"]
    assert packages["node_modules/@grafana/schema"]["version"] == version
    assert not any("resolved" in package for package in packages.values())
