"""The daemon's loop on a simulated node with a clock that tests move: days of it in milliseconds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cleaner.core.errors import (
    CleanerError,
    DiskUnreadableError,
    EnvironmentUnusableError,
    RuntimeRejectedError,
    RuntimeUnavailableError,
)
from cleaner.core.events import (
    Checked,
    ClockJumped,
    DaemonStarted,
    DaemonStopped,
    DiskUnread,
    EvictionEnded,
    ImagesCounted,
    LoopBroke,
    ObservationFailed,
    RuntimeDown,
    RuntimeUp,
    SpaceCounted,
    SweepEnded,
    SweepFailed,
)
from cleaner.core.model import EvictionOutcome, Mode, StopReason, Trigger
from cleaner.core.reclaim import Holder, Size
from cleaner.core.triggers import Triggers
from cleaner.core.window import Nightly, calendar_of
from cleaner.daemon import Daemon, DaemonSettings
from cleaner.sweep import Node, SweepSettings
from support.fakes import Recorder
from support.nodes import MARKS, MB, POLICY, World, make_world

AWAY = RuntimeUnavailableError("Version: UNAVAILABLE: connection refused")
REJECTED = RuntimeRejectedError("ListImages: INTERNAL: broken")
MIDNIGHT = datetime(2026, 6, 16, 0, 0, tzinfo=UTC)


@dataclass
class Watch:
    """A daemon over a world, and what it told."""

    world: World
    mode: Mode = Mode.FULL
    connect: Callable[[], Node] | None = None
    splay: timedelta = timedelta(0)
    startup_delay: timedelta = timedelta(0)
    evictions_per_night: int = 200
    check_every: timedelta = timedelta(seconds=5)
    recorder: Recorder = field(default_factory=Recorder)

    def __post_init__(self) -> None:
        nightly = Nightly("0 0 * * *", ZoneInfo("UTC"), timedelta(hours=4), self.splay, self.evictions_per_night)
        settings = DaemonSettings(
            triggers=Triggers(self.mode, MARKS, calendar_of(nightly, "node-1")),
            sweep=SweepSettings(POLICY, MARKS, failures_per_sweep=5),
            check_every=self.check_every,
            startup_delay=self.startup_delay,
            evictions_per_night=self.evictions_per_night,
        )
        world = self.world
        connect = self.connect or (lambda: world.node)
        self.daemon = Daemon(connect, settings, world.timer, world.stop, [self.recorder])

    def run_for(self, **delta: float) -> None:
        """Run from now on for so long, then stop."""
        end = self.world.timer.monotonic() + timedelta(**delta).total_seconds()

        def stop_at_end() -> None:
            if self.world.timer.monotonic() >= end:
                self.world.stop.stopped = True

        self.world.stop.between = stop_at_end
        self.daemon.run()

    def reports(self, trigger: Trigger) -> list[SweepEnded]:
        return [event for event in self.recorder.of(SweepEnded) if event.report.trigger is trigger]


MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def fill(world: World, images: int = 16) -> None:
    for number in range(images):
        world.pull_old(f"app{number:02}", days=20 - number)


def test_it_starts_checks_and_stops(world: World) -> None:
    """A run begins with its start, checks the disk every 5 s and ends with its stop."""
    watch = Watch(world)
    watch.run_for(seconds=60)
    events = watch.recorder.events
    assert isinstance(events[0], DaemonStarted)
    assert isinstance(events[-1], DaemonStopped)
    assert len(watch.recorder.of(Checked)) == 12


def test_the_nightly_sweep_comes_once_a_night(world: World) -> None:
    """Over three nights there are three nightly sweeps, each at midnight."""
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=61)
    starts = [event.report.started_at for event in watch.reports(Trigger.NIGHTLY)]
    assert starts == [MIDNIGHT + timedelta(days=day) for day in range(3)]


def test_the_nightly_sweep_takes_what_became_old(world: World) -> None:
    """An image of 29.9 days stays at midnight and goes the next night."""
    world.pull_old("app", days=29.4)
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=37)
    counts = [len(event.report.evictions) for event in watch.reports(Trigger.NIGHTLY)]
    assert counts == [0, 1]


def test_evictions_per_night_leave_the_rest_for_the_next(world: World) -> None:
    """Five candidates at two a night take three nights."""
    for number in range(5):
        world.pull_old(f"app{number}")
    watch = Watch(world, check_every=MINUTE, evictions_per_night=2)
    watch.run_for(hours=61)
    counts = [len(event.report.evictions) for event in watch.reports(Trigger.NIGHTLY)]
    assert counts == [2, 2, 1]


def test_pressure_is_answered_at_the_next_check(world: World) -> None:
    """A disk at 80 % is driven to 65 % within one check, and then left alone."""
    fill(world)
    watch = Watch(world)
    watch.run_for(minutes=5)
    (ended,) = watch.reports(Trigger.PRESSURE)
    assert ended.report.filesystem_after.used_percent == 65


def test_no_sweep_within_the_startup_delay(world: World) -> None:
    """The first sweep comes at the startup delay, not before: metrics are scraped first."""
    fill(world)
    watch = Watch(world, startup_delay=timedelta(seconds=30))
    began = world.timer.now()
    watch.run_for(minutes=1)
    (ended,) = watch.reports(Trigger.PRESSURE)
    assert ended.report.started_at == began + timedelta(seconds=30)
    assert watch.recorder.of(ImagesCounted)


def test_space_is_counted_when_the_node_changed(world: World) -> None:
    """The count has both triggers' plans with their bytes, and who holds what is used, to the byte."""
    world.simulated.write_file("logs", 100 * MB)
    world.pull_layers("expired", {"base": 10, "old": 20})
    world.pull_layers("young", {"base": 10, "new": 30}, days=5)
    watch = Watch(world)
    watch.run_for(seconds=119)
    (counted,) = watch.recorder.of(SpaceCounted)
    assert len(watch.recorder.of(ImagesCounted)) == 2
    assert (counted.nightly.trigger, counted.pressure.trigger) == (Trigger.NIGHTLY, Trigger.PRESSURE)
    assert (counted.nightly.reclaimable, counted.pressure.reclaimable) == (Size(20 * MB, 1), Size(60 * MB, 3))
    assert counted.held == {**dict.fromkeys(Holder, 0), Holder.EVICTABLE: 60 * MB, Holder.OTHER: 100 * MB}


