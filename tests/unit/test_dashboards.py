"""The boards: their JSON is what the generator writes, and their parts are consistent.

test_board_rules.py has the rules of Grafana's linter, test_board_schema.py the schema of Grafana's types.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from dashboards.boards import BOARDS
from dashboards.render import TAG, render
from support.boards import (
    DOCS,
    FOLDER,
    NAMES,
    TARGET_LABELS,
    BoardQuery,
    interpolate,
    label_queries_of,
    panels_of,
    queries_of,
    read_board,
    variables_of,
    words_at_first,
)
from support.promql import Selector, selectors_of

ALL = [query for name in NAMES for query in queries_of(name)]
PANELS = [(name, panel) for name in NAMES for panel in panels_of(read_board(name))]
APPLIED_AT_MOST = 262_144
"""Bytes that fit into the annotation of `kubectl apply`."""


def where(value: Any) -> str:
    """Name a test case."""
    if isinstance(value, BoardQuery):
        return value.where
    return f"{value['id']} {value['title']}" if isinstance(value, dict) else str(value)


def selectors_in(query: BoardQuery) -> Iterator[Selector]:
    """All series that a query reads; variables that are chosen from labels stay as `$job`."""
    return selectors_of(interpolate(query.expr, words_at_first(read_board(query.where.partition(" /")[0]))))


@pytest.mark.parametrize("name", NAMES)
def test_regenerating_changes_nothing(name: str) -> None:
    """The committed JSON is what `make dashboards` writes."""
    assert render(BOARDS[name]) == (FOLDER / f"{name}.json").read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_board_is_found_and_linked(name: str) -> None:
    """A stable uid, a tag that joins the boards, links that keep the variables, and a size below the limit."""
    board = read_board(name)
    assert board["uid"] == f"node-image-cleaner-{name}"
    assert (board["tags"], board["graphTooltip"]) == ([TAG], 1)
    (link,) = board["links"]
    assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == ("dashboards", [TAG], True, True)
    assert "__inputs" not in board
    assert board["description"]
    assert (FOLDER / f"{name}.json").stat().st_size < APPLIED_AT_MOST


@pytest.mark.parametrize("name", NAMES)
def test_ids_and_places_are_unique(name: str) -> None:
    """Every panel has its own id and place, and queries lettered from A."""
    panels = read_board(name)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    occupied: Counter[tuple[int, int]] = Counter()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        columns = range(place["x"], place["x"] + place["w"])
        occupied.update((x, y) for x in columns for y in range(place["y"], place["y"] + place["h"]))
    assert max(occupied.values()) == 1
    for panel in panels_of(read_board(name)):
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == [chr(ord("A") + number) for number in range(len(letters))]


def test_variables_use_existing_labels() -> None:
    """Every variable is filled from a label of the targets or of the agent's series."""
    labels = {label for name in NAMES for _, _, label in label_queries_of(name)}
    assert labels <= TARGET_LABELS | {"filesystem"}


def test_the_board_node_shows_exactly_one() -> None:
    """Its variable `instance` has one value at a time."""
    (variable,) = (known for known in variables_of(read_board("node")) if known["name"] == "instance")
    assert (variable["multi"], variable["includeAll"]) == (False, False)


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=where)
def test_what_a_panel_shows_has_a_name(name: str, panel: Any) -> None:
    """Every query has a legend, graphs show legends, and a figure is the last value."""
    for target in panel["targets"]:
        assert target["legendFormat"] or panel["type"] == "table"
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["showLegend"] is True
    if panel["type"] == "stat":
        assert panel["options"]["reduceOptions"]["calcs"] == ["lastNotNull"]


@pytest.mark.parametrize("name", NAMES)
def test_annotations_have_the_chosen_data_source(name: str) -> None:
    """Each annotation has a name, a title and the data source, and is on."""
    for annotation in read_board(name)["annotations"]["list"]:
        assert annotation["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert (annotation["enable"], annotation["hide"]) == (True, False)
        assert annotation["name"]
        assert annotation["titleFormat"]
        # Grafana reads a value as milliseconds; the metrics are in seconds.
        assert annotation.get("useValueForTime", False) is annotation["expr"].endswith("* 1000")


@pytest.mark.parametrize("query", ALL, ids=where)
def test_series_are_chosen_by_every_variable(query: BoardQuery) -> None:
    """All variables of target labels select the agent's series; the cluster selects the other series."""
    chosen = {known["name"] for known in variables_of(read_board(query.where.partition(" /")[0]))} & TARGET_LABELS
    for series in selectors_in(query):
        labels = chosen if series.name.startswith(("image_cleaner_", "process_")) else {"cluster"}
        assert {label: series.written.get(label) for label in labels} == {label: f'=~"${label}"' for label in labels}


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=where)
def test_legends_name_labels_that_are_there(name: str, panel: Any) -> None:
    """The query keeps each label that a legend names: by `by`, `$group`, or as a label of the series."""
    for target in panel["targets"]:
        for label in re.findall(r"\{\{([$\w]+)\}\}", target["legendFormat"]):
            kept = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            if kept:
                assert label in {word.strip() for words in kept for word in words.split(",")}
            else:
                assert label in {"instance", "filesystem", "method"}


