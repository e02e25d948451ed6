"""What a plan is estimated to do: how much the low watermark needs, where the list ends, and the bytes by holder."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.disk_usage import Filesystem, Part, Resource, Usage
from cleaner.core.model import EvictReason, KeepReason, Plan, Trigger, Verdict
from cleaner.core.policy import plan
from cleaner.core.pressure.targets import SweepTargets, excess_of, left_after, limit_to_targets, out_of_reach
from cleaner.core.pressure.watermarks import (
    KubeletThreshold,
    Targets,
    WatermarkPair,
    Watermarks,
    at_high,
    low_targets,
)
from cleaner.core.reclaim import NOTHING, Holder, Size
from cleaner.core.space import holders_of, reason_without_estimates
from support.graphs import make_layers
from support.values import NOW, make_image, make_inspection, make_policy, make_usage

WATERMARKS = Watermarks(bytes=WatermarkPair(high=75, low=65), inodes=WatermarkPair(high=80, low=75))
POINT = 10_000
"""Bytes or inodes of one percent of the filesystem of `make_usage`."""


def make_plan(*sizes: Size | None) -> Plan:
    """A pressure plan whose evictions free these sizes, one after another."""
    verdicts = tuple(
        Verdict(make_image(number), EvictReason.PRESSURE, reclaimable=size) for number, size in enumerate(sizes)
    )
    return Plan(Trigger.PRESSURE, verdicts, (), sum((size or NOTHING for size in sizes), NOTHING))


def targets_now(usage: Usage, watermarks: Watermarks) -> Targets:
    """The low watermarks of what is at its high one; of all parts where none is."""
    return low_targets(usage, watermarks, at_high(usage, watermarks) or None)


def limited_now(planned: Plan, usage: Usage) -> Plan:
    return limit_to_targets(planned, usage, targets_now(usage, WATERMARKS))


def excess_now(usage: Usage, watermarks: Watermarks = WATERMARKS) -> Size:
    found = excess_of(usage, targets_now(usage, watermarks))
    assert all(found.values())
    return Size(*(found.get(Part(Filesystem.IMAGES, resource), 0) for resource in Resource))


def with_bytes(*sizes: int) -> Plan:
    return make_plan(*(Size(size, 0) for size in sizes))


@pytest.mark.parametrize(
    ("used_percent", "excess"),
    [(0, 0), (64.9999, 0), (65, 0), (65.0001, 1), (66, POINT), (75, 10 * POINT), (100, 35 * POINT)],
)
def test_bytes_that_the_low_watermark_needs(used_percent: float, excess: int) -> None:
    """At and below low nothing is to be freed; above it what lies between, to the byte."""
    assert excess_now(make_usage(used_percent)) == Size(excess, 0)


@pytest.mark.parametrize(("used_percent", "excess"), [(74.9999, 0), (75, 0), (75.0001, 1), (81, 6 * POINT)])
def test_inodes_that_the_low_watermark_needs(used_percent: float, excess: int) -> None:
    """Inodes have a low watermark of their own."""
    assert excess_now(make_usage(10, used_percent)) == Size(0, excess)


def test_without_an_inode_limit_no_inode_is_to_be_freed() -> None:
    """A filesystem without an inode limit asks for bytes alone."""
    assert excess_now(make_usage(80, None)) == Size(15 * POINT, 0)


@pytest.mark.parametrize(
    ("used_percent", "inodes_used_percent", "excess"),
    [
        (70, 78, Size(5 * POINT, 3 * POINT)),
        (75, 78, Size(10 * POINT, 0)),
        (70, 80, Size(0, 5 * POINT)),
        (75, 80, Size(10 * POINT, 5 * POINT)),
    ],
)
def test_what_is_at_its_high_watermark_is_driven_alone(
    used_percent: float, inodes_used_percent: float, excess: Size
) -> None:
    """As in a sweep only what reached its high watermark counts; if nothing did, all above its low watermark."""
    assert excess_now(make_usage(used_percent, inodes_used_percent)) == excess


@given(st.integers(1, 10**13), st.floats(0, 1), st.floats(0.1, 99.9))
def test_the_excess_is_enough(capacity: int, share: float, low: float) -> None:
    """Once the excess is free the low watermark is met, at any size of the disk, and not two bytes before."""
    usage = Usage("/", capacity, int(capacity * share), 0, 0, 0)
    excess = excess_now(usage, Watermarks(WatermarkPair(100, low), WatermarkPair(100, low))).bytes
    if usage.used_percent <= low:
        assert excess == 0
        return
    # A percent is a float: the watermark is met but for its last digits.
    assert replace(usage, available_bytes=usage.available_bytes + excess).used_percent <= low + 1e-9
    assert replace(usage, available_bytes=usage.available_bytes + excess - 2).used_percent > low - 1e-9


@pytest.mark.parametrize(
    ("used_percent", "needed", "reachable"),
    [
        (75.0001, 3, True),
        (75, 2, True),
        (70.0001, 2, True),
        (70, 1, True),
        (65.0001, 1, True),
        (80, 3, True),
        (80.0001, 3, False),
    ],
)
def test_the_list_ends_where_the_estimated_bytes_reach_low(
    used_percent: float, needed: int, *, reachable: bool
) -> None:
    """Evictions of 5 % each: at exactly the needed bytes the list ends, a byte more needs one more."""
    planned = with_bytes(*[5 * POINT] * 3)
    seen = limited_now(planned, make_usage(used_percent))
    assert len(seen.evictions) == needed
    assert seen.evictions + seen.not_reached == planned.evictions
    assert seen.low_watermark_reachable is reachable
    assert seen.reclaimable == planned.reclaimable


def test_evictions_that_free_nothing_stay_where_they_are() -> None:
    """An image that frees nothing alone but stands before the one that does is evicted too: its layers wait for it."""
    seen = limited_now(with_bytes(0, 0, 10 * POINT, 0), make_usage(75))
    assert (len(seen.evictions), len(seen.not_reached)) == (3, 1)


@pytest.mark.parametrize("used_percent", [0, 64.9999, 65])
def test_at_or_below_low_the_whole_order_is_shown(used_percent: float) -> None:
    """Where nothing is to be freed the plan is the order in which images would be evicted."""
    planned = with_bytes(1, 2)
    assert limited_now(planned, make_usage(used_percent)) == replace(planned, low_watermark_reachable=True)


def test_nothing_to_evict_reaches_nothing() -> None:
    """Without candidates usage above low stays there, and usage below it has met the low watermark."""
    assert limited_now(with_bytes(), make_usage(66)).low_watermark_reachable is False
    assert limited_now(with_bytes(), make_usage(65)).low_watermark_reachable is True


def test_where_nothing_is_estimated_the_plan_is_unchanged() -> None:
    """Without a figure nothing is said of the low watermark."""
    planned = replace(make_plan(None, None), reclaimable=None)
    seen = limited_now(planned, make_usage(99))
    assert seen is planned
    assert seen.low_watermark_reachable is None


def test_an_eviction_without_a_figure_counts_as_nothing() -> None:
    """One verdict without a size moves the end of the list no nearer."""
    seen = limited_now(make_plan(None, Size(10 * POINT, 0)), make_usage(75))
    assert (len(seen.evictions), seen.low_watermark_reachable) == (2, True)


def test_inodes_alone_above_low() -> None:
    """Where only inodes are short, bytes end no list."""
    sizes = [Size(900_000, 0), Size(0, 5 * POINT), Size(900_000, 5 * POINT)]
    seen = limited_now(make_plan(*sizes), make_usage(10, 80))
    assert (len(seen.evictions), seen.low_watermark_reachable) == (2, True)


def test_bytes_and_inodes_both_have_to_be_reached() -> None:
    """With both above, the list ends at the first eviction with which both are met, for every pair of figures."""
    choices = [Size(0, 0), Size(10 * POINT, 0), Size(0, 5 * POINT), Size(10 * POINT, 5 * POINT)]
    for sizes in product(choices, repeat=3):
        seen = limited_now(make_plan(*sizes), make_usage(75, 80))
        sums = [sum(sizes[:count], NOTHING) for count in range(1, 4)]
        enough = [freed.bytes >= 10 * POINT and freed.inodes >= 5 * POINT for freed in sums]
        assert len(seen.evictions) == (enough.index(True) + 1 if any(enough) else 3)
        assert seen.low_watermark_reachable is any(enough)


def test_holders_are_those_of_the_verdicts() -> None:
    """In use, kept, other namespaces, without a name, evictable and the rest add up to what is used."""
    running, old, older, pinned = make_image(1), make_image(2), make_image(3), make_image(4, pinned=True)
    layers = make_layers(
        {running.id: "a", old.id: "b", older.id: "c", pinned.id: "d"},
        {"a": 1, "b": 20, "c": 300, "d": 4000, "e": 50_000, "f": 100_000},
        other_namespaces=frozenset("e"),
        unlisted=frozenset("f"),
    )
    inspection = make_inspection(running, old, older, pinned, used=[running.id], layers=layers)
    planned = plan(inspection, make_policy(), Trigger.PRESSURE, NOW)
    usage = make_usage(80)
    expected = {
        Holder.IN_USE: 1,
        Holder.KEPT: 4000,
        Holder.OTHER_NAMESPACES: 50_000,
        Holder.UNLISTED: 100_000,
        Holder.EVICTABLE: 320,
        Holder.NON_IMAGE: 800_000 - 154_321,
        Holder.RESERVED: 0,
    }
    assert holders_of(inspection, planned, usage) == expected
    cut = replace(planned, evictions=planned.evictions[:1], not_reached=planned.evictions[1:])
    assert holders_of(inspection, cut, usage) == expected


def test_roots_reserve_is_a_holder() -> None:
    """What is free and not available counts as used: neither images nor other data hold it."""
    usage = replace(make_usage(80), free_bytes=600_000)
    inspection = make_inspection(layers=make_layers({}, {}))
    found = holders_of(inspection, plan(inspection, make_policy(), Trigger.PRESSURE, NOW), usage)
    assert found == {**dict.fromkeys(Holder, 0), Holder.NON_IMAGE: 400_000, Holder.RESERVED: 400_000}


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=3),
    st.integers(0, 10**6),
)
def test_the_holders_add_up_to_what_counts_as_used(figures: list[tuple[int, int]], image_bytes: int) -> None:
    """On every filesystem that images fill, whatever is reserved or, as on btrfs, more available than free.

    Only where images were read as taking more than that, they and the reserve are all that is said.
    """
    first, *others = (
        replace(make_usage(0), available_bytes=available, free_bytes=free, filesystem=filesystem)
        for (available, free), filesystem in zip(figures, Filesystem, strict=False)
    )
    usage = replace(first, others=tuple(others))
    inspection = make_inspection(make_image(1), layers=make_layers({make_image(1).id: "a"}, {"a": image_bytes}))
    found = holders_of(inspection, plan(inspection, make_policy(), Trigger.PRESSURE, NOW), usage)
    assert found is not None
    counted = sum(each.used_percent for each in usage.freeable) * POINT
    assert found[Holder.RESERVED] == sum(max(0, free - available) for available, free in figures)
    assert sum(found.values()) == pytest.approx(max(counted, image_bytes + found[Holder.RESERVED]))
    assert min(found.values()) >= 0


@pytest.mark.parametrize("complete", [None, False])
def test_holders_are_not_known_without_layers(complete: bool | None) -> None:
    """Without layers, or with ones that are not to be trusted, no holders are named."""
    layers = None if complete is None else make_layers({}, {}, complete=complete)
    inspection = make_inspection(make_image(), layers=layers)
    planned = plan(inspection, make_policy(), Trigger.PRESSURE, NOW)
    assert holders_of(inspection, planned, make_usage(50)) is None
    assert KeepReason.NO_GAIN not in {verdict.reason for verdict in planned.kept}


def test_why_nothing_is_estimated() -> None:
    """Without layers it is the runtime's error or its kind, with ones not to be trusted the snapshotter."""
    layers = make_layers({"a": "layer"}, {"layer": 1})
    assert reason_without_estimates(layers, None) is None
    assert reason_without_estimates(None, "it does not answer") == "it does not answer"
    assert "no containerd API" in (reason_without_estimates(None, None) or "")
    assert "snapshotter" in (reason_without_estimates(replace(layers, complete=False), None) or "")


