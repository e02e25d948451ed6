"""It stays up: whatever the runtime does, and until it is told to stop, which it does at once."""

import http.client
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import pytest

from lab import ImageSpec, Lab, Layer
from support.crio_server import CrioServer, ServedImage
from support.daemon_process import DaemonProcess, Line, trace_sweep
from support.lab_node import config_text, run_cleaner_at

MB = 1_000_000
COMPANY = "registry.gitlab.com"
RULES = {"rules": [{"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}]}
OK, AWAY = http.client.OK, http.client.SERVICE_UNAVAILABLE
ATTEMPTS = 5
TODAY = datetime.now(UTC)


@pytest.fixture(scope="module")
def lab(require_lab: None) -> Iterator[Lab]:
    """One for the module: each test has images of its own, and watermarks that fit the disk as it finds it."""
    with Lab(version="1.7", size_mib=400) as lab:
        yield lab


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, since a socket's path has to be."""
    with TemporaryDirectory(prefix="stays-up-") as path:
        yield Path(path)


def pull_aged(lab: Lab, repository: str, number: int, size_bytes: int) -> list[str]:
    """So many images of one repository, the oldest first."""
    dates = [f"{TODAY - timedelta(days=number - index):%Y-%m-%dT00:00:00Z}" for index in range(number)]
    layers = [Layer(size_bytes, hash_of(repository) + index) for index in range(number)]
    specs = [
        ImageSpec(f"golem-ai/{repository}", f"v{index:02}", (layer,), date)
        for index, (layer, date) in enumerate(zip(layers, dates, strict=True))
    ]
    return lab.pull_all(image.reference(COMPANY) for image in lab.push(*specs))


def hash_of(text: str) -> int:
    """The same in every run."""
    return int.from_bytes(text.encode(), "big") % 10**9 * 1000


def remaining(lab: Lab, ids: list[str]) -> list[str]:
    return [known for known in ids if lab.find_image(known) == known]


def pressure_of(lab: Lab, points: float) -> dict[str, object]:
    """Watermarks such that the disk is just past the high one, and the low one the given points below."""
    used = lab.usage().used_percent
    return {"check_every": "1s", "grace": "0s", "bytes": {"high": used - 0.5, "low": used - points}}


def probes(daemon: DaemonProcess) -> tuple[int, int]:
    """/livez and /readyz."""
    return daemon.get("/livez")[0], daemon.get("/readyz")[0]


def wait_for_probes(daemon: DaemonProcess, live: int, ready: int) -> None:
    """They receive each event last, after the log and the metrics."""
    daemon.wait_for(lambda: probes(daemon) == (live, ready), f"/livez is {live} and /readyz {ready}")


def test_runtime_that_is_restarted(lab: Lab, tmp_path: Path) -> None:
    """A runtime that is missing, starts, crashes and starts again is waited for, and used whenever it is there."""
    ids = pull_aged(lab, "first", 6, 6 * MB)
    pressure = pressure_of(lab, 8)
    lab.stop()
    with DaemonProcess(tmp_path, lab.endpoint, mode="pressure", policy=RULES, pressure=pressure) as daemon:
        daemon.wait_for_event("runtime_down")
        assert daemon.scrape().value("runtime_up") == 0
        assert probes(daemon) == (OK, AWAY)
        lab.start()
        daemon.wait_for_value(1, "runtime_up")
        wait_for_probes(daemon, OK, OK)
        first = trace_sweep(daemon)
        assert first.ended["stop_reason"] == "low_watermark"
        # Past the count of images after a sweep: reads wait ten seconds for an unavailable runtime.
        daemon.wait_for_checks(1)
        lab.kill()
        daemon.wait_for_value(0, "runtime_up")
        wait_for_probes(daemon, OK, AWAY)
        lab.start()
        daemon.wait_for_value(1, "runtime_up")
        wait_for_probes(daemon, OK, OK)
        lab.fill(first.ended["used_percent_before"])
        second = trace_sweep(daemon, 2)
        assert second.ended["stop_reason"] == "low_watermark"
        assert first.names + second.names == [f"first:v{index:02}" for index in range(6 - len(remaining(lab, ids)))]
        ups, downs = daemon.events("runtime_up"), daemon.events("runtime_down")
        print(f"\nup {len(ups)} times, down {len(downs)} times; evicted {first.names}, then {second.names}")
        # A machine that stopped for longer than a call may take is reported as well; both of ours are rejected calls.
        ours = [line for line in downs if "DEADLINE_EXCEEDED" not in line["error"]]
        turns = [line["event"] for line in daemon.lines() if line["event"] in {"runtime_up", "runtime_down"}]
        assert len(ours) == 2
        assert turns == ["runtime_down", "runtime_up"] * len(downs)
        assert not daemon.events("loop_error")
    lab.drop_ballast()


def test_list_that_fails(lab: Lab, folder: Path) -> None:
    """While the containers cannot be listed, a sweep fails and nothing is evicted; once they can, it continues."""
    images = [served(number) for number in range(5)]
    with CrioServer(folder / "cri.sock", images=images) as server:
        server.fail("ListContainers", grpc.StatusCode.INTERNAL, "no list today")
        pressure = pressure_of(lab, 1)
        with DaemonProcess(
            folder,
            f"unix://{server.socket}",
            mode="pressure",
            policy=RULES,
            pressure=pressure,
            filesystem={"path": str(lab.disk)},
        ) as daemon:
            failed = daemon.wait_for_event("sweep_failed")
            assert failed["error"] == "ListContainers: INTERNAL: no list today"
            daemon.wait_for_event("sweep_failed", 2)
            assert daemon.scrape().total("evictions_total") == 0
            assert server.count("RemoveImage") == 0
            assert len(server.images) == len(images)
            assert probes(daemon) == (OK, OK)
            server.heal()
            ended = daemon.wait_for_event("sweep_ended")
            scrape = daemon.wait_for_value(len(images), "evictions_total", reason="expired")
            assert not server.images
            failures = daemon.events("sweep_failed")
            print(f"\nfailed {len(failures)} times: {failed['error']}; then {ended['evicted']} images in one sweep")
            assert {line["error"] for line in failures} == {failed["error"]}
            assert scrape.by_label("sweep_failures_total") == {"pressure": len(failures)}
            # Each try that failed is a sweep; the one that ended may be counted a moment later.
            assert scrape.value("sweeps_total", trigger="pressure") >= len(failures)
            assert daemon.lines().index(failures[-1]) < daemon.lines().index(ended)


def served(number: int) -> ServedImage:
    """An image whose size is not known: that of others would bound what their removals free, here nothing."""
    known = f"sha256:{number:064x}"
    return ServedImage(
        known,
        tags=(f"{COMPANY}/golem-ai/served:v{number}",),
        digests=(f"{COMPANY}/golem-ai/served@{known}",),
        size_bytes=0,
        created="2020-01-01T00:00:00Z",
    )


def test_stop_in_a_sweep(lab: Lab, tmp_path: Path) -> None:
    """A signal ends a sweep after the image that is on its way; all others are still there."""
    for attempt in range(ATTEMPTS):
        ids = pull_aged(lab, "many", 60, 10_000)
        assert remaining(lab, ids) == ids
        lab.fill(90.0)
        pressure = {"check_every": "1s", "grace": "0s", "bytes": {"high": 80, "low": 10}}
        folder = tmp_path / str(attempt)
        with DaemonProcess(folder, lab.endpoint, mode="pressure", policy=RULES, pressure=pressure) as daemon:
            daemon.wait_for_event("eviction", 5)
            with standing_still(lab):
                # A sweep that is almost over cannot be stopped in its midst: where this test stood still since the
                # fifth image, it begins anew.
                is_over = len(daemon.events("eviction_started")) > len(ids) - 5
                daemon.send_signal(signal.SIGTERM)
                told_at = datetime.now(UTC)
            assert daemon.wait_for_exit() == 0
        lab.drop_ballast()
        if not is_over:
            assert_stopped(daemon, lab, ids, told_at)
            return
    pytest.fail(f"{ATTEMPTS} sweeps were over before they could be stopped")


@contextmanager
def standing_still(lab: Lab) -> Iterator[None]:
    """The runtime answers nothing meanwhile, so no sweep gets on."""
    pid = lab.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def assert_stopped(daemon: DaemonProcess, lab: Lab, ids: list[str], told_at: datetime) -> None:
    """At most one image after the signal, and the log names the removed ones."""
    [ended] = daemon.events("sweep_ended")
    assert ended["stop_reason"] == "stop_requested"
    assert daemon.lines()[-1]["event"] == "daemon_stopped"
    gone = [line["image_id"] for line in daemon.events("eviction") if line["outcome"] == "evicted"]
    begun = [line for line in daemon.events("eviction_started") if time_of(line) > told_at]
    print(f"\n{len(gone)} of {len(ids)} images gone, {len(begun)} of them begun after the signal", end=" ")
    print(f"(it may come between the question and the first word of the next); exit status {daemon.exit_status}")
    assert len(begun) <= 1
    assert len(gone) == ended["evicted"]
    assert set(remaining(lab, ids)) == set(ids) - set(gone)
    assert 5 <= len(gone) < len(ids)
    assert ended["not_reached"] >= len(ids) - len(gone)


def time_of(line: Line) -> datetime:
    return datetime.fromisoformat(line["timestamp"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("runtime", ["there", "away"])
def test_stop_while_idle(number: signal.Signals, runtime: str, lab: Lab, folder: Path) -> None:
    """Between two checks a signal ends it, and not the next check; with a runtime and without."""
    endpoint = lab.endpoint if runtime == "there" else f"unix://{folder}/none.sock"
    with DaemonProcess(folder, endpoint, mode="pressure", policy=RULES, pressure={"check_every": "2m"}) as daemon:
        idle = daemon.wait_for_event("images_inventoried" if runtime == "there" else "runtime_down")
        began = time.monotonic()
        daemon.send_signal(number)
        assert daemon.wait_for_exit() == 0
        print(f"\n{number.name} with the runtime {runtime}: gone after {1000 * (time.monotonic() - began):.0f} ms")
        stopped = daemon.lines()[-1]
        assert stopped["event"] == "daemon_stopped"
        assert time_of(stopped) - time_of(idle) < timedelta(minutes=2)


def test_port_that_is_taken(folder: Path) -> None:
    """A second daemon at the same port says so in one line and ends, before all else; the first one runs on."""
    endpoint = f"unix://{folder}/none.sock"
    with DaemonProcess(folder, endpoint, policy=RULES) as first:
        config = folder / "second.yaml"
        config.write_text(
            config_text(
                policy=RULES,
                web={"listen": f"127.0.0.1:{first.port}"},
                state={"path": str(folder / "second/ledger.db")},
            ),
            encoding="utf-8",
        )
        second = run_cleaner_at(["run"], endpoint, config)
        assert second.returncode == 3
        [line] = second.stderr.splitlines()
        print(f"\n{line}")
        assert f"127.0.0.1:{first.port} is taken" in line
        assert not (folder / "second").exists()
        assert first.get("/livez")[0] == OK


def test_second_daemon_of_a_node(folder: Path) -> None:
    """A second daemon with the same state says so in one line and ends; the first one runs on."""
    endpoint, state = f"unix://{folder}/none.sock", {"path": str(folder / "ledger.db")}
    with DaemonProcess(folder, endpoint, policy=RULES, state=state) as first:
        config = folder / "second.yaml"
        config.write_text(config_text(policy=RULES, web={"listen": "127.0.0.1:0"}, state=state), encoding="utf-8")
        second = run_cleaner_at(["run"], endpoint, config)
        assert second.returncode == 3
        [line] = second.stderr.splitlines()
        print(f"\n{line}")
        assert "another cleaner runs on this node" in line
        assert first.get("/livez")[0] == OK
