"""One sweep on a simulated node: what it does between and around the decisions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cleaner.core.disk_usage import Filesystem, Part, Resource
from cleaner.core.errors import (
    DiskUnreadableError,
    ImageInUseError,
    RuntimeRejectedError,
    RuntimeUnavailableError,
    StopRequestedError,
)
from cleaner.core.events import EvictionEnded, EvictionStarted, SweepEnded, SweepStarted
from cleaner.core.model import EvictionOutcome, EvictReason, Fault, KeepReason, Policy, Rule, StopReason, Trigger
from cleaner.core.pressure.pulls import Pull
from cleaner.core.references import parse_pattern
from cleaner.simulation.node import Build
from support.fakes import Failures
from support.nodes import COMPANY, MB, World, make_world

DOWN = RuntimeUnavailableError("RemoveImage: DEADLINE_EXCEEDED")
REJECTED = RuntimeRejectedError("RemoveImage: INTERNAL: no")
UNREADABLE = DiskUnreadableError("cannot read the usage of /disk: Input/output error")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def test_nightly_evicts_what_is_expired_and_keeps_the_rest(world: World) -> None:
    """A nightly sweep removes what is past max_age, oldest first, and nothing else."""
    older, old, young = world.pull_old("older", days=90), world.pull_old("old", days=40), world.pull_old("new", days=29)
    report = world.report(Trigger.NIGHTLY)
    assert [(e.verdict.image.id, e.outcome) for e in report.evictions] == [
        (older, EvictionOutcome.EVICTED),
        (old, EvictionOutcome.EVICTED),
    ]
    assert [image.id for image in world.simulated.list_images()] == [young]
    assert report.reclaimed_bytes == 100 * MB
    assert report.stop_reason is StopReason.DONE


def test_events_come_in_order_around_each_eviction(world: World) -> None:
    """Each eviction is announced before and reported after; the sweep's report comes last."""
    world.pull_old("a")
    world.pull_old("b")
    kinds = [type(event) for event in world.sweep(Trigger.MANUAL)]
    assert kinds == [SweepStarted, EvictionStarted, EvictionEnded, EvictionStarted, EvictionEnded, SweepEnded]


def test_pressure_stops_at_the_low_watermark(world: World) -> None:
    """Under pressure it stops at the first measurement at or below low: 80 % down to 65 % takes three of 5 %."""
    for number in range(16):
        world.pull_old(f"app{number:02}", days=100 - number)
    report = world.report(Trigger.PRESSURE)
    assert len(report.evictions) == 3
    assert report.filesystem_after.used_percent == 65
    assert report.stop_reason is StopReason.LOW_WATERMARK
    assert report.low_watermark_met
    assert report.not_reached == 13


def test_pressure_below_high_is_not_needed(world: World) -> None:
    """Below high a pressure sweep lists nothing and does nothing, once it knows that nothing large is being pulled."""
    world.pull_old("app", megabytes=749)
    report = world.report(Trigger.PRESSURE)
    assert report.stop_reason is StopReason.NOT_NEEDED
    assert report.plan is None
    assert world.runtime.calls == ["read_pulls"]


def test_pressure_at_high_is_needed(world: World) -> None:
    """At the high watermark itself a pressure sweep evicts."""
    world.pull_old("app", megabytes=750)
    assert world.report(Trigger.PRESSURE).evictions[0].outcome is EvictionOutcome.EVICTED


def test_pressure_above_low_with_nothing_left_is_done(world: World) -> None:
    """When every candidate is evicted and usage is still above the kubelet's threshold, the sweep ends and says so."""
    world.simulated.write_file("logs", 840 * MB)
    world.pull_old("app", megabytes=60)
    report = world.report(Trigger.PRESSURE)
    assert len(report.evictions) == 1
    assert report.stop_reason is StopReason.DONE
    assert not report.low_watermark_met


@pytest.mark.parametrize(("logs", "evictions"), [(720, 0), (780, 0), (781, 1), (810, 1), (811, 2)])
def test_a_disk_full_of_non_image_data_is_kept_below_the_kubelets_threshold(
    world: World, logs: int, evictions: int
) -> None:
    """If the low watermark is out of reach, only what keeps usage at 83 % is evicted; all others are not reached."""
    world.simulated.write_file("logs", logs * MB)
    world.pull_old("app", megabytes=30, days=70)
    world.pull_old("other", megabytes=20)
    report = world.report(Trigger.PRESSURE)
    assert (len(report.evictions), report.not_reached) == (evictions, 2 - evictions)
    assert report.stop_reason is StopReason.KUBELET_THRESHOLD
    assert report.plan is not None
    assert report.plan.low_watermark_reachable is False
    assert not report.low_watermark_met


