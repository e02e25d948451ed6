"""The real daemon as a process of its own: started, read by its log and its port, always ended.

It does not look inside: what the daemon did is known by its log, its metrics, its probes and its exit status.
"""

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from lab.ports import reserve_port
from lab.waiting import DEADLINE_SECONDS
from support.lab_node import CLEANER, config_text, environment_of

_POLL_SECONDS = 0.02

NO_NIGHT = {"schedule": f"0 0 1 {(datetime.now(UTC).month + 5) % 12 + 1} *", "splay": "0s", "overdue": "36500d"}
"""A `nightly` section whose next window is about half a year away on any date."""

Line = dict[str, Any]
Labels = frozenset[tuple[str, str]]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Scrape:
    """One answer of /metrics."""

    samples: Mapping[tuple[str, Labels], float]

    def value(self, name: str, **labels: str) -> float:
        """One sample, by its name without `image_cleaner_` and all of its labels."""
        return self.samples[f"image_cleaner_{name}", frozenset(labels.items())]

    def total(self, name: str) -> float:
        """The sum over all labels."""
        return sum(self.by_label(name).values())

    def by_label(self, name: str) -> dict[str, float]:
        """The samples of a metric with one label, by its value, without those that are 0."""
        found = {labels: value for (known, labels), value in self.samples.items() if known == f"image_cleaner_{name}"}
        return {next(iter(labels))[1]: value for labels, value in found.items() if value}


