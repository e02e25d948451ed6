"""The boards: that the JSON is what the generator gives, and what Grafana's own linter would say of it.

The rules are those of grafana/dashboard-linter by their names. Narrowed are: the rules of job and instance, for series
of other exporters, whose jobs have names of their own and whose instance is not the node; the variable instance of the
board Node, which shows exactly one; and the two rules of LogQL, of which there is none.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
from ruamel.yaml import YAML

from dashboards.boards import BOARDS
from dashboards.render import TAG, render
from support.boards import (
    DOCUMENT,
    FOLDER,
    NAMES,
    BoardQuery,
    documented_metrics,
    interpolate,
    label_queries_of,
    metric_of,
    panels_of,
    queries_of,
    read_board,
    values_at_first,
    variables_of,
)

TARGET_LABELS = {"job", "instance", "node", "cluster", "environment", "pool"}
UNITS = {"short", "none", "percentunit", "bytes", "s", "reqps", "bool_yes_no"}
"""Of those that the linter knows."""
RATES = ("rate", "irate", "increase")
ALL = [query for name in NAMES for query in queries_of(name)]
PANELS = [(name, panel) for name in NAMES for panel in panels_of(read_board(name))]
APPLIED_AT_MOST = 262_144
"""Bytes that `kubectl apply` can keep in its annotation."""


def where(value: Any) -> str:
    """What a case is called."""
    if isinstance(value, BoardQuery):
        return value.where
    return f"{value['id']} {value['title']}" if isinstance(value, dict) else str(value)


def parsed(query: BoardQuery) -> Any:
    values = values_at_first(read_board(query.where.partition(" /")[0]))
    return promql_parser.parse(interpolate(query.expr, values))


def nodes_of(expression: Any) -> list[Any]:
    """All parts of an expression."""
    found: list[Any] = []
    promql_parser.walk(expression, found.append)
    return found


def selectors_of(query: BoardQuery) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and matchers of all series that a query reads."""
    for node in nodes_of(parsed(query)):
        if isinstance(node, promql_parser.VectorSelector):
            matchers = {matcher.name: matcher.value for matcher in node.matchers.matchers}
            yield node.name or matchers["__name__"], matchers


@pytest.mark.parametrize("name", NAMES)
def test_regenerating_changes_nothing(name: str) -> None:
    """The committed JSON is what `make dashboards` writes."""
    assert render(BOARDS[name]) == (FOLDER / f"{name}.json").read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_board_is_found_and_linked(name: str) -> None:
    """A stable uid, a tag that joins the boards, links that keep what is chosen, and few enough bytes."""
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
    """Every panel has an id, a place that no other overlaps, and queries by letters from A."""
    panels = read_board(name)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: Counter[tuple[int, int]] = Counter()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        columns = range(place["x"], place["x"] + place["w"])
        taken.update((x, y) for x in columns for y in range(place["y"], place["y"] + place["h"]))
    assert max(taken.values()) == 1
    for panel in panels_of(read_board(name)):
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == [chr(ord("A") + number) for number in range(len(letters))]


def test_uneditable_dashboard() -> None:
    """Whoever edits a board edits the generator."""
    assert [read_board(name)["editable"] for name in NAMES] == [False] * len(NAMES)


def test_template_datasource_rule() -> None:
    """The first variable chooses the data source, under the name and label that everybody uses."""
    for name in NAMES:
        first = read_board(name)["templating"]["list"][0]
        assert (first["type"], first["name"], first["label"]) == ("datasource", "datasource", "Data source")
        assert first["query"] == "prometheus"


@pytest.mark.parametrize("chosen", ["job", "instance"])
def test_template_job_and_instance_rules(chosen: str) -> None:
    """Job and instance are chosen from labels, several at once and all at first; on Node exactly one instance."""
    for name in NAMES:
        (variable,) = (known for known in variables_of(read_board(name)) if known["name"] == chosen)
        assert (variable["type"], variable["label"]) == ("query", chosen.capitalize())
        assert variable["datasource"]["uid"] == "${datasource}"
        if (name, chosen) == ("node", "instance"):
            assert (variable["multi"], variable["includeAll"]) == (False, False)
        else:
            assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")


