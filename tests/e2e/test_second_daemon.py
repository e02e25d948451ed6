"""Two daemons on one container runtime, each with a ledger of its own: the second one ends."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lab import ImageSpec, Lab, Layer
from lab.waiting import DEADLINE_SECONDS
from support.daemon_process import DaemonProcess, wait_for
from support.lab_node import config_text, environment_of, run_cleaner

REGISTRY = "registry.gitlab.com"
RULES = {"rules": [{"name": "company", "match": [f"{REGISTRY}/golem-ai/**"], "max_age": "30d"}]}
REFUSED = "another cleaner runs on this container runtime and holds the lock of "


@pytest.fixture(scope="module")
def lab(lab_version: str) -> Iterator[Lab]:
    with Lab(version=lab_version, size_mib=400) as lab:
        yield lab


def sections_of(folder: Path, name: str, **more: object) -> dict[str, Any]:
    """A configuration with a state directory of its own."""
    return {"policy": RULES, "state": {"path": str(folder / name / "ledger.db")}} | more


def run_second(lab: Lab, folder: Path, prefix: list[str], **more: object) -> subprocess.CompletedProcess[str]:
    """A daemon to its end, behind a prefix of its command."""
    config = folder / "second.yaml"
    config.write_text(config_text(**sections_of(folder, "second", web={"listen": "127.0.0.1:0"}, **more)), "utf-8")
    command = [*prefix, *DaemonProcess.command, "--config", str(config)]
    environment = environment_of(lab.endpoint)
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )


def the_refusal(second: subprocess.CompletedProcess[str]) -> str:
    """The line that says why the second daemon ended; it is the only one that is not of the log."""
    assert second.returncode == 3, second.stderr
    [line] = [line for line in second.stderr.splitlines() if not line.startswith("{")]
    return line


def test_second_daemon_on_a_runtime(lab: Lab, tmp_path: Path) -> None:
    """It ends with status 3 and names the lock; the first one, and commands by hand, go on."""
    images = lab.root / "io.containerd.snapshotter.v1.overlayfs"
    with DaemonProcess(tmp_path / "a", lab.endpoint, **sections_of(tmp_path, "first")) as first:
        first.wait_for_event("runtime_up")
        line = the_refusal(run_second(lab, tmp_path, []))
        print(f"\n{line}")
        assert f"{REFUSED}{images}; end it: " in line
        with_path = run_second(lab, tmp_path, [], filesystem={"path": str(lab.disk)})
        assert f"{REFUSED}{images}; end it: " in the_refusal(with_path)
        for command in (["plan"], ["check"], ["sweep"]):
            ran = run_cleaner(command, lab, config_text(**sections_of(tmp_path, "by-hand")))
            assert ran.returncode == 0, ran.stderr
        first.wait_for_checks(1)
        first.send_signal(signal.SIGKILL)
        first.wait_for_exit()
        with DaemonProcess(tmp_path / "b", lab.endpoint, **sections_of(tmp_path, "second")) as successor:
            successor.wait_for_event("runtime_up")


def test_containerd_is_not_disturbed_by_the_lock(lab: Lab, tmp_path: Path) -> None:
    """It pulls, removes and restarts while the lock is held, and the lock outlasts the restart."""
    with DaemonProcess(tmp_path / "a", lab.endpoint, **sections_of(tmp_path, "first")) as first:
        first.wait_for_event("runtime_up")
        [built, other] = lab.push(
            *(ImageSpec("golem-ai/app", f"v{n}", (Layer(3_000_000, n),), "2026-01-01T00:00:00Z") for n in (1, 2))
        )
        lab.pull(built.reference(REGISTRY))
        lab.restart()
        lab.pull(other.reference(REGISTRY))
        lab.start_pod(other.reference(REGISTRY))
        lab.remove_tag(built.reference(REGISTRY))
        first.wait_for_checks(1)
        assert REFUSED in the_refusal(run_second(lab, tmp_path, []))


def test_lock_is_seen_from_another_mount_namespace(lab: Lab, tmp_path: Path) -> None:
    """Where each daemon is in a pod, the runtime's directory is a read-only mount in a mount namespace of its own."""
    read_only = f'mount --bind "{lab.root}" "{lab.root}" && mount -o remount,ro,bind "{lab.root}" && exec "$@"'
    in_a_pod = ["unshare", "--mount", "--propagation", "private", "sh", "-c", read_only, "sh"]

    class InAPod(DaemonProcess):
        command = (*in_a_pod, *DaemonProcess.command)

    with InAPod(tmp_path / "a", lab.endpoint, **sections_of(tmp_path, "first")) as first:
        first.wait_for_event("runtime_up")
        assert REFUSED in the_refusal(run_second(lab, tmp_path, in_a_pod))
        assert REFUSED in the_refusal(run_second(lab, tmp_path, []))


def test_second_daemon_that_waited_for_the_runtime(lab: Lab, tmp_path: Path) -> None:
    """While the runtime is unavailable both wait; once it is there, one of them ends and says why."""
    lab.stop()
    pressure = {"check_every": "1s"}
    with ExitStack() as both:
        daemons = [
            both.enter_context(
                DaemonProcess(tmp_path / name, lab.endpoint, pressure=pressure, **sections_of(tmp_path, name))
            )
            for name in ("first", "second")
        ]
        for daemon in daemons:
            daemon.wait_for_event("runtime_down")
        lab.start()
        wait_for(lambda: 3 in statuses_of(daemons), "one of the two ends")
        [ended] = [daemon for daemon in daemons if daemon.exit_status == 3]
        [left] = [daemon for daemon in daemons if daemon is not ended]
        left.wait_for_event("runtime_up")
        left.wait_for_checks(2)
        assert REFUSED in ended.log_text()
        assert REFUSED not in left.log_text()


def statuses_of(daemons: list[DaemonProcess]) -> list[int | None]:
    return [daemon.exit_status for daemon in daemons]