def test_a_disk_full_of_non_image_data_spares_what_is_used_daily(world: World) -> None:
    """Images inside the long grace stay until the kubelet's threshold is in danger, and are evicted last then."""
    world.simulated.write_file("logs", 700 * MB)
    world.pull_old("cold", megabytes=40)
    world.pull_old("hot", megabytes=40, days=0.5)
    assert world.report(Trigger.PRESSURE).evictions == ()
    world.simulated.write_file("more", 60 * MB)
    assert [e.verdict.image.tags[0] for e in world.report(Trigger.PRESSURE).evictions] == [
        "registry.example.com/cold:v1"
    ]


# ---- room for pulls


def test_a_pull_in_progress_counts_as_used(world: World) -> None:
    """Room is made for what a pull will still write, down to the low watermark as if it were there."""
    for number in range(10):
        world.pull_old(f"app{number:02}", days=100 - number)
    world.runtime.pulls = [(Pull("sha256:new", 150 * MB, 100 * MB),)] * 20
    report = world.report(Trigger.PRESSURE)
    assert len(report.evictions) == 2
    assert report.stop_reason is StopReason.LOW_WATERMARK
    assert report.filesystem_before.used_percent == 50
    assert report.filesystem_after.used_percent == 40


@pytest.mark.parametrize(("size", "evictions"), [(249, 0), (250, 2)])
def test_a_pull_matters_from_the_high_watermark_on(world: World, size: int, evictions: int) -> None:
    """At 75 % with the pull the sweep is needed, below it is not."""
    for number in range(10):
        world.pull_old(f"app{number:02}", days=100 - number)
    world.runtime.pulls = [(Pull("sha256:new", size * MB, 0),)] * 20
    assert len(world.report(Trigger.PRESSURE).evictions) == evictions


@pytest.mark.parametrize(("size", "evictions"), [(700, 8), (1000, 10), (1001, 0)])
def test_no_room_is_made_for_a_pull_that_cannot_fit(world: World, size: int, evictions: int) -> None:
    """A pull larger than all that is free and evictable evicts nothing."""
    for number in range(10):
        world.pull_old(f"app{number:02}", days=100 - number)
    world.runtime.pulls = [(Pull("sha256:new", size * MB, 0),)] * 40
    report = world.report(Trigger.PRESSURE)
    assert (len(report.evictions), report.low_watermark_met) == (evictions, False)


def test_a_pull_that_cannot_fit_does_not_stop_what_the_disk_asks_for(world: World) -> None:
    """At 80 % the sweep drives to the low watermark as if there were no pull, and says which pull it has given up."""
    for number in range(16):
        world.pull_old(f"app{number:02}", days=100 - number)
    world.runtime.pulls = [(Pull("sha256:new", 1001 * MB, 0),)] * 40
    events = world.sweep(Trigger.PRESSURE)
    (started,) = (event for event in events if isinstance(event, SweepStarted))
    assert (started.given_up, started.pulls_projected_bytes) == (frozenset({"sha256:new"}), 0)
    assert (started.plan.low_watermark_reachable, started.held) == (True, None)
    ended = events[-1]
    assert isinstance(ended, SweepEnded)
    assert (ended.report.filesystem_after.used_percent, ended.report.stop_reason) == (65, StopReason.LOW_WATERMARK)


def test_pulls_that_cannot_be_read_make_no_room(world: World) -> None:
    """An error of that question is no reason to evict, nor to fail."""
    world.pull_old("app", megabytes=400)
    world.runtime.failures["read_pulls"] = [RuntimeRejectedError("no")]
    assert world.report(Trigger.PRESSURE).stop_reason is StopReason.NOT_NEEDED


def test_an_early_sweep_evicts_just_what_its_targets_need(world: World) -> None:
    """Early parts are driven to their own target, and one that reaches high meanwhile to its low watermark."""
    for number in range(14):
        world.pull_old(f"app{number:02}", days=100 - number)
    early = {Part(Filesystem.IMAGES, Resource.BYTES): 68.0}
    report = world.report(Trigger.PRESSURE, early=early)
    assert (len(report.evictions), report.low_watermark_met) == (1, True)
    assert report.filesystem_after.used_percent == 65


