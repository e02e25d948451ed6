"""The daemon's loop on a simulated node with a clock that tests move: days of it in milliseconds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cleaner.core.clock_trust import StoredTimes
from cleaner.core.errors import (
    CleanerError,
    DiskUnreadableError,
    EnvironmentUnusableError,
    RuntimeRejectedError,
    RuntimeUnavailableError,
    StopRequestedError,
)
from cleaner.core.events import (
    Checked,
    ClockJumped,
    ClockTrusted,
    DaemonStarted,
    DaemonStopped,
    DiskUnread,
    EvictionEnded,
    ForeignSweep,
    ImagesInventoried,
    InventoryFailed,
    LedgerDown,
    LedgerUp,
    LoopFailed,
    NightlyRunEnded,
    NightlySuspended,
    RuleOnHold,
    RuntimeDown,
    RuntimeUp,
    SpaceInventoried,
    SweepEnded,
    SweepFailed,
    SweepWaits,
)
from cleaner.core.history import NightlyRun, PastSweep
from cleaner.core.model import Container, EvictionOutcome, KeepReason, Mode, StopReason, Trigger
from cleaner.core.nightly import Nightly, calendar_of
from cleaner.core.ports import Node
from cleaner.core.reclaim import Holder, Size
from cleaner.core.regret import Regret
from cleaner.core.triggers import Triggers
from cleaner.daemon.loop import Daemon
from cleaner.daemon.settings import DaemonSettings, Host
from cleaner.sweep.sweep import SweepSettings
from support.fakes import Recorder
from support.nodes import MB, POLICY, WATERMARKS, World, make_world

UNAVAILABLE = RuntimeUnavailableError("Version: UNAVAILABLE: connection refused")
REJECTED = RuntimeRejectedError("ListImages: INTERNAL: broken")
MIDNIGHT = datetime(2026, 6, 16, 0, 0, tzinfo=UTC)


@dataclass
class Watch:
    """A daemon over a world, and what it reported."""

    world: World
    mode: Mode = Mode.FULL
    connect: Callable[[], Node] | None = None
    splay: timedelta = timedelta(0)
    startup_delay: timedelta = timedelta(0)
    evictions_per_night: int = 200
    check_every: timedelta = timedelta(seconds=5)
    horizon: timedelta = timedelta(minutes=10)
    window: timedelta = timedelta(hours=4)
    recorder: Recorder = field(default_factory=Recorder)

    def __post_init__(self) -> None:
        overdue, zone = timedelta(hours=48), ZoneInfo("UTC")
        nightly = Nightly("0 0 * * *", zone, self.window, self.splay, overdue, self.evictions_per_night, duty_cycle=0.2)
        settings = DaemonSettings(
            triggers=Triggers(self.mode, WATERMARKS, calendar_of(nightly, "node-1"), POLICY.grace),
            sweep=SweepSettings(POLICY, WATERMARKS, failures_per_sweep=5),
            check_every=self.check_every,
            horizon=self.horizon,
            sample_every=timedelta(minutes=1),
            startup_delay=self.startup_delay,
            evictions_per_night=self.evictions_per_night,
        )
        world = self.world
        host = Host(world.timer, world.stop, world.ledger)
        connect = self.connect or (lambda: world.node)
        self.daemon = Daemon(connect, settings, host, [world.ledger, self.recorder])

    def run_for(self, **delta: float) -> None:
        """Run from now on for this time, then stop."""
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


def test_it_waits_without_a_connection(world: World) -> None:
    """Whatever a round asked, and however it ended, it lets go of the connection before it waits."""
    world.pull_old("app", days=20)
    world.runtime.failures = {"read_version": [None, UNAVAILABLE], "list_images": [REJECTED]}
    connected: list[bool] = []
    run_for = world.stop.wait

    def wait(seconds: float) -> bool:
        connected.append(world.runtime.calls[-1:] != ["disconnect"])
        return run_for(seconds)

    world.stop.wait = wait  # type: ignore[method-assign]
    Watch(world).run_for(minutes=2)
    assert len(connected) == 24
    assert not any(connected)


def test_the_nightly_sweep_runs_once_per_occurrence(world: World) -> None:
    """Over three days there are three nightly sweeps, each at midnight."""
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=61)
    starts = [event.report.started_at for event in watch.reports(Trigger.NIGHTLY)]
    assert starts == [MIDNIGHT + timedelta(days=day) for day in range(3)]


def test_the_nightly_sweep_evicts_what_became_old(world: World) -> None:
    """An image of 29.9 days stays at midnight and is evicted at the next."""
    world.pull_old("app", days=29.4)
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=37)
    counts = [len(event.report.evictions) for event in watch.reports(Trigger.NIGHTLY)]
    assert counts == [0, 1]


def test_evictions_per_night_leave_the_others_for_the_next_run(world: World) -> None:
    """Five candidates at two a run need three nightly runs."""
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
    assert watch.recorder.of(ImagesInventoried)


def test_space_is_counted_when_the_node_changed(world: World) -> None:
    """The inventory has both triggers' plans with their bytes, and the bytes by holder, to the byte."""
    world.simulated.write_file("logs", 100 * MB)
    world.pull_layers("expired", {"base": 10, "old": 20})
    world.pull_layers("young", {"base": 10, "new": 30}, days=5)
    watch = Watch(world)
    watch.run_for(seconds=119)
    (counted,) = watch.recorder.of(SpaceInventoried)
    assert len(watch.recorder.of(ImagesInventoried)) == 2
    assert (counted.nightly.trigger, counted.pressure.trigger) == (Trigger.NIGHTLY, Trigger.PRESSURE)
    assert (counted.nightly.reclaimable, counted.pressure.reclaimable) == (Size(20 * MB, 1), Size(60 * MB, 3))
    assert counted.held == {**dict.fromkeys(Holder, 0), Holder.EVICTABLE: 60 * MB, Holder.NON_IMAGE: 100 * MB}


