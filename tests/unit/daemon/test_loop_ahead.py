"""The daemon ahead of the pressure: sooner checks, early sweeps, and room for pulls while they run."""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import RuntimeRejectedError
from cleaner.core.events import Checked, LoopFailed, SpaceInventoried, SweepEnded, SweepStarted
from cleaner.core.model import EvictionOutcome, Mode, StopReason, Trigger
from cleaner.core.pressure.pulls import Pull
from cleaner.core.report import SweepReport
from cleaner.simulation.node import Build
from support.fakes import ScriptedDisk
from support.nodes import MB, World, make_world
from unit.daemon.test_loop import Watch

NEW = "registry.example.com/new:v1"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def fill_steadily(world: World, begin: int, megabytes_per_second: float, end: int) -> None:
    """Let non-image data grow in each wait, from `begin` to `end` megabytes."""
    wait, began = world.stop.wait, world.timer.monotonic()
    file = world.simulated.directory / "other-filler"

    def grow() -> None:
        megabytes = min(end, begin + megabytes_per_second * (world.timer.monotonic() - began))
        with file.open("ab") as handle:
            handle.truncate(round(megabytes * MB))

    def wait_and_grow(seconds: float) -> bool:
        stopped = wait(seconds)
        grow()
        return stopped

    grow()
    world.stop.wait = wait_and_grow  # type: ignore[method-assign]


def pull_many(world: World, images: int, megabytes: int = 50) -> None:
    for number in range(images):
        world.pull_old(f"app{number:02}", megabytes, days=99 - number)


def reports_of(watch: Watch) -> list[SweepReport]:
    return [event.report for event in watch.reports(Trigger.PRESSURE)]


def percents(watch: Watch) -> list[float]:
    return [event.usage.used_percent for event in watch.recorder.of(Checked) if event.usage]


# ---- when it checks


def test_checks_come_sooner_as_a_watermark_comes_nearer(world: World) -> None:
    """Down to half a second before the high watermark and the kubelet's threshold; every 5 s where nothing moves."""
    fill_steadily(world, begin=600, megabytes_per_second=5, end=850)
    watch = Watch(world)
    watch.run_for(minutes=3)
    used = percents(watch)
    nexts = list(zip(used, world.stop.waits, strict=True))
    assert [wait for percent, wait in nexts if percent <= 65] == [5] * 3
    assert min(wait for percent, wait in nexts if percent < 75) == 0.5
    assert max(wait for percent, wait in nexts if 72 < percent < 75) <= 1.5
    assert max(wait for percent, wait in nexts if 80 < percent < 83) <= 1.5
    assert {wait for percent, wait in nexts if percent >= 83} == {5}
    assert max(now - before for before, now in pairwise(used)) <= 2.5


def test_a_backoff_above_the_watermark_is_no_reason_for_more_checks(world: World) -> None:
    """A disk full of non-image data that does not change is checked every 5 s."""
    world.simulated.write_file("logs", 800 * MB)
    watch = Watch(world)
    watch.run_for(minutes=5)
    assert set(world.stop.waits) == {5}


# ---- early sweeps


def test_steady_filling_never_reaches_the_watermark(world: World) -> None:
    """A sweep begins before the high watermark and evicts just what the horizon needs, at most once a minute."""
    pull_many(world, 60, megabytes=10)
    fill_steadily(world, begin=0, megabytes_per_second=0.5, end=500)
    watch = Watch(world)
    watch.run_for(minutes=15)
    reports = reports_of(watch)
    assert max(percents(watch)) < 75
    assert min(percents(watch)[60:]) >= 65 - 1.5
    assert {report.stop_reason for report in reports} == {StopReason.LOW_WATERMARK}
    assert all(report.low_watermark_met for report in reports)
    assert all(event.early for event in watch.recorder.of(SweepStarted))
    starts = [report.started_at for report in reports]
    assert len(reports) > 3
    assert min((later - sooner).total_seconds() for sooner, later in pairwise(starts)) >= 60


