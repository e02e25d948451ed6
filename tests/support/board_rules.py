"""The 17 rules of grafana/dashboard-linter under its names, and the exclusions for these boards.

They are stricter than the linter, whose rules for panels skip bar gauges and whose rules for targets skip annotations.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from support.boards import interpolate, name_of, panels_of, queries_in, values_at_first, variables_of, words_at_first
from support.promql import calls_of, nodes_of, selectors_of

Rule: TypeAlias = Callable[[Any], Iterator[str]]
"""Yields the faults of a board, each with its place."""

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = {"short", "none", "percentunit", "bytes", "s", "reqps", "bool_yes_no"}
"""The units, of those that the linter knows, that a board may use."""
RATES = ("rate", "irate", "increase")
_WINDOW = re.compile(r"\b(rate|irate|increase)\(\w+\{[^}]*\}\[([^\]]+)\]")


@dataclass(frozen=True)
class Exclusion:
    """An entry that the linter would read from a file `.lint`."""

    rule: str
    finding: str
    """A pattern for the whole finding."""
    reason: str


EXCLUSIONS = (
    Exclusion(
        "template-instance-rule",
        r"node / instance: (multi|includeAll|allValue) is .*",
        "the board shows exactly one node",
    ),
    Exclusion("target-job-rule", r".*: (node_filesystem|kube|kubelet)_.*", "other exporters have jobs of their own"),
    Exclusion("target-instance-rule", r".*: (kube|kubelet)_.*", "their instance is not the node that they describe"),
)


def lint(rule: str, board: Any) -> list[str]:
    """Return the findings of a rule in a board, without the exclusions."""
    patterns = [exclusion.finding for exclusion in EXCLUSIONS if exclusion.rule == rule]
    return [found for found in RULES[rule](board) if not any(re.fullmatch(pattern, found) for pattern in patterns)]


def template_datasource(board: Any) -> Iterator[str]:
    """The first variable chooses the data source, under the usual name and label."""
    first = board["templating"]["list"][0]
    if (first["type"], first["name"], first["label"]) != ("datasource", "datasource", "Data source"):
        yield f"{name_of(board)}: {first['type']} {first['name']} {first['label']} comes first"
    if first["query"] != "prometheus":
        yield f"{name_of(board)}: the data source is of {first['query']}"


def template_of(label: str) -> Rule:
    """A label is chosen from the values in Prometheus, several at once, all by default."""
    expected: dict[str, Any] = {"type": "query", "label": label.capitalize(), "datasource": SOURCE}
    expected |= {"multi": True, "includeAll": True, "allValue": ".+"}

    def rule(board: Any) -> Iterator[str]:
        found: Any = next((variable for variable in variables_of(board) if variable["name"] == label), {})
        for key, value in expected.items():
            if found.get(key) != value:
                yield f"{name_of(board)} / {label}: {key} is {found.get(key)}"

    return rule


def template_label_promql(board: Any) -> Iterator[str]:
    """Every variable of labels has a selector that parses."""
    for variable in variables_of(board):
        if variable["type"] == "query":
            query = variable["query"]["query"]
            match = re.fullmatch(r"label_values\((.*), \w+\)", query)
            if match is None or not _parses(interpolate(match[1], values_at_first(board))):
                yield f"{name_of(board)} / {variable['name']}: {query}"


def template_on_time_change_reload(board: Any) -> Iterator[str]:
    """Variables of labels are reloaded with each time range, since nodes join and leave."""
    for variable in variables_of(board):
        if variable["type"] == "query" and variable["refresh"] != 2:
            yield f"{name_of(board)} / {variable['name']}: refresh is {variable['refresh']}"


def panel_datasource(board: Any) -> Iterator[str]:
    """Panels and their queries use the chosen data source."""
    for panel in panels_of(board):
        for part in (panel, *panel["targets"]):
            if part["datasource"] != SOURCE:
                yield f"{name_of(board)} / {panel['title']}: {part['datasource']}"


def panel_title_description(board: Any) -> Iterator[str]:
    """Panels have a title, and a description in sentences."""
    for panel in panels_of(board):
        if not panel["title"].strip() or not panel["description"].endswith("."):
            yield f"{name_of(board)} / panel {panel['id']}: {panel['title']!r}, {panel['description']!r}"


def panel_units(board: Any) -> Iterator[str]:
    """Panels have a unit, and panels and columns use only known units."""
    for panel in panels_of(board):
        config = panel["fieldConfig"]
        columns = [part for override in config["overrides"] for part in override["properties"] if part["id"] == "unit"]
        for unit in (config["defaults"].get("unit"), *(part["value"] for part in columns)):
            if unit not in UNITS:
                yield f"{name_of(board)} / {panel['title']}: {unit}"


def panel_no_targets(board: Any) -> Iterator[str]:
    """Panels have at least one query."""
    for panel in panels_of(board):
        if not panel["targets"]:
            yield f"{name_of(board)} / {panel['title']}: no query"


def target_logql(board: Any) -> Iterator[str]:
    """LogQL parses: the boards have none, since no parser for it is here."""
    for panel, target in _targets_of_loki(board):
        yield f"{name_of(board)} / {panel['title']} / {target['refId']}: LogQL"


def target_logql_auto(board: Any) -> Iterator[str]:
    """Windows of LogQL are $__auto."""
    for panel, target in _targets_of_loki(board):
        if set(re.findall(r"\[([^\]]+)\]", target["expr"])) - {"$__auto"}:
            yield f"{name_of(board)} / {panel['title']} / {target['refId']}: {target['expr']}"


def target_promql(board: Any) -> Iterator[str]:
    """Every query parses, with no variable left in it."""
    for query in queries_in(board):
        expr = interpolate(query.expr, values_at_first(board))
        if "$" in expr or not _parses(expr):
            yield f"{query.where}: {expr}"


def target_rate_interval(board: Any) -> Iterator[str]:
    """A rate is over $__rate_interval; an increase over that, the range shown, or the days in its title."""
    for query in queries_in(board):
        windows = _WINDOW.findall(query.expr)
        if len(windows) != len(calls_of(interpolate(query.expr, values_at_first(board)), RATES)):
            yield f"{query.where}: a rate of an expression that is no series"
        for function, window in windows:
            if window not in {"$__rate_interval"} | ({"$__range", "1d", "7d"} if function == "increase" else set()):
                yield f"{query.where}: {function} over {window}"


def target_matcher(label: str) -> Rule:
    """Every series is selected by the variable of the label."""

    def rule(board: Any) -> Iterator[str]:
        for query in queries_in(board):
            for series in selectors_of(interpolate(query.expr, words_at_first(board))):
                if series.written.get(label) != f'=~"${label}"':
                    yield f"{query.where}: {series.name} is not selected by ${label}"

    return rule


def target_counter_agg(board: Any) -> Iterator[str]:
    """A counter is shown as its increase, never as its value, and only counters are."""
    for query in queries_in(board):
        expr = interpolate(query.expr, values_at_first(board))
        risen = Counter(
            arg.vector_selector.name
            for call in calls_of(expr, RATES)
            for arg in call.args
            if hasattr(arg, "vector_selector")
        )
        counters = Counter(
            each.name for each in selectors_of(expr) if re.search("_(total|bucket|count|sum)$", each.name)
        )
        if risen != counters:
            yield f"{query.where}: {dict(counters)} are counters, {dict(risen)} are shown as increases"


def uneditable_dashboard(board: Any) -> Iterator[str]:
    """A board is not editable: changes belong into the generator."""
    if board["editable"] is not False:
        yield f"{name_of(board)}: editable is {board['editable']}"


RULES: dict[str, Rule] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": template_of("job"),
    "template-instance-rule": template_of("instance"),
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload": template_on_time_change_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-logql-rule": target_logql,
    "target-logql-auto-rule": target_logql_auto,
    "target-promql-rule": target_promql,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": target_matcher("job"),
    "target-instance-rule": target_matcher("instance"),
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard": uneditable_dashboard,
}


def _parses(expr: str) -> bool:
    try:
        return bool(nodes_of(expr))
    except ValueError:
        return False


def _targets_of_loki(board: Any) -> Iterator[tuple[Any, Any]]:
    for panel in panels_of(board):
        for target in panel["targets"]:
            if target["datasource"]["type"] == "loki":
                yield panel, target
