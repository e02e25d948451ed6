"""It never evicts an image that is in use, however fast a node changes: proved from every call that it made."""

import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from cleaner.core.events import EvictionEnded
from cleaner.core.model import EvictionOutcome, Policy, Rule, Trigger
from cleaner.core.ports import Node
from cleaner.core.pressure.watermarks import WatermarkPair, Watermarks
from cleaner.core.references import parse_pattern
from cleaner.core.report import Eviction
from cleaner.sweep.sweep import Sweep, SweepRequest, SweepSettings
from lab import BuiltImage, ImageSpec, Lab, LabError, Layer, Pod
from lab.waiting import DEADLINE_SECONDS
from support.lab_node import PromptDisk, node_of
from support.recorded_calls import Decision, RecordedRuntime, decisions

COMPANY = "registry.gitlab.com"
WATERMARKS = Watermarks(bytes=WatermarkPair(high=99, low=98), inodes=WatermarkPair(high=99, low=98))
EVICTED, SPARED = EvictionOutcome.EVICTED, EvictionOutcome.SPARED
RACE_SECONDS = 8.0
"""At least: it continues until the sweeps have both evicted and spared."""
LIVING_PODS = 4
APPS = 24


def settings_of(repository: str) -> SweepSettings:
    """All unused images of a repository may be evicted, however young."""
    rule = Rule("race", (parse_pattern(f"{COMPANY}/{repository}"),), max_age=timedelta(0))
    policy = Policy((rule,), grace=timedelta(0), pressure_grace=timedelta(0))
    return SweepSettings(policy, WATERMARKS, failures_per_sweep=1000)


@contextmanager
def recorded(lab: Lab) -> Iterator[tuple[Node, RecordedRuntime]]:
    """A node whose runtime's calls are recorded."""
    with node_of(lab) as node:
        runtime = RecordedRuntime(node.runtime)
        yield replace(node, runtime=runtime, disk=PromptDisk(node.disk)), runtime


def sweep(node: Node, repository: str) -> list[Eviction]:
    events = Sweep(node, settings_of(repository), SweepRequest(Trigger.MANUAL)).events()
    return [event.eviction for event in events if isinstance(event, EvictionEnded)]


def push(lab: Lab, repository: str, build: int = 1) -> BuiltImage:
    """Another build of the same tag moves it."""
    seed = sum(repository.encode()) * 1000 + build
    [image] = lab.push(ImageSpec(repository, "v1", (Layer(20_000, seed),), "2020-01-01T00:00:00Z"))
    return image


def start_pod(lab: Lab, image: BuiltImage) -> None:
    lab.start_pod(image.reference(COMPANY))


def create_container(lab: Lab, image: BuiltImage) -> None:
    lab.start_pod(image.reference(COMPANY), run=False)


def run_to_its_end(lab: Lab, image: BuiltImage) -> None:
    lab.start_pod(image.image_id).stop()


def pull_again(lab: Lab, image: BuiltImage) -> None:
    lab.pull(image.reference(COMPANY))


def tag(lab: Lab, image: BuiltImage) -> None:
    lab.tag(image.reference(COMPANY), "quay.io/golem-ai/elsewhere:v1")


def move_tag(lab: Lab, image: BuiltImage) -> None:
    lab.pull(push(lab, image.spec.repository, build=2).reference(COMPANY))


CHANGES: dict[str, tuple[Callable[[Lab, BuiltImage], None], str]] = {
    "start-pod": (start_pod, "now in_use"),
    "create-container": (create_container, "now in_use"),
    "run-to-its-end": (run_to_its_end, "now in_use"),
    "pull-again": (pull_again, "it was pulled again"),
    "tag": (tag, "its references changed"),
    "move-tag": (move_tag, "its references changed"),
}


@dataclass
class Once:
    """Something that happens on the node just before one call about one image, and not again."""

    happen: Callable[[], None]
    runtime: RecordedRuntime
    image_id: str
    before: str
    happened: bool = False

    def __post_init__(self) -> None:
        self.runtime.before[self.before] = self

    def __call__(self, subject: str) -> None:
        """Reading the image after the plan begins its final check, which also has the next two calls."""
        checked = {subject, *(call.subject for call in self.runtime.calls[-2:])}
        if not self.happened and self.image_id in checked:
            self.happened = True
            self.happen()


@pytest.mark.parametrize("change", CHANGES)
def test_change_before_the_final_check(change: str, lab: Lab) -> None:
    """What begins to need an image after the plan, or changes it, saves it."""
    happen, against = CHANGES[change]
    image = push(lab, f"golem-ai/before-check-{change}")
    lab.pull(image.reference(COMPANY))
    with recorded(lab) as (node, runtime):
        Once(lambda: happen(lab, image), runtime, image.image_id, before="read_image")
        evictions = sweep(node, image.spec.repository)
        assert [(eviction.outcome, eviction.error) for eviction in evictions] == [(SPARED, against)]
        assert not [call for call in runtime.calls if call.method == "remove_image"]
        [decision] = decisions(runtime.calls)
        assert decision.reason_to_stay() is not None
    assert lab.find_image(image.image_id) == image.image_id