def test_a_runtime_that_cannot_tell_has_counts_without_bytes(world: World) -> None:
    """Without layers images are counted all the same, and no byte is made up."""
    world.pull_old("app")
    world.runtime.blind = True
    watch = Watch(world)
    watch.run_for(seconds=10)
    (counted,) = watch.recorder.of(SpaceInventoried)
    assert len(counted.nightly.evictions) == 1
    assert (counted.nightly.reclaimable, counted.pressure.reclaimable, counted.held) == (None, None, None)
    assert counted.reason_without_estimates == "the runtime has no containerd API, which alone tells what images share"


@pytest.mark.parametrize(("minutes", "counts"), [(9.9, 1), (10.1, 2)])
def test_an_unchanged_node_is_counted_in_full_now_and_then(world: World, minutes: float, counts: int) -> None:
    """Layers of an unchanged node are read again after ten minutes only, its images every minute."""
    world.pull_old("app")
    watch = Watch(world, mode=Mode.PRESSURE)
    watch.run_for(minutes=minutes)
    assert len(watch.recorder.of(SpaceInventoried)) == counts


def test_a_changed_node_is_counted_at_once(world: World) -> None:
    """A new image has its layers read with the next count."""
    watch = Watch(world)
    watch.run_for(seconds=70)
    world.pull_old("app", days=1)
    world.stop.stopped = False
    watch.run_for(seconds=70)
    assert len(watch.recorder.of(SpaceInventoried)) == 2


def test_mode_pressure_has_no_nightly_runs(world: World) -> None:
    """In mode pressure there is no nightly sweep, and none is announced."""
    world.pull_old("app")
    watch = Watch(world, check_every=MINUTE, mode=Mode.PRESSURE)
    watch.run_for(hours=13)
    assert watch.reports(Trigger.NIGHTLY) == []
    assert {event.next_nightly_at for event in watch.recorder.of(Checked)} == {None}


def test_mode_observe_plans_and_evicts_nothing(world: World) -> None:
    """In mode observe both triggers report what would be evicted, once each, and nothing is."""
    fill(world)
    world.pull_old("expired", megabytes=1)
    watch = Watch(world, check_every=MINUTE, mode=Mode.OBSERVE)
    watch.run_for(hours=13)
    outcomes = {e.outcome for event in watch.recorder.of(SweepEnded) for e in event.report.evictions}
    assert outcomes == {EvictionOutcome.PLANNED}
    assert len(watch.reports(Trigger.NIGHTLY)) == 1
    assert len(watch.reports(Trigger.PRESSURE)) == 1
    assert len(world.simulated.list_images()) == 17


def test_a_disk_full_of_non_image_data_is_not_swept_in_a_loop(world: World) -> None:
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
    assert (first.report.not_reached, second.report.not_reached) == (0, 1)
    assert second.report.started_at - first.ended_at >= timedelta(minutes=1)


