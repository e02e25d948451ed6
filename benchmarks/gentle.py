"""What pods notice of a nightly sweep: how long they take to start during it, with its pauses and without.

Each figure stands beside that of the same machine in the same minutes without a sweep.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from benchmarks.light import CLEANER, wait_until
from lab import ImageSpec, Lab, Layer
from lab.ports import reserve_port

ROUNDS = 1
IMAGES = 200
QUIET_STARTS = 60
"""Before each sweep and after the last; during a sweep there are as many as it lasts."""
WARM_UP_STARTS = 5
SETTLE_SECONDS = 5
"""After pulls: what they wrote is on the disk, and what they woke sleeps again."""
MIB = 1 << 20
REGISTRY = "registry.gitlab.com"
LAST_YEAR = "2025-06-01T00:00:00Z"
EACH_MINUTE, NEVER = "* * * * *", "0 0 29 2 *"

CONFIG = """\
policy:
  grace: 0s
  rules: [{{name: all, match: ["registry.gitlab.com/night/**"], max_age: 1d}}]
nightly: {{schedule: "{schedule}", splay: 0s, duty_cycle: {duty_cycle}%}}
pressure: {{bytes: {{high: 99, low: 98}}, inodes: {{high: 99, low: 98}}}}
startup_delay: 0s
web: {{listen: "127.0.0.1:{port}"}}
state: {{path: "{folder}/ledger.db"}}
log: {{format: json}}
"""


@dataclass
class Starts:
    """Pods that were started under the same conditions, over all rounds."""

    name: str
    duty_cycle: int | None
    """Percent; None where there is no sweep."""
    seconds: list[float] = field(default_factory=list)
    sweeps: list[dict[str, float]] = field(default_factory=list)
    """The end of each, as the log has it."""
    removal_seconds: list[float] = field(default_factory=list)


def percentile(values: list[float], percent: float) -> float:
    """Nearest rank."""
    return sorted(values)[ceil(percent / 100 * len(values)) - 1]


def main() -> int:
    """A quiet stretch before and after each sweep: the machine's other work is in all figures alike."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    quiet, gentle, full = (
        Starts("no sweep", None),
        Starts("sweep, duty_cycle 20 %", 20),
        Starts("sweep, duty_cycle 100 %", 100),
    )
    with Lab(version="1.7", size_mib=4000, durable=True) as lab:
        print(f"containerd {lab.version} on ext4, a loop disk of 4,000 MiB; {IMAGES} images a sweep", flush=True)
        [app] = lab.push(ImageSpec("day/app", "v1", (Layer(4 * MIB, 1, files=20),), LAST_YEAR))
        lab.pull(app.reference(REGISTRY))
        references = push_candidates(lab)
        for condition in [quiet, gentle, quiet, full] * ROUNDS + [quiet]:
            measure(lab, condition, app.reference(REGISTRY), references)
    report([quiet, gentle, full])
    return 0


def push_candidates(lab: Lab) -> list[str]:
    """What a nightly run evicts: images with a common base and a layer of their own each, of 4 MiB in 40 files."""
    layers = [Layer(4 * MIB, 1000 + number, files=40) for number in range(IMAGES)]
    specs = [ImageSpec("night/app", f"v{number}", (layer,), LAST_YEAR) for number, layer in enumerate(layers)]
    return [image.reference(REGISTRY) for image in lab.push(*specs)]


def measure(lab: Lab, condition: Starts, app: str, references: list[str]) -> None:
    """Start pods, one after another, beside a daemon that is idle or sweeps; each time it is new to the node."""
    lab.pull_all(references)
    time.sleep(SETTLE_SECONDS)
    for _ in range(WARM_UP_STARTS):
        start_pod(lab, app)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, daemon(lab, condition.duty_cycle, Path(folder)) as log:
        if condition.duty_cycle is None:
            seconds = [start_pod(lab, app) for _ in range(QUIET_STARTS)]
        else:
            seconds = start_during_sweep(lab, app, log)
            condition.sweeps += lines_of(log, "sweep_ended")[:1]
            condition.removal_seconds += [line["duration_seconds"] for line in lines_of(log, "eviction")]
    condition.seconds += seconds
    figures = f"p50 {percentile(seconds, 50) * 1000:.0f} ms, p99 {percentile(seconds, 99) * 1000:.0f} ms"
    print(f"{condition.name}: {len(seconds)} pods, {figures}; load before {load:.1f}", flush=True)


def start_during_sweep(lab: Lab, app: str, log: Path) -> list[float]:
    """As many pods as the sweep lasts; the last one, which outlasted it, is left out."""
    seconds = []
    wait_until(lambda: bool(lines_of(log, "sweep_started")), "the nightly sweep begins")
    while not lines_of(log, "sweep_ended"):
        seconds.append(start_pod(lab, app))
    return seconds[:-1]


def start_pod(lab: Lab, reference: str) -> float:
    """Seconds until its container runs; the pod is removed afterwards."""
    began = time.perf_counter()
    pod = lab.start_pod(reference)
    seconds = time.perf_counter() - began
    pod.remove()
    return seconds


@contextmanager
def daemon(lab: Lab, duty_cycle: int | None, folder: Path) -> Iterator[Path]:
    """The daemon's log while it runs; without a duty cycle no nightly run is due."""
    config, log = folder / "cleaner.yaml", folder / "log"
    schedule = NEVER if duty_cycle is None else EACH_MINUTE
    config.write_text(CONFIG.format(schedule=schedule, duty_cycle=duty_cycle or 20, port=reserve_port(), folder=folder))
    environ = os.environ | {"CONTAINER_RUNTIME_ENDPOINT": lab.endpoint}
    with log.open("wb") as stream:
        process = subprocess.Popen([CLEANER, "run", "--config", config], env=environ, stderr=stream)
    try:
        wait_until(lambda: bool(lines_of(log, "runtime_up")), "the daemon runs")
        yield log
    finally:
        process.terminate()
        process.wait(timeout=60)


def lines_of(log: Path, event: str) -> list[dict[str, float]]:
    """The complete lines of one event so far."""
    whole = log.read_text().rpartition("\n")[0].splitlines()
    return [json.loads(line) for line in whole if f'"event": "{event}"' in line]


def report(conditions: list[Starts]) -> None:
    """A row for each condition."""
    quiet = conditions[0]
    print(f"\n{'start of a pod, ms':<20}{'n':>6}{'p50':>8}{'p99':>8}{'max':>8}{'p50 x':>8}{'p99 x':>8}  sweeps, s")
    for one in conditions:
        p50, p99 = percentile(one.seconds, 50), percentile(one.seconds, 99)
        figures = f"{p50 * 1000:>8.0f}{p99 * 1000:>8.0f}{max(one.seconds) * 1000:>8.0f}"
        ratios = f"{p50 / percentile(quiet.seconds, 50):>8.2f}{p99 / percentile(quiet.seconds, 99):>8.2f}"
        took = " ".join(f"{sweep['duration_seconds']:.0f}" for sweep in one.sweeps)
        print(f"{one.name:<20}{len(one.seconds):>6}{figures}{ratios}  {took}")
    for one in conditions[1:]:
        evicted = sum(sweep["evicted"] for sweep in one.sweeps)
        mean = sum(one.removal_seconds) / len(one.removal_seconds)
        print(f"{one.name}: {evicted:g} images evicted, a removal took {mean * 1000:.0f} ms on average")
    print("aim: p99 at duty_cycle 20 % at most 1.2 times that without a sweep")


if __name__ == "__main__":
    sys.exit(main())
