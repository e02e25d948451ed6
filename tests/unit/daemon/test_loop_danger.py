"""The daemon near the kubelet's threshold, and after sweeps that left candidates untried."""

from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.core.errors import RuntimeRejectedError, RuntimeUnavailableError
from cleaner.core.events import EvictionEnded, NightlyRunEnded, SpaceInventoried
from cleaner.core.model import EvictionOutcome, KeepReason, Mode, StopReason, Trigger
from support.nodes import MB, World, make_world
from unit.daemon.test_loop import Watch

REJECTED = RuntimeRejectedError("RemoveImage: INTERNAL: no")
DOWN = RuntimeUnavailableError("ListContainers: UNAVAILABLE: no")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def evicted_after(watch: Watch, begin: float) -> list[float]:
    """Seconds from a moment to each eviction."""
    ended = [e for e in watch.recorder.of(EvictionEnded) if e.eviction.outcome is EvictionOutcome.EVICTED]
    return [(event.at - watch.world.timer.wall).total_seconds() + watch.world.timer.seconds - begin for event in ended]


@pytest.mark.parametrize(("images", "sooner"), [(17, True), (16, False)])
def test_images_younger_than_grace_go_before_the_kubelet_acts(world: World, images: int, *, sooner: bool) -> None:
    """At 85 % images of one minute are evicted once they are two minutes old; at 80 % after five minutes."""
    for number in range(images):
        world.pull_old(f"app{number:02}", days=1 / (24 * 60))
    begin = world.timer.monotonic()
    watch = Watch(world, mode=Mode.PRESSURE)
    watch.run_for(minutes=6)
    first = min(evicted_after(watch, begin))
    assert 60 <= first < 75 if sooner else 240 <= first < 310


@pytest.mark.parametrize(("images", "candidates"), [(17, 17), (16, 0)])
def test_the_inventory_counts_with_the_grace_in_danger(world: World, images: int, candidates: int) -> None:
    """What a pressure sweep could evict is what the metrics and the next retry go by, also near the threshold."""
    for number in range(images):
        world.pull_old(f"app{number:02}", days=3 / (24 * 60))
    watch = Watch(world, mode=Mode.OBSERVE)
    watch.run_for(seconds=20)
    assert len(watch.recorder.of(SpaceInventoried)[-1].pressure.candidates) == candidates


def test_six_images_that_are_never_removed_do_not_keep_the_others(world: World) -> None:
    """A pressure sweep reaches its low watermark with the others, and the six wait ever longer for their next try."""
    for number in range(16):
        world.pull_old(f"app{number:02}", days=40 - number)
    remove, never = world.simulated.remove_image, first_of(world, 6)

    def refuse(image_id: str) -> None:
        if image_id in never:
            raise REJECTED
        remove(image_id)

    world.runtime.remove_image = refuse  # type: ignore[method-assign]
    watch = Watch(world)
    watch.run_for(seconds=30)
    (report,) = [event.report for event in watch.reports(Trigger.PRESSURE)]
    assert (report.stop_reason, report.low_watermark_met) == (StopReason.LOW_WATERMARK, True)
    failed = [e.verdict.image.id for e in report.evictions if e.outcome is EvictionOutcome.FAILED]
    assert sorted(failed) == sorted(never)
    memory = world.ledger.store_images(world.simulated.list_images(), frozenset(), world.timer.now())
    assert set(memory.removal_failures) == set(never)
    night = world.report(Trigger.NIGHTLY)
    assert night.plan is not None
    assert {v.reason for v in night.plan.kept if v.image.id in never} == {KeepReason.REMOVAL_FAILED}


def first_of(world: World, count: int) -> list[str]:
    """The ids at the head of a pressure sweep's order."""
    report = world.report(Trigger.PRESSURE, dry_run=True)
    assert report.plan is not None
    return [verdict.image.id for verdict in report.plan.candidates[:count]]