def test_a_resource_that_reaches_high_meanwhile_is_driven_too(world: World) -> None:
    """Bytes that reach high during a sweep for inodes are driven below low as well."""
    for number in range(16):
        world.pull_old(f"app{number:02}", megabytes=40, days=100 - number)
    world.simulated.inodes = 100
    for number in range(64):
        world.simulated.write_file(f"small{number}", 0)
    world.runtime.before["remove_image"] = lambda: world.simulated.write_file("burst", 200 * MB)
    report = world.report(Trigger.PRESSURE)
    assert report.filesystem_after.used_percent <= 65


def test_dry_run_plans_and_touches_nothing(world: World) -> None:
    """A dry run ends after Decide: every candidate is `planned` and still there."""
    world.pull_old("a")
    world.pull_old("b")
    report = world.report(Trigger.MANUAL, dry_run=True)
    assert [eviction.outcome for eviction in report.evictions] == [EvictionOutcome.PLANNED] * 2
    assert "remove_image" not in world.runtime.calls
    assert report.not_reached == 0
    assert report.reclaimed_bytes == 0


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_limit_ends_the_sweep(world: World, dry_run: bool) -> None:
    """At its limit a sweep ends; the others are not reached."""
    for name in "abc":
        world.pull_old(name)
    report = world.report(Trigger.NIGHTLY, limit=2, dry_run=dry_run)
    assert (len(report.evictions), report.not_reached) == (2, 1)
    assert report.stop_reason is StopReason.LIMIT


def test_a_limit_of_all_candidates_is_done(world: World) -> None:
    """A limit that leaves nothing out is no reason to have ended."""
    world.pull_old("a")
    assert world.report(Trigger.NIGHTLY, limit=1).stop_reason is StopReason.DONE


def test_a_stop_request_ends_the_sweep_after_the_present_removal(world: World) -> None:
    """SIGTERM during a removal: that one is finished and reported, the next is not begun."""
    world.pull_old("a")
    world.pull_old("b")

    def request_stop() -> None:
        world.stop.stopped = True

    world.runtime.before["remove_image"] = request_stop
    report = world.report(Trigger.NIGHTLY)
    assert [eviction.outcome for eviction in report.evictions] == [EvictionOutcome.EVICTED]
    assert report.stop_reason is StopReason.STOP_REQUESTED
    assert report.not_reached == 1


@pytest.mark.parametrize("method", ["list_sandbox_images", "list_containers", "read_image"])
def test_a_stop_during_the_final_check_spares_the_image(world: World, method: str) -> None:
    """SIGTERM during a read of the final check: the image stays, and neither it nor the runtime is to blame."""
    world.pull_old("a")
    world.pull_old("b")

    def request_stop() -> None:
        if world.timer.monotonic() > began:
            world.stop.stopped = True
            world.runtime.failures[method] = [StopRequestedError("stop")]

    began = world.timer.monotonic()
    world.runtime.before["event_position"] = lambda: world.timer.move(seconds=1)
    world.runtime.before[method] = request_stop
    report = world.report(Trigger.NIGHTLY)
    (eviction,) = report.evictions
    assert (eviction.outcome, eviction.fault) == (EvictionOutcome.SPARED, None)
    assert eviction.error == "a stop was requested during the final check"
    assert report.stop_reason is StopReason.STOP_REQUESTED
    assert "remove_image" not in world.runtime.calls


def test_a_stop_during_the_confirmation_is_a_failed_eviction(world: World) -> None:
    """Whether the image is gone is not known then, which is never called an eviction."""
    world.pull_old("a")

    def request_stop() -> None:
        world.stop.stopped = True
        world.runtime.failures["read_image"] = [StopRequestedError("stop")]

    world.runtime.after["remove_image"] = request_stop
    report = world.report(Trigger.NIGHTLY)
    (eviction,) = report.evictions
    assert (eviction.outcome, eviction.fault) == (EvictionOutcome.FAILED, Fault.RUNTIME)
    assert eviction.error == "RemoveImage succeeded; not known whether it is gone: stop"


def test_a_list_that_cannot_be_read_evicts_nothing(world: World) -> None:
    """A failing list of images, containers, sandboxes or layers fails the sweep before any removal."""
    world.pull_old("a")
    for method in ("list_images", "list_containers", "list_sandbox_images", "read_layers"):
        world.runtime.failures = {method: [DOWN]}
        with pytest.raises(RuntimeUnavailableError):
            world.sweep(Trigger.NIGHTLY)
    assert "remove_image" not in world.runtime.calls


def start_container(world: World, name: str) -> None:
    world.simulated.start_container(f"registry.example.com/{name}:v1")


def pull_again(world: World, build: Build) -> None:
    world.simulated.pull("registry.example.com/a:v1", build)


def retag(world: World, image_id: str) -> None:
    world.simulated.tag(image_id, "registry.example.com/other:v2")


