"""The commands, as processes of their own, against peers that waste their time: each ends when it is told to.

The bounds are generous, since what is tested is that a process ends; the measured times are printed.
"""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab.waiting import wait_until
from support.crio_server import CrioServer
from support.daemon_process import DaemonProcess
from support.hostile_peer import BEHAVIOURS, HostilePeer
from support.lab_node import CLEANER, config_text, environment_of

RULES = {"rules": [{"name": "company", "match": ["registry.example.com/**"], "max_age": "30d"}]}
STOP_SECONDS = 30
"""Longer than any stop takes, and shorter than the hour that a peer would take."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, since a socket's path has to be."""
    with TemporaryDirectory(prefix="hostile-") as path:
        yield Path(path)


def assert_stops(daemon: DaemonProcess) -> None:
    """SIGTERM ends the daemon with status 0, its log has its own lines only, and the stop is no failure of anything."""
    began = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait_for_exit(STOP_SECONDS) == 0
    print(f"\ngone after {time.monotonic() - began:.2f} s", end=" ")
    lines = daemon.lines()
    assert lines[-1]["event"] == "daemon_stopped"
    assert not [line for line in lines if line["event"] in {"library", "thread_crashed", "loop_error"}]
    assert not [line for line in lines if "a stop was requested" in line.get("error", "")]


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_stop_during_a_call(folder: Path, behaviour: str) -> None:
    """SIGTERM during the very first call."""
    with (
        HostilePeer(folder / "s", BEHAVIOURS[behaviour]) as peer,
        DaemonProcess(folder, f"unix://{folder}/s", policy=RULES) as daemon,
    ):
        daemon.wait_for(lambda: peer.visits > 1, "the first calls")
        assert_stops(daemon)


@pytest.mark.parametrize("behaviour", ["PING flood at once", "PING flood after the request", "WINDOW_UPDATE flood"])
def test_rounds_go_on(folder: Path, behaviour: str) -> None:
    """A peer that floods is a runtime that is down: reported once, asked again each round, nothing left behind."""
    pressure = {"check_every": "1s"}
    with (
        HostilePeer(folder / "s", BEHAVIOURS[behaviour]) as peer,
        DaemonProcess(folder, f"unix://{folder}/s", policy=RULES, pressure=pressure) as daemon,
    ):
        daemon.wait_for_event("runtime_down")
        descriptors = daemon.wait_for_value(1, "runtime_request_failures_total", method="Version")
        first = descriptors.samples["process_open_fds", frozenset()]
        scrape = daemon.wait_for_value(4, "runtime_request_failures_total", method="Version")
        last = scrape.samples["process_open_fds", frozenset()]
        print(f"\n{peer.visits} visits, open files {first:g}, then {last:g}", end=" ")
        assert last <= first + 2
        assert len(daemon.events("runtime_down")) == 1
        assert_stops(daemon)


@pytest.mark.parametrize("method", ["ListImages", "ListContainers", "ListPodSandbox", "Status", "ImageFsInfo"])
def test_stop_during_a_read(folder: Path, method: str) -> None:
    """SIGTERM while a read of the inventory goes unanswered ends the daemon too."""
    with CrioServer(folder / "s") as server:
        server.mountpoints = (str(folder),)
        server.hang(method)
        with DaemonProcess(folder, f"unix://{folder}/s", policy=RULES) as daemon:
            daemon.wait_for(lambda: server.count(method) > 0, "the read")
            assert_stops(daemon)


@pytest.mark.parametrize("command", ["plan", "sweep", "check"])
@pytest.mark.parametrize("behaviour", ["PING flood at once", "silence", "a byte a second"])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_commands_end(folder: Path, command: str, behaviour: str, number: signal.Signals) -> None:
    """A command that is waiting for a peer ends after a signal; without a traceback."""
    config = folder / "config.yaml"
    config.write_text(config_text(policy=RULES, state={"path": str(folder / "ledger.db")}), encoding="utf-8")
    with HostilePeer(folder / "s", BEHAVIOURS[behaviour]) as peer:
        process = subprocess.Popen(
            [CLEANER, command, "--config", str(config)],
            env=environment_of(f"unix://{folder}/s"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_until(lambda: peer.visits > (command == "sweep"), "the first call")
            began = time.monotonic()
            process.send_signal(number)
            out, err = process.communicate(timeout=STOP_SECONDS)
        finally:
            process.kill()
        print(f"\nstatus {process.returncode} after {time.monotonic() - began:.2f} s: {err.strip()}", end=" ")
    assert "Traceback" not in out + err
    assert process.returncode != 0


@pytest.mark.parametrize("method", ["Version", "ImageFsInfo"])
def test_no_cri(folder: Path, method: str) -> None:
    """The daemon ends with status 3 and one line where nothing serves CRI."""
    import grpc  # noqa: PLC0415

    with CrioServer(folder / "s") as server:
        server.fail(method, grpc.StatusCode.UNIMPLEMENTED, "unknown service runtime.v1.RuntimeService")
        with DaemonProcess(folder, f"unix://{folder}/s", policy=RULES) as daemon:
            assert daemon.wait_for_exit() == 3
            *lines, last = daemon.log_text().splitlines()
    assert last.startswith(f"cleaner: unix://{folder}/s: nothing there serves")
    assert [json.loads(line)["event"] for line in lines] == ["daemon_started"]