# ---- a content store on a filesystem of its own

CONTENT_BYTES = Part(Filesystem.CONTENT, Resource.BYTES)


def usage_apart(images: float, content: float) -> Usage:
    return replace(make_usage(images), others=(replace(make_usage(content), filesystem=Filesystem.CONTENT),))


@pytest.mark.parametrize(
    ("images", "content", "excess"),
    [
        (75, 64, {Part(Filesystem.IMAGES, Resource.BYTES): 10 * POINT}),
        (64, 75, {CONTENT_BYTES: 10 * POINT}),
        (70, 75, {CONTENT_BYTES: 10 * POINT}),
        (75, 76, {Part(Filesystem.IMAGES, Resource.BYTES): 10 * POINT, CONTENT_BYTES: 11 * POINT}),
    ],
)
def test_each_filesystem_has_an_excess_of_its_own(images: float, content: float, excess: dict[Part, int]) -> None:
    """Only what is at its high watermark is to be freed, each to its own low watermark."""
    usage = usage_apart(images, content)
    assert excess_of(usage, targets_now(usage, WATERMARKS)) == excess


@pytest.mark.parametrize(
    ("images", "content", "needed", "reachable"),
    [(75, 10, 2, True), (10, 75, 3, True), (75, 75, 3, True), (10, 75.0001, 4, False), (86, 75, 4, False)],
)
def test_the_list_ends_where_both_filesystems_are_satisfied(
    images: float, content: float, needed: int, *, reachable: bool
) -> None:
    """Snapshots free the images' filesystem and blobs the content store's: the later of both ends the list."""
    snapshots, blobs = Size(5 * POINT, 0), Size(5 * POINT, 0, content_bytes=5 * POINT)
    both = Size(10 * POINT, 0, content_bytes=5 * POINT)
    seen = limited_now(make_plan(both, snapshots, blobs, NOTHING), usage_apart(images, content))
    assert (len(seen.evictions), seen.low_watermark_reachable) == (needed, reachable)


