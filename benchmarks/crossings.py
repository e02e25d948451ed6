"""From the high watermark to the first byte freed: how soon the agent acts on a disk that fills steadily, or by steps.

It does not rely on the agent's own figures: the disk is read 50 times a second for both moments.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from pathlib import Path

from lab import ImageSpec, Lab, Layer
from lab.waiting import wait_until
from support.daemon_process import DaemonProcess
from support.usage_watch import Reading, UsageWatch

MIB = 1 << 20
REGISTRY = "registry.gitlab.com"
SIZE_MIB = 1000
IMAGES = 240
OWN_BYTES = MIB
"""Of each image's layer; it takes twice that, packed and unpacked."""
HIGH, LOW = 75.0, 74.5
START_PERCENT, STEP_START_PERCENT = 74.2, 72.5
CROSSINGS, EARLY_CROSSINGS, STEPS = 50, 20, 15
RATE = 2 * MIB
"""Of the steady fill, bytes a second."""
TICK_SECONDS = 0.02
STEP_PERCENT = 4.0
CHECK_EVERY_SECONDS = 5.0
NOISE_BYTES = 512 << 10
"""Less than that coming back is no image; more is written between two readings by no filler here."""
HERTZ = 50
PATIENCE_SECONDS = 60.0


class Filler:
    """One file that takes space, without a byte of it being written."""

    def __init__(self, disk: Path) -> None:
        self._path = disk / "filler"

    def grow(self, size_bytes: int) -> None:
        """At once."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, size_bytes)
        finally:
            os.close(descriptor)

    @contextmanager
    def growing(self) -> Iterator[None]:
        """Steadily, while the block runs."""
        ended = threading.Event()
        thread = threading.Thread(target=self._grow, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def drop(self) -> None:
        """Free all that it took."""
        self._path.unlink(missing_ok=True)

    def _grow(self, ended: threading.Event) -> None:
        began, grown = time.monotonic(), 0
        while not ended.wait(TICK_SECONDS):
            due = int((time.monotonic() - began) * RATE) // 4096 * 4096
            if due > grown:
                self.grow(due - grown)
                grown = due


@dataclass
class Latencies:
    """Crossings of one kind."""

    name: str
    seconds: list[float] = field(default_factory=list)
    to_sweep: list[float] = field(default_factory=list)
    """To the sweep's start by the agent's log. The rest of the time is the inspection and the first removal."""
    early: int = 0
    """Sweeps that began before the high watermark; they count as 0."""
    highest: float = 0.0

    def percentile(self, percent: float, of: list[float]) -> float:
        """Nearest rank."""
        return sorted(of)[ceil(percent / 100 * len(of)) - 1] if of else 0.0

    def add_crossing(self, readings: list[Reading], started_at: float) -> None:
        """One crossing with the sweep that it led to, or that came before it."""
        self.highest = max(self.highest, *(reading.used_percent for reading in readings))
        crossed = next((reading.at for reading in readings if reading.used_percent >= HIGH), None)
        if crossed is None or started_at < crossed:
            self.early += 1
            self.seconds.append(0.0)
            return
        self.to_sweep.append(started_at - crossed)
        self.seconds.append(first_freed(readings, crossed) - crossed)


def first_freed(readings: list[Reading], since: float) -> float:
    """When more was available than at some time before."""
    least = min(reading.available_bytes for reading in readings if reading.at <= since)
    for reading in (each for each in readings if each.at > since):
        if reading.available_bytes > least + NOISE_BYTES:
            return reading.at
        least = min(least, reading.available_bytes)
    raise AssertionError("a sweep ended, and nothing was freed")


class Bench:
    """One node; the images that one kind of crossings evicted are pulled again before the next."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._filler = Filler(lab.disk)
        specs = [ImageSpec("small/app", f"v{number}", (Layer(OWN_BYTES, number),)) for number in range(IMAGES)]
        self._references = [image.reference(REGISTRY) for image in lab.push(*specs)]

    def measure(self, name: str, count: int, *, step: bool, horizon: str) -> Latencies:
        """So many crossings of one kind."""
        self._filler.drop()
        self._lab.drop_ballast()
        self._lab.pull_all(self._references)
        # The first run-up is long enough for two checks: a rise between two checks would look like a step.
        self._lab.fill(STEP_START_PERCENT)
        found = Latencies(name)
        pressure = {"grace": "0s", "horizon": horizon, "bytes": {"high": HIGH, "low": LOW}}
        pressure["check_every"] = f"{CHECK_EVERY_SECONDS:.0f}s"
        policy = {"rules": [{"name": "all", "match": [f"{REGISTRY}/**"], "max_age": "30d"}]}
        load = os.getloadavg()[0]
        with DaemonProcess(
            self._folder, self._lab.endpoint, mode="pressure", policy=policy, pressure=pressure
        ) as daemon:
            daemon.wait_for_event("runtime_up")
            time.sleep(CHECK_EVERY_SECONDS)
            for number in range(1, count + 1):
                self._cross(daemon, number, found, step=step)
        print(f"{name}: {count} crossings, load {load:.1f} before, {os.getloadavg()[0]:.1f} after", flush=True)
        return found

    def _cross(self, daemon: DaemonProcess, number: int, found: Latencies, *, step: bool) -> None:
        """Fill until a sweep is over, then shrink the filler to below the low watermark."""
        with UsageWatch(self._lab, HERTZ) as watch:
            if step:
                # Anywhere between two checks.
                time.sleep(number * 0.618 % 1 * CHECK_EVERY_SECONDS)
                self._filler.grow(int(self._lab.usage().capacity_bytes * STEP_PERCENT / 100))
                self._wait_for_end(daemon, number)
            else:
                with self._filler.growing():
                    self._wait_for_end(daemon, number)
        started = daemon.events("sweep_started")[number - 1]
        found.add_crossing(watch.readings, datetime.fromisoformat(started["timestamp"]).timestamp())
        self._filler.drop()
        self._lab.fill(STEP_START_PERCENT if step else START_PERCENT)

    def _wait_for_end(self, daemon: DaemonProcess, number: int) -> None:
        def ended() -> bool:
            return len(daemon.events("sweep_ended")) >= number

        wait_until(ended, f"sweep {number} is over", PATIENCE_SECONDS)


