"""Images are pulled without end, faster and faster, while pods use some: how full the disk gets, and what that costs.

One table has the agent, the trigger at the level alone and a simulated kubelet. Each starts from the same state and
with the same choice of images.
"""

import itertools
import math
import os
import random
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.kubelet import HIGH_PERCENT, SimulatedKubelet
from lab import ImageSpec, Lab, LabError, Layer, Pod
from lab.waiting import wait_until
from support.daemon_process import AtTheLevel, DaemonProcess
from support.usage_watch import UsageWatch

MIB = 1 << 20
REGISTRY = "registry.gitlab.com"
RATES = (2, 5, 10, 20, math.inf)
"""MiB of blobs a second; as much again is unpacked."""
SECONDS = 25.0
"""Of each cell."""
SIZE_MIB = 2000
IMAGES = 150
SIZES = (2, 4, 8, 16)
"""MiB of an image's own layer."""
PULLERS = 3
PODS = 4
POD_EVERY = 3
"""One choice in so many starts a pod, in place of the oldest."""
ZIPF = 0.8
NON_IMAGE_PERCENT, START_PERCENT = 40.0, 74.0
"""Non-image data, and the usage at which each cell begins."""
HERTZ = 20
COLLECT_SECONDS, MINIMUM_AGE_SECONDS = 15.0, 2.0
"""Of the simulated kubelet; 300 and 120 s in the original."""
POLICY = {"rules": [{"name": "all", "match": [f"{REGISTRY}/**"], "max_age": "30d", "age_from": "last_used"}]}
"""The least recently used are evicted first, as with the kubelet."""
SCALED = {"grace": f"{MINIMUM_AGE_SECONDS:.0f}s", "check_every": "1s"}
"""Of `pressure`, for a disk that fills in seconds; all its other keys have their defaults."""


@dataclass(frozen=True)
class Row:
    """One cell of the table."""

    rate: float
    watcher: str
    watch: UsageWatch
    evicted: int
    pulled_again: int
    pulled: int
    pulled_bytes: int
    failed: int
    podless: int
    load: float


class Churn:
    """Pulls and pods of one cell."""

    def __init__(self, lab: Lab, references: Sequence[str], present: Sequence[str]) -> None:
        self.pulled: deque[str] = deque()
        self.failed: deque[str] = deque()
        self.podless: deque[str] = deque()
        """Pods whose image was evicted between pull and start, or that the full disk left without a container."""
        self._lab = lab
        self._references = references
        self._seen = set(present)
        self._pods: deque[Pod] = deque()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(seed,)) for seed in range(PULLERS)]
        self._weights = list(itertools.accumulate((rank + 1) ** -ZIPF for rank in range(len(references))))
        self._again = 0

    @property
    def pulled_again(self) -> int:
        """Pulls of what was on the node before."""
        return self._again

    def start(self) -> None:
        """Begin to pull."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Begin no further pull, and count none that breaks from now on."""
        self._ended.set()

    def join(self) -> None:
        """Wait for what has begun, and remove all pods."""
        for thread in self._threads:
            thread.join()
        while self._pods:
            self._pods.popleft().remove()

    def _run(self, seed: int) -> None:
        generator = random.Random(seed)  # noqa: S311 - a choice of images, no secret
        for number in itertools.count():
            if self._ended.is_set():
                return
            [reference] = generator.choices(self._references, cum_weights=self._weights)
            present = self._try(self._pull_missing, reference, self.failed)
            if present and number % POD_EVERY == 0:
                self._try(self._use, reference, self.podless)

    def _try(self, work: Callable[[str], None], reference: str, failures: deque[str]) -> bool:
        """Whether it worked; a failure after the end is none."""
        try:
            work(reference)
        except LabError as error:
            if not self._ended.is_set():
                failures.append(f"{reference}: {error}")
                self._ended.wait(0.2)
            return False
        return True

    def _pull_missing(self, reference: str) -> None:
        if self._lab.find_image(reference) is not None:
            return
        self._lab.pull(reference)
        if self._ended.is_set():
            return
        with self._lock:
            self._again += reference in self._seen
            self._seen.add(reference)
        self.pulled.append(reference)

    def _use(self, reference: str) -> None:
        pod = self._lab.start_pod(reference)
        with self._lock:
            self._pods.append(pod)
            oldest = self._pods.popleft() if len(self._pods) > PODS else None
        if oldest:
            oldest.remove()


