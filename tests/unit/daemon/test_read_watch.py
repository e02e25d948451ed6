"""What the daemon reports of container events and pulls, round by round."""

from dataclasses import replace
from pathlib import Path

import pytest

from cleaner.core.errors import RuntimeRejectedError, RuntimeUnavailableError
from cleaner.core.events import LoopFailed, RuntimeDown, RuntimeUp, SpaceInventoried
from cleaner.core.read_state import (
    AVAILABLE,
    LASTS_SECONDS,
    OptionalRead,
    ReadChanged,
    ReadState,
    not_offered,
    unavailable,
)
from support.graphs import NO_LAYERS
from support.nodes import World, make_world
from unit.cli.test_node_checks import UnseeingDisk
from unit.daemon.test_loop import Watch

EVENTS, PULLS = OptionalRead.CONTAINER_EVENTS, OptionalRead.PULLS
GONE = unavailable("Events.Subscribe: the runtime ended the stream")
UNREAD = unavailable("Leases.List: INTERNAL: broken")
DOWN = RuntimeUnavailableError("Version: UNAVAILABLE: connection refused")
FROM_THE_START = [ReadChanged(EVENTS, AVAILABLE), ReadChanged(PULLS, AVAILABLE)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def set_at(world: World, *changes: tuple[float, ReadState | None], pulls: bool = False) -> None:
    """Change a state before the first round that many seconds after the start or later."""
    began, pending = world.timer.monotonic(), list(changes)

    def change() -> None:
        while pending and world.timer.monotonic() - began >= pending[0][0]:
            state = pending.pop(0)[1]
            if pulls:
                world.simulated.pulls_state = state
            else:
                world.simulated.container_events_state = state

    world.runtime.before["read_version"] = change


def changes_of(watch: Watch) -> list[ReadChanged]:
    return watch.recorder.of(ReadChanged)


def test_what_works_is_reported_once(world: World) -> None:
    """Many rounds in which both can be read are one event for each."""
    watch = Watch(world)
    watch.run_for(minutes=10)
    assert changes_of(watch) == FROM_THE_START


def test_a_stream_that_is_gone_for_seconds_is_not_reported(world: World) -> None:
    """A restart of containerd ends the stream for a moment."""
    set_at(world, (60, GONE), (60 + LASTS_SECONDS - 5, AVAILABLE))
    watch = Watch(world)
    watch.run_for(minutes=5)
    assert changes_of(watch) == FROM_THE_START


def test_a_dead_stream_is_reported_once_and_its_return_once(world: World) -> None:
    """However long it lasts, and however the reason changes."""
    set_at(world, (60, GONE), (600, unavailable("another reason")), (1200, AVAILABLE))
    watch = Watch(world)
    watch.run_for(hours=1)
    assert changes_of(watch) == [*FROM_THE_START, ReadChanged(EVENTS, GONE), ReadChanged(EVENTS, AVAILABLE)]


def test_a_runtime_without_events_is_no_fault(world: World) -> None:
    """CRI-O has neither: that is known in the first round."""
    neither = not_offered("UNIMPLEMENTED")
    world.simulated.container_events_state = world.simulated.pulls_state = neither
    watch = Watch(world)
    watch.run_for(minutes=10)
    assert changes_of(watch) == [ReadChanged(EVENTS, neither), ReadChanged(PULLS, neither)]


def test_nothing_is_said_twice_while_the_runtime_is_unavailable(world: World) -> None:
    """An unavailable runtime has its own event; the stream that comes back seconds after it has none."""
    set_at(world, (60, GONE))
    watch = Watch(world)
    rounds: list[RuntimeUnavailableError | RuntimeRejectedError | None] = [*[None] * 14, *[DOWN] * 100]
    world.runtime.failures = {"read_version": list(rounds)}

    def again() -> None:
        if watch.recorder.of(RuntimeDown) and not world.runtime.failures["read_version"]:
            back.append(world.timer.monotonic())
        if back and world.timer.monotonic() - back[0] >= LASTS_SECONDS - 5:
            world.simulated.container_events_state = AVAILABLE

    back: list[float] = []
    world.runtime.before["disconnect"] = again
    watch.run_for(minutes=20)
    assert len(watch.recorder.of(RuntimeUp)) == 2
    assert back
    assert changes_of(watch) == FROM_THE_START


def test_a_runtime_that_comes_back_without_events(world: World) -> None:
    """What lasts after an outage is reported as ever."""
    world.runtime.failures = {"read_version": [None] * 3 + [DOWN] * 3}
    set_at(world, (15, GONE))
    watch = Watch(world)
    watch.run_for(minutes=5)
    assert changes_of(watch) == [*FROM_THE_START, ReadChanged(EVENTS, GONE)]


def test_unreadable_pulls_are_read_again_until_they_are_readable(world: World) -> None:
    """On an idle node pulls are read once; where that failed, each round reads them again."""
    set_at(world, (60, UNREAD), (300, AVAILABLE), pulls=True)
    watch = Watch(world)
    watch.run_for(minutes=10)
    assert changes_of(watch) == [*FROM_THE_START, ReadChanged(PULLS, UNREAD), ReadChanged(PULLS, AVAILABLE)]
    assert 1 + 300 / 5 - 15 <= world.runtime.calls.count("read_pulls") <= 1 + 300 / 5


def test_what_is_not_seen_or_measured_is_in_the_events(world: World) -> None:
    """Both were only in `check`: the daemon tells of them too."""
    world.runtime.layers = [replace(NO_LAYERS, unmeasured_snapshotters=frozenset({"zfs"}))]
    world.disk.inner = UnseeingDisk(world.disk.inner, "/elsewhere")
    watch = Watch(world)
    watch.run_for(minutes=2)
    assert [event.unseen_paths for event in watch.recorder.of(RuntimeUp)] == [("/elsewhere",)]
    assert watch.recorder.of(SpaceInventoried)[0].unmeasured_snapshotters == {"zfs"}


def test_without_layers_nothing_is_unmeasured(world: World) -> None:
    """A runtime that does not tell what images share has no snapshotters."""
    world.runtime.blind = True
    watch = Watch(world)
    watch.run_for(minutes=2)
    assert {event.unmeasured_snapshotters for event in watch.recorder.of(SpaceInventoried)} == {frozenset()}


def test_pulls_that_were_never_read_say_nothing(world: World) -> None:
    """A state that is not known is none, and the reading is tried in each round."""
    world.simulated.pulls_state = None
    watch = Watch(world)
    watch.run_for(minutes=2)
    assert changes_of(watch) == FROM_THE_START[:1]
    assert world.runtime.calls.count("read_pulls") == 24
    assert not watch.recorder.of(LoopFailed)
