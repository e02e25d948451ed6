"""Forecasts: early targets for steady rises and for nothing else, and sooner checks as a watermark comes nearer."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.disk_usage import Filesystem, Part, Resource, Usage
from cleaner.core.model import EvictionOutcome, EvictReason, Trigger, Verdict
from cleaner.core.pressure.forecast import EARLY_EVERY_SECONDS, WINDOW, Forecast, UsageForecaster, freed_by
from cleaner.core.pressure.pulls import Pull
from cleaner.core.pressure.watermarks import KubeletThreshold, WatermarkPair, Watermarks
from cleaner.core.reclaim import NOTHING, Size
from cleaner.core.report import Eviction, SweepReport
from support.nights import make_report
from support.values import NOW, make_image

WATERMARKS = Watermarks(bytes=WatermarkPair(high=75, low=65), inodes=WatermarkPair(high=80, low=75))
BYTES, INODES = (Part(Filesystem.IMAGES, resource) for resource in Resource)
CONTENT = Part(Filesystem.CONTENT, Resource.BYTES)
CAPACITY = 10**12
POINT = CAPACITY // 100
HORIZON = timedelta(minutes=10)
CHECK_EVERY = timedelta(seconds=5)
BOUND_SECONDS = WINDOW.total_seconds() * (9 / 16 + 1 / 64)
"""After this time a steady rise counts in full (core/pressure/fill_rate.py)."""

PAUSES = st.lists(st.floats(0.5, 5), min_size=1, max_size=9)
"""Seconds between checks, over and over."""
Course = Callable[[float], int]


def usage(used: int, inodes_used: int = 0, capacity: int = CAPACITY) -> Usage:
    free = capacity - used
    return Usage("/images", capacity, free, CAPACITY, CAPACITY - inodes_used, free)


def apart(images: int, content: int) -> Usage:
    return replace(usage(images), others=(replace(usage(content), filesystem=Filesystem.CONTENT),))


def make_forecaster(horizon: timedelta = HORIZON) -> UsageForecaster:
    return UsageForecaster(WATERMARKS, KubeletThreshold(), horizon)


def forecasts_of(
    forecaster: UsageForecaster, course: Course, pacer: list[float], until: float
) -> Iterator[tuple[float, Forecast]]:
    """Measure bytes that follow a course, as often as given and as often as the forecaster itself asks for."""
    at = 0.0
    for longest in cycle(pacer):
        if at > until:
            return
        seen = usage(course(at))
        forecaster.add_measurement(seen, at)
        yield at, forecaster.forecast(seen, (), None, at)
        at += forecaster.seconds_to_next_check(seen, timedelta(seconds=longest))


def rise(level: int, begins: float, rate: int) -> Course:
    return lambda at: min(CAPACITY, level + int(rate * max(0.0, at - begins)))


def risen(forecaster: UsageForecaster, at_end: Usage, rates: Usage, seconds: int = 300) -> None:
    """Measure every 5 s while each part rises to its final usage at a given rate."""
    for at in range(0, seconds + 1, 5):
        left = seconds - at
        others = zip(at_end.others, rates.others, strict=True)
        forecaster.add_measurement(
            replace(_before(at_end, rates, left), others=tuple(_before(one, other, left) for one, other in others)), at
        )


def _before(end: Usage, rates: Usage, seconds: int) -> Usage:
    available = end.available_bytes + (CAPACITY - rates.available_bytes) * seconds
    inodes = end.inodes_available + (CAPACITY - rates.inodes_available) * seconds
    return replace(end, available_bytes=available, inodes_available=inodes)


# ---- when a sweep begins early


def test_nothing_is_coming_at_first() -> None:
    """Before the first measurement, and after it, nothing fills."""
    seen = usage(70 * POINT)
    forecaster = make_forecaster()
    assert forecaster.forecast(seen, (), None, 0) == Forecast(seen)
    forecaster.add_measurement(seen, 0)
    assert forecaster.forecast(seen, (), None, 0) == Forecast(seen)


@given(st.integers(0, CAPACITY), PAUSES)
def test_level_usage_never_begins_a_sweep(level: int, pacer: list[float]) -> None:
    """Wherever usage is level, below, between or above the watermarks, nothing is early."""
    for _, forecast in forecasts_of(make_forecaster(), lambda _: level, pacer, 400):
        assert forecast.early == {}
        assert forecast.seconds_to_high_watermark == (math.inf if level < 75 * POINT else 0)


@given(st.integers(0, CAPACITY), st.integers(0, CAPACITY), st.floats(0, 400), PAUSES)
def test_a_single_step_begins_no_sweep(before: int, after: int, step_at: float, pacer: list[float]) -> None:
    """One step up or down, of any size and at any time, is no trend."""
    for _, forecast in forecasts_of(make_forecaster(), lambda at: after if at >= step_at else before, pacer, 800):
        assert forecast.early == {}


@given(st.integers(0, 60 * POINT), st.floats(0, 400), st.floats(0, 3600), PAUSES)
def test_any_steady_rise_begins_a_sweep_in_time(level: int, begins: float, spare: float, pacer: list[float]) -> None:
    """A rise that lasts for the bound and two checks begins a sweep before the high watermark, within the horizon."""
    lasting = BOUND_SECONDS + 2 * max(pacer) + spare
    rate = int((75 * POINT - level) / lasting)
    reaches_high = begins + (75 * POINT - level) / rate
    early = [
        (at, forecast)
        for at, forecast in forecasts_of(make_forecaster(), rise(level, begins, rate), pacer, reaches_high)
        if forecast.early
    ]
    assert early
    assert early[0][0] < reaches_high
    for at, forecast in early:
        assert reaches_high - at < HORIZON.total_seconds() * 1.02
        assert forecast.seconds_to_high_watermark < HORIZON.total_seconds()
        assert 65 <= forecast.early[BYTES] < 75


@given(st.lists(st.tuples(st.floats(0.5, 60), st.integers(-2 * POINT, 5 * POINT)), max_size=300))
def test_early_targets_lie_between_the_watermarks(steps: list[tuple[float, int]]) -> None:
    """Whatever usage does, an early target is at least low, below high, and below what is used."""
    forecaster, at, used = make_forecaster(), 0.0, 40 * POINT
    for seconds, change in steps:
        at, used = at + seconds, min(CAPACITY, max(0, used + change))
        seen = usage(used)
        forecaster.add_measurement(seen, at)
        for target in forecaster.forecast(seen, (), None, at).early.values():
            assert 65 <= target < 75
            assert target < seen.used_percent


@pytest.mark.parametrize(
    ("points", "rate", "early"),
    [
        (75 - 6.001, POINT // 100, False),  # 600.1 s before the high watermark
        (75 - 6, POINT // 100, False),
        (75 - 5.999, POINT // 100, True),
        (74.999, POINT // 100, True),
        (75, POINT // 100, False),
        (65, POINT // 10, False),
        (65.001, POINT // 10, True),
    ],
)
def test_early_is_nearer_than_the_horizon(points: float, rate: int, *, early: bool) -> None:
    """Within ten minutes of the high watermark and above the low one; at the high watermark a sweep is not early."""
    forecaster, end = make_forecaster(), usage(round(points * POINT))
    risen(forecaster, end, usage(rate))
    assert bool(forecaster.forecast(end, (), None, 300).early) is early


@pytest.mark.parametrize(("rate", "target"), [(POINT // 100, 75 - 6.6), (POINT // 10, 65), (POINT // 66, 65)])
def test_an_early_sweep_evicts_what_keeps_the_horizon(rate: int, target: float) -> None:
    """Below the high watermark by ten minutes and a tenth of filling, never below the low watermark."""
    forecaster, end = make_forecaster(), usage(74 * POINT)
    risen(forecaster, end, usage(rate))
    assert forecaster.forecast(end, (), None, 300).early == {BYTES: pytest.approx(target, abs=0.01)}


def test_a_horizon_of_zero_begins_nothing_early() -> None:
    """Without a horizon the time left is forecast, and nothing is done about it."""
    forecaster, end = make_forecaster(timedelta(0)), usage(74 * POINT)
    risen(forecaster, end, usage(POINT // 100))
    forecast = forecaster.forecast(end, (), None, 300)
    assert (forecast.early, round(forecast.seconds_to_high_watermark)) == ({}, 100)


def test_inodes_and_the_content_store_fill_by_themselves() -> None:
    """Each part has a rate and a watermark of its own; the forecast is of the first to be reached."""
    forecaster = make_forecaster()
    end = apart(70 * POINT, 74 * POINT)
    risen(forecaster, replace(end, inodes_available=21 * POINT), apart(0, POINT // 100))
    forecast = forecaster.forecast(replace(end, inodes_available=21 * POINT), (), None, 300)
    assert set(forecast.early) == {CONTENT}
    assert forecast.seconds_to_high_watermark == pytest.approx(100)
    forecaster, end = make_forecaster(), usage(70 * POINT, 79 * POINT)
    risen(forecaster, end, usage(0, POINT // 100))
    assert set(forecaster.forecast(end, (), None, 300).early) == {INODES}


def test_containers_own_filesystem_is_not_watched() -> None:
    """However it fills, no eviction would free anything of it."""
    forecaster = make_forecaster()
    containers = replace(usage(70 * POINT), filesystem=Filesystem.CONTAINERS)
    end = replace(usage(10 * POINT), others=(containers,))
    risen(forecaster, end, replace(usage(0), others=(replace(usage(POINT), filesystem=Filesystem.CONTAINERS),)))
    assert forecaster.forecast(end, (), None, 300) == Forecast(end)
    assert forecaster.seconds_to_next_check(end, CHECK_EVERY) == 5


def test_a_filesystem_that_changes_its_size_is_measured_all_the_same() -> None:
    """If the capacity moves with each write the rise continues; a disk that was enlarged is far from its watermark."""
    forecaster, end = make_forecaster(), usage(74 * POINT)
    for at in range(0, 301, 5):
        seen = usage(end.capacity_bytes - end.available_bytes - (300 - at) * POINT // 100, capacity=CAPACITY + at)
        forecaster.add_measurement(seen, at)
    assert forecaster.forecast(seen, (), None, 300).early
    assert forecaster.seconds_to_next_check(seen, timedelta(minutes=5)) == pytest.approx(25, rel=0.01)
    grown = usage(74 * POINT, capacity=2 * CAPACITY)
    forecaster.add_measurement(grown, 305)
    assert forecaster.forecast(grown, (), None, 305).early == {}


def test_a_filesystem_that_is_there_at_times_does_no_harm() -> None:
    """What is not there is not judged; without a capacity it is not either."""
    forecaster = make_forecaster()
    risen(forecaster, apart(10 * POINT, 74 * POINT), apart(0, POINT // 100))
    alone = usage(10 * POINT)
    forecaster.add_measurement(alone, 305)
    assert forecaster.forecast(alone, (), None, 305).early == {}
    nothing = Usage("/images", 0, 0, 0, 0, 0)
    forecaster.add_measurement(nothing, 310)
    assert forecaster.forecast(nothing, (), None, 310) == Forecast(nothing)
    assert forecaster.seconds_to_next_check(nothing, CHECK_EVERY) == 5
    back = apart(10 * POINT, 74 * POINT)
    forecaster.add_measurement(back, 500)
    assert forecaster.forecast(back, (), None, 500).early == {}


# ---- what else is forecast


def test_pulls_count_as_done_and_are_projected() -> None:
    """Projected usage includes them; the time to a watermark is that of what is there."""
    seen, pull = usage(50 * POINT), Pull("sha256:a", POINT, 2 * POINT)
    forecast = make_forecaster().forecast(seen, (pull,), None, 0)
    assert (forecast.projected.used_percent, forecast.pulls_projected_bytes) == (53, 3 * POINT)
    assert forecast.seconds_to_high_watermark == math.inf


@pytest.mark.parametrize(
    ("evictable", "seconds"), [(None, 1400), (NOTHING, 1400), (Size(5 * POINT, 9), 1900), (Size(0, 10**9), 1400)]
)
def test_the_time_to_the_kubelets_threshold(evictable: Size | None, seconds: int) -> None:
    """From 70 to 85 %, and longer by everything evictable; nothing is added where that is not known."""
    forecaster, end = make_forecaster(), usage(70 * POINT)
    risen(forecaster, end, usage(POINT // 100))
    assert forecaster.forecast(end, (), evictable, 300).seconds_to_kubelet_threshold == pytest.approx(seconds)


def test_the_time_of_a_content_store_has_its_own_share() -> None:
    """What images free elsewhere adds no time."""
    forecaster, end = make_forecaster(), apart(10 * POINT, 70 * POINT)
    risen(forecaster, end, apart(0, POINT // 100))
    evictable = Size(30 * POINT, 0, content_bytes=5 * POINT)
    assert forecaster.forecast(end, (), evictable, 300).seconds_to_kubelet_threshold == pytest.approx(1900)


def test_at_the_watermarks_no_time_is_left() -> None:
    """At its high watermark the time to it is 0, and past the kubelet's threshold that time too, filling or not."""
    forecaster, seen = make_forecaster(), usage(85 * POINT)
    forecaster.add_measurement(seen, 0)
    forecast = forecaster.forecast(seen, (), None, 0)
    assert (forecast.seconds_to_high_watermark, forecast.seconds_to_kubelet_threshold, forecast.early) == (
        0,
        0,
        {},
    )