def test_template_label_promql_rule() -> None:
    """Every variable of labels asks for series that parse and for a label that they have."""
    for name in NAMES:
        values = values_at_first(read_board(name))
        for _, series, label in label_queries_of(name):
            promql_parser.parse(interpolate(series, values))
            assert label in TARGET_LABELS | {"filesystem"}


def test_template_on_time_change_reload_rule() -> None:
    """Variables of labels are read anew with each time range: nodes come and go."""
    for name in NAMES:
        variables = [variable for variable in variables_of(read_board(name)) if variable["type"] == "query"]
        assert {variable["refresh"] for variable in variables} == {2}


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=where)
def test_panel_rules(name: str, panel: Any) -> None:
    """Panels have the chosen data source, a title, a description, a known unit, and a query with a legend."""
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["title"].strip()
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        assert target["legendFormat"] or panel["type"] == "table"
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["showLegend"] is True
    if panel["type"] == "stat":
        assert panel["options"]["reduceOptions"]["calcs"] == ["lastNotNull"]


@pytest.mark.parametrize("name", NAMES)
def test_annotations_have_the_chosen_data_source(name: str) -> None:
    """Each mark has a name, a title and the data source, and is on."""
    for mark in read_board(name)["annotations"]["list"]:
        assert mark["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert (mark["enable"], mark["hide"]) == (True, False)
        assert mark["name"]
        assert mark["titleFormat"]
        # Grafana takes a value as milliseconds; ours are seconds.
        assert mark.get("useValueForTime", False) is mark["expr"].endswith("* 1000")


@pytest.mark.parametrize("query", ALL, ids=where)
def test_target_promql_rule(query: BoardQuery) -> None:
    """Every query parses, with no variable left in it."""
    parsed(query)
    values = values_at_first(read_board(query.where.partition(" /")[0]))
    assert "$" not in interpolate(query.expr, values)


@pytest.mark.parametrize("query", ALL, ids=where)
def test_target_rate_interval_rule(query: BoardQuery) -> None:
    """A rate is over $__rate_interval; an increase over that, the time shown, or the days that its title names."""
    windows = re.findall(r"\b(rate|irate|increase)\(\w+\{[^}]*\}\[([^\]]+)\]", query.expr)
    assert len(windows) == sum(
        isinstance(node, promql_parser.Call) and node.func.name in RATES for node in nodes_of(parsed(query))
    )
    for function, window in windows:
        allowed = {"$__rate_interval"} | ({"$__range", "1d", "7d"} if function == "increase" else set())
        assert window in allowed


@pytest.mark.parametrize("query", ALL, ids=where)
def test_target_job_and_instance_rules(query: BoardQuery) -> None:
    """Whatever is ours is chosen by job and instance, and by all other variables of the board's labels."""
    name = query.where.partition(" /")[0]
    board = read_board(name)
    values = values_at_first(board)
    chosen = {variable["name"] for variable in variables_of(board)} & TARGET_LABELS
    for series, matchers in selectors_of(query):
        if series.startswith(("cleaner_", "process_")):
            assert {label: matchers[label] for label in chosen} == {label: values[label] for label in chosen}
        else:
            assert matchers["cluster"] == values["cluster"]


@pytest.mark.parametrize("query", ALL, ids=where)
def test_target_counter_agg_rule(query: BoardQuery) -> None:
    """A counter is shown as what it rose by, never as it stands; and only counters are."""
    nodes = nodes_of(parsed(query))
    rates = [node for node in nodes if isinstance(node, promql_parser.Call) and node.func.name in RATES]
    risen = Counter(arg.vector_selector.name for node in rates for arg in node.args)
    assert risen == Counter(name for name, _ in selectors_of(query) if re.search("_(total|bucket|count|sum)$", name))


@pytest.mark.parametrize("query", ALL, ids=where)
def test_what_is_asked_for_is_exposed(query: BoardQuery) -> None:
    """Each metric of ours is in docs/metrics.md, with every label that is asked for."""
    documented = documented_metrics()
    for series, matchers in selectors_of(query):
        if series.startswith("cleaner_"):
            metric = documented[metric_of(series)]
            assert set(matchers) <= metric.labels | TARGET_LABELS


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=where)
def test_legends_name_labels_that_are_there(name: str, panel: Any) -> None:
    """What a legend names, the query keeps: `by`, `$group`, or a label of the series themselves."""
    for target in panel["targets"]:
        for label in re.findall(r"\{\{([$\w]+)\}\}", target["legendFormat"]):
            kept = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            if kept:
                assert label in {word.strip() for words in kept for word in words.split(",")}
            else:
                assert label in {"instance", "filesystem", "method"}