def test_the_end_of_an_images_grace_repeats_the_sweep(world: World) -> None:
    """A disk filled by pulls that are all recent is swept once their grace has ended; nothing is evicted in vain."""
    world.pull_old("base", megabytes=1, days=0.5)
    for number in range(16):
        world.pull_old(f"app{number:02}", days=0)
    watch = Watch(world)
    watch.run_for(minutes=15)
    counts = [len(event.report.evictions) for event in watch.reports(Trigger.PRESSURE)]
    assert counts == [0, 4]


def test_a_disk_that_fell_and_rose_again_is_swept(world: World) -> None:
    """Once usage was seen at low, a backoff is over, and the same usage as before is pressure again."""
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


def test_an_unavailable_runtime_is_waited_for(world: World) -> None:
    """Unavailable at start, then up, then killed, then up again: each round reports it, and the loop continues."""
    connects = iter([UNAVAILABLE, UNAVAILABLE])

    def connect() -> Node:
        for error in connects:
            raise error
        return world.node

    world.runtime.failures["read_version"] = [None, None, UNAVAILABLE, UNAVAILABLE]
    watch = Watch(world, connect=connect)
    watch.run_for(minutes=1)
    changes = [type(event) for event in watch.recorder.events if isinstance(event, RuntimeUp | RuntimeDown)]
    assert changes == [RuntimeDown, RuntimeDown, RuntimeUp, RuntimeDown, RuntimeDown, RuntimeUp]


def test_an_unusable_environment_ends_the_daemon(world: World) -> None:
    """What only a person can mend is raised, not retried."""

    def connect() -> Node:
        raise EnvironmentUnusableError("no such directory")

    with pytest.raises(EnvironmentUnusableError):
        Watch(world, connect=connect).run_for(minutes=1)


def test_a_failed_read_evicts_nothing_and_is_tried_again(world: World) -> None:
    """A list that cannot be read fails the sweep; the next try is for the same occurrence."""
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


def test_a_disk_that_cannot_be_read_is_reported_and_survived(world: World) -> None:
    """An unreadable disk sweeps nothing, and the loop continues."""
    errors: list[CleanerError | None] = [DiskUnreadableError("cannot read the usage of /disk")]
    world.disk.failures = errors
    watch = Watch(world)
    watch.run_for(seconds=20)
    assert len(watch.recorder.of(DiskUnread)) == 1
    assert [event.usage is None for event in watch.recorder.of(Checked)] == [True, False, False, False]


def test_a_failed_inventory_is_reported(world: World) -> None:
    """A node that cannot be listed between sweeps is reported as such, and counted a minute later."""
    world.runtime.failures["list_containers"] = [REJECTED]
    watch = Watch(world)
    watch.run_for(seconds=70)
    assert len(watch.recorder.of(InventoryFailed)) == 1
    assert len(watch.recorder.of(ImagesInventoried)) == 1


def test_an_unexpected_error_ends_one_round_only(world: World) -> None:
    """An unexpected error is reported, and the next round runs."""
    calls = iter([ZeroDivisionError("surprise")])

    def connect() -> Node:
        for error in calls:
            raise error
        return world.node

    watch = Watch(world, connect=connect)
    watch.run_for(seconds=20)
    assert len(watch.recorder.of(LoopFailed)) == 1
    assert len(watch.recorder.of(RuntimeUp)) == 1


def test_a_clock_that_jumps_suspends_nightly_runs(world: World) -> None:
    """A wall clock set forward a year is reported once, and nothing is swept by it for a day."""
    world.pull_old("app", days=1)
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(minutes=1)
    world.timer.wall += timedelta(days=365)
    world.stop.stopped = False
    watch.run_for(hours=23)
    (jumped,) = watch.recorder.of(ClockJumped)
    assert jumped.off_seconds == timedelta(days=365).total_seconds()
    assert watch.reports(Trigger.NIGHTLY) == []


def test_a_clock_that_turns_out_right_moves_the_stored_times(world: World) -> None:
    """A jump that lasted for a day is believed: stored times move by as much, once."""
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(minutes=1)
    world.timer.wall += timedelta(days=365)
    world.stop.stopped = False
    watch.run_for(hours=25)
    assert world.ledger.shifts == [timedelta(days=365)]
    assert [type(e) for e in watch.recorder.events if isinstance(e, ClockJumped | ClockTrusted)] == [
        ClockJumped,
        ClockTrusted,
    ]