def test_without_a_horizon_the_watermark_itself_begins_the_sweep(world: World) -> None:
    """With a horizon of 0 nothing is evicted before 75 %; then usage is driven to 65 %."""
    pull_many(world, 60, megabytes=10)
    fill_steadily(world, begin=0, megabytes_per_second=0.5, end=500)
    watch = Watch(world, horizon=0 * Watch.check_every)
    watch.run_for(minutes=6)
    (report,) = reports_of(watch)
    assert report.filesystem_before.used_percent == pytest.approx(75, abs=0.1)
    assert report.filesystem_after.used_percent <= 65
    assert [event.early for event in watch.recorder.of(SweepStarted)] == [False]


def test_a_burst_is_no_reason_for_an_early_sweep(world: World) -> None:
    """Ten points in a minute, and then nothing: below the high watermark nothing is evicted."""
    pull_many(world, 60, megabytes=10)
    fill_steadily(world, begin=0, megabytes_per_second=100 / 60, end=100)
    watch = Watch(world)
    watch.run_for(minutes=15)
    assert reports_of(watch) == []


def test_mode_observe_plans_an_early_sweep(world: World) -> None:
    """The plan of an early sweep is reported, and nothing is evicted."""
    pull_many(world, 60, megabytes=10)
    fill_steadily(world, begin=0, megabytes_per_second=0.5, end=500)
    watch = Watch(world, mode=Mode.OBSERVE)
    watch.run_for(minutes=4)
    report, *_ = reports_of(watch)
    assert report.dry_run
    assert {eviction.outcome for eviction in report.evictions} == {EvictionOutcome.PLANNED}
    assert report.filesystem_before.used_percent < 75
    assert len(world.simulated.list_images()) == 60


# ---- pulls in progress


@pytest.mark.parametrize(("written", "asked"), [(0, 1), ((1 << 20) - 1, 1), (1 << 20, 2), (1 << 21, 2)])
def test_pulls_are_read_while_something_is_written(world: World, written: int, asked: int) -> None:
    """At the first check, and when a MiB or more has moved since the last reading, but not on a quiet node."""
    watch = Watch(world)
    watch.run_for(minutes=1)
    world.simulated.write_file("log", written)
    world.stop.stopped = False
    watch.run_for(minutes=1)
    assert world.runtime.calls.count("read_pulls") == asked


def test_slow_pulls_are_read_too(world: World) -> None:
    """Writes count since the last reading of pulls, not since the last check: a MiB in four checks is one reading."""
    fill_steadily(world, begin=0, megabytes_per_second=(1 << 20) / MB / 20, end=100)
    watch = Watch(world)
    watch.run_for(minutes=2)
    assert world.runtime.calls.count("read_pulls") == 1 + 5


def test_a_pull_in_progress_is_read_in_each_round(world: World) -> None:
    """Until it is over, whether or not anything moves."""
    world.simulated.begin_pull(NEW, Build((("new", MB),)))
    watch = Watch(world)
    watch.run_for(minutes=1)
    assert world.runtime.calls.count("read_pulls") == 12
    world.simulated.abort_pull(NEW)
    world.stop.stopped = False
    watch.run_for(minutes=1)
    assert world.runtime.calls.count("read_pulls") == 13


def test_a_pull_in_progress_begins_a_sweep(world: World) -> None:
    """At 70 % a pull of ten more points has room made for it while it runs, and is there in the end."""
    pull_many(world, 14)
    build = Build((("new", 24_000 * 4096),))
    world.simulated.begin_pull(NEW, build)
    watch = Watch(world)
    watch.run_for(minutes=1)
    (report,) = reports_of(watch)
    assert (report.filesystem_before.used_percent, report.filesystem_after.used_percent) == (70, 55)
    (started,) = watch.recorder.of(SweepStarted)
    assert (started.pulls_projected_bytes, started.given_up, started.early) == (24_000 * 4096, frozenset(), False)
    world.simulated.pull(NEW, build)
    world.stop.stopped = False
    watch.run_for(minutes=1)
    assert len(reports_of(watch)) == 1
    assert percents(watch)[-1] == pytest.approx(64.8304)