def main() -> int:
    """All kinds, and a table."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder, Lab(version="1.7", size_mib=SIZE_MIB) as lab:
        print(f"containerd {lab.version} on ext4, a loop disk of {SIZE_MIB} MiB, {IMAGES} images", flush=True)
        bench = Bench(lab, Path(folder))
        report(
            [
                bench.measure("steady, horizon 0s", CROSSINGS, step=False, horizon="0s"),
                bench.measure("steady, horizon 10m", EARLY_CROSSINGS, step=False, horizon="10m"),
                bench.measure("steps, horizon 10m", STEPS, step=True, horizon="10m"),
            ]
        )
    return 0


def report(kinds: list[Latencies]) -> None:
    """A row for each kind."""
    print(f"\n{'seconds from the watermark to':<28}{'n':>5}{'p50':>8}{'p99':>8}{'max':>8}{'early':>8}{'highest %':>11}")
    for kind in kinds:
        for what, of in (("first byte freed", kind.seconds), ("sweep begun", kind.to_sweep)):
            figures = "".join(f"{kind.percentile(percent, of):>8.2f}" for percent in (50, 99, 100))
            print(f"{f'{kind.name}:':<28}{len(of):>5}{figures}{kind.early:>8}{kind.highest:>11.1f}  {what}")
    print(f"steady: {RATE / MIB:g} MiB a second; steps: {STEP_PERCENT:g} % of the disk at once, check_every 5s")
    print("aims: steady p99 below 2 s; steps within check_every and 1 s")


if __name__ == "__main__":
    sys.exit(main())