def test_a_clock_behind_the_ledger_is_reported_at_the_start(world: World) -> None:
    """A clock that is behind the stored times suspends nightly runs, and the event says by how much it is off."""
    world.pull_old("app")
    world.ledger.before = StoredTimes(world.timer.now() + timedelta(hours=13))
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=12.5)
    (jumped,) = watch.recorder.of(ClockJumped)
    assert jumped.off_seconds == -timedelta(hours=13).total_seconds()
    assert watch.reports(Trigger.NIGHTLY) == []


def test_a_jump_before_the_start_is_reported(world: World) -> None:
    """A clock that was set forward by a day while no agent ran suspends nightly runs and makes nothing old."""
    world.pull_old("app", days=29.2)
    world.timer.move(minutes=1)
    now, seconds = world.timer.now(), world.timer.monotonic()
    world.ledger.before = StoredTimes(now, now, seconds)
    world.timer.move(minutes=1)
    world.timer.wall += timedelta(days=1)
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=13)
    (jumped,) = watch.recorder.of(ClockJumped)
    assert jumped.off_seconds == timedelta(days=1).total_seconds()
    assert watch.reports(Trigger.NIGHTLY) == []
    *_, counted = watch.recorder.of(ImagesInventoried)
    assert [verdict.reason for verdict in counted.nightly.kept] == [KeepReason.UNEXPIRED]


@pytest.mark.parametrize(("since_hours", "sweeps"), [(11.99, 1), (12.01, 0), (None, 0)])
def test_nightly_runs_wait_until_the_node_is_known(world: World, since_hours: float | None, sweeps: int) -> None:
    """Memory as old as grace (24 h) at midnight is swept by, younger memory and none are not; and it is said."""
    world.pull_old("app")
    known = None if since_hours is None else world.timer.now() - timedelta(hours=24) + timedelta(hours=since_hours)
    world.ledger.since = known
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=12.01)
    assert len(watch.reports(Trigger.NIGHTLY)) == sweeps
    assert {event.since for event in watch.recorder.of(NightlySuspended)} == (set() if sweeps else {known})


def test_a_nightly_run_suspended_for_memory_runs_within_its_window(world: World) -> None:
    """Once the memory is old enough the same occurrence is swept for."""
    world.pull_old("app")
    world.ledger.since = MIDNIGHT - timedelta(hours=22)
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=15)
    (ended,) = watch.reports(Trigger.NIGHTLY)
    assert ended.report.started_at == MIDNIGHT + timedelta(hours=2)


def test_a_nightly_run_is_done_once_over_restarts(world: World) -> None:
    """What the ledger says is done is not done again; what ends now is reported, so that it can be stored."""
    world.timer.move(hours=13)
    world.ledger.nightly_run = NightlyRun(MIDNIGHT, MIDNIGHT + timedelta(minutes=1))
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=24)
    (ended,) = watch.reports(Trigger.NIGHTLY)
    assert ended.report.started_at == MIDNIGHT + timedelta(days=1)
    assert [event.nightly_run.occurrence for event in watch.recorder.of(NightlyRunEnded)] == [
        MIDNIGHT + timedelta(days=1)
    ]


@pytest.mark.parametrize(("hours", "sweeps"), [(47, 0), (49, 1)])
def test_an_overdue_nightly_run_starts_at_any_hour(world: World, hours: int, sweeps: int) -> None:
    """At noon, the window long over: a node that last swept more than two days ago sweeps now, and once."""
    last = world.timer.now() - timedelta(hours=hours)
    world.ledger.nightly_run = NightlyRun(last - timedelta(hours=1), last)
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(minutes=30)
    assert len(watch.reports(Trigger.NIGHTLY)) == sweeps


def test_a_nightly_run_stored_by_a_clock_that_was_ahead_is_corrected(world: World) -> None:
    """A run a year ahead would stop all runs until then: the occurrence that has begun is done, and the next is due."""
    ahead = MIDNIGHT + timedelta(days=365)
    world.ledger.nightly_run = NightlyRun(ahead, ahead)
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=13)
    nightly_runs = [event.nightly_run.occurrence for event in watch.recorder.of(NightlyRunEnded)]
    assert nightly_runs == [MIDNIGHT - timedelta(days=1), MIDNIGHT]
    assert len(watch.reports(Trigger.NIGHTLY)) == 1