def test_a_runtime_that_cannot_tell_has_counts_without_bytes(world: World) -> None:
    """Without layers images are counted all the same, and no byte is made up."""
    world.pull_old("app")
    world.runtime.blind = True
    watch = Watch(world)
    watch.run_for(seconds=10)
    (counted,) = watch.recorder.of(SpaceCounted)
    assert len(counted.nightly.evictions) == 1
    assert (counted.nightly.reclaimable, counted.pressure.reclaimable, counted.held) == (None, None, None)
    assert counted.unknown_because == "the runtime has no containerd API, which alone tells what images share"


@pytest.mark.parametrize(("minutes", "counts"), [(9.9, 1), (10.1, 2)])
def test_an_unchanged_node_is_counted_in_full_now_and_then(world: World, minutes: float, counts: int) -> None:
    """Layers of an unchanged node are read again after ten minutes only, its images every minute."""
    world.pull_old("app")
    watch = Watch(world, mode=Mode.PRESSURE)
    watch.run_for(minutes=minutes)
    assert len(watch.recorder.of(SpaceCounted)) == counts


def test_a_changed_node_is_counted_at_once(world: World) -> None:
    """A new image has its layers read with the next count."""
    watch = Watch(world)
    watch.run_for(seconds=70)
    world.pull_old("app", days=1)
    world.stop.stopped = False
    watch.run_for(seconds=70)
    assert len(watch.recorder.of(SpaceCounted)) == 2