class Bench:
    """One node for all cells."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        generator = random.Random(0)  # noqa: S311 - sizes
        sizes = [generator.choice(SIZES) for _ in range(IMAGES)]
        specs = [ImageSpec(f"churn/app{n}", "v1", (Layer(size * MIB, n),)) for n, size in enumerate(sizes)]
        self._references = [image.reference(REGISTRY) for image in lab.push(*specs)]
        self._bytes = {reference: size * MIB for reference, size in zip(self._references, sizes, strict=True)}

    def measure(self, rate: float, watcher: str) -> Row:
        """One cell, from the same beginning as all others."""
        present = self._begin()
        churn = Churn(self._lab, self._references, present)
        with ExitStack() as stack:
            stack.callback(churn.join)
            road = None if math.isinf(rate) else stack.enter_context(self._lab.throttled(rate * MIB))
            stack.callback(churn.end)
            count_evicted = stack.enter_context(self._watched_by(watcher))
            watch = stack.enter_context(UsageWatch(self._lab, HERTZ))
            churn.start()
            time.sleep(SECONDS)
            churn.end()
            load, evicted = os.getloadavg()[0], count_evicted()
            if road:
                road.cut()
        for failure in [*churn.failed, *churn.podless][:3]:
            print(f"    {failure[:300]}", flush=True)
        size = sum(self._bytes[reference] for reference in churn.pulled)
        counts = (evicted, churn.pulled_again, len(churn.pulled), size, len(churn.failed), len(churn.podless))
        return Row(rate, watcher, watch, *counts, load)

    def _begin(self) -> list[str]:
        """The images that are asked for most, the most popular pulled last, up to where a cell begins."""
        lab = self._lab
        lab.drop_ballast()
        if stale := [reference for reference in self._references if lab.find_image(reference)]:
            names = {name for reference in stale for name in lab.list_references(reference)}
            lab.ctr("images", "rm", "--sync", *names, *filter(None, map(lab.find_image, stale)))
            wait_until(lambda: not any(map(lab.find_image, stale)), "the images of the last cell are gone")
        lab.fill(NON_IMAGE_PERCENT)
        room = (START_PERCENT - NON_IMAGE_PERCENT) / 100 * lab.usage().capacity_bytes
        sizes = itertools.accumulate(2 * self._bytes[reference] + MIB for reference in self._references)
        first = self._references[: sum(size <= room for size in sizes)]
        lab.pull_all(reversed(first))
        lab.fill(START_PERCENT)
        return first

    @contextmanager
    def _watched_by(self, watcher: str) -> Iterator[Callable[[], int]]:
        """How many images have been evicted so far."""
        if watcher == "kubelet":
            with SimulatedKubelet(self._lab, COLLECT_SECONDS, MINIMUM_AGE_SECONDS) as kubelet:
                yield lambda: len(kubelet.evicted)
            return
        pressure = SCALED if watcher == "agent" else SCALED | {"horizon": "0s"}
        kind = DaemonProcess if watcher == "agent" else AtTheLevel
        with kind(self._folder, self._lab.endpoint, mode="pressure", policy=POLICY, pressure=pressure) as daemon:
            daemon.wait_for_event("runtime_up")
            yield lambda: sum(line["outcome"] == "evicted" for line in daemon.events("eviction"))


def main() -> int:
    """All cells, and the table at the end."""
    rates = [float(word) for word in sys.argv[1:]] or RATES
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {SECONDS:.0f} s a cell", flush=True)
    with tempfile.TemporaryDirectory() as folder, Lab(version="1.7", size_mib=SIZE_MIB) as lab:
        print(f"containerd {lab.version} on ext4, a loop disk of {SIZE_MIB} MiB", flush=True)
        bench = Bench(lab, Path(folder))
        rows = []
        for rate, watcher in itertools.product(rates, ("agent", "level", "kubelet")):
            rows.append(bench.measure(rate, watcher))
            print_row(rows[-1])
        print()
        report(rows)
    return 0


def report(rows: Sequence[Row]) -> None:
    """All in one table."""
    names = (
        "MiB/s",
        "watched by",
        "highest %",
        "s at 85 %",
        "evicted",
        "again",
        "pulls",
        "MiB",
        "failed",
        "no pod",
        "load",
    )
    print("".join(f"{name:>11}" for name in names))
    for row in rows:
        print_row(row)
    print("MiB/s: of blobs, offered. again: pulled though it had been on the node before.")
    print("MiB: of blobs, pulled. no pod: it did not start.")
    print("agent: defaults, but grace 2s, check_every 1s. level: no horizon, no pulls counted, regular checks.")
    print("kubelet: simulated, collects every 15 s (300 s in the original), minimum age 2 s (120 s), monitor 10 s.")
    print("aim: agent never at 85 % at a rate that the disk can delete")


def print_row(row: Row) -> None:
    """One line."""
    rate = "all" if math.isinf(row.rate) else f"{row.rate:g}"
    usage = f"{row.watch.highest:>11.1f}{row.watch.seconds_from(HIGH_PERCENT):>11.1f}"
    counts = (row.evicted, row.pulled_again, row.pulled, row.pulled_bytes // MIB, row.failed, row.podless)
    columns = "".join(f"{count:>11}" for count in counts)
    print(f"{rate:>11}{row.watcher:>11}{usage}{columns}{row.load:>11.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