# ---- after a sweep

FREED = Size(3 * POINT, 50, content_bytes=POINT, content_inodes=20)


def eviction(
    outcome: EvictionOutcome = EvictionOutcome.EVICTED,
    reclaimable: Size | None = FREED,
    reclaimed_bytes: int | None = None,
) -> Eviction:
    verdict = Verdict(make_image(), EvictReason.PRESSURE, reclaimable=reclaimable)
    return Eviction(verdict, outcome, reclaimed_bytes=reclaimed_bytes)


def swept(after: Usage, *evictions: Eviction) -> SweepReport:
    return replace(make_report(Trigger.PRESSURE, started_at=NOW), evictions=evictions, filesystem_after=after)


@pytest.mark.parametrize(
    ("given", "freed"),
    [
        (eviction(), FREED),
        (eviction(reclaimed_bytes=FREED.bytes + 1), replace(FREED, bytes=FREED.bytes + 1)),
        (eviction(reclaimed_bytes=FREED.bytes - 1), FREED),
        (eviction(reclaimed_bytes=0), FREED),
        (eviction(reclaimable=None), NOTHING),
        (eviction(reclaimable=None, reclaimed_bytes=7), Size(7, 0)),
        (eviction(EvictionOutcome.FAILED, reclaimed_bytes=7), NOTHING),
        (eviction(EvictionOutcome.SPARED), NOTHING),
        (eviction(EvictionOutcome.PLANNED), NOTHING),
    ],
)
def test_what_one_eviction_freed(given: Eviction, freed: Size) -> None:
    """What was estimated, or more if more was measured: writes of others meanwhile lower the measured figure."""
    assert freed_by(given) == freed