def test_an_image_that_a_pod_started_from_meanwhile_is_spared(world: World) -> None:
    """The final check sees a container that came after the plan."""
    world.pull_old("a")
    world.runtime.before["read_image"] = lambda: start_container(world, "a")
    (eviction,) = world.report(Trigger.NIGHTLY).evictions
    assert (eviction.outcome, eviction.error) == (EvictionOutcome.SPARED, "now in_use")


def test_an_image_with_changed_references_is_spared(world: World) -> None:
    """A new tag after the plan spares the image."""
    image_id = world.pull_old("a")
    world.runtime.before["read_image"] = lambda: retag(world, image_id)
    (eviction,) = world.report(Trigger.NIGHTLY).evictions
    assert (eviction.outcome, eviction.error) == (EvictionOutcome.SPARED, "its references changed")


def test_an_image_pulled_again_meanwhile_is_spared(world: World) -> None:
    """A pull after the plan spares the image, though its references are the same."""
    image_id = world.pull_old("a")
    original = world.simulated.read_image(image_id)
    assert original is not None
    build = Build((("a", 50 * MB),), created_at=original.created_at, note="a")
    world.runtime.before["read_image"] = lambda: pull_again(world, build)
    (eviction,) = world.report(Trigger.NIGHTLY).evictions
    assert (eviction.outcome, eviction.error) == (EvictionOutcome.SPARED, "it was pulled again")


def test_an_image_that_was_removed_meanwhile_is_spared(world: World) -> None:
    """What was removed externally is not counted as evicted."""
    image_id = world.pull_old("a")
    world.runtime.before["read_image"] = lambda: world.simulated.remove_image(image_id)
    (eviction,) = world.report(Trigger.NIGHTLY).evictions
    assert (eviction.outcome, eviction.error) == (EvictionOutcome.SPARED, "already gone")


def test_a_final_check_that_fails_keeps_the_image(world: World) -> None:
    """An image whose final check fails is not removed, and the next one follows."""
    kept, gone = world.pull_old("a", days=80), world.pull_old("b")
    world.runtime.failures["read_image"] = [DOWN]
    first, second = world.report(Trigger.NIGHTLY).evictions
    assert (first.verdict.image.id, first.outcome) == (kept, EvictionOutcome.FAILED)
    assert (second.verdict.image.id, second.outcome) == (gone, EvictionOutcome.EVICTED)
    assert first.error is not None
    assert first.error.startswith("the final check failed: ")


def test_the_final_check_reads_the_image_last(world: World) -> None:
    """Container events tell what comes after the list of containers, so the image is read right before its removal."""
    world.pull_old("a")
    world.sweep(Trigger.NIGHTLY)
    calls = world.runtime.calls
    removal = calls.index("remove_image")
    assert calls[removal - 7 : removal] == [
        "event_position",
        "list_sandbox_images",
        "list_containers",
        "read_image",
        "event_position",
        "created_since",
        "event_position",
    ]


def test_a_removal_that_is_rejected_for_a_use_is_spared(world: World) -> None:
    """If CRI-O rejects the removal of an image in use, it is spared, not a failure."""
    world.pull_old("a")
    world.runtime.failures["remove_image"] = [ImageInUseError("image used by 123")]
    (eviction,) = world.report(Trigger.NIGHTLY).evictions
    assert (eviction.outcome, eviction.error) == (EvictionOutcome.SPARED, "image used by 123")


def test_a_success_that_left_the_image_is_a_failure(world: World) -> None:
    """A removal that the runtime calls a success counts only once the image is not listed."""
    world.pull_old("a")
    world.runtime.silent_removals = 1
    (eviction,) = world.report(Trigger.NIGHTLY).evictions
    assert eviction.outcome is EvictionOutcome.FAILED
    assert eviction.error == "RemoveImage succeeded; the image is still listed"
    assert eviction.reclaimed_bytes is None


def test_an_image_pulled_again_at_once_was_evicted(world: World) -> None:
    """Between removal and question somebody pulls it again: with a new pull time it is another one's image."""
    image_id = world.pull_old("a")
    original = world.simulated.read_image(image_id)
    assert original is not None
    build = Build((("a", 50 * MB),), created_at=original.created_at, note="a")
    world.runtime.after["remove_image"] = lambda: pull_again(world, build)
    assert world.report(Trigger.NIGHTLY).evictions[0].outcome is EvictionOutcome.EVICTED