def read_scrape(text: str) -> Scrape:
    """The samples of the text format."""
    families = text_string_to_metric_families(text)
    samples = (sample for family in families for sample in family.samples)
    return Scrape({(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples})


def wait_for(condition: Callable[[], Value | None], what: str, seconds: float = DEADLINE_SECONDS) -> Value:
    """What a condition gives once it is neither None nor False; AssertionError after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value is not None and value is not False:
            return value
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
        time.sleep(_POLL_SECONDS)


class DaemonProcess:
    """`cleaner run`; in a with-block it serves its port, and is ended afterwards, its log shown if the block failed."""

    command: tuple[str, ...] = (str(CLEANER), "run")
    """What takes `--config`."""

    def __init__(
        self, folder: Path, endpoint: str, environment: Mapping[str, str] | None = None, **sections: object
    ) -> None:
        """Describe a daemon of these sections of a configuration; web, log and startup_delay are set here."""
        self._environment = environment
        self.port = reserve_port()
        self._endpoint = endpoint
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / f"daemon-{self.port}.yaml"
        self._log = folder / f"daemon-{self.port}.log"
        own = {"web": {"listen": f"127.0.0.1:{self.port}"}, "log": {"level": "debug", "format": "json"}}
        state = {"state": {"path": str(folder / f"ledger-{self.port}.db")}}
        self.config.write_text(config_text(**{"startup_delay": "0s"} | state | sections | own), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Run it and wait until it serves its port."""
        command = [*self.command, "--config", str(self.config)]
        environment = environment_of(self._endpoint, self._environment)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self.wait_for(self._serves, "the daemon serves its port")
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = self._running()
        if running.poll() is None:
            running.kill()
            running.wait()
        if kind is not None:
            sys.stdout.write(f"--- daemon at port {self.port}, exit status {self.exit_status} ---\n{self.log_text()}")

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._running().poll()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, by its own process id."""
        self._running().send_signal(number)

    def wait_for_exit(self, seconds: float = DEADLINE_SECONDS) -> int:
        """The exit status, once it ends by itself."""
        return self._running().wait(seconds)

    def log_text(self) -> str:
        """All that it wrote so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def lines(self) -> list[Line]:
        """The lines of the log that are complete."""
        whole, newline, _ = self.log_text().rpartition("\n")
        return [json.loads(line) for line in (whole + newline).splitlines()]

    def events(self, name: str) -> list[Line]:
        """The lines of one event so far."""
        return [line for line in self.lines() if line["event"] == name]

    def wait_for(self, condition: Callable[[], Value | None], what: str, seconds: float = DEADLINE_SECONDS) -> Value:
        """As the function does, but for a daemon that ended: no condition comes true then."""

        def alive() -> Value | None:
            assert self.exit_status is None, f"the daemon ended with {self.exit_status}, waiting for: {what}"
            return condition()

        return wait_for(alive, what, seconds)

    def wait_for_event(self, name: str, number: int = 1) -> Line:
        """The first, second, ... line of an event, once it is there."""

        def found() -> Line | None:
            events = self.events(name)
            return events[number - 1] if len(events) >= number else None

        return self.wait_for(found, f"line {number} of {name}")

    def wait_for_value(self, expected: float, name: str, **labels: str) -> Scrape:
        """The first scrape in which a sample has this value."""

        def reached() -> Scrape | None:
            scrape = self.scrape()
            return scrape if scrape.value(name, **labels) == expected else None

        return self.wait_for(reached, f"{name}{labels or ''} is {expected:g}")

    def wait_for_checks(self, number: int, seconds: float = DEADLINE_SECONDS) -> None:
        """Return once the loop has made this many more rounds: each round asks the runtime for its version."""
        first = self._rounds()
        # One more, since the round that is under way began before.
        self.wait_for(lambda: self._rounds() > first + number, f"{number} checks", seconds)

    def _rounds(self) -> float:
        return self.scrape().value("runtime_requests_total", method="Version")

    def scrape(self) -> Scrape:
        """What /metrics says now."""
        status, text = self.get("/metrics")
        assert status == http.client.OK, text
        return read_scrape(text)

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one page, past any proxy that the environment names."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def _serves(self) -> bool:
        try:
            return self.get("/livez")[0] == http.client.OK
        except OSError:
            return False

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "the daemon was not started"
        return self._process


class WithoutPulls(DaemonProcess):
    """A daemon that counts no pulls in progress."""

    command = (sys.executable, str(Path(__file__).with_name("lesser_daemon.py")))


class AtTheLevel(DaemonProcess):
    """A daemon that goes by the level only: it counts no pulls, and checks as often as configured."""

    command = (*WithoutPulls.command, "--even")


@dataclass(frozen=True)
class SweepTrace:
    """One sweep as the log tells it."""

    started: Line
    evictions: list[Line]
    """Those that evicted an image, in order."""
    ended: Line
    capacity_bytes: int

    @property
    def names(self) -> list[str]:
        """The last part of each evicted image's first name: `app:v1`."""
        return [line["references"][0].rpartition("/")[2] for line in self.evictions]

    @property
    def available_before(self) -> int:
        """Bytes, as measured before the first eviction; percentages are exact to less than a byte."""
        return self._available(self.ended["used_percent_before"])

    @property
    def available_after(self) -> int:
        """Bytes, as they were measured when the sweep was over."""
        return self._available(self.ended["used_percent_after"])

    def used_after_each(self) -> list[float]:
        """Percent after each eviction, by what was measured before the first one and freed since."""
        freed = accumulate(line["reclaimed_bytes"] for line in self.evictions)
        return [self.used_percent(self.available_before + some) for some in freed]

    def used_before_last(self) -> float:
        """Percent before the last eviction, by what was measured after it and freed by it."""
        return self.used_percent(self.available_after - self.evictions[-1]["reclaimed_bytes"])

    def used_percent(self, available_bytes: int) -> float:
        """The share of bytes in use."""
        return 100 * (self.capacity_bytes - available_bytes) / self.capacity_bytes

    def reclaimed_by(self, reason: str) -> int:
        """Bytes freed by the evictions for one reason."""
        return sum(line["reclaimed_bytes"] for line in self.evictions if line["reason"] == reason)

    def count_of(self, reason: str) -> int:
        """Evictions for one reason."""
        return sum(line["reason"] == reason for line in self.evictions)

    def _available(self, used_percent: float) -> int:
        return round(self.capacity_bytes * (1 - used_percent / 100))


def trace_sweep(daemon: DaemonProcess, number: int = 1) -> SweepTrace:
    """The first, second, ... sweep of a daemon, once it is over."""
    ended = daemon.wait_for_event("sweep_ended", number)
    lines = daemon.lines()
    end = lines.index(ended)
    begin = max(index for index, line in enumerate(lines[:end]) if line["event"] == "sweep_started")
    evictions = [line for line in lines[begin:end] if line["event"] == "eviction" and line["outcome"] == "evicted"]
    capacity_bytes = int(daemon.scrape().value("filesystem_size_bytes", filesystem="images"))
    return SweepTrace(lines[begin], evictions, ended, capacity_bytes)
