"""The boards on real Prometheuses: every query of every panel, variable and annotation, on 30 days of a fleet."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.toolbox import PROMETHEUSES
from support.boards import NAMES, BoardQuery, interpolate, label_queries_of, queries_of, read_board, values_at_first
from support.fleet_history import STEP_SECONDS, lookback, make_blocks
from support.fleet_nodes import CAME, END, HOUR, NODES, START
from support.prometheus_server import PrometheusServer

NODE = "prod-b"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `data` holds the history as blocks."""
    folder = tmp_path_factory.mktemp("history")
    began = time.monotonic()
    samples = make_blocks(folder)
    size = sum(file.stat().st_size for file in (folder / "data").rglob("*") if file.is_file())
    print(f"\nhistory: {samples} samples, {size >> 20} MiB of blocks, {time.monotonic() - began:.1f} s")
    return folder


@pytest.fixture(scope="module", params=PROMETHEUSES)
def prometheus(history: Path, request: pytest.FixtureRequest) -> Iterator[PrometheusServer]:
    with PrometheusServer(history, request.param, lookback()) as server:
        yield server


def values_of(name: str, **chosen: str) -> dict[str, str]:
    """The initial variables of a board, except for those given."""
    return values_at_first(read_board(name)) | ({"instance": NODE} if name == "node" else {}) | chosen


def ask(prometheus: PrometheusServer, query: BoardQuery, values: dict[str, str]) -> list[Any]:
    """Return what Grafana would get for 30 days, with one step per scrape."""
    expr = interpolate(query.expr, values)
    if query.is_instant:
        return prometheus.query(expr, END)
    return prometheus.query_range(expr, START, END, STEP_SECONDS)


def figures(prometheus: PrometheusServer, where: str, label: str, **chosen: str) -> dict[str, float]:
    """The values of a panel's query at the end of the 30 days, by a label."""
    name = where.partition(" /")[0]
    (query,) = (query for query in queries_of(name) if query.where == where)
    found = prometheus.query(interpolate(query.expr, values_of(name, **chosen)), END)
    return {series["metric"].get(label, ""): float(series["value"][1]) for series in found}


def disks(environment: str) -> int:
    return sum(node.size_bytes for node in NODES if node.environment == environment)


def available_share(environment: str, hours: range) -> float:
    """The average from which the history was generated."""
    nodes = [node for node in NODES if node.environment == environment]
    available = sum((1 - node.used(hour)) * node.size_bytes for node in nodes for hour in hours)
    return available / len(hours) / disks(environment)


@pytest.mark.parametrize("name", NAMES)
def test_every_query_answers(prometheus: PrometheusServer, name: str) -> None:
    """No query fails, and each returns something."""
    began = time.monotonic()
    queries = list(queries_of(name))
    empty = {query.where for query in queries if not ask(prometheus, query, values_of(name))}
    print(f"\n{name}: {len(queries)} queries, {time.monotonic() - began:.1f} s")
    assert empty == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_has_values(prometheus: PrometheusServer, name: str) -> None:
    """Every variable has values, and each choice of a label leaves values for the next."""
    for variable, series, label in label_queries_of(name):
        found = prometheus.label_values(label, interpolate(series, values_of(name)), START, END)
        assert found, variable
        if variable == "instance":
            assert {node.name for node in NODES} <= set(found)


@pytest.mark.parametrize("group", ["pool", "cluster"])
def test_impact_groups_by_the_chosen_label(prometheus: PrometheusServer, group: str) -> None:
    """Every panel that groups has a series for each pool or cluster."""
    expected = {getattr(node, group) for node in NODES}
    for query in queries_of("impact"):
        if "$group" in query.expr:
            found = ask(prometheus, query, values_of("impact", group=group))
            assert {series["metric"][group] for series in found} == expected, query.where


def test_impact_shows_the_gained_space(prometheus: PrometheusServer) -> None:
    """Gain factor, space gained and the green line match the generated history within a hundredth.

    The factors are those of the article: three, and four in staging.
    """
    gain = figures(prometheus, "impact / Gain factor / A", "environment")
    gained = figures(prometheus, "impact / Space gained / A", "environment")
    print(f"\ngain {gain}; gained {gained}")
    assert {name: round(times) for name, times in gain.items()} == {"production": 3, "preproduction": 3, "staging": 4}
    for environment in gain:
        before = available_share(environment, range(START, CAME, HOUR))
        after = available_share(environment, range(CAME, END, HOUR))
        assert gain[environment] == pytest.approx(after / before, rel=0.01)
        assert gained[environment] == pytest.approx((after - before) * disks(environment), rel=0.01)
    assert figures(prometheus, "impact / annotation Agent installed", "environment") == {
        node.environment: CAME * 1000 for node in NODES
    }


def test_impact_works_before_the_installation(prometheus: PrometheusServer) -> None:
    """With node_exporter alone, Impact shows space over time as far back as it goes, and no gain."""
    shown = {query.where: query for query in queries_of("impact")}
    available = interpolate(shown["impact / Available disk space / A"].expr, values_of("impact"))
    (production,) = prometheus.query_range(available, START, CAME - HOUR, STEP_SECONDS)[1:2]
    assert production["metric"] == {"environment": "production"}
    assert len(production["values"]) == (CAME - START) // STEP_SECONDS
    gain = interpolate(shown["impact / Gain factor / A"].expr, values_of("impact"))
    assert prometheus.query(gain.replace("30d", "9d"), CAME - HOUR) == []


def test_impact_works_without_node_exporter(prometheus: PrometheusServer) -> None:
    """Where node_exporter has no such mountpoint, Impact shows the agent's figures, which are the same.

    They are also not added to node_exporter's, whatever its instance is.
    """
    where = "impact / Available disk space / A"
    exported = figures(prometheus, where, "environment")
    own = figures(prometheus, where, "environment", mountpoint="/elsewhere")
    assert own == pytest.approx(exported)


def test_fleet_counts_nodes(prometheus: PrometheusServer) -> None:
    """One of eight nodes has no agent, the observing one is above its high watermark, the table has all seven."""
    uncovered = figures(prometheus, "fleet / Without an agent / A", "")
    assert uncovered == {"": 1.0}
    assert figures(prometheus, "fleet / Coverage / A", "") == {"": pytest.approx(7 / 8)}
    assert figures(prometheus, "fleet / At high watermark / A", "") == {"": 1.0}
    assert figures(prometheus, "fleet / Reclaim falls short / A", "") == {"": 0.0}
    assert figures(prometheus, "fleet / Modes / A", "mode") == {"full": 5, "pressure": 1, "observe": 1}
    for query in queries_of("fleet"):
        if query.where.startswith("fleet / Nodes / "):
            found = ask(prometheus, query, values_of("fleet"))
            assert {series["metric"]["instance"] for series in found} == {node.name for node in NODES}, query.where


def test_a_choice_narrows_what_is_shown(prometheus: PrometheusServer) -> None:
    """Choosing an environment excludes the others."""
    assert figures(prometheus, "fleet / Modes / A", "mode", environment="production") == {"full": 2}
    ranked = figures(prometheus, "fleet / Fullest nodes / A", "instance", environment="staging")
    assert set(ranked) == {node.name for node in NODES if node.environment == "staging"}