@pytest.mark.parametrize("pulled_at", [None, datetime(2020, 1, 1, tzinfo=UTC)])
def test_a_half_done_removal_is_a_failure(world: World, pulled_at: datetime | None) -> None:
    """An image that is still there with an older pull time, or none, has lost a record, and was not pulled again."""
    image_id = world.pull_old("a")
    original = world.simulated.read_image(image_id)
    assert original is not None
    world.runtime.silent_removals = 1
    world.runtime.images = [None, replace(original, pulled_at=pulled_at)]
    (eviction,) = world.report(Trigger.NIGHTLY).evictions
    assert (eviction.outcome, eviction.reclaimed_bytes) == (EvictionOutcome.FAILED, None)


def test_an_image_used_since_the_plan_is_spared(world: World) -> None:
    """A container that ran and ended while others were evicted was a use, though nothing needs its image now."""
    world.pull_old("a", days=90)
    world.pull_old("b", days=80)
    started: list[str] = []

    def run_once() -> None:
        """Nothing runs at the plan, a container at the first final check, none at the second."""
        lists = world.runtime.calls.count("list_containers")
        if lists == 2:
            started.append(world.simulated.start_container("registry.example.com/b:v1"))
        elif lists == 3:
            world.simulated.remove_container(started.pop())

    world.runtime.before["list_containers"] = run_once
    report = world.report(Trigger.NIGHTLY)
    assert [e.outcome for e in report.evictions] == [EvictionOutcome.EVICTED, EvictionOutcome.SPARED]
    assert report.evictions[1].error == "used since the plan"


def test_pressure_ends_at_the_estimate_where_nothing_is_measured(world: World) -> None:
    """On a disk that frees late no more than the list is evicted, however full it still looks."""
    for number in range(16):
        world.pull_old(f"app{number:02}", days=100 - number)
    world.simulated.measures_removals = False
    world.disk.stuck = world.simulated.read_usage()
    report = world.report(Trigger.PRESSURE)
    assert (len(report.evictions), report.stop_reason, report.not_reached) == (3, StopReason.DONE, 13)


def test_a_disk_that_cannot_be_read_at_the_end_loses_no_report(world: World) -> None:
    """What was evicted is reported all the same, with the usage from before."""
    world.pull_old("a")
    world.disk.failures = [None, None, None, UNREADABLE]
    report = world.report(Trigger.NIGHTLY)
    assert [e.outcome for e in report.evictions] == [EvictionOutcome.EVICTED]
    assert report.filesystem_after == report.filesystem_before


def test_a_deadline_is_settled_by_asking(world: World) -> None:
    """A removal that ran into its deadline counts as evicted when the image is gone, as failed when not."""
    image_id = world.pull_old("a", days=80)
    world.pull_old("b")
    world.runtime.failures["remove_image"] = [DOWN, DOWN]
    world.runtime.before["remove_image"] = lambda: world.simulated.remove_image(image_id)
    first, second = world.report(Trigger.NIGHTLY).evictions
    assert first.outcome is EvictionOutcome.EVICTED
    assert second.outcome is EvictionOutcome.FAILED
    assert world.runtime.calls.count("remove_image") == 2


def test_a_removal_that_cannot_be_confirmed_is_a_failure(world: World) -> None:
    """When the question whether it is gone fails too, the eviction failed and says both."""
    world.pull_old("a")
    world.runtime.failures = {"remove_image": [DOWN], "read_image": [None, DOWN]}
    (eviction,) = world.report(Trigger.NIGHTLY).evictions
    assert eviction.outcome is EvictionOutcome.FAILED
    assert eviction.error == f"{DOWN}; not known whether it is gone: {DOWN}"


@pytest.mark.parametrize(("failures", "expected"), [(4, StopReason.DONE), (5, StopReason.FAILURES)])
def test_failures_end_the_sweep_at_their_limit(world: World, failures: int, expected: StopReason) -> None:
    """After four failures of the runtime the sweep continues, the fifth ends it."""
    for number in range(7):
        world.pull_old(f"app{number}")
    world.runtime.failures["list_containers"] = [None] + [DOWN] * failures
    report = world.report(Trigger.NIGHTLY)
    assert report.stop_reason is expected
    assert len(report.evictions) == (7 if expected is StopReason.DONE else 5)


def test_failures_of_images_end_no_sweep(world: World) -> None:
    """Six images that the runtime never removes stay, and the other one is evicted."""
    for number in range(7):
        world.pull_old(f"app{number}", days=100 - number)
    world.runtime.failures["remove_image"] = [REJECTED] * 6
    report = world.report(Trigger.NIGHTLY)
    assert report.stop_reason is StopReason.DONE
    assert [eviction.fault for eviction in report.evictions] == [Fault.IMAGE] * 6 + [None]


