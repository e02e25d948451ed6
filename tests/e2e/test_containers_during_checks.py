"""A container that starts while the final check of its image is slow keeps its image, on real containerds.

The agent talks to a proxy that holds one answer of each final check back; containers start by CRI, past the proxy.

The answers are held for 200 ms at most. By hand, at the scale at which the fault was found, with ten containers:
`SLOW_CHECK_SECONDS=4 SLOW_CHECK_CONTAINERS=10 make e2e T=tests/e2e/test_containers_during_checks.py`.
"""

import math
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from cleaner.core.events import EvictionEnded, EvictionStarted
from cleaner.core.model import EvictionOutcome, Policy, Rule, Trigger
from cleaner.core.ports import Node
from cleaner.core.pressure.watermarks import WatermarkPair, Watermarks
from cleaner.core.references import parse_pattern
from cleaner.core.report import Eviction
from cleaner.ledger.in_memory import InMemoryLedger
from cleaner.node.clock import NeverStop, SystemTimer
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.rpc.endpoint import parse_endpoint
from cleaner.sweep.sweep import Sweep, SweepRequest, SweepSettings
from lab import BuiltImage, ImageSpec, Lab, LabError, Layer, Pod
from support.daemon_process import wait_for
from support.lab_node import PromptDisk, disk_of
from support.slow_proxy import ProxiedCall, SlowProxy

COMPANY = "registry.gitlab.com"
WATERMARKS = Watermarks(bytes=WatermarkPair(high=99, low=98), inodes=WatermarkPair(high=99, low=98))
RULE = Rule("during", (parse_pattern(f"{COMPANY}/golem-ai/during-*"),), max_age=timedelta(0))
POLICY = Policy((RULE,), grace=timedelta(0), pressure_grace=timedelta(0))

LONGEST_SECONDS = float(os.environ.get("SLOW_CHECK_SECONDS", "0.2"))
"""The longest time for which an answer is held."""
CONTAINERS = int(os.environ.get("SLOW_CHECK_CONTAINERS", "170"))
"""How many are started during slow final checks, on each containerd: 510 on all three."""
IMAGES = min(24, CONTAINERS)
LAST_LIST = "Containers.List"
HELD = ("ImageStatus", "ListPodSandbox", "ListContainers", LAST_LIST, LAST_LIST)
"""One of these answers is held in each check; the last one of a check twice as often."""


@dataclass
class Start:
    """A container of the very image that is being checked, begun while an answer of the check is held."""

    image: BuiltImage
    method: str
    """Whose answer is held."""
    share: float
    """At which share of that time the container is begun."""
    position: int | None = None
    """Where the agent's stream of events was when the runtime had answered; None where the agent has none."""
    known: bool = False
    """Whether the container was there, and its event with the agent, before the held answer passed."""
    container_id: str | None = None
    refused: str | None = None
    """Why the runtime did not create it; a kubelet pulls its image again then."""
    outcome: EvictionOutcome | None = None
    left: bool = False
    """Whether the container is there, and its image is not."""
    creating: Future[None] | None = None
    starting: Future[None] | None = None
    began_at: float = math.inf
    """When CreateContainer was called; monotonic seconds, as are the next two."""
    created_at: float = math.inf
    """When it was answered."""
    removed_at: float = math.inf
    """When RemoveImage was called."""

    @property
    def moment(self) -> str:
        """How far the container was when the agent decided."""
        if self.known:
            return "known before the check was over"
        if self.created_at < self.removed_at:
            return "created before RemoveImage"
        return "in CreateContainer at RemoveImage" if self.began_at < self.removed_at else "begun after RemoveImage"


@dataclass
class Starter:
    """Starts one container in each final check, at a random moment."""

    pod: Pod
    runtime: CriRuntime
    pool: ThreadPoolExecutor
    dice: random.Random
    current: Start | None = None
    """In the final check that is under way."""

    def arm(self, image: BuiltImage) -> None:
        """Choose when the next container is begun."""
        self.current = Start(image, self.dice.choice(HELD), self.dice.random())

    def before_call(self, call: ProxiedCall) -> None:
        """RemoveImage ends the check: what confirms the removal is not delayed."""
        if call.method == "RemoveImage" and self.current is not None:
            self.current.removed_at = time.monotonic()
            self.current = None

    def delay(self, call: ProxiedCall) -> float:
        """Hold the chosen answer, and begin the container meanwhile; a check that is taken again is not held."""
        start = self.current
        if start is None or start.creating is not None or call.method != start.method:
            return 0.0
        seconds = self.dice.uniform(0, LONGEST_SECONDS)
        start.position = self.runtime.event_position()
        start.creating = self.pool.submit(self._create, start, start.share * seconds)
        return seconds

    def after_delay(self, _call: ProxiedCall) -> None:
        """Store what the agent knows from here on: the event that has come, or the container that is there."""
        start = self.current
        if start is not None and start.creating is not None:
            now = self.runtime.event_position()
            start.known = now != start.position if now is not None else start.container_id is not None

    def _create(self, start: Start, wait_seconds: float) -> None:
        time.sleep(wait_seconds)
        start.began_at = time.monotonic()
        try:
            start.container_id = self.pod.create_container(start.image.reference(COMPANY))
        except LabError as error:
            start.refused = str(error)
            return
        start.created_at = time.monotonic()
        # The sweep goes on meanwhile.
        start.starting = self.pool.submit(self.pod.start_container, start.container_id)


