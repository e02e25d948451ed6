"""Runs the demo and prints what was evicted, what stayed and why.

Every figure is one that it read: plan, log and metrics are the real daemon's own.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from cleaner.outlets.terminal.metric_changes import Samples, samples_of
from cleaner.outlets.terminal.tables import print_changes, print_rows
from cleaner.outlets.units import human_bytes, short_id
from demo import scenario
from lab import Lab, LabUnavailable, reason_unavailable
from lab.ports import reserve_port

CLEANER = Path(sys.executable).with_name("cleaner")
DEADLINE_SECONDS = 300.0

Record = dict[str, Any]
"""An object of the daemon's JSON."""


def main() -> int:
    """The demo on a real containerd, or else the simulated one."""
    reason = reason_unavailable()
    if reason is None:
        try:
            return _show_real()
        except LabUnavailable as error:
            reason = str(error)
    print(f"No private containerd here: {reason}\nRunning `cleaner demo` instead, on a simulated node.\n", flush=True)
    return subprocess.run([CLEANER, "demo"], check=False).returncode


def _show_real() -> int:
    began = time.monotonic()
    with Lab(size_mib=scenario.SIZE_MIB) as lab:
        _say(f"containerd {lab.version} is up, on a disk of its own ({scenario.SIZE_MIB} MiB)")
        scenario.pull_settled(lab)
        settled = time.monotonic()
        _wait_until(lambda: time.monotonic() - settled > scenario.GRACE_SECONDS, "the grace of the settled images")
        scenario.pull_recent(lab)
        _say(f"the node is ready: {lab.usage().used_percent:.1f} % used; high watermark 75 %, low watermark 65 %\n")
        _run_daemon(lab)
    _say(f"\neverything is taken down again; {time.monotonic() - began:.0f} s in all")
    return 0


def _run_daemon(lab: Lab) -> None:
    """Plan, let the daemon sweep once, and print what it did."""
    port = reserve_port()
    config = scenario.write_config(lab.folder / "cleaner.yaml", port)
    log = lab.folder / "cleaner.log"
    environ = os.environ | {"CONTAINER_RUNTIME_ENDPOINT": lab.endpoint}
    command: list[str | Path] = [CLEANER, "plan", "--trigger", "pressure", "-o", "json", "--config", config]
    plan = json.loads(subprocess.run(command, env=environ, check=True, capture_output=True).stdout)
    with log.open("wb") as stream:
        daemon = subprocess.Popen([CLEANER, "run", "--config", config], env=environ, stderr=stream)
    try:
        _wait_until(lambda: _scrape(port).get("image_cleaner_runtime_up") == 1, "the daemon's port")
        before = _scrape(port)
        _say("the daemon runs; it checks every second")
        _wait_until(lambda: bool(_records(log, "sweep_ended")), "the sweep")
        after = _scrape(port)
    finally:
        daemon.send_signal(signal.SIGTERM)
        status = daemon.wait(timeout=DEADLINE_SECONDS)
    _print_images(plan["images"], {record["image_id"]: record for record in _records(log, "eviction")})
    print_changes(before, after, sys.stdout)
    _say(f"{lab.usage().used_percent:.1f} % used now; the daemon ended with status {status}")


def _print_images(images: list[Record], evictions: dict[str, Record]) -> None:
    """Each image as the plan has it, with what became of it."""
    rows: list[tuple[str, ...]] = []
    for image in images:
        eviction: Record = evictions.get(image["id"], {})
        rows.append(
            (
                eviction.get("outcome", "kept"),
                str(eviction.get("reason", image["reason"])),
                image["rule"] or "-",
                human_bytes(image["size_bytes"]),
                human_bytes(eviction.get("estimated_bytes", image["estimated_bytes"])),
                human_bytes(eviction.get("reclaimed_bytes")),
                (image["references"] or ["<none>"])[0],
                short_id(image["id"]),
            )
        )
    print_rows(("outcome", "reason", "rule", "size>", "estimated>", "freed>", "image", "id"), rows, sys.stdout)


def _records(log: Path, event: str) -> list[Record]:
    records = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return [record for record in records if record["event"] == event]


def _scrape(port: int) -> Samples:
    """The daemon's metrics; none while its port is not served."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return samples_of(text_string_to_metric_families(answer.read().decode()))
    except OSError:
        return {}


def _wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {DEADLINE_SECONDS:.0f} s")
        time.sleep(0.1)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
