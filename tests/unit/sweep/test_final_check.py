"""The final check: how long it stays valid, and what happens to an image that cannot be checked in time."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import RuntimeUnavailableError
from cleaner.core.events import EvictionEnded
from cleaner.core.model import EvictionOutcome, Fault, Trigger
from cleaner.core.report import Eviction
from cleaner.sweep.final_check import LONGEST_WATCHED_SECONDS, MOST_CHECKS, OUTDATED
from support.fakes import ScriptedDisk, ScriptedRuntime
from support.nodes import World, make_world

SPARED, EVICTED = EvictionOutcome.SPARED, EvictionOutcome.EVICTED


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@dataclass
class WithoutEvents(ScriptedRuntime):
    """A runtime whose container events the agent does not follow."""

    def event_position(self) -> int | None:
        return None

    def created_since(self, position: int) -> None:
        raise AssertionError("without a position there is nothing to ask")


@dataclass
class BrokenStream(ScriptedRuntime):
    """A runtime whose stream of events breaks within each check, for so many checks."""

    breaks: int = 10**9

    def created_since(self, position: int) -> tuple[()] | None:
        self.breaks -= 1
        return None if self.breaks >= 0 else ()


@dataclass
class SlowDisk(ScriptedDisk):
    """A disk that takes its time once the runtime's calls of a final check are done."""

    world: World | None = None
    checks: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def read_usage(self) -> Usage:
        if self.checks and self.world:
            self.world.timer.move(seconds=self.seconds)
        return super().read_usage()


def use(world: World, runtime: ScriptedRuntime) -> None:
    world.runtime = runtime
    world.node = replace(world.node, runtime=runtime)


def evict(world: World) -> list[Eviction]:
    return [event.eviction for event in world.sweep(Trigger.NIGHTLY) if isinstance(event, EvictionEnded)]


def in_each_check(world: World, happen: Callable[[int], None]) -> list[int]:
    """Let something happen right after containers were listed, in each final check; gives the checks so far."""
    checks: list[int] = []
    listed: list[int] = []

    def after() -> None:
        listed.append(1)
        if len(listed) > 1:  # the first list is the plan's
            checks.append(len(checks) + 1)
            happen(checks[-1])

    world.runtime.after["list_containers"] = after
    return checks


def test_a_container_that_an_old_list_does_not_have_is_seen(world: World) -> None:
    """The list of containers is read, then one is created, and only then the list arrives: its event counts."""
    image_id = world.pull_old("a")

    def start(check: int) -> None:
        if check == 1:
            world.simulated.start_container("registry.example.com/a:v1")
            world.timer.move(seconds=3.7)

    checks = in_each_check(world, start)
    (eviction,) = evict(world)
    assert (eviction.outcome, eviction.error) == (SPARED, "now in_use")
    assert checks == [1, 2]
    assert world.simulated.read_image(image_id) is not None


def test_a_container_that_has_ended_meanwhile_counts_too(world: World) -> None:
    """A container that lives for less than a check used the image since the plan."""
    world.pull_old("a")

    def run(check: int) -> None:
        if check == 1:
            world.simulated.remove_container(world.simulated.start_container("registry.example.com/a:v1"))

    in_each_check(world, run)
    (eviction,) = evict(world)
    assert (eviction.outcome, eviction.error) == (SPARED, "used since the plan")


@pytest.mark.parametrize("others", [1, 3])
def test_a_container_that_is_created_while_others_are_looked_up_is_seen(world: World, others: int) -> None:
    """Reading which images new containers have takes calls, and another container may come during these."""
    world.pull_old("a")
    world.pull_old("b", days=1)
    in_each_check(world, lambda check: start_another(world) if check == 1 else None)
    lookups: list[int] = []

    def start_later() -> None:
        lookups.append(1)
        if len(lookups) < others:
            start_another(world)
        elif len(lookups) == others:
            world.simulated.start_container("registry.example.com/a:v1")

    world.runtime.after["created_since"] = start_later
    (eviction,) = evict(world)
    assert eviction.outcome is SPARED


def test_look_ups_that_never_end_end_the_check(world: World) -> None:
    """Where a container is created during each look-up, a check ends after half a minute, and is not valid."""
    world.pull_old("a")
    world.pull_old("b", days=1)
    in_each_check(world, lambda _: start_another(world))
    lookups: list[int] = []

    def start_again() -> None:
        lookups.append(1)
        world.timer.move(seconds=1)
        start_another(world)

    world.runtime.after["created_since"] = start_again
    (eviction,) = evict(world)
    assert (eviction.outcome, eviction.error, eviction.fault) == (SPARED, OUTDATED, Fault.RUNTIME)
    assert len(lookups) == MOST_CHECKS * 31