@dataclass
class Tally:
    """All that was started on one containerd."""

    starts: list[Start] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def started(self) -> list[Start]:
        return [start for start in self.starts if start.container_id is not None]

    @property
    def known(self) -> list[Start]:
        """Those whose event the agent had before the check was over."""
        return [start for start in self.started if start.known]

    def show(self, lab: Lab) -> None:
        outcomes = Counter(start.outcome.value for start in self.starts if start.outcome)
        gone = sum(start.refused is not None for start in self.starts)
        print(f"\ncontainerd {lab.version}: {len(self.started)} containers started in {self.seconds:.0f} s,", end=" ")
        print(f"{gone} did not since their image was gone; images {dict(outcomes)}")
        for moment, count in Counter(start.moment for start in self.started).items():
            left = Counter(start.method for start in self.started if start.left and start.moment == moment)
            print(f"  {moment}: {count}, left without their image: {left.total()} {dict(left)}")


@contextmanager
def slow_node(lab: Lab) -> Iterator[tuple[Node, Starter]]:
    """The agent behind a proxy, its stream of events connected, and what starts containers past the proxy."""
    [image] = lab.push(ImageSpec("golem-ai/sandbox", "v1", (Layer(1000, 1),), "2020-01-01T00:00:00Z"))
    lab.pull(image.reference(COMPANY))
    pod = lab.start_pod(image.reference(COMPANY))
    stop = NeverStop()
    with (
        SlowProxy(lab.folder / "slow.sock", lab.socket) as proxy,
        CriRuntime(parse_endpoint(proxy.endpoint), stop) as runtime,
        ThreadPoolExecutor(4) as pool,
    ):
        runtime.watch_created_containers()
        wait_until_watching(runtime, pod, image)
        starter = Starter(pod, runtime, pool, random.Random(12))  # noqa: S311 - a choice, not a secret
        proxy.before_call, proxy.delay, proxy.after_delay = starter.before_call, starter.delay, starter.after_delay
        disk = PromptDisk(disk_of(lab))
        yield Node(runtime, disk, SystemTimer(), stop, InMemoryLedger()), starter
    pod.remove()


def wait_until_watching(runtime: CriRuntime, pod: Pod, image: BuiltImage) -> None:
    """Create containers until the agent learns of one by its stream of events."""
    created: list[str] = []

    def arrived() -> bool:
        created.append(pod.create_container(image.reference(COMPANY)))
        time.sleep(0.1)
        return bool(runtime.drain_created_containers()) and runtime.event_position() is not None

    wait_for(arrived, "the agent's stream of events is connected")
    pod.remove_containers(created)


def sweep(node: Node, starter: Starter, images: dict[str, BuiltImage]) -> list[Start]:
    """One sweep in which each candidate gets a container during its final check."""
    starts: list[Start] = []
    settings = SweepSettings(POLICY, WATERMARKS, failures_per_sweep=1000)
    for event in Sweep(node, settings, SweepRequest(Trigger.MANUAL)).events():
        if isinstance(event, EvictionStarted):
            starter.arm(images[event.verdict.image.id])
            assert starter.current is not None
            starts.append(starter.current)
        elif isinstance(event, EvictionEnded):
            starter.current = None
            finish(starts[-1], event.eviction)
    return [start for start in starts if start.creating is not None]


def finish(start: Start, eviction: Eviction) -> None:
    """Wait until the container is created."""
    start.outcome = eviction.outcome
    if start.creating is not None:
        start.creating.result()


def judge(lab: Lab, starts: Sequence[Start]) -> None:
    """See that each container runs, and whether its image is there."""
    for start in starts:
        if start.starting is not None:
            start.starting.result()
        start.left = start.container_id is not None and lab.find_image(start.image.image_id) is None


def test_containers_started_during_slow_final_checks(lab: Lab) -> None:
    """No container is left without its image whose event came before its final check was over.

    CRI offers nothing against a CreateContainer that is under way when RemoveImage is called, and of which the runtime
    has told nothing yet. Such containers are counted apart, and shown; they run on, and a kubelet that starts them
    again pulls their image.
    """
    specs = [
        ImageSpec(f"golem-ai/during-{number}", "v1", (Layer(1000, 100 + number),), "2020-01-01T00:00:00Z")
        for number in range(IMAGES)
    ]
    images = {image.image_id: image for image in lab.push(*specs)}
    tally, began = Tally(), time.monotonic()
    with slow_node(lab) as (node, starter):
        while len(tally.known) < CONTAINERS:
            lab.pull_all(image.reference(COMPANY) for image in images.values())
            starts = sweep(node, starter, images)
            judge(lab, starts)
            tally.starts += starts
            ids = [start.container_id for start in starts if start.container_id]
            list(starter.pool.map(lambda known: starter.pod.remove_containers([known]), ids))
    tally.seconds = time.monotonic() - began
    tally.show(lab)
    assert [start.method for start in tally.known if start.left] == []