def test_a_second_snapshotter_frees_its_own_filesystem() -> None:
    """Its snapshots bring the images' filesystem no nearer to its target, and the other one all the way."""
    native, own = Size(10 * POINT, 0, apart_bytes=10 * POINT), Size(10 * POINT, 0)
    snapshots = replace(make_usage(75), filesystem=Filesystem.SNAPSHOTS)
    for images, further, needed in ((75, 10, 2), (10, 75, 1), (75, 75, 2)):
        usage = replace(make_usage(images), others=(replace(make_usage(further), filesystem=Filesystem.SNAPSHOTS),))
        seen = limited_now(make_plan(native, own, own), usage)
        assert (len(seen.evictions), seen.low_watermark_reachable) == (needed, True)
    alone = replace(make_usage(75), others=(snapshots,))
    assert limited_now(make_plan(native), alone).low_watermark_reachable is False
    part = Part(Filesystem.IMAGES, Resource.BYTES)
    assert out_of_reach(alone, targets_now(alone, WATERMARKS), native) == {part}


def test_holders_hold_what_both_filesystems_have() -> None:
    """What is used is the sum of what images can free; containers' own filesystem is left out."""
    containers = replace(make_usage(90), filesystem=Filesystem.CONTAINERS)
    usage = usage_apart(30, 20)
    usage = replace(usage, others=(*usage.others, containers))
    inspection = make_inspection(layers=make_layers({}, {}))
    found = holders_of(inspection, plan(inspection, make_policy(), Trigger.PRESSURE, NOW), usage)
    assert found is not None
    assert found[Holder.NON_IMAGE] == 50 * POINT