def test_a_nightly_run_is_done_though_six_images_are_never_removed(world: World) -> None:
    """Failures of images leave no nightly run open."""
    for number in range(8):
        world.pull_old(f"app{number}", days=60 - number)
    world.runtime.failures["remove_image"] = [REJECTED] * 6
    world.ledger.nightly_run = None
    world.timer.move(hours=12, minutes=1)
    watch = Watch(world)
    watch.run_for(minutes=30)
    assert len(watch.recorder.of(NightlyRunEnded)) == 1
    report = watch.reports(Trigger.NIGHTLY)[0].report
    outcomes = [eviction.outcome for eviction in report.evictions]
    assert outcomes == [EvictionOutcome.FAILED] * 6 + [EvictionOutcome.EVICTED] * 2
    assert report.stop_reason is StopReason.DONE


def test_a_sweep_that_the_runtime_failed_is_retried_below_the_high_watermark(world: World) -> None:
    """Five failures of the runtime end a sweep early; a minute later the next one reaches the low watermark."""
    for number in range(16):
        world.pull_old(f"app{number:02}", days=40 - number)
    # The inspection reads the list first; then final checks fail after the first eviction.
    world.runtime.failures["list_containers"] = [None, None] + [DOWN] * 5
    watch = Watch(world)
    watch.run_for(minutes=3)
    first, second, *others = [event.report for event in watch.reports(Trigger.PRESSURE)]
    assert (first.stop_reason, first.filesystem_after.used_percent) == (StopReason.FAILURES, 75.0)
    assert second.started_at - first.started_at >= timedelta(minutes=1)
    assert second.stop_reason is StopReason.LOW_WATERMARK
    assert not others


def test_removals_that_the_runtime_did_not_answer_are_tried_again(world: World) -> None:
    """Fewer failures than end a sweep, and no other candidate: a minute later the sweep is repeated."""
    world.simulated.write_file("logs", 600 * MB)
    for number in range(3):
        world.pull_old(f"app{number}", days=40 - number)
    world.runtime.failures["remove_image"] = [DOWN] * 3
    watch = Watch(world)
    watch.run_for(minutes=3)
    first, second, *_ = [event.report for event in watch.reports(Trigger.PRESSURE)]
    assert {e.outcome for e in first.evictions} == {EvictionOutcome.FAILED}
    assert second.started_at - first.started_at >= timedelta(minutes=1)
    assert EvictionOutcome.EVICTED in {e.outcome for e in second.evictions}


def test_a_nightly_run_that_the_runtime_failed_once_is_not_done(world: World) -> None:
    """One removal without an answer leaves the run open, and the next sweep of that night evicts the image."""
    world.pull_old("app")
    world.runtime.failures["remove_image"] = [DOWN]
    world.ledger.nightly_run = None
    world.timer.move(hours=12, minutes=1)
    watch = Watch(world)
    watch.run_for(minutes=30)
    first, second = [event.report for event in watch.reports(Trigger.NIGHTLY)]
    assert [e.outcome for e in first.evictions] == [EvictionOutcome.FAILED]
    assert [e.outcome for e in second.evictions] == [EvictionOutcome.EVICTED]
    assert len(watch.recorder.of(NightlyRunEnded)) == 1


@pytest.mark.parametrize("method", ["read_image", "remove_image"])
def test_images_that_the_runtime_always_rejects_do_not_keep_the_others(world: World, method: str) -> None:
    """Whether the question or the removal is rejected: five such images end no sweep."""
    for number in range(16):
        world.pull_old(f"app{number:02}", days=40 - number)
    world.runtime.failures[method] = [REJECTED] * 5
    watch = Watch(world)
    watch.run_for(seconds=30)
    report = watch.reports(Trigger.PRESSURE)[0].report
    assert report.stop_reason is StopReason.LOW_WATERMARK
    assert [e.outcome for e in report.evictions[:5]] == [EvictionOutcome.FAILED] * 5
