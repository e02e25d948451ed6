"""Whole sweeps against a runtime that fails, lies or is slow: no image in use is removed, none blocks the others."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from cleaner.core.errors import CleanerError
from cleaner.core.events import EvictionStarted
from cleaner.core.model import EvictionOutcome, KeepReason, StopReason, Trigger
from cleaner.core.report import SweepReport
from cleaner.runtime.pb import cri_pb2 as pb
from lab.waiting import DEADLINE_SECONDS, wait_until
from support.faulty_runtime import Point
from support.faulty_runtime.world import STREAM_SECONDS, FaultyWorld, faulty_world, outcomes

Code = grpc.StatusCode
EVICTED, FAILED, SPARED = EvictionOutcome.EVICTED, EvictionOutcome.FAILED, EvictionOutcome.SPARED


@pytest.fixture
def world(folder: Path) -> Iterator[FaultyWorld]:
    with faulty_world(folder) as world:
        yield world


def reference(name: str) -> str:
    return f"registry.example.com/{name}:v1"


def reasons(report: SweepReport) -> dict[str, str]:
    """By image id, why each image of the plan is kept or evicted."""
    assert report.plan is not None
    plan = report.plan
    return {verdict.image.id: verdict.reason for verdict in (*plan.evictions, *plan.kept, *plan.not_reached)}


def test_an_honest_runtime(world: FaultyWorld) -> None:
    """Without a fault a sweep evicts what is old and unused."""
    old, young = world.pull_old("old"), world.pull_old("young", days=1.5)
    used = world.pull_old("used")
    world.server.node.start_pod(reference("used"))
    report = world.report()
    assert outcomes(report) == {old: EVICTED}
    assert {young, used} <= world.present()
    assert old not in world.present()


# ---- a status that is not found for what a list names


def test_a_container_whose_status_is_not_found_keeps_its_image(world: FaultyWorld) -> None:
    """A container that is listed has its image in use, whatever its status answers."""
    used, other = world.pull_old("used"), world.pull_old("other")
    container_id = world.server.node.start_pod(reference("used"))
    world.server.faults.when("ContainerStatus", subject=container_id).fail(Code.NOT_FOUND)
    report = world.report()
    assert reasons(report)[used] is KeepReason.IN_USE
    assert world.removed() == {other}


def test_a_new_container_whose_status_is_not_found_spares_its_image(world: FaultyWorld) -> None:
    """The final check finds a container by the list alone."""
    image_id = world.pull_old("app")
    world.server.faults.when("ContainerStatus").fail(Code.NOT_FOUND)
    for event in world.events(Trigger.MANUAL):
        if isinstance(event, EvictionStarted):
            world.server.node.start_pod(reference("app"))
    assert world.removed() == set()
    assert image_id in world.present()


def test_a_sandbox_whose_status_is_not_found_fails_the_sweep(world: FaultyWorld) -> None:
    """A sandbox that stays listed may run any image: nothing is evicted."""
    world.pull_old("app")
    sandbox_id = world.server.node.run_sandbox()
    world.server.faults.when("PodSandboxStatus", subject=sandbox_id).fail(Code.NOT_FOUND)
    with pytest.raises(CleanerError):
        world.report()
    assert world.removed() == set()


def test_a_sandbox_that_is_really_gone_holds_nothing_up(world: FaultyWorld) -> None:
    """A sandbox that is removed between list and status is no failure."""
    old = world.pull_old("old")
    sandbox_id = world.server.node.run_sandbox()
    gone = world.server.faults.when("PodSandboxStatus", subject=sandbox_id, times=1)
    gone.run(lambda: world.server.node.remove_sandbox(sandbox_id))
    assert outcomes(world.report()) == {old: EVICTED}


# ---- containers created during a final check


def test_a_container_created_while_containers_are_listed_spares_its_image(world: FaultyWorld) -> None:
    """The list was read before the container was there; its event arrived before the removal."""
    image_id = world.pull_old("app")
    world.follow_containers()
    started: list[str] = []
    begun = False

    def start() -> None:
        if begun and not started:
            started.append(world.start_heard(reference("app")))

    world.server.faults.when("Containers.List").run(start, Point.READ)
    for event in world.events(Trigger.MANUAL):
        begun = begun or isinstance(event, EvictionStarted)
    assert len(started) == 1
    assert world.removed() == set()
    assert image_id in world.present()


def test_a_container_that_is_being_created_spares_its_image(world: FaultyWorld) -> None:
    """A snapshot is prepared for it, and no list has it yet: slow disks make that seconds."""
    image_id = world.pull_old("app")
    world.follow_containers()
    prepared, go_on = threading.Event(), threading.Event()

    def hold(topic: str, subject: str) -> None:
        if topic == "/snapshot/prepare" and world.server.node.sandboxes:
            prepared.set()
            assert go_on.wait(DEADLINE_SECONDS)

    def is_heard() -> bool:
        position = world.runtime.event_position()
        created = None if position is None else world.runtime.created_since(position)
        return any(image_id in one.image_names for one in created or ())

    world.server.events.on_event = hold
    starting = threading.Thread(target=world.server.node.start_pod, args=(reference("app"),))
    try:
        for event in world.events(Trigger.MANUAL):
            if isinstance(event, EvictionStarted):
                starting.start()
                assert prepared.wait(DEADLINE_SECONDS)
                wait_until(is_heard, "the agent hears of it", STREAM_SECONDS)
    finally:
        go_on.set()
        starting.join(DEADLINE_SECONDS)
    assert world.removed() == set()
    assert len(world.server.node.containers) == 1


def test_a_stream_that_ends_during_a_check_makes_it_invalid(world: FaultyWorld) -> None:
    """What happened while the stream was down is in no event, so the node is read again."""
    image_id = world.pull_old("app")
    world.follow_containers()
    ended: list[str] = []
    begun = False

    def end() -> None:
        if begun and not ended:
            with world.server.events.losing_events():
                ended.append(world.server.node.start_pod(reference("app")))
            world.server.events.end_streams()
            wait_until(lambda: not world.runtime._uses.connected, "the agent notices", STREAM_SECONDS)

    world.server.faults.when("Containers.List").run(end, Point.READ)
    for event in world.events(Trigger.MANUAL):
        begun = begun or isinstance(event, EvictionStarted)
    assert len(ended) == 1
    assert world.removed() == set()
    assert image_id in world.present()


@pytest.mark.parametrize("deaf", [False, True])
def test_a_stream_that_lost_an_event_is_not_relied_on(world: FaultyWorld, deaf: bool) -> None:
    """With a stream a check is valid for 30 s. One that does not tell of a listed container counts as none."""
    image_id = world.pull_old("app")
    world.pull_old("silent")
    world.follow_containers()
    world.runtime.list_containers()
    if deaf:
        with world.server.events.losing_events():
            world.server.node.start_pod(reference("silent"))
    else:
        world.start_heard(reference("silent"))
    world.runtime.list_containers()
    uses = world.runtime._uses
    uses._monotonic = lambda: time.monotonic() + 30
    world.runtime.list_containers()
    wait_until(lambda: uses._has_lasted(0.5) and uses.connected, "the stream is there again", STREAM_SECONDS)
    slow = world.server.faults.when("Containers.List")
    for event in world.events(Trigger.MANUAL):
        if isinstance(event, EvictionStarted):
            slow.run(lambda: world.timer.move(seconds=11))
    assert (image_id in world.present()) is deaf
    assert (uses.event_position() is None) is deaf


@pytest.mark.parametrize(("seconds", "outcome"), [(10, EVICTED), (11, SPARED)])
def test_checks_that_take_too_long_without_events(world: FaultyWorld, seconds: int, outcome: EvictionOutcome) -> None:
    """Without a stream a check is valid for 10 s at most; after three that are not, the image is spared."""
    image_id = world.pull_old("app")
    slow = world.server.faults.when("Containers.List")
    for event in world.events(Trigger.MANUAL):
        if isinstance(event, EvictionStarted):
            slow.run(lambda: world.timer.move(seconds=seconds))
    assert (image_id in world.present()) is (outcome is SPARED)
    assert (world.removed() == set()) is (outcome is SPARED)


# ---- answers about something else


@pytest.mark.parametrize("answers", [0, 1])
def test_an_answer_about_another_image_removes_nothing(world: FaultyWorld, answers: int) -> None:
    """Neither the list's own look at an image nor the final check believes an answer about another one."""
    image_id, other = world.pull_old("app"), world.pull_old("other", days=1.5)
    world.server.faults.when("ImageStatus", subject=image_id, after=answers).ask_about(other)
    report = world.report()
    assert world.removed() == set()
    assert outcomes(report) == ({image_id: FAILED} if answers else {})
    assert image_id in world.present()


