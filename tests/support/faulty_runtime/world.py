"""A node with a faulty runtime, for whole sweeps: the product's client, a disk with a size limit and a fake clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cleaner.core.events import Event, SweepEnded
from cleaner.core.model import EvictionOutcome, Trigger
from cleaner.core.ports import Node
from cleaner.core.report import SweepReport
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.rpc.endpoint import Endpoint
from cleaner.sweep.sweep import Sweep, SweepRequest, SweepSettings
from contract import Build
from lab.waiting import wait_until
from support.fakes import FakeStop, FakeTimer, ScriptedLedger
from support.faulty_runtime.journal import Kind
from support.faulty_runtime.server import FaultyRuntime
from support.faulty_runtime.versions import CONTAINERD_2, Version
from support.nodes import CAPACITY, MB, POLICY, WATERMARKS

STREAM_SECONDS = 30.0
"""Far more than the agent needs to follow events, or to hear of one."""


@dataclass
class FaultyWorld:
    """A node, and everything that a test moves on it."""

    server: FaultyRuntime
    runtime: CriRuntime
    timer: FakeTimer
    ledger: ScriptedLedger
    node: Node

    def pull_old(self, name: str, megabytes: int = 25, days: float = 60, built_days: float | None = None) -> str:
        """An image pulled so many days ago, and built then or before, all of its bytes its own.

        It takes twice its bytes: as content, and unpacked.
        """
        now = self.timer.wall
        self.timer.wall = now - timedelta(days=days)
        built_at = now - timedelta(days=days if built_days is None else built_days)
        build = Build(name, layers=((name, megabytes * MB),), created=built_at.isoformat())
        self.server.node.registry.publish(build)
        image_id = self.server.node.pull(build.reference())
        self.timer.wall = now
        return image_id

    def events(self, trigger: Trigger, **request: object) -> Iterator[Event]:
        """The events of one sweep as they happen; the ledger hears of them, as in the daemon."""
        settings = SweepSettings(POLICY, WATERMARKS, failures_per_sweep=5)
        sweep = Sweep(self.node, settings, SweepRequest(trigger, **request))  # type: ignore[arg-type]
        for event in sweep.events():
            self.ledger.record(event)
            yield event

    def report(self, trigger: Trigger = Trigger.MANUAL, **request: object) -> SweepReport:
        """The report of one sweep."""
        (*_, last) = self.events(trigger, **request)
        assert isinstance(last, SweepEnded)
        return last.report

    def removed(self) -> set[str]:
        """Ids of all images that RemoveImage was called for."""
        return {entry.subject for entry in self.server.journal.entries(Kind.CALL, name="RemoveImage")}

    def present(self) -> set[str]:
        """Ids of all images that are there."""
        return set(self.server.node.store.images())

    def follow_containers(self) -> None:
        """Let the agent follow container events, as the daemon does, until it relies on them."""
        self.runtime.watch_created_containers()
        self.wait_for_stream()

    def wait_for_stream(self) -> None:
        """Return once the agent relies on the stream of events."""
        what = "the agent relies on the stream of events"
        wait_until(lambda: self.runtime.event_position() is not None, what, STREAM_SECONDS)

    def start_heard(self, reference: str) -> str:
        """Start a pod, and return once the agent has heard of its container; gives that one's id."""
        container_id = self.server.node.start_pod(reference)
        wait_until(lambda: container_id in self.runtime._uses._made, "the agent hears of it", STREAM_SECONDS)
        return container_id


def outcomes(report: SweepReport) -> dict[str, EvictionOutcome]:
    """By image id, how each eviction of a sweep ended."""
    return {eviction.verdict.image.id: eviction.outcome for eviction in report.evictions}


@contextmanager
def faulty_world(folder: Path, version: Version = CONTAINERD_2) -> Iterator[FaultyWorld]:
    """A node of 1 GB that has the image of sandboxes only."""
    directory, timer, ledger = folder / "disk", FakeTimer(), ScriptedLedger()
    directory.mkdir()
    stop = FakeStop(timer)
    socket = folder / "containerd.sock"
    with (
        FaultyRuntime(socket, directory, now=timer.now, version=version, capacity_bytes=CAPACITY) as server,
        CriRuntime(Endpoint(str(socket)), stop) as runtime,
    ):
        node = Node(runtime, server.storage, timer, stop, ledger)
        yield FaultyWorld(server, runtime, timer, ledger, node)