@pytest.mark.parametrize(
    ("failures", "fault"),
    [
        ({"remove_image": [REJECTED]}, Fault.IMAGE),
        ({"remove_image": [DOWN]}, Fault.RUNTIME),
        ({"read_image": [DOWN]}, Fault.RUNTIME),
        ({"read_image": [None, DOWN]}, Fault.RUNTIME),
        ({"read_image": [None, REJECTED]}, Fault.RUNTIME),
        ({"read_image": [REJECTED]}, Fault.IMAGE),
        ({"list_containers": [None, REJECTED]}, Fault.RUNTIME),
        ({"list_leftovers": [DOWN]}, Fault.RUNTIME),
    ],
)
def test_what_made_an_eviction_fail(world: World, failures: Failures, fault: Fault) -> None:
    """The image is to blame where the runtime rejects a question about it, or leaves it there after RemoveImage."""
    world.pull_old("a")
    world.runtime.failures = failures
    (eviction,) = world.report(Trigger.NIGHTLY).evictions
    assert (eviction.outcome, eviction.fault) == (EvictionOutcome.FAILED, fault)


def test_a_removal_that_does_nothing_is_a_failure_of_the_image(world: World) -> None:
    """RemoveImage that succeeds and leaves the image is held against the image, as is a record that it leaves."""
    world.pull_old("a")
    world.runtime.silent_removals = 1
    (eviction,) = world.report(Trigger.NIGHTLY).evictions
    assert eviction.fault is Fault.IMAGE
    world.runtime.leftovers = [("a",)]
    (eviction,) = world.report(Trigger.NIGHTLY).evictions
    assert eviction.fault is Fault.IMAGE


def test_a_disk_that_cannot_be_read_ends_a_pressure_sweep(world: World) -> None:
    """Without a measurement before the next eviction, pressure evicts nothing more."""
    for number in range(16):
        world.pull_old(f"app{number:02}")
    world.disk.failures = [None, UNREADABLE]
    with pytest.raises(DiskUnreadableError):
        world.sweep(Trigger.PRESSURE)
    assert len(world.simulated.list_images()) == 16


def test_a_measurement_that_fails_after_a_removal_is_not_known(world: World) -> None:
    """Bytes that could not be measured are None, and the eviction counts."""
    world.pull_old("a")
    world.disk.failures = [None, None, UNREADABLE]
    report = world.report(Trigger.NIGHTLY)
    assert report.evictions[0].outcome is EvictionOutcome.EVICTED
    assert report.evictions[0].reclaimed_bytes is None
    assert report.reclaimed_bytes is None


def test_bytes_of_a_filesystem_that_frees_late_are_not_known(world: World) -> None:
    """On btrfs no figure is shown per image."""
    world.pull_old("a")
    world.simulated.measures_removals = False
    assert world.report(Trigger.NIGHTLY).evictions[0].reclaimed_bytes is None


def test_measured_bytes_are_never_negative(world: World) -> None:
    """Another program that writes more than was freed makes the figure 0, not negative."""
    world.pull_old("a", megabytes=1)
    world.runtime.before["remove_image"] = lambda: world.simulated.write_file("burst", 20 * MB)
    assert world.report(Trigger.NIGHTLY).evictions[0].reclaimed_bytes == 0


def test_shared_layers_are_reclaimed_with_the_last_image(world: World) -> None:
    """Two images over one base: the second removal measures the base too."""
    world.pull_layers("a", {"base": 100, "a": 10})
    world.pull_layers("b", {"base": 100, "b": 10})
    report = world.report(Trigger.NIGHTLY)
    assert [e.reclaimed_bytes for e in report.evictions] == [10 * MB, 110 * MB]


@pytest.mark.parametrize("trigger", [Trigger.NIGHTLY, Trigger.PRESSURE])
def test_what_was_estimated_is_what_is_measured(world: World, trigger: Trigger) -> None:
    """Each eviction frees its estimated bytes, of shared layers, layers in use and layers of its own."""
    world.pull_layers("used", {"base": 300, "runtime": 100})
    start_container(world, "used")
    for number in range(6):
        shared = {"base": 300, f"pair{number // 2}": 40}
        world.pull_layers(f"app{number}", shared | {f"own{number}": 50 + number}, days=90 - number)
    report = world.report(trigger)
    assert len(report.evictions) > 2
    assert [e.estimated_bytes for e in report.evictions] == [e.reclaimed_bytes for e in report.evictions]
    planned = report.plan
    assert planned is not None
    assert planned.reclaimable is not None
    assert sum(e.estimated_bytes or 0 for e in report.evictions) <= planned.reclaimable.bytes