def test_mode_pressure_has_no_nights(world: World) -> None:
    """In mode pressure nothing is swept at night, and no night is announced."""
    world.pull_old("app")
    watch = Watch(world, check_every=MINUTE, mode=Mode.PRESSURE)
    watch.run_for(hours=13)
    assert watch.reports(Trigger.NIGHTLY) == []
    assert {event.next_nightly_at for event in watch.recorder.of(Checked)} == {None}


def test_mode_observe_plans_and_evicts_nothing(world: World) -> None:
    """In mode observe both triggers report what would go, once each, and nothing goes."""
    fill(world)
    world.pull_old("expired", megabytes=1)
    watch = Watch(world, check_every=MINUTE, mode=Mode.OBSERVE)
    watch.run_for(hours=13)
    outcomes = {e.outcome for event in watch.recorder.of(SweepEnded) for e in event.report.evictions}
    assert outcomes == {EvictionOutcome.PLANNED}
    assert len(watch.reports(Trigger.NIGHTLY)) == 1
    assert len(watch.reports(Trigger.PRESSURE)) == 1
    assert len(world.simulated.list_images()) == 17


def test_a_disk_full_of_something_else_is_not_swept_in_a_loop(world: World) -> None:
    """A sweep that ended above low is not repeated while nothing changes."""
    world.simulated.write_file("logs", 800 * MB)
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=2)
    assert len(watch.reports(Trigger.PRESSURE)) == 1


def test_a_change_on_the_node_repeats_the_sweep(world: World) -> None:
    """A new image on a full disk is a reason to sweep again, a minute later at the earliest."""
    world.simulated.write_file("logs", 800 * MB)
    watch = Watch(world)
    watch.run_for(minutes=5)
    world.pull_old("app", megabytes=1)
    world.stop.stopped = False
    watch.run_for(minutes=5)
    first, second = watch.reports(Trigger.PRESSURE)
    assert second.report.evictions[0].outcome is EvictionOutcome.EVICTED
    assert second.report.started_at - first.ended_at >= timedelta(minutes=1)


def test_the_end_of_an_images_grace_repeats_the_sweep(world: World) -> None:
    """A disk filled by pulls that are all recent is swept again once their grace has ended."""
    world.pull_old("base", megabytes=1, days=0.5)
    for number in range(16):
        world.pull_old(f"app{number:02}", days=0)
    watch = Watch(world)
    watch.run_for(minutes=15)
    counts = [len(event.report.evictions) for event in watch.reports(Trigger.PRESSURE)]
    assert counts == [1, 3]


def test_a_disk_that_fell_and_rose_again_is_swept(world: World) -> None:
    """Once usage was seen at low, a standstill is over, and the same usage as before is pressure again."""
    world.simulated.write_file("logs", 800 * MB)
    watch = Watch(world)
    watch.run_for(minutes=5)
    world.simulated.remove_file("logs")
    world.stop.stopped = False
    watch.run_for(minutes=1)
    world.simulated.write_file("logs", 800 * MB)
    world.stop.stopped = False
    watch.run_for(minutes=1)
    assert len(watch.reports(Trigger.PRESSURE)) == 2


def test_a_runtime_that_is_away_is_waited_for(world: World) -> None:
    """Away at start, then there, then killed, then back: each change is told once, and the loop goes on."""
    connects = iter([AWAY, AWAY])

    def connect() -> Node:
        for error in connects:
            raise error
        return world.node

    world.runtime.failures["read_version"] = [None, None, AWAY, AWAY]
    watch = Watch(world, connect=connect)
    watch.run_for(minutes=1)
    changes = [type(event) for event in watch.recorder.events if isinstance(event, RuntimeUp | RuntimeDown)]
    assert changes == [RuntimeDown, RuntimeUp, RuntimeDown, RuntimeUp]


def test_an_unusable_environment_ends_the_daemon(world: World) -> None:
    """What only a person can mend is raised, not retried."""

    def connect() -> Node:
        raise EnvironmentUnusableError("no such directory")

    with pytest.raises(EnvironmentUnusableError):
        Watch(world, connect=connect).run_for(minutes=1)


