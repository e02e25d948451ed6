"""The boards on real Prometheuses: every query of every panel, variable and annotation, on 30 days of a fleet."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.toolbox import PROMETHEUSES
from support.boards import NAMES, BoardQuery, interpolate, label_queries_of, queries_of, read_board, values_at_first
from support.fleet_history import CAME, END, HOUR, NODES, SIZE_BYTES, START, STEP_SECONDS, write_history
from support.prometheus_server import PrometheusServer, create_blocks

NODE = "prod-bb"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `data` holds the history as blocks."""
    folder = tmp_path_factory.mktemp("history")
    text = folder / "history.txt"
    began = time.monotonic()
    write_history(text)
    create_blocks(text, folder / "data")
    size = sum(file.stat().st_size for file in (folder / "data").rglob("*") if file.is_file())
    lines = text.read_text("utf-8").count("\n") - 1
    print(f"\nhistory: {lines} samples, {size >> 20} MiB of blocks, {time.monotonic() - began:.1f} s")
    text.unlink()
    return folder


@pytest.fixture(scope="module", params=PROMETHEUSES)
def prometheus(history: Path, request: pytest.FixtureRequest) -> Iterator[PrometheusServer]:
    # A sample counts until the next one: by default five minutes, here the step of the history.
    lasts = f"--query.lookback-delta={STEP_SECONDS + 60}s"
    with PrometheusServer(history, request.param, lasts) as server:
        yield server


def values_of(name: str, **chosen: str) -> dict[str, str]:
    """A board's variables when it is opened, but for those chosen."""
    return values_at_first(read_board(name)) | ({"instance": NODE} if name == "node" else {}) | chosen


def ask(prometheus: PrometheusServer, query: BoardQuery, values: dict[str, str]) -> list[Any]:
    """What Grafana would get for 30 days, in a step for each scrape."""
    expr = interpolate(query.expr, values)
    if query.is_instant:
        return prometheus.query(expr, END)
    return prometheus.query_range(expr, START, END, STEP_SECONDS)


def figures(prometheus: PrometheusServer, where: str, label: str, **chosen: str) -> dict[str, float]:
    """What a panel's query shows at the end of the 30 days, by a label."""
    name = where.partition(" /")[0]
    (query,) = (query for query in queries_of(name) if query.where == where)
    found = prometheus.query(interpolate(query.expr, values_of(name, **chosen)), END)
    return {series["metric"].get(label, ""): float(series["value"][1]) for series in found}


def available_share(environment: str, hours: Iterable[int]) -> float:
    """The average that the history was made with."""
    shares = [1 - node.used(hour) for node in NODES if node.environment == environment for hour in hours]
    return sum(shares) / len(shares)


@pytest.mark.parametrize("name", NAMES)
def test_every_query_answers(prometheus: PrometheusServer, name: str) -> None:
    """No query is an error, and each has something to show."""
    began = time.monotonic()
    queries = list(queries_of(name))
    empty = {query.where for query in queries if not ask(prometheus, query, values_of(name))}
    print(f"\n{name}: {len(queries)} queries, {time.monotonic() - began:.1f} s")
    assert empty == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_has_values(prometheus: PrometheusServer, name: str) -> None:
    """What can be chosen is there, and each choice of a label leaves something to choose in the next."""
    for variable, series, label in label_queries_of(name):
        found = prometheus.label_values(label, interpolate(series, values_of(name)), START, END)
        assert found, variable
        if variable == "instance":
            assert {node.name for node in NODES} <= set(found)


@pytest.mark.parametrize("group", ["pool", "cluster"])
def test_impact_groups_by_what_is_chosen(prometheus: PrometheusServer, group: str) -> None:
    """By pool and by cluster every panel that groups has a series for each of them."""
    wanted = {getattr(node, group) for node in NODES}
    for query in queries_of("impact"):
        if "$group" in query.expr:
            found = ask(prometheus, query, values_of("impact", group=group))
            assert {series["metric"][group] for series in found} == wanted, query.where


def test_impact_shows_what_was_won(prometheus: PrometheusServer) -> None:
    """Gain, space won and the green line are those that the history was made with, within a hundredth."""
    before = available_share("production", range(START, CAME, HOUR))
    after = available_share("production", range(CAME, END, HOUR))
    disks = SIZE_BYTES * sum(node.environment == "production" for node in NODES)
    gain = figures(prometheus, "impact / Gain, in times / A", "environment")
    won = figures(prometheus, "impact / Space won / A", "environment")
    print(f"\ngain {gain}; production made with {after / before:.2f}")
    assert gain["production"] == pytest.approx(after / before, rel=0.01)
    assert won["production"] == pytest.approx((after - before) * disks, rel=0.01)
    assert figures(prometheus, "impact / annotation Cleaner came", "environment") == {
        node.environment: CAME * 1000 for node in NODES
    }


def test_impact_works_before_there_is_a_cleaner(prometheus: PrometheusServer) -> None:
    """Of node_exporter alone the space over time is shown as far back as it goes, and no gain is made up."""
    shown = {query.where: query for query in queries_of("impact")}
    available = interpolate(shown["impact / Available disk space / A"].expr, values_of("impact"))
    (production,) = prometheus.query_range(available, START, CAME - HOUR, STEP_SECONDS)[1:2]
    assert production["metric"] == {"environment": "production"}
    assert len(production["values"]) == (CAME - START) // STEP_SECONDS
    gain = interpolate(shown["impact / Gain, in times / A"].expr, values_of("impact"))
    assert prometheus.query(gain.replace("30d", "9d"), CAME - HOUR) == []


def test_impact_works_without_node_exporter(prometheus: PrometheusServer) -> None:
    """Where node_exporter has no such mountpoint, our own figures are shown, which are the same.

    They are also not added to node_exporter's, whatever instance it has.
    """
    where = "impact / Available disk space / A"
    theirs = figures(prometheus, where, "environment")
    ours = figures(prometheus, where, "environment", mountpoint="/elsewhere")
    assert ours == pytest.approx(theirs)


def test_fleet_counts_nodes(prometheus: PrometheusServer) -> None:
    """One of seven nodes has no agent, the one that only observes is above its mark, and the table has all six."""
    uncovered = figures(prometheus, "fleet / Nodes without an agent / A", "")
    assert uncovered == {"": 1.0}
    assert figures(prometheus, "fleet / Coverage / A", "") == {"": pytest.approx(6 / 7)}
    assert figures(prometheus, "fleet / At the high mark / A", "") == {"": 1.0}
    assert figures(prometheus, "fleet / Modes / A", "mode") == {"full": 4, "pressure": 1, "observe": 1}
    for query in queries_of("fleet"):
        if query.where.startswith("fleet / Nodes / "):
            found = ask(prometheus, query, values_of("fleet"))
            assert {series["metric"]["instance"] for series in found} == {node.name for node in NODES}, query.where


def test_a_choice_narrows_what_is_shown(prometheus: PrometheusServer) -> None:
    """An environment that is chosen leaves the others out."""
    assert figures(prometheus, "fleet / Modes / A", "mode", environment="production") == {"full": 2}
    ranked = figures(prometheus, "fleet / Fullest nodes / A", "instance", environment="staging")
    assert set(ranked) == {node.name for node in NODES if node.environment == "staging"}
