"""Blocks reserved for root: whether they are what puts the low watermark out of reach."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.disk_usage import Filesystem, Part, Resource, Usage
from cleaner.core.pressure.reserve import Reserve, reserves_in_the_way
from cleaner.core.pressure.targets import out_of_reach
from cleaner.core.pressure.watermarks import AvailableWatermarks, WatermarkPair, Watermarks, low_targets
from cleaner.core.reclaim import NOTHING, Size
from support.values import make_usage

WATERMARKS = Watermarks(bytes=WatermarkPair(high=75, low=65), inodes=WatermarkPair(high=80, low=75))
POINT = 10_000


def reserved(used: float, percent: float) -> Usage:
    """A filesystem of a million bytes; so much counts as used, of which so much is reserved."""
    usage = make_usage(used)
    return replace(usage, free_bytes=usage.available_bytes + round(percent * POINT))


@pytest.mark.parametrize(
    ("used", "percent", "freed", "in_the_way"),
    [
        (76, 40, 0, True),
        (76, 40, 10.9999, True),
        (76, 40, 11, False),
        (76, 11, 0, True),
        (76, 10.9999, 0, False),
        (76, 10.9999, 0.0001, True),
        (65, 40, 0, False),
        (65.0001, 40, 0, True),
        (95, 0, 0, False),
        (64, 64, 0, False),
    ],
)
def test_a_reserve_decides_where_only_without_it_evictions_are_enough(
    used: float, percent: float, freed: float, *, in_the_way: bool
) -> None:
    """Enough with it, or not enough without it, and it is not to blame; both sums at equality."""
    found = reserves_in_the_way(reserved(used, percent), WATERMARKS, Size(round(freed * POINT), 0))
    assert [reserve.is_above_low for reserve in found] == ([False] if in_the_way else [])


@pytest.mark.parametrize(
    ("percent", "above_low", "at_high"),
    [(65, False, False), (65.0001, True, False), (74.9999, True, False), (75, True, True), (90, True, True)],
)
def test_a_reserve_may_be_enough_by_itself(percent: float, *, above_low: bool, at_high: bool) -> None:
    """Above the low watermark no eviction helps, and nothing has to be known about images to say so."""
    usage = reserved(percent, percent)
    found = reserves_in_the_way(usage, WATERMARKS, None)
    assert [reserve.is_at_high for reserve in found] == ([at_high] if above_low else [])
    assert Reserve(usage, WATERMARKS.bytes).is_above_low is above_low


def test_nothing_is_said_of_evictions_that_are_not_known() -> None:
    """Without estimates a reserve that is not above the low watermark by itself decides nothing."""
    assert reserves_in_the_way(reserved(76, 40), WATERMARKS, None) == ()


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_without_a_reserve_that_decides_the_low_watermark_is_in_reach(used: int, percent: int, freed: int) -> None:
    """By the same sum as that of a sweep: out of reach as it is, and not where the reserve is available."""
    usage, size = reserved(used, min(used, percent)), Size(freed * POINT, 0)
    free = replace(usage, available_bytes=usage.free_bytes)
    part = Part(Filesystem.IMAGES, Resource.BYTES)
    now, then = (part in out_of_reach(each, low_targets(each, WATERMARKS), size) for each in (usage, free))
    found = reserves_in_the_way(usage, WATERMARKS, size)
    assert bool(found) == (now and not then) or found[0].is_above_low


def test_each_filesystem_is_judged_by_itself() -> None:
    """That of the content store by what blobs free there; that of containers' own layers never is."""
    content = replace(reserved(76, 40), filesystem=Filesystem.CONTENT, path="/content")
    containers = replace(content, filesystem=Filesystem.CONTAINERS)
    usage = replace(reserved(76, 40), others=(content, containers))
    both = reserves_in_the_way(usage, WATERMARKS, NOTHING)
    assert [reserve.usage.filesystem for reserve in both] == [Filesystem.IMAGES, Filesystem.CONTENT]
    blobs = Size(11 * POINT, 0, content_bytes=11 * POINT)
    (images,) = reserves_in_the_way(usage, WATERMARKS, blobs)
    assert images.usage is usage


@pytest.mark.parametrize(("low_bytes", "available"), [(350_000, True), (500_001, False)])
def test_watermarks_in_bytes_available_count_as_everywhere(low_bytes: int, *, available: bool) -> None:
    """Where the filesystem is too small for them the percents do."""
    watermarks = replace(WATERMARKS, available=AvailableWatermarks(250_000, low_bytes))
    (reserve,) = reserves_in_the_way(reserved(76, 40), watermarks, NOTHING)
    assert (reserve.available, reserve.watermarks) == (available, WatermarkPair(75, 65))