def test_a_failed_read_evicts_nothing_and_is_tried_again(world: World) -> None:
    """A list that cannot be read fails the sweep; the next try is the same night's."""
    world.pull_old("app")
    watch = Watch(world)
    world.runtime.before["list_images"] = lambda: fail_at_midnight(world)
    watch.run_for(hours=12.1)
    (failed,) = watch.recorder.of(SweepFailed)
    (ended,) = watch.reports(Trigger.NIGHTLY)
    assert failed.retry_seconds == 5
    assert ended.report.started_at == MIDNIGHT + timedelta(seconds=5)
    assert len(ended.report.evictions) == 1


def fail_at_midnight(world: World) -> None:
    if world.timer.now() == MIDNIGHT:
        world.runtime.failures.setdefault("list_images", []).append(REJECTED)


def test_failures_are_retried_ever_more_slowly(world: World) -> None:
    """Waits double from the check interval to a minute."""
    fill(world)
    errors: list[CleanerError | None] = [REJECTED] * 1000
    world.runtime.failures["list_images"] = errors
    watch = Watch(world)
    watch.run_for(minutes=5)
    waits = [event.retry_seconds for event in watch.recorder.of(SweepFailed)]
    assert waits[:6] == [5, 10, 20, 40, 60, 60]


def test_a_disk_that_cannot_be_read_is_told_and_survived(world: World) -> None:
    """An unreadable disk sweeps nothing, and the loop goes on."""
    errors: list[CleanerError | None] = [DiskUnreadableError("cannot read the usage of /disk")]
    world.disk.failures = errors
    watch = Watch(world)
    watch.run_for(seconds=20)
    assert len(watch.recorder.of(DiskUnread)) == 1
    assert [event.usage is None for event in watch.recorder.of(Checked)] == [True, False, False, False]


def test_a_failed_count_is_told(world: World) -> None:
    """A node that cannot be listed between sweeps is told as such, and counted a minute later."""
    world.runtime.failures["list_containers"] = [REJECTED]
    watch = Watch(world)
    watch.run_for(seconds=70)
    assert len(watch.recorder.of(ObservationFailed)) == 1
    assert len(watch.recorder.of(ImagesCounted)) == 1


def test_the_unforeseen_breaks_one_round_only(world: World) -> None:
    """An error that nobody foresaw is told, and the next round goes on."""
    calls = iter([ZeroDivisionError("surprise")])

    def connect() -> Node:
        for error in calls:
            raise error
        return world.node

    watch = Watch(world, connect=connect)
    watch.run_for(seconds=20)
    assert len(watch.recorder.of(LoopBroke)) == 1
    assert len(watch.recorder.of(RuntimeUp)) == 1


def test_a_clock_that_jumps_holds_the_night(world: World) -> None:
    """A wall clock set forward a year is told once, and nothing is swept by it for a day."""
    world.pull_old("app", days=1)
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(minutes=1)
    world.timer.wall += timedelta(days=365)
    world.stop.stopped = False
    watch.run_for(hours=23)
    (jumped,) = watch.recorder.of(ClockJumped)
    assert jumped.jumped_seconds == timedelta(days=365).total_seconds()
    assert watch.reports(Trigger.NIGHTLY) == []


def test_a_stopped_nightly_sweep_is_not_done(world: World) -> None:
    """SIGTERM in the middle of a nightly sweep: the daemon ends after the present removal."""
    world.pull_old("a")
    world.pull_old("b")

    def request_stop() -> None:
        world.stop.stopped = True

    world.runtime.before["remove_image"] = request_stop
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=37)
    (ended,) = watch.reports(Trigger.NIGHTLY)
    assert ended.report.stopped_because is StopReason.STOP_REQUESTED
    assert len(watch.recorder.of(EvictionEnded)) == 1
    assert isinstance(watch.recorder.events[-1], DaemonStopped)