def test_figures_of_several_series_keep_their_places() -> None:
    """An instant vector has no order, so each panel with several figures sorts them."""
    several = [
        target["expr"]
        for _, panel in PANELS
        for target in panel["targets"]
        if panel["type"] in ("stat", "bargauge") and panel["options"].get("textMode") != "name"
        if "{{" in target["legendFormat"]
    ]
    assert several
    assert [expr for expr in several if not expr.startswith(("sort_desc(", "topk(", "bottomk("))] == []


def test_titles_of_the_smallest_panels_are_short() -> None:
    """On a laptop, a panel of four columns shows 19 letters of its title."""
    small = [panel["title"] for _, panel in PANELS if panel["gridPos"]["w"] == 4]
    assert small
    assert [title for title in small if len(title) > 19] == []


def test_label_columns_come_before_figures() -> None:
    """The first columns of a table are labels: a column without a place in the order would be the last."""
    for _, panel in PANELS:
        if panel["type"] == "table":
            order = panel["transformations"][1]["options"]["indexByName"]
            labels = {name for name in order if not name.startswith("Value #")}
            assert {name for name, place in order.items() if place < len(labels)} == labels
            assert labels


def test_sweeps_are_marked_where_they_hide_nothing() -> None:
    """Sweep annotations appear in the first two rows of Node, not over the bars that show their results."""
    board = read_board("node")
    second = [number for number, panel in enumerate(board["panels"]) if panel["type"] == "row"][2]
    annotations = board["annotations"]["list"]
    (sweep,) = (annotation for annotation in annotations if annotation["name"] == "Sweep")
    assert sweep["filter"] == {"exclude": False, "ids": [panel["id"] for panel in board["panels"][:second]]}
    assert [annotation["name"] for annotation in annotations if "filter" in annotation] == ["Sweep"]


def test_thresholds_are_series_or_zero_or_one() -> None:
    """No panel repeats a watermark of the configuration: colours change at 0 and 1 only."""
    steps = [step["value"] for _, panel in PANELS for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    assert set(steps) == {None, 0, 1}


def test_questions_come_in_order() -> None:
    """Both boards: which node is full, why, what was done, what comes next, is it safe."""
    for name in ("fleet", "node"):
        rows = [panel["title"] for panel in read_board(name)["panels"] if panel["type"] == "row"]
        assert rows[1:5] == ["Why?", "What was done?", "What comes next?", "Is it safe?"]
        assert "full" in rows[0]


def test_the_kustomization_and_provisioning_have_every_board() -> None:
    """A labelled ConfigMap for each board, and a provider that reads the folder they are in."""
    reader = YAML(typ="safe", pure=True)
    kustomization = reader.load(FOLDER / "kustomization.yaml")
    files = [file for generated in kustomization["configMapGenerator"] for file in generated["files"]]
    assert sorted(files) == sorted(f"{name}.json" for name in NAMES)
    assert kustomization["generatorOptions"]["labels"] == {"grafana_dashboard": "1"}
    (provider,) = reader.load(FOLDER / "provisioning" / "node-image-cleaner.yaml")["providers"]
    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_is_used(name: str) -> None:
    """Every variable occurs in a query."""
    exprs = " ".join(query.expr for query in queries_of(name))
    unused = {variable["name"] for variable in variables_of(read_board(name)) if f"${variable['name']}" not in exprs}
    assert unused == set()


def test_the_documented_scrape_sets_the_labels_of_the_variables() -> None:
    """The PodMonitor of docs/dashboards.md sets every target label, and scrapes the port that the DaemonSet names."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "dashboards.md").read_text("utf-8"), re.DOTALL)
    reader = YAML(typ="safe", pure=True)
    (endpoint,) = reader.load(text)["spec"]["podMetricsEndpoints"]
    rules = endpoint["relabelings"]
    assert {rule["targetLabel"] for rule in rules if "targetLabel" in rule} == TARGET_LABELS - {"job"}
    shipped = reader.load(FOLDER.parent / "manifests" / "monitoring" / "podmonitor.yaml")["spec"]
    assert all(rule in rules for rule in shipped["podMetricsEndpoints"][0]["relabelings"])
    assert reader.load(text)["spec"]["jobLabel"] == shipped["jobLabel"]
    daemonset = reader.load(FOLDER.parent / "manifests" / "daemonset.yaml")
    (container,) = daemonset["spec"]["template"]["spec"]["containers"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}
