"""A sweep that has time, on a simulated node: its pauses, and what ends them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import DiskUnreadableError, RuntimeUnavailableError, StopRequestedError
from cleaner.core.model import Container, EvictionOutcome, StopReason, Trigger
from cleaner.core.pressure.watermarks import at_high
from cleaner.core.report import SweepReport
from cleaner.sweep.pacing import Pace
from support.nodes import MB, WATERMARKS, World, make_world

NO_PRESSURE: Callable[[Usage], bool] = lambda _usage: False  # noqa: E731 - a value of the field's own type


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@dataclass
class Nightly:
    """Nightly sweeps of a world in which every removal takes some seconds."""

    world: World
    removal_seconds: float = 0.5
    duty_cycle: float = 0.2
    ends_at: datetime | None = None
    is_pressing: Callable[[Usage], bool] = field(default=NO_PRESSURE)

    def __post_init__(self) -> None:
        self.world.runtime.before["remove_image"] = lambda: self.world.timer.move(seconds=self.removal_seconds)

    def report(self) -> SweepReport:
        pace = Pace(self.duty_cycle, self.ends_at, 60.0, self.is_pressing)
        return self.world.report(Trigger.NIGHTLY, pace=pace)


def pull(world: World, images: int) -> None:
    for number in range(images):
        world.pull_old(f"app{number:02}", days=99 - number)


def outcomes(report: SweepReport) -> list[EvictionOutcome]:
    return [eviction.outcome for eviction in report.evictions]


@pytest.mark.parametrize(
    ("duty_cycle", "removal_seconds", "waits"),
    [
        (0.2, 0.1, [0.4, 0.4]),
        (0.2, 0.25, [1, 1]),
        (0.2, 0.625, [1, 1, 0.5] * 2),
        (0.5, 0.5, [0.5, 0.5]),
        (1, 0.5, []),
        (0.2, 120, [1] * 60),
    ],
)
def test_it_pauses_after_each_eviction_but_the_last(
    world: World, duty_cycle: float, removal_seconds: float, waits: list[float]
) -> None:
    """Four times as long as it worked, half a minute at most, in slices of a second; and not at all before it works."""
    pull(world, 3)
    report = Nightly(world, removal_seconds, duty_cycle).report()
    assert outcomes(report) == [EvictionOutcome.EVICTED] * 3
    assert report.stop_reason is StopReason.DONE
    assert world.stop.waits == pytest.approx(waits)
    assert report.duration_seconds == pytest.approx(3 * removal_seconds + sum(waits))


def test_the_whole_eviction_is_work(world: World) -> None:
    """The final check, the settling and what the outlets write load the node too."""
    pull(world, 2)
    world.runtime.before["list_sandbox_images"] = lambda: world.timer.move(seconds=0.1)
    Nightly(world, removal_seconds=0.1).report()
    assert world.stop.waits == pytest.approx([0.8])


@pytest.mark.parametrize("trigger", list(Trigger))
def test_a_sweep_that_is_waited_for_never_pauses(world: World, trigger: Trigger) -> None:
    """Without a pace, as under pressure and by hand, evictions follow each other."""
    pull(world, 16)
    world.runtime.before["remove_image"] = lambda: world.timer.move(seconds=1)
    assert len(world.report(trigger).evictions) >= 3
    assert world.stop.waits == []


def test_a_stop_request_ends_a_pause_at_once(world: World) -> None:
    """SIGTERM in the second slice of a pause: nothing more is waited for, and nothing more is evicted."""
    pull(world, 3)
    world.stop.waits_left = 2
    report = Nightly(world, removal_seconds=5).report()
    assert (len(report.evictions), report.not_reached) == (1, 2)
    assert report.stop_reason is StopReason.STOP_REQUESTED
    assert world.stop.waits == [1, 1]


def test_a_stop_request_ends_an_inspection_in_a_pause(world: World) -> None:
    """SIGTERM while the node is inspected between two evictions ends the sweep as in any other moment."""
    pull(world, 3)

    def request_stop() -> None:
        if "remove_image" in world.runtime.calls:
            world.runtime.failures["list_images"] = [StopRequestedError("stop")]

    world.runtime.before["list_images"] = request_stop
    report = Nightly(world, removal_seconds=120).report()
    assert report.stop_reason is StopReason.STOP_REQUESTED
    assert len(report.evictions) < 3


@pytest.mark.parametrize(
    ("megabytes", "reason", "evictions", "waits"),
    [
        (699, StopReason.DONE, 2, 20),
        (700, StopReason.YIELDED_TO_PRESSURE, 1, 3),
        (701, StopReason.YIELDED_TO_PRESSURE, 1, 3),
    ],
)
def test_pressure_in_a_pause_ends_the_sweep(
    world: World, megabytes: int, reason: StopReason, evictions: int, waits: int
) -> None:
    """A disk at its high watermark in the third second of a pause is seen in that second; below it, not."""
    pull(world, 2)

    def fill() -> None:
        if len(world.stop.waits) == 3:
            world.simulated.write_file("burst", megabytes * MB)

    world.stop.between = fill
    report = Nightly(world, removal_seconds=5, is_pressing=lambda usage: bool(at_high(usage, WATERMARKS))).report()
    assert (report.stop_reason, len(report.evictions)) == (reason, evictions)
    assert len(world.stop.waits) == waits


@pytest.mark.parametrize("duty_cycle", [0.2, 1])
def test_pressure_is_seen_before_each_image(world: World, duty_cycle: float) -> None:
    """Without a pause, and before the first image, the disk is measured too."""
    pull(world, 2)
    world.simulated.write_file("burst", 700 * MB)
    report = Nightly(world, duty_cycle=duty_cycle, is_pressing=lambda usage: bool(at_high(usage, WATERMARKS))).report()
    assert (outcomes(report), report.not_reached) == ([], 2)
    assert report.stop_reason is StopReason.YIELDED_TO_PRESSURE


@pytest.mark.parametrize(
    ("seconds", "reason", "evictions", "waits"),
    [
        (0, StopReason.WINDOW_CLOSED, 0, 0),
        (0.000001, StopReason.WINDOW_CLOSED, 1, 0),
        (0.5, StopReason.WINDOW_CLOSED, 1, 0),
        (2.5, StopReason.WINDOW_CLOSED, 1, 2),
        (2.500001, StopReason.DONE, 2, 2),
    ],
)
def test_the_end_of_its_window_ends_the_sweep(
    world: World, seconds: float, reason: StopReason, evictions: int, waits: int
) -> None:
    """From the end on no eviction begins: not the first, none after one that took too long or after its pause."""
    pull(world, 2)
    report = Nightly(world, ends_at=world.timer.now() + timedelta(seconds=seconds)).report()
    assert (report.stop_reason, len(report.evictions)) == (reason, evictions)
    assert len(world.stop.waits) == waits


def test_the_node_is_inspected_each_minute(world: World) -> None:
    """As between sweeps: of 8 images with 25 s each only the fourth and the seventh follow an inspection."""
    pull(world, 8)
    Nightly(world, removal_seconds=5).report()
    inspections = [index for index, call in enumerate(world.runtime.calls) if call == "list_images"]
    removals = [world.runtime.calls[:index].count("remove_image") for index in inspections]
    assert removals == [0, 3, 6]


@pytest.mark.parametrize(("seconds", "inspections"), [(59.999, 1), (60, 2), (60.001, 2)])
def test_an_inspection_is_due_after_a_minute_itself(world: World, seconds: float, inspections: int) -> None:
    """Below the interval the node is not inspected again, at it and above it is."""
    pull(world, 2)
    Nightly(world, removal_seconds=seconds, duty_cycle=1).report()
    assert world.runtime.calls.count("list_images") == inspections


def test_a_use_in_a_pause_spares_the_image(world: World) -> None:
    """A container that lived during a pause is in no list of the final check, and counts."""
    pull(world, 4)
    world.runtime.made = [(), (Container("c", frozenset({"registry.example.com/app03:v1"})),)]
    report = Nightly(world, removal_seconds=5).report()
    assert outcomes(report) == [EvictionOutcome.EVICTED] * 3 + [EvictionOutcome.SPARED]
    assert report.evictions[-1].error == "used since the plan"


def test_a_failed_inspection_ends_the_sweep(world: World) -> None:
    """Neither a disk nor a node that cannot be read in a pause is guessed at: nothing more is evicted."""
    pull(world, 8)
    world.runtime.failures = {"list_images": [None, RuntimeUnavailableError("ListImages: UNAVAILABLE")]}
    with pytest.raises(RuntimeUnavailableError):
        Nightly(world, removal_seconds=5).report()
    assert world.runtime.calls.count("remove_image") == 3
    world.disk.failures = [None, DiskUnreadableError("cannot read the usage of /disk: Input/output error")]
    with pytest.raises(DiskUnreadableError):
        Nightly(world, removal_seconds=5).report()
    assert world.runtime.calls.count("remove_image") == 3