def test_a_pull_larger_than_the_free_space_finds_room(world: World) -> None:
    """One that needs 1.5 times what is free fits once room was made; without counting pulls it does not."""
    pull_many(world, 14)
    build = Build((("new", 450 * MB),))
    with pytest.raises(RuntimeRejectedError, match="no space left"):
        world.simulated.pull(NEW, build)
    world.simulated.begin_pull(NEW, build)
    Watch(world).run_for(seconds=10)
    world.simulated.pull(NEW, build)


def test_pulls_that_cannot_be_read_break_nothing(world: World) -> None:
    """An error of that question is survived, and the sweep is made without an answer."""
    pull_many(world, 16)
    world.runtime.failures["read_pulls"] = [RuntimeRejectedError("no")] * 1000
    watch = Watch(world)
    watch.run_for(minutes=1)
    assert watch.recorder.of(LoopFailed) == []
    (report,) = reports_of(watch)
    assert report.filesystem_after.used_percent == 65


def test_a_pull_without_room_is_given_up_once(world: World) -> None:
    """It is reported once, evicts no image, and is tried again once images have changed, while it is written."""
    pull_many(world, 12)
    world.simulated.begin_pull(NEW, Build((("new", 1500 * MB),)))
    watch = Watch(world)
    watch.run_for(minutes=9)
    (started,) = watch.recorder.of(SweepStarted)
    assert (len(started.given_up), started.pulls_projected_bytes, started.plan.low_watermark_reachable) == (1, 0, False)
    assert [report.evictions for report in reports_of(watch)] == [()]
    world.pull_old("another", megabytes=1)
    world.stop.stopped = False
    watch.run_for(minutes=2)
    world.simulated.write_file("fetched", 2 * MB)
    world.stop.stopped = False
    watch.run_for(minutes=2)
    assert [report.evictions for report in reports_of(watch)] == [(), ()]


def test_a_pull_that_was_given_up_finds_room_after_all(world: World) -> None:
    """Once non-image data has left the disk, room is made for it, though images are the same."""
    pull_many(world, 10)
    world.simulated.write_file("logs", 100 * MB)
    build = Build((("new", 950 * MB),))
    world.simulated.begin_pull(NEW, build)
    watch = Watch(world)
    watch.run_for(minutes=5)
    assert [report.evictions for report in reports_of(watch)] == [()]
    world.simulated.remove_file("logs")
    world.stop.stopped = False
    watch.run_for(minutes=3)
    assert [len(report.evictions) for report in reports_of(watch)] == [0, 10]
    world.simulated.pull(NEW, build)


def test_a_pull_without_room_hides_no_pressure(world: World) -> None:
    """A disk that fills during such a pull is driven down at its high watermark, as if there were no pull."""
    pull_many(world, 12)
    world.simulated.begin_pull(NEW, Build((("new", 1500 * MB),)))
    fill_steadily(world, begin=0, megabytes_per_second=2, end=200)
    watch = Watch(world, horizon=0 * Watch.check_every)
    watch.run_for(minutes=3)
    assert max(percents(watch)) < 77
    in_vain, first = reports_of(watch)
    assert (in_vain.evictions, first.stop_reason) == ((), StopReason.LOW_WATERMARK)
    assert 60 < first.filesystem_after.used_percent <= 65
    assert [event.plan.low_watermark_reachable for event in watch.recorder.of(SweepStarted)] == [False, True]


# ---- a disk full of non-image data


def test_space_that_is_freed_in_part_is_used(world: World) -> None:
    """Once the low watermark is within reach again, the sweep is repeated, though nothing else has changed."""
    pull_many(world, 4)
    world.simulated.write_file("logs", 700 * MB)
    watch = Watch(world)
    watch.run_for(minutes=5)
    (confined,) = reports_of(watch)
    assert (confined.stop_reason, confined.filesystem_after.used_percent) == (StopReason.KUBELET_THRESHOLD, 80)
    world.simulated.remove_file("logs")
    world.simulated.write_file("fewer", 650 * MB)
    world.stop.stopped = False
    watch.run_for(minutes=3)
    after = watch.recorder.of(SweepEnded)[-1].report
    assert (after.stop_reason, after.filesystem_after.used_percent) == (StopReason.LOW_WATERMARK, 65)