def test_a_confirmation_about_another_image_is_none(world: FaultyWorld) -> None:
    """A removal is not confirmed by an answer about another image."""
    image_id, other = world.pull_old("app"), world.pull_old("other", days=1.5)
    world.server.faults.when("RemoveImage", subject=image_id).answer(pb.RemoveImageResponse())
    world.server.faults.when("ImageStatus", subject=image_id, after=2).ask_about(other)
    assert outcomes(world.report()) == {image_id: FAILED}


def test_a_status_of_another_container_hides_no_mounted_image(world: FaultyWorld) -> None:
    """An image volume is in use also where the status of another container, without one, is answered."""
    world.pull_old("app", days=1.5)
    volume = world.pull_old("volume")
    other = world.server.node.start_pod(reference("app"))
    container_id = world.server.node.start_pod(reference("app"), volumes=(reference("volume"),))
    world.server.faults.when("ContainerStatus", subject=container_id).ask_about(other)
    with pytest.raises(CleanerError):
        world.report()
    assert world.removed() == set()
    assert volume in world.present()


# ---- images that can never be removed


def fill(world: FaultyWorld, failing: int, others: int) -> tuple[list[str], list[str]]:
    """Images of 5 % of the disk each, the failing ones oldest."""
    bad = [world.pull_old(f"bad{number}", days=90 - number) for number in range(failing)]
    good = [world.pull_old(f"good{number:02}", days=60 - number) for number in range(others)]
    return bad, good


