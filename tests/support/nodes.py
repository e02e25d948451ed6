"""Simulated nodes for unit tests: a directory with a size limit, a few images, and fakes in front."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cleaner.core.events import Event, SweepEnded
from cleaner.core.model import Policy, Rule, Trigger
from cleaner.core.ports import Node
from cleaner.core.pressure.watermarks import WatermarkPair, Watermarks
from cleaner.core.references import parse_pattern
from cleaner.core.report import SweepReport
from cleaner.simulation.node import Build, SimulatedNode
from cleaner.sweep.sweep import Sweep, SweepRequest, SweepSettings
from support.fakes import FakeStop, FakeTimer, ScriptedDisk, ScriptedLedger, ScriptedRuntime

MB = 1_000_000
CAPACITY = 1000 * MB
WATERMARKS = Watermarks(bytes=WatermarkPair(high=75, low=65), inodes=WatermarkPair(high=80, low=75))
COMPANY = Rule("company", (parse_pattern("registry.example.com/**"),), timedelta(days=30))
POLICY = Policy(rules=(COMPANY,))


@dataclass
class World:
    """A node and everything that a test moves on it."""

    simulated: SimulatedNode
    runtime: ScriptedRuntime
    disk: ScriptedDisk
    timer: FakeTimer
    stop: FakeStop
    ledger: ScriptedLedger
    node: Node

    def pull_old(self, name: str, megabytes: int = 50, days: float = 60) -> str:
        """An image built and pulled so many days ago, all of its bytes its own."""
        return self.pull_layers(name, {name: megabytes}, days)

    def pull_layers(self, name: str, megabytes: Mapping[str, int], days: float = 60) -> str:
        """An image of these layers, which others may share, built and pulled so many days ago."""
        now = self.timer.wall
        self.timer.wall = now - timedelta(days=days)
        layers = tuple((layer, size * MB) for layer, size in megabytes.items())
        build = Build(layers, created_at=self.timer.wall, note=name)
        image_id = self.simulated.pull(f"registry.example.com/{name}:v1", build)
        self.timer.wall = now
        return image_id

    def sweep(self, trigger: Trigger, policy: Policy = POLICY, **request: object) -> list[Event]:
        """All events of one sweep."""
        settings = SweepSettings(policy, WATERMARKS, failures_per_sweep=5)
        return list(Sweep(self.node, settings, SweepRequest(trigger, **request)).events())  # type: ignore[arg-type]

    def report(self, trigger: Trigger, policy: Policy = POLICY, **request: object) -> SweepReport:
        """The report of one sweep."""
        last = self.sweep(trigger, policy, **request)[-1]
        assert isinstance(last, SweepEnded)
        return last.report


def make_world(directory: Path) -> World:
    """An empty node of 1 GB."""
    timer = FakeTimer()
    simulated = SimulatedNode(directory, CAPACITY, timer)
    runtime, disk, stop = ScriptedRuntime(simulated), ScriptedDisk(simulated), FakeStop(timer)
    ledger = ScriptedLedger()
    node = Node(runtime, disk, timer, stop, ledger)
    return World(simulated, runtime, disk, timer, stop, ledger, node)
