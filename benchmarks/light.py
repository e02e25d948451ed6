"""What the agent costs a node with 1,000 images: seconds of a plan, resident memory, CPU when idle, series.

It prints each figure beside the one to compare it with.
"""

import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

import psutil

from cleaner.node.clock import NeverStop
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.rpc.endpoint import parse_endpoint
from lab import ImageSpec, Lab, Layer
from lab.ports import reserve_port

IMAGES = 1000
LARGE = 60
IDLE_SECONDS = 180
SETTLE_SECONDS = 10
"""The last sweep is counted before its count of all images is over, which is no idling."""
SWEEPS = 3
RUNS = 50
CLEANER = Path(sys.executable).with_name("cleaner")
REGISTRY = "registry.gitlab.com"
MIB = 1 << 20

CONFIG = """\
policy:
  grace: 0s
  rules: [{{name: all, match: ["registry.gitlab.com/**"], max_age: 3650d}}]
nightly: {{splay: 0s, schedule: "0 0 1 1 *"}}
pressure: {{grace: 0s, bytes: {{high: 75, low: 74}}}}
startup_delay: 0s
web: {{listen: "127.0.0.1:{port}"}}
state: {{path: "{ledger}"}}
"""


@dataclass(frozen=True)
class Cost:
    """What one command took."""

    wall_seconds: float
    cpu_seconds: float


