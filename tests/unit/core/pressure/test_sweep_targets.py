"""What a pressure sweep drives down: to the low marks, early to less, and confined to what keeps the kubelet idle."""

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


def goal_at(used_percent: float, early: Targets | None = None, watermarks: Watermarks = WATERMARKS) -> SweepTargets:
    made = targets(early, watermarks)
    made.add_measurement(make_usage(used_percent))
    return made


def planned(*points: float) -> Plan:
    """A plan whose evictions free so many points each."""
    sizes = [Size(round(point * POINT), 0) for point in points]
    verdicts = (Verdict(make_image(n), EvictReason.PRESSURE, reclaimable=size) for n, size in enumerate(sizes))
    return Plan(Trigger.PRESSURE, tuple(verdicts), (), sum(sizes, NOTHING))


@pytest.mark.parametrize(("used", "targets"), [(74.99, {}), (75, {BYTES: 65.0}), (75.01, {BYTES: 65.0})])
def test_what_is_at_its_high_mark_is_driven(used: float, targets: Targets) -> None:
    """From the high mark itself on a part is driven to its low mark."""
    assert goal_at(used).targets == targets


def test_what_reaches_high_later_is_driven_too() -> None:
    """A part that once reached its mark stays driven when it falls, beside those that follow."""
    made = goal_at(75)
    made.add_measurement(make_usage(70, 80))
    assert made.targets == {BYTES: 65, INODES: 75}


def test_each_filesystem_is_driven_by_itself() -> None:
    """A content store apart at its high mark is driven while the images' filesystem is left alone."""
    made = targets()
    made.add_measurement(replace(make_usage(74), others=(replace(make_usage(75), filesystem=Filesystem.CONTENT),)))
    assert made.targets == {CONTENT: 65}


@pytest.mark.parametrize(("used", "met"), [(64.99, True), (65, True), (65.01, False)])
def test_a_goal_is_met_at_the_low_mark_itself(used: float, *, met: bool) -> None:
    """At and below low the sweep is done; a goal without parts always is."""
    made = goal_at(80)
    assert made.is_met(make_usage(used)) is made.is_low_watermark_met(make_usage(used)) is met
    assert targets().is_met(make_usage(100))


@pytest.mark.parametrize(("used", "early", "target"), [(70, True, 68), (74.99, True, 68), (75, False, 65)])
def test_an_early_goal_has_a_target_of_its_own(used: float, target: float, *, early: bool) -> None:
    """Until the high mark itself is reached it goes down to what was asked for; from then on to the low mark."""
    made = goal_at(used, {BYTES: 68.0})
    assert (made.early, made.targets) == (early, {BYTES: target})
    assert made.is_met(make_usage(target))


@pytest.mark.parametrize(("points", "confined"), [(9.9999, True), (10, False), (10.0001, False)])
def test_a_goal_is_confined_where_all_is_not_enough(points: float, *, confined: bool) -> None:
    """At 75 % ten points reach the low mark; with a byte less nothing goes, since the kubelet need not act."""
    made = goal_at(75)
    seen = made.limit_plan(planned(points), make_usage(75))
    assert made.confined is confined
    assert seen.low_watermark_reachable is not confined
    assert (len(seen.evictions), len(seen.not_reached)) == ((0, 1) if confined else (1, 0))
    assert made.targets == {BYTES: 83 if confined else 65}


@pytest.mark.parametrize(("used", "evictions"), [(82, 0), (83, 0), (83.0001, 1), (84, 1), (84.0001, 2), (90, 2)])
def test_confined_only_what_keeps_the_kubelet_idle_goes(used: float, evictions: int) -> None:
    """Two points below the kubelet's mark is enough; the low mark is not met whatever goes."""
    made = goal_at(used)
    seen = made.limit_plan(planned(1, 1), make_usage(used))
    assert (len(seen.evictions), len(seen.not_reached)) == (evictions, 2 - evictions)
    assert seen.low_watermark_reachable is False
    assert not made.is_low_watermark_met(make_usage(0))


def test_what_reaches_high_later_is_confined_by_itself() -> None:
    """Inodes that reach their mark while bytes are out of reach go down to their own low mark."""
    made = goal_at(80)
    made.limit_plan(planned(1), make_usage(80))
    made.add_measurement(make_usage(80, 80))
    assert made.targets == {BYTES: 83, INODES: 75}


def test_confined_never_means_below_the_low_mark() -> None:
    """Where the marks are above the kubelet's own, a goal out of reach brings usage to the high mark alone."""
    made = goal_at(96, watermarks=Watermarks(WatermarkPair(95, 90), WatermarkPair(95, 90)))
    assert made.limit_plan(planned(1), make_usage(96)).low_watermark_reachable is False
    assert made.targets == {BYTES: 95}


def test_an_early_goal_out_of_reach_takes_nothing() -> None:
    """What steady filling needs is not there: nothing goes before the kubelet's mark is in danger."""
    made = goal_at(74, {BYTES: 68.0})
    seen = made.limit_plan(planned(5), make_usage(74))
    assert (seen.evictions, len(seen.not_reached), seen.low_watermark_reachable) == ((), 1, False)


def test_where_nothing_is_foretold_a_goal_is_not_confined() -> None:
    """Without figures the sweep goes by what it measures."""
    made = goal_at(99)
    plan = replace(planned(1), reclaimable=None)
    assert made.limit_plan(plan, make_usage(99)) is plan
    assert not made.confined


@pytest.mark.parametrize(("used", "evictions", "confined"), [(74.99, 0, True), (75, 1, False)])
def test_without_the_pulls_a_goal_is_what_the_disk_says(used: float, evictions: int, *, confined: bool) -> None:
    """A pull that has no room drives nothing; a disk that is at its mark by itself is driven all the same."""
    made = goal_at(150)
    made.restart(make_usage(used))
    seen = made.limit_plan(planned(10), make_usage(used))
    assert (len(seen.evictions), made.confined) == (evictions, confined)
    assert seen.low_watermark_reachable is not confined
    assert made.is_met(make_usage(65))


def test_without_the_pulls_an_early_goal_stays() -> None:
    """What was asked for ahead of the mark goes on, pull or no pull."""
    made = goal_at(150, {BYTES: 68.0})
    assert not made.early
    made.restart(make_usage(70))
    assert (made.early, made.confined, made.targets) == (True, False, {BYTES: 68})
