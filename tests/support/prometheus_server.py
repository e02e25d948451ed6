"""A real Prometheus of some version on 127.0.0.1 that is asked over its HTTP API.

It does not outlive its with-block: it is ended by its own process, and its log is shown if the block failed.
"""

import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from lab.ports import reserve_port
from lab.toolbox import fetch_prometheus, fetch_promtool
from lab.waiting import DEADLINE_SECONDS
from support.daemon_process import wait_for

BLOCK_SECONDS = 7200
"""Of the blocks that Prometheus and promtool make, which begin at multiples of it."""


class QueryRejectedError(AssertionError):
    """An expression that Prometheus cannot evaluate, in its own words."""


def create_blocks(samples: Path, data: Path) -> None:
    """Make blocks of a file of OpenMetrics, as promtool does."""
    words = ("--max-block-duration=720h", "openmetrics", samples, data)
    _promtool("create-blocks-from", *words)


class PrometheusServer:
    """In a with-block it serves what lies in its folder's `data`, and scrapes nothing unless it is told to."""

    def __init__(self, folder: Path, version: str, *flags: str, config: str = "{}\n") -> None:
        self._port = reserve_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        (folder / "prometheus.yml").write_text(config, encoding="utf-8")
        self._command = [
            str(fetch_prometheus(version)),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            "--storage.tsdb.retention.time=10y",
            f"--web.listen-address=127.0.0.1:{self._port}",
            *flags,
        ]

    def __enter__(self) -> Self:
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            wait_for(self._is_ready, "Prometheus is ready")
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if kind is not None:
            print(f"--- prometheus ---\n{(self._folder / 'prometheus.log').read_text(errors='replace')}")

    @property
    def url(self) -> str:
        """Where it is, for a browser."""
        return f"http://127.0.0.1:{self._port}"

    def query(self, expr: str, at: float) -> list[Any]:
        """What an expression is at one time; QueryRejectedError with Prometheus's words where it is rejected."""
        return list(self._ask("query", {"query": expr, "time": str(at)})["result"])

    def query_range(self, expr: str, start: float, end: float, step_seconds: float) -> list[Any]:
        """What it is over time."""
        chosen = {"query": expr, "start": str(start), "end": str(end), "step": str(step_seconds)}
        return list(self._ask("query_range", chosen)["result"])

    def label_values(self, label: str, series: str, start: float, end: float) -> list[str]:
        """The values of a label among some series, as Grafana asks for a variable."""
        chosen = {"match[]": series, "start": str(start), "end": str(end)}
        answer = self._session.get(self._url(f"label/{label}/values"), params=chosen, timeout=DEADLINE_SECONDS)
        return list(_data(answer))

    def rules(self) -> list[Any]:
        """All rules of all groups, with the outcome of their last evaluation and the alerts that they have."""
        answer = self._session.get(self._url("rules"), timeout=DEADLINE_SECONDS)
        return [rule for group in _data(answer)["groups"] for rule in group["rules"]]

    def wait_for_rules(self) -> None:
        """Return once each rule was evaluated, from now on."""
        now = datetime.now(UTC)
        wait_for(lambda: all(_time(rule["lastEvaluation"]) > now for rule in self.rules()), "each rule is evaluated")

    def wait_for_scrapes(self) -> None:
        """Return once each target was scraped, from now on, whether it answered or not."""
        now = datetime.now(UTC)
        wait_for(lambda: all(_time(target["lastScrape"]) > now for target in self._targets()), "each target is scraped")

    def steady_moment(self, record: str) -> float:
        """A time for which all is known, and at which what is there is not there by chance.

        Each target had answered and each rule of the record's group was evaluated on what all said; no scrape failed
        meanwhile, as one may on a busy machine. The record is one that is always there.
        """
        return wait_for(lambda: self._steady_moment(record), "no scrape fails while all have their turn")

    def _steady_moment(self, record: str) -> float | None:
        began = time.time()
        self.wait_for_scrapes()
        self._wait_for_evaluation(record)
        at = time.time()
        # Scrapes of a target and evaluations of a group come one after another: those of before are over then.
        self.wait_for_scrapes()
        self._wait_for_evaluation(record)
        failed = self.query(f"min_over_time(up[{1000 * (at - began):.0f}ms]) == 0 or up == 0", at)
        return None if failed else at

    def _wait_for_evaluation(self, record: str) -> None:
        """Return once a record was evaluated for a time from now on: a late evaluation is for an earlier one."""
        now = time.time()
        later = f"timestamp({record}) > {now}"
        wait_for(lambda: bool(self.query(later, time.time())), f"{record} is recorded")

    def _targets(self) -> list[Any]:
        answer = self._session.get(self._url("targets"), params={"state": "active"}, timeout=DEADLINE_SECONDS)
        return list(_data(answer)["activeTargets"])

    def create_records(self, rules: Path, start: int, end: int, step_seconds: int) -> None:
        """Make blocks of what recording rules would have recorded; they are there after the next start."""
        # From the boundary between two blocks: promtool makes nothing at all where the first block has no evaluation.
        start -= start % BLOCK_SECONDS
        times = (f"--start={start}", f"--end={end}", f"--eval-interval={step_seconds}s")
        words = (f"--url=http://127.0.0.1:{self._port}", f"--output-dir={self._folder}/data", *times, rules)
        _promtool("create-blocks-from", "rules", *words)

    def reload(self) -> None:
        """Let it read its configuration and its rules again; whoever counts on them waits for it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def _ask(self, path: str, chosen: dict[str, str]) -> Any:
        return _data(self._session.post(self._url(path), data=chosen, timeout=DEADLINE_SECONDS))

    def _url(self, path: str) -> str:
        return f"{self.url}/api/v1/{path}"

    def _is_ready(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "Prometheus ended"  # noqa: PT018
        try:
            answer = self._session.get(f"{self.url}/-/ready", timeout=DEADLINE_SECONDS)
        except requests.ConnectionError:
            return False
        return answer.ok


def _promtool(*words: object) -> None:
    command = [str(word) for word in (fetch_promtool(), "tsdb", *words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _data(answer: requests.Response) -> Any:
    found = answer.json()
    if found["status"] != "success":
        raise QueryRejectedError(found["error"])
    assert not found.get("warnings"), found["warnings"]
    return found["data"]