def test_after_an_image_that_was_spared_the_rest_is_estimated_anew(world: World) -> None:
    """Of three images over one base the second is spared: the base stays, and the third is not estimated it."""
    for place, name in enumerate("abc"):
        world.pull_layers(name, {"base": 100, name: 10}, days=90 - place)
    world.runtime.after["remove_image"] = lambda: start_container(world, "b")
    first, second, third = world.report(Trigger.NIGHTLY).evictions
    assert (second.outcome, second.estimated_bytes) == (EvictionOutcome.SPARED, None)
    assert third.verdict.reclaimable is not None
    assert third.verdict.reclaimable.bytes == 110 * MB
    assert (first.estimated_bytes, third.estimated_bytes, third.reclaimed_bytes) == (10 * MB, 10 * MB, 10 * MB)


def fill_with_gainless(world: World) -> None:
    """80 % used: five oldest images whose layers a container uses, and ten of 5 % each."""
    world.pull_layers("used", {"base": 300})
    start_container(world, "used")
    for number in range(5):
        world.pull_layers(f"gainless{number}", {"base": 300}, days=200 - number)
    for number in range(10):
        world.pull_old(f"app{number}", days=100 - number)


def test_pressure_spares_what_frees_nothing(world: World, tmp_path: Path) -> None:
    """The oldest images free nothing and stay: three evictions reach the low watermark.

    A blind sweep ends after three of them, which freed nothing, and the next one reaches it with five more.
    """
    fill_with_gainless(world)
    report = world.report(Trigger.PRESSURE)
    assert (len(report.evictions), report.low_watermark_met) == (3, True)
    assert report.plan is not None
    assert [v.reason for v in report.plan.kept if v.rule] == [KeepReason.NO_GAIN] * 5
    other = tmp_path / "other"
    other.mkdir()
    blind = make_world(other)
    blind.runtime.blind = True
    fill_with_gainless(blind)
    report = blind.report(Trigger.PRESSURE)
    assert (len(report.evictions), report.stop_reason) == (3, StopReason.NO_PROGRESS)
    report = blind.report(Trigger.PRESSURE)
    assert (len(report.evictions), report.low_watermark_met) == (5, True)
    assert {eviction.estimated_bytes for eviction in report.evictions} == {None}


def test_a_dry_run_under_pressure_ends_at_the_estimated_low_watermark(world: World) -> None:
    """80 % down to 65 % is estimated to need three of 5 %: the others are not reached, as in the sweep itself."""
    for number in range(16):
        world.pull_old(f"app{number:02}", days=100 - number)
    dry = world.report(Trigger.PRESSURE, dry_run=True)
    assert (len(dry.evictions), dry.not_reached) == (3, 13)
    assert dry.stop_reason is StopReason.LOW_WATERMARK
    assert [eviction.estimated_bytes for eviction in dry.evictions] == [50 * MB] * 3
    real = world.report(Trigger.PRESSURE)
    assert [e.verdict.image.id for e in real.evictions] == [e.verdict.image.id for e in dry.evictions]


def test_a_dry_run_that_cannot_reach_the_low_watermark_lists_what_would_be_evicted(world: World) -> None:
    """Where all candidates are not enough, those are listed that keep the kubelet idle, and the plan says so."""
    world.simulated.write_file("logs", 800 * MB)
    world.pull_old("app", megabytes=49)
    world.pull_old("other", megabytes=1)
    report = world.report(Trigger.PRESSURE, dry_run=True)
    assert (len(report.evictions), report.not_reached) == (1, 1)
    assert report.stop_reason is StopReason.KUBELET_THRESHOLD
    assert report.plan is not None
    assert report.plan.low_watermark_reachable is False


def test_a_dry_run_under_pressure_keeps_its_limit(world: World) -> None:
    """A limit below what the low watermark needs is why the list ends."""
    for number in range(16):
        world.pull_old(f"app{number:02}")
    report = world.report(Trigger.PRESSURE, dry_run=True, limit=2)
    assert (len(report.evictions), report.not_reached) == (2, 14)
    assert report.stop_reason is StopReason.LIMIT


def test_a_sweep_continues_where_the_planned_images_were_not_enough(world: World) -> None:
    """Of the three planned images one is spared: the fourth is evicted for it, though the estimate did not need it."""
    for number in range(16):
        world.pull_old(f"app{number:02}", days=100 - number)
    world.runtime.failures["remove_image"] = [ImageInUseError("image used by 123")]
    report = world.report(Trigger.PRESSURE)
    assert [e.outcome for e in report.evictions] == [EvictionOutcome.SPARED] + [EvictionOutcome.EVICTED] * 3
    assert (report.stop_reason, report.not_reached) == (StopReason.LOW_WATERMARK, 12)


