"""The targets of a pressure sweep: low watermarks, early ones above, and confined ones that keep the kubelet idle."""

from dataclasses import replace

import pytest

from cleaner.core.disk_usage import Filesystem, Part, Resource
from cleaner.core.model import EvictReason, Plan, Trigger, Verdict
from cleaner.core.pressure.targets import SweepTargets
from cleaner.core.pressure.watermarks import KubeletThreshold, Targets, WatermarkPair, Watermarks
from cleaner.core.reclaim import NOTHING, Size
from support.values import make_image, make_usage

WATERMARKS = Watermarks(bytes=WatermarkPair(high=75, low=65), inodes=WatermarkPair(high=80, low=75))
BYTES, INODES = (Part(Filesystem.IMAGES, resource) for resource in Resource)
CONTENT = Part(Filesystem.CONTENT, Resource.BYTES)
POINT = 10_000
"""Bytes of one percent of the filesystem of `make_usage`."""


def targets(early: Targets | None = None, watermarks: Watermarks = WATERMARKS) -> SweepTargets:
    return SweepTargets(watermarks, KubeletThreshold(), early or {})


def targets_at(used_percent: float, early: Targets | None = None, watermarks: Watermarks = WATERMARKS) -> SweepTargets:
    made = targets(early, watermarks)
    made.add_measurement(make_usage(used_percent))
    return made


def planned(*points: float) -> Plan:
    """A plan whose evictions free so many points each."""
    sizes = [Size(round(point * POINT), 0) for point in points]
    verdicts = (Verdict(make_image(n), EvictReason.PRESSURE, reclaimable=size) for n, size in enumerate(sizes))
    return Plan(Trigger.PRESSURE, tuple(verdicts), (), sum(sizes, NOTHING))


@pytest.mark.parametrize(("used", "targets"), [(74.99, {}), (75, {BYTES: 65.0}), (75.01, {BYTES: 65.0})])
def test_what_is_at_its_high_watermark_is_driven(used: float, targets: Targets) -> None:
    """From the high watermark itself on a part is driven to its low watermark."""
    assert targets_at(used).by_part == targets


def test_what_reaches_high_later_is_driven_too() -> None:
    """A part that once reached its high watermark stays driven when it falls, beside those that follow."""
    made = targets_at(75)
    made.add_measurement(make_usage(70, 80))
    assert made.by_part == {BYTES: 65, INODES: 75}


def test_each_filesystem_is_driven_by_itself() -> None:
    """A content store apart at its high watermark is driven while the images' filesystem is left alone."""
    made = targets()
    made.add_measurement(replace(make_usage(74), others=(replace(make_usage(75), filesystem=Filesystem.CONTENT),)))
    assert made.by_part == {CONTENT: 65}


@pytest.mark.parametrize(("used", "met"), [(64.99, True), (65, True), (65.01, False)])
def test_targets_are_met_at_the_low_watermark_itself(used: float, *, met: bool) -> None:
    """At and below low the sweep is done; without targets it always is."""
    made = targets_at(80)
    assert made.is_met(make_usage(used)) is made.is_low_watermark_met(make_usage(used)) is met
    assert targets().is_met(make_usage(100))


@pytest.mark.parametrize(("used", "early", "target"), [(70, True, 68), (74.99, True, 68), (75, False, 65)])
def test_an_early_sweep_has_a_target_of_its_own(used: float, target: float, *, early: bool) -> None:
    """Below the high watermark it drives usage to the early target; once that is reached, to the low watermark."""
    made = targets_at(used, {BYTES: 68.0})
    assert (made.early, made.by_part) == (early, {BYTES: target})
    assert made.is_met(make_usage(target))


@pytest.mark.parametrize(("points", "confined"), [(9.9999, True), (10, False), (10.0001, False)])
def test_targets_are_confined_where_all_is_not_enough(points: float, *, confined: bool) -> None:
    """At 75 % ten points reach the low watermark; with a byte less nothing is evicted, as the kubelet need not act."""
    made = targets_at(75)
    seen = made.limit_plan(planned(points), make_usage(75))
    assert made.confined is confined
    assert seen.low_watermark_reachable is not confined
    assert (len(seen.evictions), len(seen.not_reached)) == ((0, 1) if confined else (1, 0))
    assert made.by_part == {BYTES: 83 if confined else 65}


@pytest.mark.parametrize(("used", "evictions"), [(82, 0), (83, 0), (83.0001, 1), (84, 1), (84.0001, 2), (90, 2)])
def test_confined_only_what_keeps_the_kubelet_idle_is_evicted(used: float, evictions: int) -> None:
    """Two points below the kubelet's threshold are enough; the low watermark is not met whatever is evicted."""
    made = targets_at(used)
    seen = made.limit_plan(planned(1, 1), make_usage(used))
    assert (len(seen.evictions), len(seen.not_reached)) == (evictions, 2 - evictions)
    assert seen.low_watermark_reachable is False
    assert not made.is_low_watermark_met(make_usage(0))


def test_what_reaches_high_later_is_confined_by_itself() -> None:
    """Inodes that reach their high watermark while bytes are out of reach are driven to their own low watermark."""
    made = targets_at(80)
    made.limit_plan(planned(1), make_usage(80))
    made.add_measurement(make_usage(80, 80))
    assert made.by_part == {BYTES: 83, INODES: 75}


def test_confined_never_means_below_the_low_watermark() -> None:
    """If our watermarks are above the kubelet's threshold, a target out of reach becomes the high watermark."""
    made = targets_at(96, watermarks=Watermarks(WatermarkPair(95, 90), WatermarkPair(95, 90)))
    assert made.limit_plan(planned(1), make_usage(96)).low_watermark_reachable is False
    assert made.by_part == {BYTES: 95}


def test_an_early_target_out_of_reach_evicts_nothing() -> None:
    """Too little can be evicted for steady filling: nothing is evicted before the kubelet's threshold is in danger."""
    made = targets_at(74, {BYTES: 68.0})
    seen = made.limit_plan(planned(5), make_usage(74))
    assert (seen.evictions, len(seen.not_reached), seen.low_watermark_reachable) == ((), 1, False)


def test_where_nothing_is_estimated_targets_are_not_confined() -> None:
    """Without figures the sweep relies on what it measures."""
    made = targets_at(99)
    plan = replace(planned(1), reclaimable=None)
    assert made.limit_plan(plan, make_usage(99)) is plan
    assert not made.confined


@pytest.mark.parametrize(("used", "evictions", "confined"), [(74.99, 0, True), (75, 1, False)])
def test_without_the_pulls_targets_are_what_the_disk_says(used: float, evictions: int, *, confined: bool) -> None:
    """A pull that has no room drives nothing; a disk that is at its watermark by itself is driven all the same."""
    made = targets_at(150)
    made.restart(make_usage(used))
    seen = made.limit_plan(planned(10), make_usage(used))
    assert (len(seen.evictions), made.confined) == (evictions, confined)
    assert seen.low_watermark_reachable is not confined
    assert made.is_met(make_usage(65))


def test_without_the_pulls_an_early_target_stays() -> None:
    """An early target stays, pull or no pull."""
    made = targets_at(150, {BYTES: 68.0})
    assert not made.early
    made.restart(make_usage(70))
    assert (made.early, made.confined, made.by_part) == (True, False, {BYTES: 68})
