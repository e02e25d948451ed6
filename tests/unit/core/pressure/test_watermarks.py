"""Pressure: when a filesystem is full, when that is over, and when to try again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cleaner.core.disk_usage import Filesystem, Part, Resource, Usage
from cleaner.core.pressure.backoff import Backoff, next_backoff
from cleaner.core.pressure.watermarks import (
    AvailableWatermarks,
    KubeletThreshold,
    WatermarkPair,
    Watermarks,
    above,
    above_low,
    at_high,
    danger_grace,
    in_danger,
    low_targets,
)
from support.values import make_usage

BYTES, INODES = (Part(Filesystem.IMAGES, resource) for resource in Resource)
WATERMARKS = Watermarks(bytes=WatermarkPair(high=75, low=65), inodes=WatermarkPair(high=80, low=75))
BOTH = frozenset({BYTES, INODES})
NEITHER: frozenset[Part] = frozenset()
KUBELET = KubeletThreshold()


def driven_above(usage: Usage, driven: frozenset[Part]) -> frozenset[Part]:
    """Of the driven parts, those above their low watermark."""
    return above(usage, low_targets(usage, WATERMARKS, driven))


@pytest.mark.parametrize(("percent", "reached"), [(74.99, False), (75, True), (75.01, True), (100, True)])
def test_high_is_reached_at_the_watermark_itself(percent: float, reached: bool) -> None:
    """Bytes are driven down from the high watermark itself on."""
    assert at_high(make_usage(percent), WATERMARKS) == ({BYTES} if reached else NEITHER)


@pytest.mark.parametrize(("percent", "reached"), [(79.99, False), (80, True), (80.01, True)])
def test_inodes_have_their_own_watermark(percent: float, reached: bool) -> None:
    """Inodes are driven down from their own high watermark on, whatever the bytes are."""
    assert at_high(make_usage(10, percent), WATERMARKS) == ({INODES} if reached else NEITHER)


def test_both_resources_can_be_high() -> None:
    """Each resource is judged by itself."""
    assert at_high(make_usage(75, 80), WATERMARKS) == BOTH
    assert [WATERMARKS.pair_for(make_usage(0), resource).high for resource in Resource] == [75, 80]


@pytest.mark.parametrize(("percent", "above"), [(64.99, False), (65, False), (65.01, True), (75, True)])
def test_low_is_met_at_the_watermark_itself(percent: float, above: bool) -> None:
    """A driven resource is done at its low watermark itself."""
    assert driven_above(make_usage(percent), frozenset({BYTES})) == ({BYTES} if above else NEITHER)


@pytest.mark.parametrize(("percent", "above"), [(74.99, False), (75, False), (75.01, True)])
def test_inodes_have_their_own_low_watermark(percent: float, above: bool) -> None:
    """Driven inodes are done at their own low watermark."""
    assert driven_above(make_usage(100, percent), frozenset({INODES})) == ({INODES} if above else NEITHER)


def test_only_driven_resources_are_judged() -> None:
    """A resource between its watermarks that never reached high keeps no sweep running."""
    assert driven_above(make_usage(70, 79), NEITHER) == NEITHER
    assert driven_above(make_usage(70, 79), frozenset({BYTES})) == {BYTES}
    assert driven_above(make_usage(70, 79), BOTH) == BOTH


def test_without_an_inode_limit_there_is_no_inode_pressure() -> None:
    """A filesystem without an inode limit is never short of them, not even while driven."""
    usage = make_usage(10, None)
    assert usage.inodes_used_percent is None
    assert usage.percent(Resource.INODES) is None
    assert at_high(usage, WATERMARKS) == NEITHER
    assert driven_above(usage, BOTH) == NEITHER


def test_an_empty_or_odd_filesystem_is_not_under_pressure() -> None:
    """No capacity is no pressure, and more available than there is counts as less than nothing used."""
    nothing = Usage("/", capacity_bytes=0, available_bytes=0, inodes=0, inodes_available=0, free_bytes=0)
    odd = Usage("/", capacity_bytes=10, available_bytes=20, inodes=10, inodes_available=20, free_bytes=20)
    assert nothing.used_percent == 0
    assert odd.used_percent == -100
    for usage in (nothing, odd):
        assert at_high(usage, WATERMARKS) == NEITHER
        assert driven_above(usage, BOTH) == NEITHER


def test_used_percent_is_the_kubelets_figure() -> None:
    """Used is what is not available to a user who is not root: reserved blocks count as used."""
    usage = Usage("/", capacity_bytes=400, available_bytes=100, inodes=1000, inodes_available=999, free_bytes=120)
    assert usage.used_percent == 75
    assert usage.inodes_used_percent == pytest.approx(0.1)
    assert usage.percent(Resource.BYTES) == 75


def test_a_large_disk_is_counted_exactly() -> None:
    """A petabyte, one byte below the watermark, is below the watermark."""
    petabyte = 10**15
    below = Usage("/", petabyte, petabyte // 4 + 1, 0, 0, 0)
    assert at_high(below, WATERMARKS) == NEITHER
    assert at_high(Usage("/", petabyte, petabyte // 4, 0, 0, 0), WATERMARKS) == {BYTES}


# ---- backoff

ENDED = Backoff(fingerprint=1, usage=make_usage(70, 50), ended_at=1000.0)


@pytest.mark.parametrize(("seconds", "may"), [(0, False), (59.999, False), (60, True), (60.001, True)])
def test_never_again_within_a_minute(seconds: float, may: bool) -> None:
    """After a minute, and from the minute itself on, a changed node is tried again."""
    assert ENDED.may_retry(make_usage(70, 50), fingerprint=2, now=1000 + seconds, kubelet=KUBELET) is may


@pytest.mark.parametrize(
    ("bytes_percent", "inodes_percent", "may"),
    [
        (70, 50, False),
        (70.99, 50, False),
        (71, 50, True),
        (71.01, 50, True),
        (70, 50.99, False),
        (70, 51, True),
        (69, 51, True),
        (60, 40, False),
        (70, None, False),
    ],
)
def test_an_unchanged_node_waits_for_a_point(bytes_percent: float, inodes_percent: float | None, may: bool) -> None:
    """With the same images and containers, usage has to rise by a whole point, of either resource."""
    assert (
        ENDED.may_retry(make_usage(bytes_percent, inodes_percent), fingerprint=1, now=10_000.0, kubelet=KUBELET) is may
    )


def test_no_limit_of_inodes_before_is_no_rise_now() -> None:
    """A resource that could not be compared did not rise."""
    before = Backoff(fingerprint=1, usage=make_usage(70, None), ended_at=0.0)
    assert not before.may_retry(make_usage(70, 90), fingerprint=1, now=10_000.0, kubelet=KUBELET)


def test_the_wait_doubles_to_ten_minutes() -> None:
    """Each sweep that ends above low again waits twice as long, at most ten minutes."""
    waits, state = [], None
    for number in range(7):
        state = next_backoff(state, Backoff(number, make_usage(70), ended_at=float(number)))
        waits.append(state.wait_seconds)
        assert (state.fingerprint, state.ended_at) == (number, number)
    assert waits == [60, 120, 240, 480, 600, 600, 600]


@pytest.mark.parametrize(("seconds", "may"), [(599.999, False), (600, True)])
def test_the_longest_wait_ends_at_ten_minutes_itself(seconds: float, may: bool) -> None:
    """After ten minutes a changed node is tried again, however often it stood still."""
    long = Backoff(fingerprint=1, usage=make_usage(70), ended_at=0.0, wait_seconds=600.0)
    assert long.may_retry(make_usage(70), fingerprint=2, now=seconds, kubelet=KUBELET) is may


@pytest.mark.parametrize(("before", "now", "may"), [(80, 83, False), (80, 83.01, True), (83.01, 83.02, False)])
def test_a_kubelet_about_to_act_is_a_reason_at_once(before: float, now: float, *, may: bool) -> None:
    """A point below the kubelet's threshold no sweep waits, unless usage was the same when the last sweep ended."""
    ended = Backoff(fingerprint=1, usage=make_usage(before), ended_at=0.0)
    assert ended.may_retry(make_usage(now), fingerprint=1, now=1.0, kubelet=KUBELET) is may