def test_three_removals_that_free_nothing_end_a_pressure_sweep(world: World) -> None:
    """Estimated 50 MB each and measured nothing: the fourth image is not evicted."""
    for number in range(16):
        world.pull_old(f"app{number:02}")
    world.disk.stuck = world.simulated.read_usage()
    report = world.report(Trigger.PRESSURE)
    assert [e.outcome for e in report.evictions] == [EvictionOutcome.EVICTED] * 3
    assert (report.stop_reason, report.not_reached) == (StopReason.NO_PROGRESS, 13)


def test_a_failure_between_them_is_no_removal(world: World) -> None:
    """An image that failed frees nothing and is not counted: the third evicted one is the end."""
    for number in range(16):
        world.pull_old(f"app{number:02}")
    world.disk.stuck = world.simulated.read_usage()
    world.runtime.failures["remove_image"] = [None, REJECTED]
    report = world.report(Trigger.PRESSURE)
    assert [e.outcome for e in report.evictions].count(EvictionOutcome.EVICTED) == 3
    assert (len(report.evictions), report.stop_reason) == (4, StopReason.NO_PROGRESS)


@pytest.mark.parametrize(("trigger", "blind"), [(Trigger.NIGHTLY, False), (Trigger.PRESSURE, True)])
def test_being_stuck_needs_pressure_and_estimates(world: World, trigger: Trigger, *, blind: bool) -> None:
    """Nightly, and where nothing is estimated, removals that free nothing end no sweep."""
    for number in range(16):
        world.pull_old(f"app{number:02}")
    if blind:
        world.runtime.blind, world.simulated.layers_error = True, "late"
    world.disk.stuck = world.simulated.read_usage()
    report = world.report(trigger)
    assert (len(report.evictions), report.stop_reason) == (16, StopReason.DONE)


def test_records_that_are_left_are_a_failure_with_their_names(world: World) -> None:
    """An image that is gone while a record named by its id keeps its layers is failed, and says what is left."""
    image_id = world.pull_old("a")
    world.runtime.leftovers = [(image_id, "registry.example.com/a:v1")]
    (eviction,) = world.report(Trigger.NIGHTLY).evictions
    assert eviction.outcome is EvictionOutcome.FAILED
    assert eviction.error == f"the image is gone, but not its records: {image_id}, registry.example.com/a:v1"
    assert (eviction.estimated_bytes, eviction.reclaimed_bytes) == (None, None)


def test_records_that_cannot_be_searched_are_a_failure(world: World) -> None:
    """Where it is not known whether records are left, the eviction is not called a success; the next one follows."""
    world.pull_old("a", days=80)
    world.pull_old("b")
    world.runtime.failures["list_leftovers"] = [DOWN]
    first, second = world.report(Trigger.NIGHTLY).evictions
    assert first.outcome is EvictionOutcome.FAILED
    assert first.error == f"the image is gone; not known whether records of it are left: {DOWN}"
    assert second.outcome is EvictionOutcome.EVICTED


@pytest.mark.parametrize("allowed", [True, False])
def test_an_image_left_with_only_its_id_is_evicted_by_a_rule_for_none(world: World, *, allowed: bool) -> None:
    """A record named only by its id is an image without references: `<none>` with `local: true` matches it."""
    build = Build((("left", 50 * MB),), created_at=world.timer.wall - timedelta(days=60))
    image_id = world.simulated.load(build.image_id, build)
    world.timer.move(days=2)
    none = Rule("left", (parse_pattern("<none>"),), timedelta(days=30), local=allowed)
    report = world.report(Trigger.NIGHTLY, Policy(rules=(COMPANY, none)))
    assert [e.verdict.image.id for e in report.evictions] == [image_id] * allowed
    assert len(world.simulated.list_images()) == 1 - allowed


def test_grace_can_be_set_aside(world: World) -> None:
    """An image pulled just now is recent; with no grace it is evicted."""
    world.simulated.pull(
        "registry.example.com/a:v1", Build((("a", MB),), created_at=world.timer.wall - timedelta(days=60))
    )
    assert world.report(Trigger.MANUAL).plan.kept[0].reason is KeepReason.RECENT  # type: ignore[union-attr]
    without = Policy(rules=(COMPANY,), grace=timedelta(0))
    assert world.report(Trigger.MANUAL, without).evictions[0].verdict.reason is EvictReason.EXPIRED
