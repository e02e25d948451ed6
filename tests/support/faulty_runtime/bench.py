"""A faulty runtime as a bench of the contract: behind the product's own client, with a clock that ticks."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from cleaner.node.clock import NeverStop
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.rpc.endpoint import Endpoint
from contract import Build
from support.fakes import NOON
from support.faulty_runtime.artifacts import artifact_of
from support.faulty_runtime.server import FaultyRuntime
from support.faulty_runtime.storage import Storage
from support.faulty_runtime.versions import CONTAINERD_2, Version


class TickingClock:
    """Later by a second with every reading."""

    def __init__(self) -> None:
        self._seconds = itertools.count()

    def __call__(self) -> datetime:
        return NOON + timedelta(seconds=next(self._seconds))


class FaultyBench:
    """One faulty runtime and a client of it."""

    def __init__(self, server: FaultyRuntime, runtime: CriRuntime, now: Callable[[], datetime]) -> None:
        self.server = server
        self.runtime = runtime
        self.now = now
        self._outside: set[str] = set()

    @property
    def pause_reference(self) -> str:
        return self.server.node.pause_reference

    @property
    def socket(self) -> Path:
        return self.server.socket

    @property
    def disk(self) -> Storage:
        return self.server.storage

    def publish(self, build: Build) -> str:
        return self.server.node.registry.publish(build).digest

    def pull(self, reference: str) -> str:
        return self.server.node.pull(reference)

    @contextmanager
    def pulling(self, reference: str) -> Iterator[None]:
        self.server.node.begin_pull(reference)
        yield
        self.pull(reference)

    def load(self, build: Build, name: str) -> str:
        return self.server.node.load(build, name)

    def tag(self, source: str, target: str) -> None:
        self.server.node.tag(source, target)

    def collect_garbage(self) -> None:
        self.server.node.store.collect_garbage()

    def tag_as_is(self, source: str, name: str) -> None:
        self.server.node.tag(source, name)

    def load_by_digest(self, build: Build, base_name: str | None = None) -> str:
        return self.server.node.load(build, f"{base_name or 'import-2026-11-30'}@{artifact_of(build).digest}")

    def label(self, reference: str, key: str, value: str) -> None:
        store = self.server.node.store
        record = store.records[reference]
        store.put_record(reference, record.target, {**record.labels, key: value})

    def create_outside_cri(self, reference: str) -> str:
        container_id = self.server.node.create_outside_cri(reference)
        self._outside.add(container_id)
        return container_id

    def create(self, reference: str) -> str:
        return self.server.node.start_pod(reference)

    def start(self, reference: str) -> str:
        return self.server.node.start_pod(reference)

    def exit(self, container_id: str) -> None:
        """Changes nothing: containers of every state are listed."""

    def remove(self, container_id: str) -> None:
        if container_id in self._outside:
            self.server.node.remove_outside_cri(container_id)
        else:
            self.server.node.remove_pod(container_id)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        assert condition(), what


@contextmanager
def faulty_bench(folder: Path, version: Version = CONTAINERD_2) -> Iterator[FaultyBench]:
    """A bench with the image of sandboxes, and an image that keeps the base layer, as in the lab."""
    directory, now = folder / "disk", TickingClock()
    directory.mkdir()
    with FaultyRuntime(folder / "containerd.sock", directory, now=now, version=version) as server:
        server.node.load(Build("base"), "localhost/base:v1")
        with CriRuntime(Endpoint(str(server.socket)), NeverStop()) as runtime:
            yield FaultyBench(server, runtime, now)