def test_pod_within_the_final_check(lab: Lab) -> None:
    """A pod that starts during the final check is seen: containers are listed last."""
    image = push(lab, "golem-ai/within-check")
    lab.pull(image.reference(COMPANY))
    with recorded(lab) as (node, runtime):
        Once(lambda: start_pod(lab, image), runtime, image.image_id, before="list_containers")
        [eviction] = sweep(node, image.spec.repository)
    assert (eviction.outcome, eviction.error) == (SPARED, "now in_use")
    assert lab.find_image(image.image_id) == image.image_id


def test_pod_after_the_final_check(lab: Lab) -> None:
    """A pod that starts in the moment between final check and removal loses its image's name, and runs on."""
    image = push(lab, "golem-ai/after-check")
    lab.pull(image.reference(COMPANY))
    pods: list[Pod] = []

    def start() -> None:
        pods.append(lab.start_pod(image.reference(COMPANY)))

    with recorded(lab) as (node, runtime):
        Once(start, runtime, image.image_id, before="remove_image")
        [eviction] = sweep(node, image.spec.repository)
    assert eviction.outcome is EVICTED
    assert lab.find_image(image.image_id) is None
    assert state_of(lab, pods[0]) == "RUNNING"
    assert lab.pull(image.reference(COMPANY)) == image.image_id


def state_of(lab: Lab, pod: Pod) -> str | None:
    """What containerd says of a pod's process; None where it has none."""
    tasks = {line.split()[0]: line.split()[2] for line in lab.ctr("tasks", "ls").splitlines()[1:]}
    return tasks.get(pod.container_id)


@dataclass
class StartedPod:
    """A container that certainly existed between two moments; monotonic seconds."""

    pod: Pod
    image_id: str
    running: bool
    exists_from: float
    exists_until: float = float("inf")


@dataclass(eq=False)
class Kubelet(threading.Thread):
    """Starts pods as fast as it can, in every state; pulls what is not there, as a kubelet does."""

    lab: Lab
    images: list[BuiltImage]
    over: threading.Event
    started: list[StartedPod] = field(default_factory=list)
    not_started: int = 0
    """Pods that did not start, since their image was evicted between its pull and the container."""

    def __post_init__(self) -> None:
        super().__init__(name="kubelet", daemon=True)
        self._dice = random.Random(1)  # noqa: S311 - a choice, not a secret

    def run(self) -> None:
        """Until it is over."""
        while not self.over.is_set():
            self.start_one(self._dice.choice(self.images))
            if len(self.living()) > LIVING_PODS:
                self.end_one(self._dice.choice(self.living()))

    def start_one(self, image: BuiltImage) -> None:
        run, stop = self._dice.choice([(True, False), (True, True), (False, False)])
        try:
            if self.lab.find_image(image.image_id) is None:
                self.lab.pull(image.reference(COMPANY))
            pod = self.lab.start_pod(image.reference(COMPANY), run=run)
        except LabError:
            self.not_started += 1
            return
        self.started.append(StartedPod(pod, image.image_id, run and not stop, time.monotonic()))
        if stop:
            pod.stop()

    def end_one(self, started: StartedPod) -> None:
        started.exists_until = time.monotonic()
        if self._dice.random() < 0.5:
            started.pod.remove_container()
        started.pod.remove()

    def living(self) -> list[StartedPod]:
        return [started for started in self.started if started.exists_until == float("inf")]


@dataclass(eq=False)
class Registrar(threading.Thread):
    """Pulls, tags and moves tags as fast as it can."""

    lab: Lab
    images: list[BuiltImage]
    over: threading.Event
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(name="registrar", daemon=True)
        self._dice = random.Random(2)  # noqa: S311 - as above

    def run(self) -> None:
        """Until it is over."""
        acts = [self.pull, self.pull, self.tag, self.untag, self.move_tag]
        while not self.over.is_set():
            act = self._dice.choice(acts)
            try:
                act(self._dice.choice(self.images))
                self.done[act.__name__] += 1
            except LabError:
                # Its image was evicted, or is being evicted: nothing to tag.
                self.done["in vain"] += 1

    def pull(self, image: BuiltImage) -> None:
        self.lab.pull(image.reference(COMPANY))

    def tag(self, image: BuiltImage) -> None:
        reference = image.reference(COMPANY)
        self.lab.ctr("images", "tag", "--force", reference, reference + "-too")

    def untag(self, image: BuiltImage) -> None:
        self.lab.ctr("images", "rm", image.reference(COMPANY) + "-too")

    def move_tag(self, _image: BuiltImage) -> None:
        build = self._dice.choice([1, 2, 3])
        self.lab.pull(push(self.lab, "golem-ai/race-moving", build).reference(COMPANY))