def test_every_metric_is_shown() -> None:
    """Each metric of docs/metrics.md is on a board."""
    shown = {metric_of(series) for query in ALL for series, _ in selectors_of(query)}
    assert set(documented_metrics()) - shown == set()


def test_figures_of_several_series_keep_their_places() -> None:
    """An instant vector has no order of its own: what shows more than one figure asks for one."""
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
    """On a laptop a panel of four columns shows 19 letters of its title."""
    small = [panel["title"] for _, panel in PANELS if panel["gridPos"]["w"] == 4]
    assert small
    assert [title for title in small if len(title) > 19] == []


def test_a_group_comes_before_its_figures() -> None:
    """In a table the first columns are labels: what has no place in the order would be the last column."""
    for _, panel in PANELS:
        if panel["type"] == "table":
            order = panel["transformations"][1]["options"]["indexByName"]
            labels = {name for name in order if not name.startswith("Value #")}
            assert {name for name, place in order.items() if place < len(labels)} == labels
            assert labels


def test_sweeps_are_marked_where_they_hide_nothing() -> None:
    """Lines of sweeps are drawn in the first two rows of Node, not over the bars of what they did."""
    board = read_board("node")
    second = [number for number, panel in enumerate(board["panels"]) if panel["type"] == "row"][2]
    (sweep,) = (mark for mark in board["annotations"]["list"] if mark["name"] == "Sweep")
    assert sweep["filter"] == {"exclude": False, "ids": [panel["id"] for panel in board["panels"][:second]]}
    assert [mark["name"] for mark in board["annotations"]["list"] if "filter" in mark] == ["Sweep"]


def test_thresholds_are_series_or_zero_or_one() -> None:
    """No panel repeats a mark of the configuration: colours change at 0 and 1 only."""
    steps = [step["value"] for _, panel in PANELS for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    assert set(steps) == {None, 0, 1}


def test_questions_come_in_order() -> None:
    """At three in the morning: who is full, why, what was done, what comes next, is it safe."""
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
    """What can be chosen changes something."""
    exprs = " ".join(query.expr for query in queries_of(name))
    unused = {variable["name"] for variable in variables_of(read_board(name)) if f"${variable['name']}" not in exprs}
    assert unused == set()


def test_the_documented_scrape_has_the_labels_that_boards_choose_by() -> None:
    """The PodMonitor of docs/dashboards.md sets every target label, and scrapes the port that the DaemonSet names."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (DOCUMENT.parent / "dashboards.md").read_text("utf-8"), re.DOTALL)
    reader = YAML(typ="safe", pure=True)
    (endpoint,) = reader.load(text)["spec"]["podMetricsEndpoints"]
    assert {rule["targetLabel"] for rule in endpoint["relabelings"]} == TARGET_LABELS - {"job"}
    daemonset = reader.load(FOLDER.parent / "manifests" / "daemonset.yaml")
    (container,) = daemonset["spec"]["template"]["spec"]["containers"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}