def test_what_became_a_candidate_meanwhile_is_evicted_at_once(world: World) -> None:
    """A sweep that evicted all its candidates, and ended above the high watermark, is followed without a wait.

    An image that is pulled while the first one is removed is not in its plan.
    """
    pull_many(world, 4)
    world.simulated.write_file("logs", 600 * MB)

    def pull_late() -> None:
        if world.runtime.calls.count("remove_image") == 1:
            world.pull_old("late", 200, days=50)

    world.runtime.after["remove_image"] = pull_late
    watch = Watch(world)
    watch.run_for(minutes=1)
    first, after = reports_of(watch)
    assert [len(report.evictions) for report in (first, after)] == [4, 1]
    assert (first.stop_reason, first.filesystem_after.used_percent) == (StopReason.DONE, 80)
    assert (after.stop_reason, after.filesystem_after.used_percent) == (StopReason.LOW_WATERMARK, 60)
    assert after.started_at == first.started_at


@dataclass
class LateDisk(ScriptedDisk):
    """A disk on which the space of a removal shows some seconds later."""

    world: World = field(kw_only=True)
    seconds: float = field(kw_only=True)
    measures: bool = field(kw_only=True)
    freed: list[float] = field(default_factory=list)

    @property
    def measures_removals(self) -> bool:
        return self.measures

    def read_usage(self) -> Usage:
        now, usage = self.world.timer.monotonic(), super().read_usage()
        gone = self.world.runtime.calls.count("remove_image")
        self.freed += [now] * (gone - len(self.freed))
        hidden = sum(50 * MB for at in self.freed if now < at + self.seconds)
        return replace(usage, available_bytes=usage.available_bytes - hidden, free_bytes=usage.free_bytes - hidden)


@pytest.mark.parametrize(("images", "left", "seconds"), [(16, 13, 5), (15, 13, 5), (15, 13, 30), (17, 13, 5)])
def test_what_is_freed_later_is_not_freed_twice(world: World, images: int, left: int, seconds: float) -> None:
    """ZFS shows with the next commit what was freed: a sweep that evicted enough is not followed by another."""
    pull_many(world, images)
    disk = LateDisk(world.simulated, world=world, seconds=seconds, measures=False)
    world.node = replace(world.node, disk=disk)
    Watch(world).run_for(minutes=3)
    assert len(world.simulated.list_images()) == left


@pytest.mark.parametrize("pull", [False, True])
@pytest.mark.parametrize("images", [16, 17])
def test_removals_that_free_nothing_end_beside_a_pull_without_progress(
    world: World, images: int, *, pull: bool
) -> None:
    """A dead lease looks like a pull: with it too, three removals that free nothing are enough."""
    pull_many(world, images)
    disk = LateDisk(world.simulated, world=world, seconds=1e9, measures=True)
    world.node = replace(world.node, disk=disk)
    world.runtime.pulls = [(Pull("sha256:dead", 10 * MB, 10 * MB),) if pull else ()] * 10_000
    Watch(world).run_for(minutes=1)
    assert len(world.simulated.list_images()) == images - 3


def test_bytes_by_holder_are_reported_first(world: World) -> None:
    """If the low watermark is out of reach, the start of the sweep has the holders; otherwise it has none."""
    pull_many(world, 2)
    world.simulated.write_file("logs", 700 * MB)
    watch = Watch(world)
    watch.run_for(minutes=1)
    (started,) = watch.recorder.of(SweepStarted)
    assert started.held is not None
    assert {holder: size for holder, size in started.held.items() if size} == {
        "non_image": 700 * MB,
        "evictable": 100 * MB,
    }


def test_it_is_reported_when_the_low_watermark_is_within_reach_again(world: World) -> None:
    """With the next inventory after space is freed, though nothing else has changed; then layers are read no more."""
    pull_many(world, 2)
    world.simulated.write_file("logs", 700 * MB)
    watch = Watch(world)
    watch.run_for(minutes=2)
    assert {event.low_watermark_reachable for event in watch.recorder.of(SpaceInventoried)} == {False}
    counted = len(watch.recorder.of(SpaceInventoried))
    world.simulated.remove_file("logs")
    world.stop.stopped = False
    watch.run_for(minutes=5)
    assert [event.low_watermark_reachable for event in watch.recorder.of(SpaceInventoried)[counted:]] == [True]