# ---- without estimates


def make_bounded(*size_bytes: int) -> Plan:
    """A pressure plan of images of which only the size is known."""
    images = [replace(make_image(number), size_bytes=size) for number, size in enumerate(size_bytes)]
    verdicts = tuple(Verdict(image, EvictReason.PRESSURE) for image in images)
    return Plan(Trigger.PRESSURE, verdicts, (), reclaimable_at_most=Size(sum(size_bytes), 10**18))


@pytest.mark.parametrize(("size_bytes", "reachable"), [(50_000, None), (49_999, False)])
def test_an_upper_bound_shows_what_is_out_of_reach(size_bytes: int, *, reachable: bool | None) -> None:
    """80 % down to 65 % takes 150,000 bytes: three images of at most 50,000 may do, a byte less cannot."""
    limited = limited_now(make_bounded(50_000, 50_000, size_bytes), make_usage(80))
    assert limited.low_watermark_reachable is reachable
    assert len(limited.evictions) == 3


def test_nothing_bounds_inodes() -> None:
    """Without estimates it is never known that inodes are out of reach."""
    assert limited_now(make_bounded(1), make_usage(10, 90)).low_watermark_reachable is None


def test_what_is_left_is_bounded_too() -> None:
    """Each image that was tried leaves a lower bound; without one nothing is known."""
    planned = make_bounded(10, 20, 30)
    assert [left and left.bytes for left in (left_after(planned, done) for done in range(4))] == [60, 50, 30, 0]
    assert left_after(replace(planned, reclaimable_at_most=None), 1) is None


def test_a_bound_out_of_reach_confines_the_sweep() -> None:
    """A disk full of non-image data is lowered to where the kubelet does not act, and no further."""
    targets = SweepTargets(WATERMARKS, KubeletThreshold(), {})
    targets.add_measurement(make_usage(88))
    limited = targets.limit_plan(make_bounded(60_000, 60_000), make_usage(88))
    assert (limited.low_watermark_reachable, targets.confined) == (False, True)
    assert targets.is_met(make_usage(83))
    assert not targets.is_met(make_usage(83.01))


def test_without_a_target_nothing_is_reached() -> None:
    """Below every high watermark all candidates are left, in their order, and it is not asked what is reachable."""
    targets = SweepTargets(WATERMARKS, KubeletThreshold(), {})
    targets.add_measurement(make_usage(70))
    planned = with_bytes(1, 2)
    limited = targets.limit_plan(planned, make_usage(70))
    assert (limited.evictions, limited.not_reached) == ((), planned.evictions)
    assert limited.low_watermark_reachable is None
