"""A lab as a bench of the contract: a real containerd behind the product's client."""

import math
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cleaner.core.references import parse_reference
from cleaner.node.disk import MountedDisk
from cleaner.runtime.client import CriRuntime
from contract import Build
from lab import ImageSpec, Lab, Layer, Pod
from lab.waiting import wait_until
from support.lab_node import disk_of, runtime_of

BASE = "localhost/base:v1"
BEGUN_BYTES = 1 << 19
"""A pull in progress is stopped after this many bytes. Every layer that it still has to fetch is larger."""


class LabBench:
    """A lab, read through the product's client."""

    def __init__(self, lab: Lab, runtime: CriRuntime, disk: MountedDisk) -> None:
        self.pause_reference = lab.pause_reference
        self.runtime = runtime
        self.disk = disk
        self._lab = lab
        self._pods: dict[str, Pod] = {}
        self._outside: set[str] = set()

    @property
    def socket(self) -> Path:
        return self._lab.socket

    def now(self) -> datetime:
        return datetime.now(UTC)

    def publish(self, build: Build) -> str:
        (image,) = self._lab.push(spec_of(build))
        return image.manifest_digest

    def pull(self, reference: str) -> str:
        return self._lab.pull(reference)

    @contextmanager
    def pulling(self, reference: str) -> Iterator[None]:
        with self._lab.throttled(math.inf) as road, ThreadPoolExecutor(1) as pool:
            # The stop keeps the pull in progress, however late and however long a promise reads it.
            road.stop_at(BEGUN_BYTES)
            try:
                pulling = pool.submit(self._lab.pull, reference)
                wait_until(lambda: any(pull.snapshot_bytes for pull in self.runtime.read_pulls()), "the pull has begun")
                yield
            finally:
                road.stop_at(math.inf)
            pulling.result()

    def load(self, build: Build, name: str) -> str:
        return self._lab.load(spec_of(build), name).image_id

    def tag(self, source: str, target: str) -> None:
        self._lab.tag(source, target)

    def collect_garbage(self) -> None:
        """Remove a record and wait for what it held."""
        self._lab.tag(BASE, "localhost/spare:v1")
        self._lab.remove_tag("localhost/spare:v1")

    def tag_as_is(self, source: str, name: str) -> None:
        """Give an image a record of any name; wait until CRI shows it in full."""
        self._lab.ctr("images", "tag", source, name)
        in_full = str(parse_reference(name))
        wait_until(lambda: in_full in self._lab.list_references(source), f"CRI lists {in_full}")

    def load_by_digest(self, build: Build, base_name: str | None = None) -> str:
        return self._lab.load_by_digest(spec_of(build), base_name).image_id

    def label(self, reference: str, key: str, value: str) -> None:
        self._lab.ctr("images", "label", reference, f"{key}={value}")

    def create_outside_cri(self, reference: str) -> str:
        name = f"outside-{len(self._outside)}"
        self._lab.ctr("containers", "create", reference, name)
        self._outside.add(name)
        return name

    def create(self, reference: str) -> str:
        return self._keep(self._lab.start_pod(reference, run=False))

    def start(self, reference: str) -> str:
        return self._keep(self._lab.start_pod(reference))

    def exit(self, container_id: str) -> None:
        self._pods[container_id].stop()

    def remove(self, container_id: str) -> None:
        if container_id in self._outside:
            self._lab.ctr("containers", "rm", container_id)
        else:
            self._pods.pop(container_id).remove()

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        wait_until(condition, what)

    def _keep(self, pod: Pod) -> str:
        self._pods[pod.container_id] = pod
        return pod.container_id


def spec_of(build: Build) -> ImageSpec:
    layers = tuple(Layer(size_bytes, zlib.crc32(name.encode())) for name, size_bytes in build.layers)
    return ImageSpec(build.repository, build.tag, layers, build.created)


@contextmanager
def lab_bench(lab: Lab) -> Iterator[LabBench]:
    """A bench with an image that keeps the base layer: no promise may see it freed."""
    lab.load(ImageSpec("base"), BASE)
    with runtime_of(lab) as runtime:
        yield LabBench(lab, runtime, disk_of(lab))