# ---- where danger begins


@pytest.mark.parametrize(
    ("points_per_second", "safety"), [(0, 1), (0.5, 1), (1, 1.5), (2, 3), (5.9, 8.85), (6, 9), (20, 9)]
)
def test_danger_begins_where_a_rise_that_lasts_gets_in_time(points_per_second: float, safety: float) -> None:
    """Below the kubelet's threshold by 1.5 seconds of writing; a point at least, never below our high watermark."""
    forecaster = make_forecaster()
    for second in range(4):
        forecaster.add_measurement(usage(int((40 + second * points_per_second) * POINT)), second)
    kubelet = forecaster.kubelet_threshold_at(usage(50 * POINT))
    assert kubelet.danger(BYTES) == pytest.approx(84 - safety)
    assert (kubelet.bytes, kubelet.inodes, kubelet.danger(INODES)) == (84, 95, 94)


@pytest.mark.parametrize("levels", [(40, 40, 40, 60), (40, 60, 60, 60), (40, 45, 50), (40, 50, 49, 60)])
def test_a_step_moves_no_danger(levels: tuple[int, ...]) -> None:
    """Three measurements in a row have to find more than the one before them."""
    forecaster = make_forecaster()
    for at, level in enumerate(levels):
        forecaster.add_measurement(usage(level * POINT), at)
    assert forecaster.kubelet_threshold_at(usage(50 * POINT)) == KubeletThreshold()


