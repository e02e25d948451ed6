"""A ledger that cannot be read or written costs memory only: pressure sweeps continue, nightly runs are suspended."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cleaner.ledger.ledger import SqliteLedger
from cleaner.node.clock import SystemTimer
from lab import ImageSpec, Lab, Layer
from lab.bare_disk import bare_disk
from lab.disk import Ballast, DiskSpec
from lab.shell import run
from support.daemon_process import DaemonProcess, trace_sweep
from support.lab_node import run_cleaner_at

MB = 1_000_000
COMPANY = "registry.gitlab.com"
RULES = [{"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}]
EACH_MINUTE = {"schedule": "* * * * *", "splay": "0s", "window": "1h"}
TODAY = datetime.now(UTC)


@dataclass
class State:
    """A small disk of its own for the state."""

    directory: Path

    @property
    def ledger(self) -> Path:
        return self.directory / "ledger.db"

    def remount(self, how: str) -> None:
        run("mount", "-o", f"remount,{how}", self.directory)


@pytest.fixture
def state(require_lab: None) -> Iterator[State]:
    with bare_disk(DiskSpec(size_mib=8)) as directory:
        yield State(directory)


def no_room(state: State) -> Callable[[], None]:
    ballast = Ballast(state.directory)
    ballast.fill_completely()
    return ballast.drop


def read_only(state: State) -> Callable[[], None]:
    state.remount("ro")
    return lambda: state.remount("rw")


def newer(state: State) -> Callable[[], None]:
    """Written by a version that this one cannot read; mended by moving it away, as the line says."""
    own = SqliteLedger(state.ledger, keep=timedelta(days=90), grace=timedelta(0), timer=SystemTimer())
    own.store_images((), frozenset(), datetime.now(UTC))
    own.close()
    with sqlite3.connect(state.ledger) as ledger:
        ledger.execute("UPDATE meta SET value = 99 WHERE key = 'readable_from'")
        ledger.execute("PRAGMA user_version = 99")
    ledger.close()
    before = state.ledger.read_bytes()

    def move_away() -> None:
        assert state.ledger.read_bytes() == before
        state.ledger.rename(state.directory / "newer.db")

    return move_away


def pull_aged(lab: Lab, numbers: range) -> None:
    """Images of 6 MB that are long past their max_age; the lower the number the older."""
    specs = [
        ImageSpec(
            "golem-ai/app",
            f"v{number:02}",
            (Layer(6 * MB, number),),
            f"{TODAY - timedelta(days=90 - number):%Y-%m-%dT00:00:00Z}",
        )
        for number in numbers
    ]
    lab.pull_all(image.reference(COMPANY) for image in lab.push(*specs))


def daemon_of(lab: Lab, state: State, folder: Path, grace: str) -> DaemonProcess:
    used = lab.usage().used_percent
    return DaemonProcess(
        folder,
        lab.endpoint,
        policy={"grace": grace, "rules": RULES},
        nightly=EACH_MINUTE,
        pressure={"check_every": "1s", "grace": "0s", "bytes": {"high": used - 0.5, "low": used - 5}},
        state={"path": str(state.ledger), "sample_every": "1s"},
    )


@pytest.mark.parametrize("fault", [no_room, read_only, newer], ids=lambda fault: fault.__name__)
def test_memory_fails_and_is_mended(fault: Callable[[State], Callable[[], None]], state: State, tmp_path: Path) -> None:
    """Pressure evicts, there is no nightly sweep, it is said once; once mended, evictions made meanwhile are known."""
    with Lab(version="2", size_mib=300) as lab:
        pull_aged(lab, range(12))
        mend = fault(state)
        with daemon_of(lab, state, tmp_path, grace="0s") as daemon:
            sweep = trace_sweep(daemon)
            assert sweep.ended["stop_reason"] == "low_watermark"
            daemon.wait_for_event("nightly_suspended")
            daemon.wait_for_checks(5)
            [down] = daemon.events("ledger_down")
            print(f"\n{down['reason']}")
            assert [line["watched_since"] for line in daemon.events("nightly_suspended")] == [None]
            scrape = daemon.scrape()
            assert (scrape.value("ledger_up"), scrape.value("sweeps_total", trigger="nightly")) == (0, 0)
            assert not daemon.events("loop_error")
            mend()
            daemon.wait_for_value(1, "ledger_up")
            daemon.wait_for_event("nightly_done")
            told = run_cleaner_at(["history"], lab.endpoint, daemon.config)
            assert all(name in told.stdout for name in sweep.names), told.stdout
            assert len(daemon.events("ledger_down")) == 1


def test_zeros_are_set_aside(state: State, tmp_path: Path) -> None:
    """A ledger of zeros is renamed, never deleted, and a new one begun, with which nightly runs are suspended."""
    zeros = bytes(100_000)
    state.ledger.write_bytes(zeros)
    with Lab(version="2", size_mib=300) as lab:
        pull_aged(lab, range(12))
        with daemon_of(lab, state, tmp_path, grace="24h") as daemon:
            assert trace_sweep(daemon).ended["stop_reason"] == "low_watermark"
            suspended = daemon.wait_for_event("nightly_suspended")
            daemon.wait_for_checks(5)
            [up] = daemon.events("ledger_up")
            print(f"\nset aside as {up['set_aside']}, watching since {suspended['watched_since']}")
            assert Path(up["set_aside"]).read_bytes() == zeros
            assert (up["level"], suspended["watched_since"]) == ("warning", up["installed_at"])
            scrape = daemon.scrape()
            assert (scrape.value("ledger_up"), scrape.value("sweeps_total", trigger="nightly")) == (1, 0)