def test_a_nightly_runs_limit_counts_over_restarts(world: World) -> None:
    """Three of four were evicted before the restart: one more may be evicted."""
    for number in range(3):
        world.pull_old(f"app{number}")
    world.ledger.evicted = 3
    watch = Watch(world, check_every=MINUTE, evictions_per_night=4)
    watch.run_for(hours=13)
    (ended,) = watch.reports(Trigger.NIGHTLY)
    assert (len(ended.report.evictions), ended.report.stop_reason) == (1, StopReason.LIMIT)


def test_a_sweep_waits_for_its_turn(world: World) -> None:
    """While another process sweeps, it is said each round, and the sweep comes after."""
    fill(world)
    world.ledger.busy = 2
    watch = Watch(world)
    began = world.timer.now()
    watch.run_for(minutes=1)
    (ended,) = watch.reports(Trigger.PRESSURE)
    assert [event.trigger for event in watch.recorder.of(SweepWaits)] == [Trigger.PRESSURE] * 2
    assert ended.report.started_at == began + timedelta(seconds=10)


def test_pressure_does_not_wait_for_ever(world: World) -> None:
    """A sweep by hand without progress delays pressure for five minutes, and no longer."""
    fill(world)
    world.ledger.busy = 10**6
    watch = Watch(world)
    began = world.timer.now()
    watch.run_for(minutes=6)
    (ended,) = watch.reports(Trigger.PRESSURE)
    assert ended.report.started_at == began + timedelta(minutes=5)


def test_a_nightly_run_waits_for_its_turn_as_long_as_it_takes(world: World) -> None:
    """A nightly run is not urgent."""
    world.pull_old("app")
    world.ledger.busy = 10**6
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=13)
    assert watch.reports(Trigger.NIGHTLY) == []


def test_a_nightly_run_whose_limit_is_not_known_waits(world: World) -> None:
    """If the number of past evictions cannot be read, nothing more is evicted, and the nightly run is not done."""
    world.pull_old("app")
    world.ledger.evicted = None
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=13)
    assert watch.reports(Trigger.NIGHTLY) == []
    world.ledger.evicted = 0
    world.stop.stopped = False
    watch.run_for(minutes=2)
    assert len(watch.reports(Trigger.NIGHTLY)) == 1


def test_the_ledgers_state_and_news_are_reported(world: World) -> None:
    """Up with the first run on the node, down with the reason, and each piece of news once."""
    foreign = ForeignSweep(PastSweep(Trigger.MANUAL, world.timer.now(), 1.0, "done"))
    world.ledger.news_to_come = [foreign]
    watch = Watch(world)
    watch.run_for(seconds=10)
    world.ledger.error = "no room"
    world.stop.stopped = False
    watch.run_for(minutes=2)
    assert watch.recorder.of(LedgerUp)[0].installed_at == world.ledger.since
    assert {event.reason for event in watch.recorder.of(LedgerDown)} == {"no room"}
    assert watch.recorder.of(ForeignSweep) == [foreign]


def test_a_rule_with_regrets_is_put_on_hold_once(world: World) -> None:
    """Two of twenty were re-pulled: the rule is on hold for three days, and its images stay in this nightly run."""
    world.pull_old("app")
    world.ledger.regrets = {"company": Regret(evicted=20, repulled=2)}
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(hours=13)
    (on_hold,) = watch.recorder.of(RuleOnHold)
    assert (on_hold.rule, on_hold.until - on_hold.since) == ("company", timedelta(hours=72))
    (ended,) = watch.reports(Trigger.NIGHTLY)
    assert ended.report.evictions == ()
    assert ended.report.plan is not None
    assert [verdict.reason for verdict in ended.report.plan.kept] == [KeepReason.RULE_ON_HOLD]


def test_a_use_between_two_inspections_counts(world: World) -> None:
    """A container that lived between two inspections makes its image used now."""
    image_id = world.pull_old("app")
    world.runtime.made = [(), (Container("c", frozenset({"registry.example.com/app:v1"})),)]
    watch = Watch(world)
    watch.run_for(minutes=2)
    *_, counted = watch.recorder.of(ImagesInventoried)
    (verdict,) = counted.nightly.kept
    assert (verdict.image.id, verdict.reason) == (image_id, KeepReason.RECENT)


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
    assert ended.report.stop_reason is StopReason.STOP_REQUESTED
    assert len(watch.recorder.of(EvictionEnded)) == 1
    assert isinstance(watch.recorder.events[-1], DaemonStopped)