def test_inodes_have_a_safety_of_their_own() -> None:
    """Files that fill the inodes do not move the danger of bytes."""
    forecaster = make_forecaster()
    for second in range(4):
        forecaster.add_measurement(usage(50 * POINT, (40 + 2 * second) * POINT), second)
    kubelet = forecaster.kubelet_threshold_at(usage(50 * POINT))
    assert kubelet.danger(BYTES) == 83
    assert kubelet.danger(INODES) == pytest.approx(92)


def test_each_filesystem_has_a_danger_of_its_own() -> None:
    """Level usage of images is in no more danger where the content store beside them fills."""
    forecaster = make_forecaster()
    for second in range(4):
        forecaster.add_measurement(apart(50 * POINT, (40 + 2 * second) * POINT), second)
    kubelet = forecaster.kubelet_threshold_at(apart(50 * POINT, 46 * POINT))
    assert kubelet.danger(BYTES) == 83
    assert kubelet.danger(CONTENT) == pytest.approx(81)


def test_before_a_measurement_danger_is_where_it_always_is() -> None:
    """A filesystem that was never measured does not fill."""
    assert make_forecaster().kubelet_threshold_at(usage(80 * POINT)) == KubeletThreshold()


@pytest.mark.parametrize(("seconds", "early"), [(0, False), (59.99, False), (60, True), (60.01, True)])
def test_no_early_sweep_soon_after_one(seconds: float, *, early: bool) -> None:
    """For a minute after a sweep that evicted, or would have, nothing begins early."""
    assert EARLY_EVERY_SECONDS == 60
    for outcome in (EvictionOutcome.EVICTED, EvictionOutcome.PLANNED):
        forecaster, end = make_forecaster(), usage(74 * POINT)
        risen(forecaster, end, usage(POINT // 500))
        forecaster.add_sweep(swept(end, eviction(outcome, NOTHING)), 300)
        assert bool(forecaster.forecast(end, (), None, 300 + seconds).early) is early


def test_a_sweep_that_had_nothing_to_evict_delays_none() -> None:
    """Where nothing was evicted, nothing is known better than before."""
    forecaster, end = make_forecaster(), usage(74 * POINT)
    risen(forecaster, end, usage(POINT // 500))
    forecaster.add_sweep(swept(end), 300)
    assert forecaster.forecast(end, (), None, 300).early


@given(
    st.integers(1, POINT // 1000),
    st.integers(1, POINT // 1000),
    st.lists(st.tuples(st.integers(0, POINT), st.integers(0, POINT)), min_size=1, max_size=5),
    st.booleans(),
)
def test_our_own_evictions_do_not_disturb(
    rate: int, content_rate: int, freed: list[tuple[int, int]], is_apart: bool
) -> None:
    """After any sweeps the same rate is seen as without them, on both filesystems where there are two."""
    plain, toothed = make_forecaster(), make_forecaster()
    base, gone = 50 * POINT, [0, 0]
    for number, at in enumerate(range(0, 601, 5)):
        levels = base + rate * at, base + content_rate * at
        now = apart(*levels) if is_apart else usage(sum(levels) - base)
        later = apart(levels[0] - gone[0], levels[1] - gone[1]) if is_apart else usage(sum(levels) - base - sum(gone))
        plain.add_measurement(now, at)
        toothed.add_measurement(later, at)
        assert toothed.seconds_to_next_check(now, timedelta(hours=9)) == plain.seconds_to_next_check(
            now, timedelta(hours=9)
        )
        assert toothed.forecast(now, (), None, 10**6) == plain.forecast(now, (), None, 10**6)
        if number % 10 == 9:
            snapshots, content = freed[number % len(freed)]
            size = Size(snapshots + content, 0, content_bytes=content)
            toothed.add_sweep(swept(later, eviction(reclaimable=size)), at)
            gone = [gone[0] + snapshots, gone[1] + content]


# ---- the next check


@pytest.mark.parametrize(
    ("before", "now", "pause"),
    [
        (50.0, 50.0, 5.0),
        (51.0, 50.0, 5.0),
        (54.0, 55.0, 5.0),  # 20 s to the high watermark
        (54.01, 55.01, 4.9975),
        (71.0, 72.0, 0.75),  # 3 s
        (72.0, 73.0, 0.5),
        (73.5, 74.5, 0.5),
        (74.0, 75.0, 2.0),  # 8 s to where danger begins
        (79.0, 80.0, 0.75),
        (82.0, 83.0, 5.0),
        (94.0, 95.0, 5.0),
        (80.0, 80.0, 5.0),
        (81.0, 80.0, 5.0),
    ],
)
def test_the_next_check_comes_sooner_as_a_watermark_comes_nearer(before: float, now: float, pause: float) -> None:
    """A quarter of the time to the next limit at the latest rate; past the last one, or without a rise, every 5 s."""
    forecaster = make_forecaster()
    forecaster.add_measurement(usage(round(before * POINT)), 0)
    seen = usage(round(now * POINT))
    forecaster.add_measurement(seen, 1)
    assert forecaster.seconds_to_next_check(seen, CHECK_EVERY) == pytest.approx(pause)


def test_the_nearest_watermark_of_all_parts_decides() -> None:
    """A content store that fills faster, or inodes that do, bring the next check nearer."""
    forecaster = make_forecaster()
    forecaster.add_measurement(apart(50 * POINT, 70 * POINT), 0)
    seen = apart(50 * POINT, 71 * POINT)
    forecaster.add_measurement(seen, 1)
    assert forecaster.seconds_to_next_check(seen, CHECK_EVERY) == 1
    forecaster = make_forecaster()
    forecaster.add_measurement(usage(50 * POINT, 73 * POINT), 0)
    seen = usage(51 * POINT, 74 * POINT)
    forecaster.add_measurement(seen, 1)
    assert forecaster.seconds_to_next_check(seen, CHECK_EVERY) == pytest.approx(6 / 3 / 4 * 3)


def test_checks_are_no_rarer_than_configured() -> None:
    """Whatever comes, the pause is never longer than check_every."""
    forecaster = make_forecaster()
    forecaster.add_measurement(usage(0), 0)
    assert forecaster.seconds_to_next_check(usage(0), timedelta(seconds=0.2)) == 0.2
