"""The boards with metrics of the real daemon on a real containerd, scraped by a real Prometheus."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from lab import ImageSpec, Lab, Layer
from lab.toolbox import PROMETHEUSES
from support.boards import NAMES, BoardQuery, interpolate, queries_of, read_board, values_at_first
from support.daemon_process import NO_NIGHT, DaemonProcess, SweepTrace, trace_sweep
from support.prometheus_server import PrometheusServer

MB = 1_000_000
COMPANY = "registry.gitlab.com"
RULE = {"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}
LAST_YEAR = "2025-06-01T00:00:00Z"
SCRAPE = """\
scrape_configs:
  - job_name: node-image-cleaner
    scrape_interval: 2s
    scrape_timeout: 2s
    static_configs:
      - targets: ["127.0.0.1:{port}"]
        labels: {{cluster: lab, environment: test, pool: lab, node: lab-node, instance: lab-node}}
"""
GRAFANAS = {"__range": "1h", "__rate_interval": "1h", "__interval": "1s"}
"""Windows that cover the whole test, however long it takes."""
NO_BEFORE = "the agent was there from the start"
NO_FAULT = "nothing failed, was removed externally or was unavailable"
EMPTY = {
    "impact / Gain factor / A": NO_BEFORE,
    "impact / Space gained / A": NO_BEFORE,
    "impact / Before and after / A": NO_BEFORE,
    "impact / Before and after / C": NO_BEFORE,
    "impact / Before and after / D": NO_BEFORE,
    "node / Sweeps / B": NO_FAULT,
    "node / Requests to the runtime / B": NO_FAULT,
    "node / annotation Sweep failed": NO_FAULT,
    "node / annotation Runtime unavailable": NO_FAULT,
    "node / annotation Images removed externally": NO_FAULT,
}
"""Queries without a result on this node, and why that is right; series of the cluster do not exist here either."""

BY_CHANCE = {
    "fleet / Shortest time to kubelet threshold / A": "there is a forecast where a scrape saw the disk fill",
    "fleet / First node to fill up / A": "as above",
    "fleet / First node to fill up / B": "as above",
    "node / Forecast / A": "as above",
    "node / Forecast / B": "as above",
}
"""Queries that may have a result, depending on the moment; on the generated fleet all of them have."""


@pytest.fixture(scope="module")
def lab_version() -> str:
    """One containerd: the version changes no metric."""
    return "2"


@dataclass(frozen=True)
class Scraped:
    """The metrics of a daemon in Prometheus, from before its sweep until a scrape after it."""

    server: PrometheusServer
    sweeps: list[SweepTrace]
    """All sweeps until that scrape: one, or more if the first began while the disk was being filled."""
    began: int
    at: float
    """The time of that scrape: increases until then are exact, with no interval to extrapolate."""

    def ask(self, query: BoardQuery, values: Mapping[str, str]) -> list[Any]:
        """Return what Grafana would get, averaging over one point per second instead of one per hour."""
        expr = interpolate(query.expr, values).replace(":1h]", ":1s]")
        if query.is_instant:
            return self.server.query(expr, self.at)
        seconds = math.ceil(self.at - self.began)
        return self.server.query_range(expr, self.at - seconds, self.at, 1)


@pytest.fixture(scope="module", params=PROMETHEUSES)
def scraped(lab: Lab, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    """A Prometheus that scraped the start and the end of a pressure sweep, and the sweep."""
    folder = tmp_path_factory.mktemp("live")
    lab.drop_ballast()  # of one that failed
    specs = [ImageSpec(f"golem-ai/app-{number}", "v1", (Layer(6 * MB, number),), LAST_YEAR) for number in range(6)]
    lab.pull_all(image.reference(COMPANY) for image in lab.push(*specs))
    policy = {"grace": "0s", "rules": [RULE]}
    pressure = {"check_every": "1s", "grace": "0s", "bytes": {"high": 75, "low": 70}}
    sections: dict[str, Any] = {"mode": "full", "policy": policy, "pressure": pressure, "nightly": NO_NIGHT}
    began = int(time.time())
    with (
        DaemonProcess(folder, lab.endpoint, **sections) as daemon,
        PrometheusServer(folder, request.param, config=SCRAPE.format(port=daemon.port)) as server,
    ):
        counter = 'image_cleaner_sweeps_total{trigger="pressure"}'
        daemon.wait_for(
            lambda: _value(server.query(f"count_over_time({counter}[1h])", time.time())) >= 2, "two scrapes"
        )
        lab.fill(78)
        daemon.wait_for_event("sweep_ended")
        sweeps, at = daemon.wait_for(lambda: between_sweeps(daemon, server), "a scrape while there is no sweep")
        yield Scraped(server, sweeps, began, at)
    lab.drop_ballast()


def between_sweeps(daemon: DaemonProcess, server: PrometheusServer) -> tuple[list[SweepTrace], float] | None:
    """All sweeps until a scrape, and its time; None if a sweep was in progress then."""
    daemon.wait_for_checks(1)
    ended, now = len(daemon.events("sweep_ended")), time.time()
    latest = "timestamp(image_cleaner_build_info)"
    at = daemon.wait_for(lambda: _later(server.query(latest, time.time()), now), "another scrape")
    if len(daemon.events("sweep_started")) != ended:
        return None
    return [trace_sweep(daemon, number) for number in range(1, ended + 1)], at


def _later(found: list[Any], than: float) -> float | None:
    value = _value(found)
    return value if value > than else None


def _value(found: list[Any]) -> float:
    return sum(float(series["value"][1]) for series in found)


@pytest.mark.parametrize("name", NAMES)
def test_every_query_answers(scraped: Scraped, name: str) -> None:
    """No query fails, and each query of the agent's series has a result, except for those with a reason."""
    values = values_at_first(read_board(name)) | GRAFANAS
    empty = {query.where for query in queries_of(name) if not scraped.ask(query, values) and "kube" not in query.expr}
    assert empty - BY_CHANCE.keys() == {where for where in EMPTY if where.startswith(f"{name} /")}


def test_the_boards_show_what_the_daemon_did(scraped: Scraped) -> None:
    """Evictions, reclaimed bytes and the time of the sweep match the log."""
    shown = {query.where: query.expr for query in queries_of("node")}
    values = values_at_first(read_board("node")) | GRAFANAS

    def value_of(where: str) -> float:
        return _value(scraped.server.query(interpolate(shown[where], values), scraped.at))

    evicted = sum(len(sweep.evictions) for sweep in scraped.sweeps)
    reclaimed_bytes = sum(sweep.reclaimed_by("expired") for sweep in scraped.sweeps)
    print(f"\nevicted {evicted} images: {reclaimed_bytes} bytes")
    assert evicted
    assert value_of("node / Images evicted / A") == pytest.approx(evicted)
    assert value_of("node / Estimated and reclaimed bytes / B") == pytest.approx(reclaimed_bytes)
    last = scraped.sweeps[-1].ended
    began, logged = (datetime.fromisoformat(last[key]).timestamp() for key in ("started_at", "timestamp"))
    assert began < value_of("node / annotation Sweep") / 1000 <= logged