@pytest.mark.parametrize(
    ("seconds", "now", "may"), [(9.9, 86, False), (10, 85.9, False), (10, 86, True), (59.9, 82, False), (60, 82, False)]
)
def test_in_danger_the_wait_is_short(seconds: float, now: float, *, may: bool) -> None:
    """A disk that is above the kubelet's threshold and rises by a point is swept again after ten seconds."""
    ended = Backoff(fingerprint=1, usage=make_usage(85), ended_at=0.0, wait_seconds=600.0)
    assert ended.may_retry(make_usage(now), fingerprint=1, now=seconds, kubelet=KUBELET) is may


@pytest.mark.parametrize(
    ("wait", "seconds", "may"), [(60, 0.99, False), (60, 1, True), (120, 1.99, False), (120, 2, True)]
)
def test_in_danger_the_first_waits_are_the_shortest(wait: float, seconds: float, *, may: bool) -> None:
    """A sixtieth of each wait: one second, then two."""
    ended = Backoff(fingerprint=1, usage=make_usage(85), ended_at=0.0, wait_seconds=wait)
    assert ended.may_retry(make_usage(86), fingerprint=1, now=seconds, kubelet=KUBELET) is may


@pytest.mark.parametrize(("percent", "danger"), [(79, False), (79.01, True)])
def test_danger_begins_sooner_where_a_disk_fills_fast(percent: float, *, danger: bool) -> None:
    """Its safety is subtracted from the kubelet's threshold."""
    kubelet = KubeletThreshold(safety={BYTES: 5.0, INODES: 5.0})
    assert in_danger(make_usage(percent), kubelet) == ({BYTES} if danger else NEITHER)
    assert in_danger(make_usage(10, percent + 11), kubelet) == ({INODES} if danger else NEITHER)