def main() -> int:
    """Build the node once, then measure."""
    print(f"{IMAGES} images, Python {platform.python_version()}, {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as folder, Lab(version="1.7", size_mib=4000, durable=True) as lab:
        print(f"containerd {lab.version} on ext4, a loop disk of 4,000 MiB", flush=True)
        fill_with_images(lab)
        config = Path(folder) / "cleaner.yaml"
        port = reserve_port()
        config.write_text(CONFIG.format(port=port, ledger=Path(folder) / "ledger.db"))
        environ = os.environ | {"CONTAINER_RUNTIME_ENDPOINT": lab.endpoint}
        measure_plan(config, environ)
        measure_reads(lab)
        measure_daemon(lab, config, environ, port)
    return 0


def fill_with_images(lab: Lab) -> None:
    """One base and a layer of its own for each image, 10 tags a repository; the oldest are large."""
    created = datetime.now(UTC)
    specs = [
        ImageSpec(
            f"golem-ai/app{number % 100}",
            f"v{number // 100}",
            (Layer(16 << 10 if number < IMAGES - LARGE else 4 * MIB, number),),
            created=(created - timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        for number in range(IMAGES)
    ]
    began = time.monotonic()
    lab.push(*specs)
    lab.pull_all([f"{REGISTRY}/{spec.repository}:{spec.tag}" for spec in specs])
    for number in range(10):
        lab.start_pod(f"{REGISTRY}/golem-ai/app{number}:v0")
    print(f"pushed and pulled in {time.monotonic() - began:.0f} s; 10 pods run\n", flush=True)


def measure_plan(config: Path, environ: dict[str, str]) -> None:
    """The whole command, best of three, beside an empty Python and the imports alone."""
    row("", "wall s", "CPU s")
    row_of("python -c pass", best([sys.executable, "-c", "pass"], environ))
    row_of("cleaner --version (all imports)", best([CLEANER, "--version"], environ))
    row_of("cleaner plan -o json", best([CLEANER, "plan", "-o", "json", "--config", config], environ))
    row_of("cleaner plan (table)", best([CLEANER, "plan", "--config", config], environ))


def measure_reads(lab: Lab) -> None:
    """Listing with what is cached by id, beside asking for every image again, and beside a client per image."""
    endpoint = parse_endpoint(lab.endpoint)
    with CriRuntime(endpoint, NeverStop()) as runtime:
        row_of("list_images, first time", timed(runtime.list_images))
        row_of("list_images, again (what is fixed by id is kept)", timed(runtime.list_images))
        images = runtime.list_images()
        row_of("read_layers, first time", timed(lambda: runtime.read_layers(images)))
        row_of(
            "read_layers, again (usage is kept; only when the node changed)", timed(lambda: runtime.read_layers(images))
        )
        measure_pulls(lab, runtime)
        ids = [image.id for image in images]

    def one_client_per_image() -> None:
        for image_id in ids:
            with CriRuntime(endpoint, NeverStop()) as client:
                client.read_image(image_id)

    row_of("a connection per image, as a script has (no process)", timed(one_client_per_image))
    print(flush=True)


def measure_pulls(lab: Lab, runtime: CriRuntime) -> None:
    """Reading the pulls in progress, as each check does: while nothing is pulled, and in the midst of a pull."""
    row("read_pulls, nothing is pulled: milliseconds", *milliseconds(runtime.read_pulls))
    (image,) = lab.push(ImageSpec("golem-ai/pulled", layers=tuple(Layer(2 * MIB, IMAGES + n) for n in range(12))))
    with lab.throttled(MIB) as road, ThreadPoolExecutor(1) as pool:
        pull = pool.submit(lab.pull, image.reference(REGISTRY))
        wait_until(lambda: bool(runtime.read_pulls()), "a pull")
        row("read_pulls, an image of 13 layers is pulled: milliseconds", *milliseconds(runtime.read_pulls))
        road.set_rate(math.inf)
        pull.result()


def milliseconds(work: Callable[[], object]) -> tuple[str, str]:
    """Medians of some runs in this process, as text: wall and CPU."""
    costs = [timed(work) for _ in range(RUNS)]
    seconds = (median(cost.wall_seconds for cost in costs), median(cost.cpu_seconds for cost in costs))
    return f"{1000 * seconds[0]:.1f}", f"{1000 * seconds[1]:.1f}"


def measure_daemon(lab: Lab, config: Path, environ: dict[str, str], port: int) -> None:
    """Resident memory after sweeps, CPU of an idle stretch, series."""
    with running(config, environ) as daemon:
        process = psutil.Process(daemon.pid)
        for number in range(1, SWEEPS + 1):
            lab.fill(75.5)
            wait_until(partial(swept, port, number), f"sweep {number}")
            lab.drop_ballast()
        evicted = int(
            sum(value for name, value in scrape(port).items() if name.startswith("image_cleaner_evictions_total"))
        )
        print(f"{SWEEPS} pressure sweeps, {evicted} images evicted")
        time.sleep(SETTLE_SECONDS)
        before = process.cpu_times()
        switches = process.num_ctx_switches().voluntary
        time.sleep(IDLE_SECONDS)
        after = process.cpu_times()
        cpu = after.user + after.system - before.user - before.system
        woken = (process.num_ctx_switches().voluntary - switches) / IDLE_SECONDS
        rss = process.memory_info().rss / MIB
        print(f"resident memory after sweeps and {IDLE_SECONDS} s idle: {rss:.1f} MiB (aim: below 64)")
        print(f"threads: {process.num_threads()}")
        print(
            f"CPU when idle: {cpu * 3600 / IDLE_SECONDS:.1f} s an hour (aim: below 10), measured over {IDLE_SECONDS} s"
        )
        print(f"voluntary context switches of its main thread: {woken:.1f} a second")
        print(f"series on /metrics: {len(scrape(port))} (at most 150)")
        print(f"the same for an empty Python that waits: {idle_python_rss():.1f} MiB")


def idle_python_rss() -> float:
    """MiB of a Python that imported nothing."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as idle:
        time.sleep(0.5)
        rss = psutil.Process(idle.pid).memory_info().rss / MIB
        idle.communicate(b"\n")
    return float(rss)


@contextmanager
def running(config: Path, environ: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """The daemon, ended by SIGTERM."""
    daemon = subprocess.Popen([CLEANER, "run", "--config", config], env=environ, stderr=subprocess.DEVNULL)
    try:
        yield daemon
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=60)


def scrape(port: int) -> dict[str, float]:
    """Every sample on /metrics by its name and labels; none while the port is not served."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return {}
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def swept(port: int, times: int) -> bool:
    """Whether there were so many pressure sweeps."""
    return scrape(port).get('image_cleaner_sweeps_total{trigger="pressure"}', 0.0) >= times


def timed(work: Callable[[], object]) -> Cost:
    """One run in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def best(command: list[str | Path], environ: dict[str, str]) -> Cost:
    """The quickest of three runs of a command."""
    return min((run(command, environ) for _ in range(3)), key=lambda cost: cost.wall_seconds)


def run(command: list[str | Path], environ: dict[str, str]) -> Cost:
    """One run of a command; its CPU seconds are the child's."""
    usage, began = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    wall, ended = time.perf_counter() - began, getrusage(RUSAGE_CHILDREN)
    return Cost(wall, ended.ru_utime + ended.ru_stime - usage.ru_utime - usage.ru_stime)


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Wait for a condition; TimeoutError names it."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.2)


def row_of(what: str, cost: Cost) -> None:
    """One line of the table."""
    row(what, f"{cost.wall_seconds:.2f}", f"{cost.cpu_seconds:.2f}")


def row(what: str, wall: str, cpu: str) -> None:
    """Columns of fixed width."""
    print(f"{what:<63}{wall:>8}{cpu:>8}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