def start_another(world: World) -> None:
    world.simulated.start_container("registry.example.com/b:v1")


def test_containers_of_other_images_do_not_matter(world: World) -> None:
    """Pods that start all the time keep no image that they do not use."""
    world.pull_old("a")
    world.pull_old("b", days=1)
    checks = in_each_check(world, lambda _: start_another(world))
    (eviction,) = evict(world)
    assert eviction.outcome is EVICTED
    assert checks == [1]


@pytest.mark.parametrize(
    ("took", "paused", "outcome"),
    [
        (0.0, 1.0, EVICTED),
        (0.0, 1.1, SPARED),
        (2.0, 2.0, EVICTED),
        (2.0, 2.1, SPARED),
        (5.0, 5.0, EVICTED),
        (5.0, 5.1, SPARED),
        (10.0, 0.0, EVICTED),
        (10.1, 0.0, SPARED),
    ],
)
def test_without_events_a_check_is_valid_for_twice_its_time(
    world: World, took: float, paused: float, outcome: EvictionOutcome
) -> None:
    """At least a second, at most ten: a list that took longer says too little of now."""
    world.pull_old("a")
    use(world, WithoutEvents(world.simulated))
    checks = in_each_check(world, lambda _: world.timer.move(seconds=took))
    world.node = replace(world.node, disk=SlowDisk(world.simulated, world=world, checks=checks, seconds=paused))
    (eviction,) = evict(world)
    assert eviction.outcome is outcome
    assert (eviction.error == OUTDATED) is (outcome is SPARED)
    assert len(checks) == (1 if outcome is EVICTED else MOST_CHECKS)


@pytest.mark.parametrize(("seconds", "outcome"), [(LONGEST_WATCHED_SECONDS, EVICTED), (30.1, SPARED)])
def test_with_events_a_check_is_valid_for_half_a_minute(world: World, seconds: float, outcome: EvictionOutcome) -> None:
    """Events say what happened, and a check of minutes is still none."""
    world.pull_old("a")
    checks = in_each_check(world, lambda _: world.timer.move(seconds=seconds))
    (eviction,) = evict(world)
    assert eviction.outcome is outcome
    assert len(checks) == (1 if outcome is EVICTED else MOST_CHECKS)


@pytest.mark.parametrize(("breaks", "outcome"), [(0, EVICTED), (2, EVICTED), (3, SPARED), (100, SPARED)])
def test_a_stream_that_breaks_is_a_check_that_is_not_valid(world: World, breaks: int, outcome: EvictionOutcome) -> None:
    """What was missed may have been a container of the image: after three such checks the image is spared."""
    world.pull_old("a")
    use(world, BrokenStream(world.simulated, breaks=breaks))
    (eviction,) = evict(world)
    assert eviction.outcome is outcome
    assert (eviction.error == OUTDATED) is (outcome is SPARED)


@pytest.mark.parametrize("after", [1, 2])
def test_a_stream_that_is_gone_at_the_end_is_a_check_that_is_not_valid(world: World, after: int) -> None:
    """It may break before new containers are asked for, or while their images are looked up."""
    world.pull_old("a")
    asked: list[int] = []

    @dataclass
    class Leaving(ScriptedRuntime):
        def event_position(self) -> int | None:
            asked.append(1)
            return None if len(asked) == after + 1 else super().event_position()

    use(world, Leaving(world.simulated))
    checks = in_each_check(world, lambda _: None)
    (eviction,) = evict(world)
    assert eviction.outcome is EVICTED
    assert len(checks) == 2


def test_a_runtime_that_fails_within_a_check_evicts_nothing(world: World) -> None:
    """Events that cannot be read are a failed check: it is the runtime's failure."""
    world.pull_old("a")
    world.runtime.failures["created_since"] = [RuntimeUnavailableError("Images.Get: DEADLINE_EXCEEDED")]
    (eviction,) = evict(world)
    assert (eviction.outcome, eviction.fault) == (EvictionOutcome.FAILED, Fault.RUNTIME)
    assert world.simulated.read_image(eviction.verdict.image.id) is not None