@pytest.mark.parametrize(("inodes", "danger"), [(94, False), (94.01, True)])
def test_inodes_have_a_danger_of_their_own(inodes: float, *, danger: bool) -> None:
    """The kubelet evicts pods where 5 % of the inodes are left; that is near from 94 % on."""
    assert in_danger(make_usage(50, inodes), KUBELET) == ({INODES} if danger else NEITHER)


# ---- watermarks in bytes, and other filesystems

AVAILABLE = replace(WATERMARKS, available=AvailableWatermarks(high_bytes=200_000, low_bytes=280_000))


@pytest.mark.parametrize(("percent", "reached"), [(79.9999, False), (80, True), (80.0001, True)])
def test_bytes_that_must_stay_available(percent: float, *, reached: bool) -> None:
    """A watermark in bytes replaces the percent: it is reached where exactly that much is available."""
    assert at_high(make_usage(percent), AVAILABLE) == ({BYTES} if reached else NEITHER)


@pytest.mark.parametrize(("percent", "is_above"), [(71.9999, False), (72, False), (72.0001, True)])
def test_bytes_that_are_to_be_available_again(percent: float, *, is_above: bool) -> None:
    """The low watermark in bytes is met where exactly that much is available."""
    assert above_low(make_usage(percent), AVAILABLE) == ({BYTES} if is_above else NEITHER)


@pytest.mark.parametrize(("low_bytes", "high"), [(500_000, 80.0), (500_001, 75.0), (0, 75.0)])
def test_watermarks_for_a_larger_disk(low_bytes: int, high: float) -> None:
    """Where more than half of a filesystem would have to be available, the percents count."""
    watermarks = replace(WATERMARKS, available=AvailableWatermarks(200_000, low_bytes))
    assert watermarks.pair_for(make_usage(0), Resource.BYTES) == WatermarkPair(high, 65.0 if high == 75 else 50.0)


def test_inodes_have_no_watermark_in_bytes() -> None:
    """Watermarks in bytes say nothing of inodes."""
    assert AVAILABLE.pair_for(make_usage(0), Resource.INODES) == WATERMARKS.inodes


def test_each_filesystem_is_judged_by_itself() -> None:
    """The content store's filesystem reaches its watermarks alone; no image frees anything of the containers' own."""
    content = replace(make_usage(75, 80), filesystem=Filesystem.CONTENT)
    containers = replace(make_usage(99, 99), filesystem=Filesystem.CONTAINERS)
    usage = replace(make_usage(10), others=(content, containers))
    parts = {Part(Filesystem.CONTENT, resource) for resource in Resource}
    assert at_high(usage, WATERMARKS) == parts
    assert above_low(usage, WATERMARKS) == parts
    assert in_danger(usage, KUBELET) == NEITHER


# ---- grace in danger


@pytest.mark.parametrize(
    ("minimum_age", "grace"),
    [(0, 60), (59, 60), (60, 60), (61, 61), (120, 120)],
)
def test_grace_in_danger_is_what_a_container_needs_at_least(minimum_age: int, grace: int) -> None:
    """However soon the kubelet would act, an image is kept for the minute that a container needs to be created."""
    kubelet = KubeletThreshold(minimum_age=timedelta(seconds=minimum_age))
    assert danger_grace(make_usage(84), kubelet) == timedelta(seconds=grace)
    assert danger_grace(make_usage(83), kubelet) is None
    assert danger_grace(make_usage(10, 95), kubelet) == timedelta(seconds=grace)