@pytest.mark.parametrize(
    "method", ["read_version", "read_pulls", "list_images", "list_containers", "read_layers", "list_sandbox_images"]
)
@pytest.mark.parametrize("megabytes", [900, 10], ids=["sweep", "inventory"])
def test_a_read_that_a_stop_ends_is_no_failure(world: World, method: str, megabytes: int) -> None:
    """SIGTERM during any read of a round: the daemon ends, and reports no failure of anything."""
    world.pull_old("app", megabytes)

    def request_stop() -> None:
        world.stop.stopped = True
        world.runtime.failures[method] = [StopRequestedError("stop")]

    world.runtime.before[method] = request_stop
    watch = Watch(world, mode=Mode.FULL)
    watch.run_for(hours=13)
    assert method in world.runtime.calls
    assert isinstance(watch.recorder.events[-1], DaemonStopped)
    for failure in (RuntimeDown, SweepFailed, InventoryFailed, LoopFailed):
        assert watch.recorder.of(failure) == []


def slow_down(world: World, **removal: float) -> None:
    """Let each removal take this long."""
    world.runtime.before["remove_image"] = lambda: world.timer.move(**removal)


def test_after_a_sweep_it_checks_as_soon_as_the_disk_may_be_full_again(world: World) -> None:
    """The pause before the next check depends on what a sweep left, not on what it found."""
    fill(world, 10)
    world.stop.between = lambda: fill_more(world, 350)
    world.stop.waits_left = 2
    watch = Watch(world, mode=Mode.PRESSURE)
    watch.daemon.run()
    (sweep,) = watch.reports(Trigger.PRESSURE)
    assert sweep.report.filesystem_before.used_percent == 85
    assert sweep.report.filesystem_after.used_percent <= 65
    assert world.stop.waits == [5.0, 0.5]


def fill_more(world: World, megabytes: int) -> None:
    """Once, by another program."""
    world.simulated.write_file("burst", megabytes * MB)
    world.stop.between = lambda: None


def fill_in_pause(world: World, watch: Watch, after: int, megabytes: int) -> None:
    """Write once, in the pause after this many nightly evictions; the ledger counts the nightly evictions."""
    wait = world.stop.wait

    def wait_and_fill(seconds: float) -> bool:
        nightly = [event for event in watch.recorder.of(EvictionEnded) if event.trigger is Trigger.NIGHTLY]
        world.ledger.evicted = len(nightly)
        if len(nightly) == after and not (world.simulated.directory / "other-burst").exists():
            world.simulated.write_file("burst", megabytes * MB)
        return wait(seconds)

    world.stop.wait = wait_and_fill  # type: ignore[method-assign]


def ends_of(watch: Watch) -> list[tuple[Trigger, StopReason, int]]:
    return [(r.trigger, r.stop_reason, len(r.evictions)) for r in (e.report for e in watch.recorder.of(SweepEnded))]


def test_a_nightly_run_yields_to_pressure_and_continues(world: World) -> None:
    """A disk that fills in a pause is driven down at once, then the nightly run continues, up to its one limit."""
    for number in range(10):
        world.pull_old(f"app{number}", days=99 - number)
    slow_down(world, seconds=2)
    watch = Watch(world, check_every=MINUTE, evictions_per_night=4)
    fill_in_pause(world, watch, after=2, megabytes=350)
    watch.run_for(hours=13)
    assert ends_of(watch) == [
        (Trigger.NIGHTLY, StopReason.YIELDED_TO_PRESSURE, 2),
        (Trigger.PRESSURE, StopReason.LOW_WATERMARK, 2),
        (Trigger.NIGHTLY, StopReason.LIMIT, 2),
    ]
    before, pressure, after = (event.report for event in watch.recorder.of(SweepEnded))
    assert pressure.started_at == before.started_at + timedelta(seconds=2 + 8 + 2 + 1)
    assert timedelta(seconds=4) < after.started_at - pressure.started_at <= timedelta(seconds=4) + MINUTE
    assert [event.nightly_run.occurrence for event in watch.recorder.of(NightlyRunEnded)] == [MIDNIGHT]


def test_a_nightly_run_just_below_the_watermark_continues(world: World) -> None:
    """A byte less than the high watermark is no pressure."""
    for number in range(10):
        world.pull_old(f"app{number}", days=99 - number)
    slow_down(world, seconds=2)
    watch = Watch(world, check_every=MINUTE)
    fill_in_pause(world, watch, after=2, megabytes=349)
    watch.run_for(hours=13)
    assert ends_of(watch) == [(Trigger.NIGHTLY, StopReason.DONE, 10)]


