"""The simulated node keeps the promises that real containerds keep."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cleaner.simulation import node as simulation
from cleaner.simulation.node import SimulatedNode
from contract import MIB, PROMISES, Build, Promise, name_of
from support.fakes import NOON


@dataclass
class TickingTimer:
    """A clock that is a second later with every reading."""

    wall: datetime = NOON

    def now(self) -> datetime:
        self.wall += timedelta(seconds=1)
        return self.wall

    def monotonic(self) -> float:
        return self.now().timestamp()


@dataclass
class SimulatedBench:
    """A simulated node, and a registry in memory."""

    node: SimulatedNode
    published: dict[str, simulation.Build] = field(default_factory=dict)

    @property
    def runtime(self) -> SimulatedNode:
        return self.node

    @property
    def disk(self) -> SimulatedNode:
        return self.node

    @property
    def pause_reference(self) -> str:
        return self.node.sandbox_image

    def now(self) -> datetime:
        return self.node.timer.now()

    def publish(self, build: Build) -> str:
        made = made_of(build)
        self.published |= {f"{build.repository}:{build.tag}": made, f"{build.repository}@{made.manifest_digest}": made}
        return made.manifest_digest

    def pull(self, reference: str) -> str:
        return self.node.pull(reference, self.find(reference))

    @contextmanager
    def pulling(self, reference: str) -> Iterator[None]:
        self.node.begin_pull(reference, self.find(reference))
        yield
        self.pull(reference)

    def find(self, reference: str) -> simulation.Build:
        name, at, digest = reference.partition("/")[2].partition("@")
        repository, _, tag = name.partition(":")
        return self.published[f"{repository}@{digest}" if at else f"{repository}:{tag or 'latest'}"]

    def load(self, build: Build, name: str) -> str:
        return self.node.load(name, made_of(build))

    def load_by_digest(self, build: Build, base_name: str | None = None) -> str:
        return self.node.load_by_digest(base_name or "import-2026-01-31", made_of(build))

    def tag_as_is(self, source: str, name: str) -> None:
        self.tag(source, name)

    def label(self, reference: str, key: str, value: str) -> None:
        self.node.label(reference, key, value)

    def tag(self, source: str, target: str) -> None:
        (image,) = [image for image in self.node.list_images() if source in image.references]
        self.node.tag(image.id, target)

    def create(self, reference: str) -> str:
        return self.node.start_container(reference)

    def start(self, reference: str) -> str:
        return self.node.start_container(reference)

    def create_outside_cri(self, reference: str) -> str:
        return self.node.start_outside_cri(reference)

    def exit(self, container_id: str) -> None:
        """Changes nothing: CRI lists containers in every state, and the simulation knows no states."""

    def remove(self, container_id: str) -> None:
        self.node.remove_container(container_id)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        assert condition(), what


def made_of(build: Build) -> simulation.Build:
    created_at = None if build.created is None else datetime.fromisoformat(build.created)
    # Every image has a base, as in the lab.
    layers = (("base", MIB), *build.layers)
    return simulation.Build(layers, created_at, note=f"{build.repository}:{build.tag}")


@pytest.fixture
def bench(tmp_path: Path) -> SimulatedBench:
    node = SimulatedNode(tmp_path, 1000 * MIB, TickingTimer())
    node.pull(node.sandbox_image, simulation.Build((("pause", MIB),)))
    # The base is never freed here: in the lab too, some image always has it.
    node.load("localhost/base:v1", simulation.Build((("base", MIB),)))
    return SimulatedBench(node)


@pytest.mark.parametrize("promise", PROMISES, ids=name_of)
def test_the_simulated_node_keeps(promise: Promise, bench: SimulatedBench) -> None:
    """The simulated node keeps each promise of the contract."""
    promise(bench)
