"""The boards on what the real daemon says at work on a real containerd, scraped by a real Prometheus."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import ImageSpec, Lab, Layer
from lab.toolbox import PROMETHEUSES
from support.boards import NAMES, interpolate, queries_of, read_board, values_at_first
from support.daemon_process import DaemonProcess, SweepTrace, trace_sweep
from support.prometheus_server import PrometheusServer

MB = 1_000_000
COMPANY = "registry.gitlab.com"
RULE = {"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}
LAST_YEAR = "2025-06-01T00:00:00Z"
NEVER = {"schedule": "0 0 29 2 *", "splay": "0s", "overdue": "36500d"}
SCRAPE = """\
scrape_configs:
  - job_name: node-image-cleaner
    scrape_interval: 1s
    scrape_timeout: 1s
    static_configs:
      - targets: ["127.0.0.1:{port}"]
        labels: {{cluster: lab, environment: test, pool: lab, node: lab-node, instance: lab-node}}
"""
GRAFANAS = {"__range": "10m", "__rate_interval": "1m", "__interval": "1s"}
NO_BEFORE = "it was never without the cleaner"
NO_FAULT = "nothing failed, vanished or was away"
EMPTY = {
    "impact / Gain, in times / A": NO_BEFORE,
    "impact / Space won / A": NO_BEFORE,
    "impact / Before and after / A": NO_BEFORE,
    "impact / Before and after / C": NO_BEFORE,
    "impact / Before and after / D": NO_BEFORE,
    "node / Sweeps / B": NO_FAULT,
    "node / Requests to the runtime / B": NO_FAULT,
    "node / annotation Sweep failed": NO_FAULT,
    "node / annotation Runtime away": NO_FAULT,
    "node / annotation Images vanished": NO_FAULT,
}
"""What shows nothing on this node, and why that is right; what the cluster says of it is not here either."""

BY_CHANCE = {
    "impact / Before and after / B": "it has a point at each full hour",
    "fleet / Shortest runway / A": "there is a forecast where a scrape saw the disk fill",
    "fleet / First to be full / A": "as above",
    "fleet / First to be full / B": "as above",
    "node / Forecast / A": "as above",
    "node / Forecast / B": "as above",
}
"""What may show something, depending on the moment; on the made-up fleet all of it does."""


@pytest.fixture(scope="module")
def lab_version() -> str:
    """One containerd: which one it is changes no metric."""
    return "2"


@pytest.fixture(scope="module", params=PROMETHEUSES)
def scraped(lab: Lab, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Prometheus after a pressure sweep that it saw begin and end, and the sweep."""
    folder = tmp_path_factory.mktemp("live")
    specs = [ImageSpec(f"golem-ai/app-{number}", "v1", (Layer(6 * MB, number),), LAST_YEAR) for number in range(6)]
    lab.pull_all(image.reference(COMPANY) for image in lab.push(*specs))
    policy = {"grace": "0s", "rules": [RULE]}
    pressure = {"check_every": "1s", "grace": "0s", "bytes": {"high": 75, "low": 70}}
    sections: dict[str, Any] = {"mode": "full", "policy": policy, "pressure": pressure, "nightly": NEVER}
    with (
        DaemonProcess(folder, lab.endpoint, **sections) as daemon,
        PrometheusServer(folder, request.param, config=SCRAPE.format(port=daemon.port)) as server,
    ):
        counter = 'cleaner_sweeps_total{trigger="pressure"}'

        def wait_until(expr: str, least: float) -> None:
            daemon.wait_for(lambda: _value(server.query(expr, time.time())) >= least, f"{expr} >= {least}")

        wait_until(f"count_over_time({counter}[1m])", 2)
        lab.fill(78)
        sweep = trace_sweep(daemon)
        wait_until(f"count_over_time(({counter} > 0)[1m:1s])", 3)
        yield server, sweep
    lab.drop_ballast()


def _value(found: list[Any]) -> float:
    return float(found[0]["value"][1]) if found else 0.0


@pytest.mark.parametrize("name", NAMES)
def test_every_query_answers(scraped: tuple[PrometheusServer, SweepTrace], name: str) -> None:
    """No query is an error, and whatever is ours has something to show but for what has a reason."""
    server, _ = scraped
    now = time.time()
    values = values_at_first(read_board(name)) | GRAFANAS
    empty = set()
    for query in queries_of(name):
        expr = interpolate(query.expr, values)
        found = server.query(expr, now) if query.is_instant else server.query_range(expr, now - 60, now, 1)
        if not found and "kube" not in expr:
            empty.add(query.where)
    assert empty - BY_CHANCE.keys() == {where for where in EMPTY if where.startswith(f"{name} /")}


def test_the_boards_say_what_the_daemon_did(scraped: tuple[PrometheusServer, SweepTrace]) -> None:
    """Evictions, measured bytes and the time of the sweep are those of its log."""
    server, sweep = scraped
    now = time.time()
    shown = {query.where: query.expr for query in queries_of("node")}
    values = values_at_first(read_board("node")) | GRAFANAS

    def risen(where: str) -> float:
        return _value(server.query(interpolate(shown[where], values), now))

    print(f"\nevicted {len(sweep.evictions)} images: {sweep.reclaimed_by('expired')} bytes")
    assert sweep.evictions
    # An increase is stretched by at most a scrape, of the handful that there are.
    assert 0.99 < risen("node / Images evicted / A") / len(sweep.evictions) < 1.5
    assert 0.99 < risen("node / Foretold beside measured / B") / sweep.reclaimed_by("expired") < 1.5
    ended = server.query(interpolate(shown["node / annotation Sweep"], values), now)
    assert _value(ended) / 1000 == pytest.approx(time.time(), abs=120)