@dataclass(frozen=True)
class Outcome:
    """What a race left."""

    rounds: int
    evictions: list[Eviction]
    decisions: list[Decision]
    started: list[StartedPod]
    not_started: int
    done: Counter[str]


def race(lab: Lab) -> Outcome:
    """Sweep and sweep again while the node changes as fast as it can."""
    images = [push(lab, f"golem-ai/race-{number}") for number in range(APPS)]
    over = threading.Event()
    kubelet, registrar = Kubelet(lab, images, over), Registrar(lab, images, over)
    evictions: list[Eviction] = []
    rounds = 0
    with recorded(lab) as (node, runtime):
        kubelet.start()
        registrar.start()
        try:
            began = time.monotonic()
            while must_continue(time.monotonic() - began, evictions):
                lab.pull_all(image.reference(COMPANY) for image in images if lab.find_image(image.image_id) is None)
                evictions += sweep(node, "golem-ai/race-*")
                rounds += 1
        finally:
            over.set()
            kubelet.join()
            registrar.join()
        found = list(decisions(runtime.calls))
    return Outcome(rounds, evictions, found, kubelet.started, kubelet.not_started, registrar.done)


def must_continue(seconds: float, evictions: list[Eviction]) -> bool:
    """What is proved is proved of both: when they come is for the machine to say, so the time alone ends no race."""
    seen_both = {eviction.outcome for eviction in evictions} >= {EVICTED, SPARED}
    return seconds < (RACE_SECONDS if seen_both else DEADLINE_SECONDS)


def test_race(lab: Lab) -> None:
    """Against pods, pulls and tags at full speed, each removal follows a final check without a use or a change."""
    outcome = race(lab)
    show(lab, outcome)
    for decision in outcome.decisions:
        assert (decision.removal is None) == (decision.reason_to_stay() is not None)
        assert decision.removal is None or certain_users(decision, outcome.started) == []
    spared = [eviction for eviction in outcome.evictions if eviction.outcome is SPARED]
    assert spared
    assert any(eviction.outcome is EVICTED for eviction in outcome.evictions)
    assert len(spared) == sum(decision.removal is None for decision in outcome.decisions)
    containers = lab.ctr("containers", "ls", "-q").split()
    for started in outcome.started:
        if started.exists_until == float("inf"):
            assert started.pod.container_id in containers
            assert not started.running or state_of(lab, started.pod) == "RUNNING"


def certain_users(decision: Decision, started: list[StartedPod]) -> list[StartedPod]:
    """Pods by the test's own book: their container was there from before the list was asked for until it came."""
    final_check = decision.final_check
    return [
        pod
        for pod in started
        if pod.image_id == decision.planned.id
        and pod.exists_from < final_check.containers_began
        and final_check.ended < pod.exists_until
    ]


def show(lab: Lab, outcome: Outcome) -> None:
    """What happened, and how long an image was unwatched before its removal."""
    outcomes = Counter(eviction.outcome.value for eviction in outcome.evictions)
    reasons = Counter(eviction.error for eviction in outcome.evictions if eviction.outcome is SPARED)
    failures = Counter(eviction.error for eviction in outcome.evictions if eviction.outcome is EvictionOutcome.FAILED)
    print(f"\ncontainerd {lab.version}: {outcome.rounds} sweeps, {dict(outcomes)}")
    print(f"  spared: {dict(reasons)}; failed: {dict(failures)}")
    print(f"  {len(outcome.started)} pods started, {outcome.not_started} did not; {dict(outcome.done)}")
    removed = [decision for decision in outcome.decisions if decision.removal]
    show_spans("end of the final check to RemoveImage", [began_of(d) - d.final_check.ended for d in removed])
    show_spans(
        "begin of its list of containers to RemoveImage",
        [began_of(d) - d.final_check.containers_began for d in removed],
    )
    living = [started for started in outcome.started if started.exists_until == float("inf")]
    nameless = [started for started in living if lab.find_image(started.image_id) is None]
    print(f"  {len(living)} pods live, {len(nameless)} of them without their image's name")


def began_of(decision: Decision) -> float:
    assert decision.removal is not None
    return decision.removal.began


def show_spans(what: str, seconds: list[float]) -> None:
    spans = sorted(1000 * span for span in seconds)
    p99 = spans[min(len(spans) - 1, int(0.99 * len(spans)))]
    print(
        f"  {what}: median {statistics.median(spans):.3f} ms, p99 {p99:.3f} ms, max {spans[-1]:.3f} ms, n {len(spans)}"
    )
