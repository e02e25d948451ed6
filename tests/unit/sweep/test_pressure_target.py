"""Sweeps beside pulls: those that begin on the way, those that do not fit, and what is not repeated in vain."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cleaner.core.disk_usage import Filesystem, Part, Resource, Usage
from cleaner.core.errors import RuntimeRejectedError
from cleaner.core.events import SweepEnded
from cleaner.core.model import EvictionOutcome, KeepReason, Mode, StopReason, Trigger
from cleaner.core.nightly import Nightly, calendar_of
from cleaner.core.pressure.pulls import Pull
from cleaner.core.pressure.watermarks import KubeletThreshold
from cleaner.core.reclaim import Layers, Size
from cleaner.core.report import SweepReport
from cleaner.core.triggers import Triggers
from cleaner.daemon.loop import Daemon
from cleaner.daemon.settings import DaemonSettings, Host
from cleaner.sweep.sweep import SweepSettings
from support.fakes import Recorder, ScriptedDisk
from support.nodes import MB, POLICY, WATERMARKS, World, make_world
from support.values import make_usage

REJECTED = RuntimeRejectedError("RemoveImage: INTERNAL: no")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def fill(world: World, images: int, megabytes: int = 50) -> None:
    for number in range(images):
        world.pull_old(f"app{number:02}", megabytes, days=100 - number)


@dataclass
class FewInodes(ScriptedDisk):
    """A disk of which somebody uses up 90 % of the inodes with the first removal."""

    world: World = field(kw_only=True)

    def read_usage(self) -> Usage:
        usage = super().read_usage()
        return replace(usage, inodes_available=1000) if "remove_image" in self.world.runtime.calls else usage


def begin_pull(world: World, megabytes: int, after_removals: int = 1) -> None:
    """A pull of so much begins with a removal, and lasts."""

    def begin() -> None:
        if world.runtime.calls.count("remove_image") >= after_removals:
            world.runtime.pulls = [(Pull("sha256:new", megabytes * MB, 0),)] * 1000

    world.runtime.after["remove_image"] = begin


def watch(world: World, mode: Mode = Mode.PRESSURE, **delta: float) -> list[SweepReport]:
    """The pressure sweeps of a daemon that runs for this time."""
    recorder = Recorder()
    nightly = Nightly(
        "0 0 * * *", ZoneInfo("UTC"), timedelta(hours=4), timedelta(0), timedelta(hours=48), 200, duty_cycle=0.2
    )
    settings = DaemonSettings(
        triggers=Triggers(mode, WATERMARKS, calendar_of(nightly, "node-1"), POLICY.grace),
        sweep=SweepSettings(POLICY, WATERMARKS, failures_per_sweep=5),
        check_every=timedelta(seconds=5),
        horizon=timedelta(minutes=10),
        sample_every=timedelta(minutes=1),
        startup_delay=timedelta(0),
        evictions_per_night=200,
    )
    end = world.timer.monotonic() + timedelta(**delta).total_seconds()

    def stop_at_end() -> None:
        world.stop.stopped = world.timer.monotonic() >= end

    world.stop.between = stop_at_end
    host = Host(world.timer, world.stop, world.ledger)
    Daemon(lambda: world.node, settings, host, [world.ledger, recorder]).run()
    return [event.report for event in recorder.of(SweepEnded)]


@pytest.mark.parametrize("megabytes", [1001, 10**6])
def test_a_pull_that_begins_on_the_way_and_cannot_fit_evicts_nothing_more(world: World, megabytes: int) -> None:
    """However large the image whose pull begins during a sweep, the sweep ends where it would have without it."""
    fill(world, 16)
    begin_pull(world, megabytes)
    report = world.report(Trigger.PRESSURE)
    assert (len(report.evictions), report.stop_reason) == (3, StopReason.LOW_WATERMARK)


def test_a_pull_that_begins_on_the_way_gets_its_room(world: World) -> None:
    """If it fits, the same sweep continues for it: 15 % more are three images more."""
    fill(world, 16)
    begin_pull(world, 150)
    report = world.report(Trigger.PRESSURE)
    assert (len(report.evictions), report.stop_reason) == (6, StopReason.LOW_WATERMARK)


def test_a_pull_that_begins_on_the_way_and_puts_the_low_watermark_out_of_reach_evicts_no_more_than_needed(
    world: World,
) -> None:
    """With 38 % of files that stay and a pull of 40 %, what is needed for 83 % is evicted, not all."""
    world.simulated.write_file("logs", 380 * MB)
    fill(world, 8)
    begin_pull(world, 400)
    report = world.report(Trigger.PRESSURE)
    assert (len(report.evictions), report.stop_reason) == (7, StopReason.KUBELET_THRESHOLD)
    assert report.filesystem_after.used_percent == 43


@pytest.mark.parametrize(("megabytes", "evictions"), [(1000, 16), (1001, 3)])
def test_no_pull_larger_than_the_disk_counts_where_nothing_is_estimated(
    world: World, megabytes: int, evictions: int
) -> None:
    """If it is not known what images free, room is made for what fits on an empty disk."""
    fill(world, 16)
    world.runtime.blind = True
    world.runtime.pulls = [(Pull("sha256:new", megabytes * MB, 0),)] * 1000
    assert len(world.report(Trigger.PRESSURE).evictions) == evictions


@pytest.mark.parametrize(("kubelet", "evictions"), [(0.0, 1), (66.0, 1), (66.5, 3), (84.0, 0)])
def test_a_kubelet_threshold_that_is_out_of_reach_evicts_nothing_in_vain(
    world: World, kubelet: float, evictions: int
) -> None:
    """A threshold for another disk, at or below our low watermark, brings usage to our high watermark alone."""
    world.simulated.write_file("logs", 652 * MB)
    fill(world, 3, megabytes=40)
    report = world.report(Trigger.PRESSURE, kubelet=KubeletThreshold(bytes=kubelet))
    assert report.filesystem_before.used_percent == 77.2
    assert len(report.evictions) == evictions


@pytest.mark.parametrize(("safety", "hurried"), [(1.0, [True, False, False, False]), (6.0, [True, True, False, False])])
def test_in_danger_no_sweep_waits_long_for_the_disk(world: World, safety: float, hurried: list[bool]) -> None:
    """Before each removal it is seen anew whether the kubelet is about to act: at 85, 80, 75 and 70 %."""
    fill(world, 17)
    report = world.report(
        Trigger.PRESSURE, kubelet=KubeletThreshold(safety={Part(Filesystem.IMAGES, Resource.BYTES): safety})
    )
    assert len(report.evictions) == 4
    assert world.disk.hurried == hurried


def test_removals_that_fail_for_a_pull_are_not_repeated_at_each_check(world: World) -> None:
    """Usage at the low watermark, above the high one with a pull: each is tried once, then none before that changes."""
    fill(world, 12)
    world.runtime.pulls = [(Pull("sha256:new", 200 * MB, 0),)] * 10_000
    world.runtime.failures["remove_image"] = [REJECTED] * 10_000
    reports = watch(world, minutes=10)
    assert [len(report.evictions) for report in reports] == [10]
    assert {e.outcome for report in reports for e in report.evictions} == {EvictionOutcome.FAILED}


def test_a_pull_is_planned_for_once_in_mode_observe(world: World) -> None:
    """A dry run frees nothing, so that it is not repeated at each check while the pull lasts."""
    fill(world, 12)
    world.runtime.pulls = [(Pull("sha256:new", 200 * MB, 0),)] * 10_000
    assert len(watch(world, Mode.OBSERVE, minutes=10)) == 1


def test_a_pull_that_cannot_fit_hides_no_real_pressure(world: World) -> None:
    """While one is in progress, measured usage at the high watermark is driven down, each time."""
    fill(world, 8)
    world.simulated.write_file("logs", 380 * MB)
    world.runtime.pulls = [(Pull("sha256:new", 10**6 * MB, 0),)] * 10_000
    begin, wait = world.timer.monotonic(), world.stop.wait

    def wait_and_fill(seconds: float) -> bool:
        if world.timer.monotonic() - begin >= 20 and not (world.simulated.directory / "other-more").exists():
            world.simulated.write_file("more", 160 * MB)
        return wait(seconds)

    world.stop.wait = wait_and_fill  # type: ignore[method-assign]
    first, second = watch(world, seconds=40)
    assert (len(first.evictions), first.filesystem_after.used_percent) == (3, 63)
    assert (len(second.evictions), second.filesystem_after.used_percent) == (3, 64)


def test_a_nightly_run_does_not_yield_again_and_again_to_a_pull_without_progress(world: World) -> None:
    """After a nightly run yielded to a pull without progress, pressure makes its room and the nightly run continues."""
    fill(world, 12)
    world.timer.move(hours=11, minutes=59)
    world.runtime.before["list_images"] = lambda: world.runtime.pulls.extend(
        [(Pull("sha256:new", 200 * MB, 0),)] * (0 if world.timer.wall.hour else 1000)
    )
    reports = watch(world, Mode.FULL, minutes=5)
    assert [report.trigger for report in reports] == [Trigger.NIGHTLY, Trigger.PRESSURE, Trigger.NIGHTLY]


def test_what_reaches_its_watermark_on_the_way_and_is_out_of_reach_evicts_nothing_in_vain(world: World) -> None:
    """Inodes that another program uses up in a sweep for bytes are kept below 94 %, and bytes are driven to 65 %."""
    fill(world, 16)
    world.node = replace(world.node, disk=FewInodes(world.simulated, world=world))
    report = world.report(Trigger.PRESSURE)
    assert (len(report.evictions), report.stop_reason) == (3, StopReason.KUBELET_THRESHOLD)


@pytest.mark.parametrize(
    ("full", "apart", "evicted"), [(80, 10, "here"), (10, 80, "there"), (80, 80, "both"), (10, 10, "")]
)
def test_a_sweep_evicts_what_frees_the_filesystems_that_it_lowers(
    world: World, full: int, apart: int, evicted: str
) -> None:
    """An image whose layers lie on another disk than the full one frees nothing there, and stays."""
    ids = {name: world.pull_old(name) for name in ("here", "there")}
    sizes = {"here": Size(300_000, 1), "there": Size(300_000, 1, apart_bytes=300_000, apart_inodes=1)}
    images = {image_id: frozenset({name}) for name, image_id in ids.items()}
    nothing = frozenset[str]()
    world.runtime.layers = [Layers(sizes, {}, images, nothing, nothing, nothing)]
    other = replace(make_usage(apart), filesystem=Filesystem.SNAPSHOTS)
    world.disk.stuck = replace(make_usage(full), others=(other,))
    report = world.report(Trigger.PRESSURE, dry_run=True)
    names = {name for name, image_id in ids.items() if image_id in {e.verdict.image.id for e in report.evictions}}
    assert names == ({"here", "there"} if evicted == "both" else {evicted} - {""})
    gainless = {v.image.id for v in report.plan.kept if v.reason is KeepReason.NO_GAIN} if report.plan else set()
    assert gainless == ({ids[name] for name in ids if name not in names} if evicted else set())
