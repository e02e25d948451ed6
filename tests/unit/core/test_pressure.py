"""Pressure: when a filesystem is full, when that is over, and when to try again."""

import pytest

from cleaner.core.model import Resource, Usage
from cleaner.core.pressure import Mark, Marks, Standstill, above_low, at_high, next_standstill
from support.values import make_usage

BYTES, INODES = Resource.BYTES, Resource.INODES
MARKS = Marks(bytes=Mark(high=75, low=65), inodes=Mark(high=80, low=75))
BOTH = frozenset({BYTES, INODES})
NEITHER: frozenset[Resource] = frozenset()


@pytest.mark.parametrize(("percent", "reached"), [(74.99, False), (75, True), (75.01, True), (100, True)])
def test_high_is_reached_at_the_mark_itself(percent: float, reached: bool) -> None:
    """Bytes are driven down from the high mark itself on."""
    assert at_high(make_usage(percent), MARKS) == ({BYTES} if reached else NEITHER)


@pytest.mark.parametrize(("percent", "reached"), [(79.99, False), (80, True), (80.01, True)])
def test_inodes_have_their_own_mark(percent: float, reached: bool) -> None:
    """Inodes are driven down from their own high mark on, whatever the bytes are."""
    assert at_high(make_usage(10, percent), MARKS) == ({INODES} if reached else NEITHER)


def test_both_resources_can_be_high() -> None:
    """Each resource is looked at by itself."""
    assert at_high(make_usage(75, 80), MARKS) == BOTH
    assert MARKS.of(BYTES).high == 75
    assert MARKS.of(INODES).high == 80


@pytest.mark.parametrize(("percent", "above"), [(64.99, False), (65, False), (65.01, True), (75, True)])
def test_low_is_met_at_the_mark_itself(percent: float, above: bool) -> None:
    """A driven resource has done at its low mark itself."""
    assert above_low(make_usage(percent), MARKS, frozenset({BYTES})) == ({BYTES} if above else NEITHER)


@pytest.mark.parametrize(("percent", "above"), [(74.99, False), (75, False), (75.01, True)])
def test_inodes_have_their_own_low_mark(percent: float, above: bool) -> None:
    """Driven inodes have done at their own low mark."""
    assert above_low(make_usage(100, percent), MARKS, frozenset({INODES})) == ({INODES} if above else NEITHER)


def test_only_driven_resources_are_looked_at() -> None:
    """A resource between its marks that never reached high keeps no sweep going."""
    assert above_low(make_usage(70, 79), MARKS, NEITHER) == NEITHER
    assert above_low(make_usage(70, 79), MARKS, frozenset({BYTES})) == {BYTES}
    assert above_low(make_usage(70, 79), MARKS, BOTH) == BOTH


def test_without_an_inode_limit_there_is_no_inode_pressure() -> None:
    """A filesystem without an inode limit is never short of them, not even while driven."""
    usage = make_usage(10, None)
    assert usage.inodes_used_percent is None
    assert usage.percent(INODES) is None
    assert at_high(usage, MARKS) == NEITHER
    assert above_low(usage, MARKS, BOTH) == NEITHER


def test_an_empty_or_odd_filesystem_is_not_under_pressure() -> None:
    """No capacity is no pressure, and more available than there is counts as less than nothing used."""
    nothing = Usage("/", capacity_bytes=0, available_bytes=0, inodes=0, inodes_available=0, free_bytes=0)
    odd = Usage("/", capacity_bytes=10, available_bytes=20, inodes=10, inodes_available=20, free_bytes=20)
    assert nothing.used_percent == 0
    assert odd.used_percent == -100
    for usage in (nothing, odd):
        assert at_high(usage, MARKS) == NEITHER
        assert above_low(usage, MARKS, BOTH) == NEITHER


def test_used_percent_is_the_kubelets_figure() -> None:
    """Used is what is not available to a user who is not root: reserved blocks count as used."""
    usage = Usage("/", capacity_bytes=400, available_bytes=100, inodes=1000, inodes_available=999, free_bytes=120)
    assert usage.used_percent == 75
    assert usage.inodes_used_percent == pytest.approx(0.1)
    assert usage.percent(BYTES) == 75


def test_a_large_disk_is_counted_exactly() -> None:
    """A petabyte, one byte below the mark, is below the mark."""
    petabyte = 10**15
    below = Usage("/", petabyte, petabyte // 4 + 1, 0, 0, 0)
    assert at_high(below, MARKS) == NEITHER
    assert at_high(Usage("/", petabyte, petabyte // 4, 0, 0, 0), MARKS) == {BYTES}


# ---- standstill

ENDED = Standstill(fingerprint=1, usage=make_usage(70, 50), ended_at=1000.0)


@pytest.mark.parametrize(("seconds", "may"), [(0, False), (59.999, False), (60, True), (60.001, True)])
def test_never_again_within_a_minute(seconds: float, may: bool) -> None:
    """After a minute, and from the minute itself on, a changed node is tried again."""
    assert ENDED.may_repeat(make_usage(70, 50), fingerprint=2, now=1000 + seconds) is may


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
    assert ENDED.may_repeat(make_usage(bytes_percent, inodes_percent), fingerprint=1, now=10_000.0) is may


def test_no_limit_of_inodes_before_is_no_rise_now() -> None:
    """A resource that could not be compared did not rise."""
    before = Standstill(fingerprint=1, usage=make_usage(70, None), ended_at=0.0)
    assert not before.may_repeat(make_usage(70, 99), fingerprint=1, now=10_000.0)


def test_the_wait_doubles_to_ten_minutes() -> None:
    """Each sweep that ends above low again waits twice as long, at most ten minutes."""
    waits, state = [], None
    for number in range(7):
        state = next_standstill(state, Standstill(number, make_usage(70), ended_at=float(number)))
        waits.append(state.wait_seconds)
        assert (state.fingerprint, state.ended_at) == (number, number)
    assert waits == [60, 120, 240, 480, 600, 600, 600]


@pytest.mark.parametrize(("seconds", "may"), [(599.999, False), (600, True)])
def test_the_longest_wait_ends_at_ten_minutes_itself(seconds: float, may: bool) -> None:
    """After ten minutes a changed node is tried again, however often it stood still."""
    long = Standstill(fingerprint=1, usage=make_usage(70), ended_at=0.0, wait_seconds=600.0)
    assert long.may_repeat(make_usage(70), fingerprint=2, now=seconds) is may