def make_stuck_watch(world: World) -> Watch:
    """A daemon whose pressure sweeps can do nothing: the candidates share their layer with an image in use."""
    for name in ("used", "app0", "app1", "app2"):
        world.pull_layers(name, {"base": 50})
    world.simulated.start_container("registry.example.com/used:v1")
    world.simulated.write_file("logs", 750 * MB)
    slow_down(world, seconds=2)
    return Watch(world, check_every=MINUTE)


def test_a_disk_that_no_sweep_can_help_does_not_end_the_nightly_run(world: World) -> None:
    """Non-image data keeps usage above high, and pressure has done what it could: the nightly run continues."""
    watch = make_stuck_watch(world)
    watch.run_for(hours=13)
    in_vain = (Trigger.PRESSURE, StopReason.KUBELET_THRESHOLD, 0)
    assert ends_of(watch) == [in_vain, (Trigger.NIGHTLY, StopReason.DONE, 3), in_vain]


def test_a_disk_that_fell_and_rose_again_in_a_nightly_run_ends_it(world: World) -> None:
    """Below low in one pause and above high in the next: the earlier backoff does not count any more."""
    watch = make_stuck_watch(world)
    wait = world.stop.wait

    def wait_and_change(seconds: float) -> bool:
        evicted, written = len(watch.recorder.of(EvictionEnded)), (world.simulated.directory / "other-logs").exists()
        if evicted == 1 and written:
            world.simulated.remove_file("logs")
        elif evicted == 2 and not written:
            world.simulated.write_file("logs", 750 * MB)
        return wait(seconds)

    world.stop.wait = wait_and_change  # type: ignore[method-assign]
    watch.run_for(hours=13)
    in_vain = (Trigger.PRESSURE, StopReason.KUBELET_THRESHOLD, 0)
    assert ends_of(watch) == [
        in_vain,
        (Trigger.NIGHTLY, StopReason.YIELDED_TO_PRESSURE, 2),
        in_vain,
        (Trigger.NIGHTLY, StopReason.DONE, 1),
        in_vain,
    ]


def test_a_nightly_run_ends_with_its_window_and_the_next_evicts_the_others(world: World) -> None:
    """Each image takes 2 s and a pause of 8 s: in a window of a minute six begin, the others in the next run."""
    for number in range(8):
        world.pull_old(f"app{number}")
    slow_down(world, seconds=2)
    watch = Watch(world, check_every=MINUTE, window=MINUTE)
    watch.run_for(hours=37)
    assert ends_of(watch) == [(Trigger.NIGHTLY, StopReason.WINDOW_CLOSED, 6), (Trigger.NIGHTLY, StopReason.DONE, 2)]
    nightly_runs = [event.nightly_run for event in watch.recorder.of(NightlyRunEnded)]
    assert nightly_runs[0] == NightlyRun(MIDNIGHT, MIDNIGHT + MINUTE)
    assert nightly_runs[1].occurrence == MIDNIGHT + timedelta(days=1)


def test_a_missed_nightly_run_has_no_window_end(world: World) -> None:
    """At noon no window is open, so none closes."""
    world.ledger.nightly_run = NightlyRun(MIDNIGHT - timedelta(days=3), MIDNIGHT - timedelta(days=3))
    for number in range(8):
        world.pull_old(f"app{number}")
    slow_down(world, seconds=2)
    watch = Watch(world, check_every=MINUTE, window=MINUTE)
    watch.run_for(minutes=30)
    assert ends_of(watch) == [(Trigger.NIGHTLY, StopReason.DONE, 8)]


def test_a_window_that_closes_on_the_way_to_the_sweep_is_missed(world: World) -> None:
    """The window ends between the check of what is due and the check of how many may be evicted."""
    world.pull_old("app")
    world.timer.move(hours=16, microseconds=-1)

    @contextmanager
    def late_turn() -> Iterator[bool]:
        world.timer.move(microseconds=1)
        yield True

    world.ledger.sweep_turn = late_turn  # type: ignore[method-assign]
    watch = Watch(world, check_every=MINUTE)
    watch.run_for(minutes=5)
    assert watch.reports(Trigger.NIGHTLY) == []