def sweep_twice(world: FaultyWorld, trigger: Trigger) -> list[SweepReport]:
    """A sweep and the one after it, a moment later."""
    first = world.report(trigger)
    world.timer.move(seconds=30)
    return [first, world.report(trigger)]


@pytest.mark.parametrize("silent", [False, True])
def test_images_that_cannot_be_removed_do_not_block_pressure(world: FaultyWorld, silent: bool) -> None:
    """Six of them at the head of the order: the sweep reaches the low watermark, and the next one leaves them out."""
    bad, good = fill(world, 6, 10)
    for image_id in bad:
        fault = world.server.faults.when("RemoveImage", subject=image_id)
        _ = fault.answer(pb.RemoveImageResponse()) if silent else fault.fail(Code.INTERNAL, "layer in use")
    first = world.report(Trigger.PRESSURE)
    world.timer.move(seconds=30)
    second = world.report(Trigger.MANUAL)
    assert first.low_watermark_met
    assert {image_id for image_id, outcome in outcomes(first).items() if outcome is FAILED} == set(bad)
    assert {reasons(second)[image_id] for image_id in bad} == {KeepReason.REMOVAL_FAILED}
    assert outcomes(second) == dict.fromkeys(
        [image_id for image_id in good if image_id not in outcomes(first)], EVICTED
    )


def test_images_that_cannot_be_removed_do_not_block_the_night(world: FaultyWorld) -> None:
    """A nightly sweep evicts all others, and is done; the next one leaves them out."""
    bad, good = fill(world, 5, 3)
    for image_id in bad:
        world.server.faults.when("RemoveImage", subject=image_id).fail(Code.UNKNOWN, "no such snapshot")
    first, second = sweep_twice(world, Trigger.NIGHTLY)
    assert first.stop_reason is second.stop_reason is StopReason.DONE
    assert outcomes(first) == dict.fromkeys(bad, FAILED) | dict.fromkeys(good, EVICTED)
    assert outcomes(second) == {}
    assert {reasons(second)[image_id] for image_id in bad} == {KeepReason.REMOVAL_FAILED}


@pytest.mark.parametrize("lost", ["connection", "deadline", "final check"])
def test_failures_of_the_runtime_are_not_held_against_an_image(world: FaultyWorld, lost: str) -> None:
    """An image whose removal or final check the runtime did not answer is a candidate of the next sweep."""
    image_id = world.pull_old("app")
    removals = world.server.faults.when("RemoveImage", times=1)
    if lost == "connection":
        removals.drop_connection()
    elif lost == "deadline":
        removals.fail(Code.DEADLINE_EXCEEDED)
    else:
        world.server.faults.when("ImageStatus", subject=image_id, after=1, times=1).fail(Code.DEADLINE_EXCEEDED)
    first, second = sweep_twice(world, Trigger.MANUAL)
    assert outcomes(first) == {image_id: FAILED}
    assert outcomes(second) == {image_id: EVICTED}


def test_a_removal_whose_answer_was_lost_counts(world: FaultyWorld) -> None:
    """What the node has afterwards decides, not the answer."""
    image_id = world.pull_old("app")
    world.server.faults.when("RemoveImage", times=1).drop_connection(Point.READ)
    assert outcomes(world.report()) == {image_id: EVICTED}
    assert world.server.journal.calls("RemoveImage") == 1


# ---- failures that pass


@pytest.mark.parametrize("refused", ["", None])
def test_a_list_of_records_over_the_message_limit_ends_no_sweep(world: FaultyWorld, refused: str | None) -> None:
    """There is no stream of records: a list that one message cannot hold is refused, or even each part of it.

    Pull times are known all the same, by parts or by names; what images share only where the parts are answered.
    """
    old, fresh = world.pull_old("old"), world.pull_old("fresh", days=0.5, built_days=90)
    too_large = world.server.faults.when("Images.List", subject=refused)
    too_large.fail(Code.RESOURCE_EXHAUSTED, "trying to send message larger than max")
    report = world.report()
    assert outcomes(report) == {old: EVICTED}
    assert reasons(report)[fresh] is KeepReason.RECENT
    assert report.plan is not None
    assert (report.plan.reclaimable is not None) is (refused == "")


def test_a_sweep_after_an_outage_goes_on(world: FaultyWorld) -> None:
    """Five removals that the runtime did not serve end a sweep; the next one evicts the same images."""
    _, good = fill(world, 0, 16)
    world.server.faults.when("RemoveImage", times=5).fail(Code.UNAVAILABLE)
    first, second = sweep_twice(world, Trigger.PRESSURE)
    assert first.stop_reason is StopReason.FAILURES
    assert set(outcomes(first)) == set(good[:5])
    assert second.stop_reason is StopReason.LOW_WATERMARK
    assert list(outcomes(second)) == good[: len(outcomes(second))]
    assert set(outcomes(second).values()) == {EVICTED}
