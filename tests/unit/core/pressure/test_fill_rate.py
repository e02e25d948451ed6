"""How fast a filesystem fills: steady rises in full and in time, bursts and noise not at all."""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import accumulate, cycle, takewhile
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.pressure.fill_rate import FillRate, pause_before, seconds_until

MIB = 1 << 20
WINDOW = timedelta(minutes=5)
WINDOW_SECONDS = 300.0
HORIZON_SECONDS = 600.0
BOUND_SECONDS = WINDOW_SECONDS * (9 / 16 + 1 / 64)
"""A rise that was measured for this time counts in full: nine buckets, and a cell that is not over yet."""
LONGEST_BURST_SECONDS = WINDOW_SECONDS * 7 / 16

EVEN = timedelta(seconds=320)
"""A window of 16 buckets of 20 s, each of four cells of 5 s: a measurement every 5 s meets every edge."""
EVEN_SECONDS = 5.0

LEVELS = st.integers(0, 2**50)
QUICK = st.lists(st.floats(0.5, 5), min_size=1, max_size=9)
"""Seconds between measurements, over and over."""
IRREGULAR = st.lists(st.floats(0.5, 5) | st.floats(0.5, 120), min_size=1, max_size=9)
STARTS = st.floats(0, 10**8)

Course = Callable[[float], int]


def times_of(intervals: list[float], until: float) -> Iterator[float]:
    """Seconds since the first measurement, at 0."""
    return takewhile(lambda at: at <= until, accumulate(cycle(intervals), initial=0.0))


def watched(window: timedelta, times: Iterable[float], course: Course, start: float = 0.0) -> Iterator[FillRate]:
    """The state after each measurement of what is used."""
    fill_rate = FillRate(window)
    for at in times:
        fill_rate.add_measurement(start + at, course(at))
        yield fill_rate


def ramp(level: int, start: float, lasting: float, rate: int) -> Course:
    """Level, then a rise at a rate in units a second, then level again."""
    return lambda at: level + int(rate * min(lasting, max(0.0, at - start)))


def test_nothing_is_known_at_first() -> None:
    """Without a measurement nothing fills, and one alone says nothing."""
    fill_rate = FillRate(WINDOW)
    assert (fill_rate.steady_rate, fill_rate.latest_rate, fill_rate.sustained_rate) == (0.0, 0.0, 0.0)
    fill_rate.add_measurement(7, 100)
    assert (fill_rate.steady_rate, fill_rate.latest_rate, fill_rate.sustained_rate) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("seconds", "share"),
    [(0, 0), (20, 0), (155, 0), (160, 0), (165, 0.25), (175, 0.75), (180, 1), (185, 1), (320, 1), (1000, 1)],
)
@pytest.mark.parametrize("level_seconds", [0, 5, 320, 1000])
def test_a_rise_counts_in_full_once_it_fills_nine_buckets(level_seconds: int, seconds: int, share: float) -> None:
    """Nothing up to half of the window, then more, and all of it at 9/16, whether or not it was level before."""
    times = times_of([EVEN_SECONDS], level_seconds + seconds)
    *_, last = watched(EVEN, times, ramp(7, level_seconds, math.inf, 1000))
    assert last.steady_rate == pytest.approx(1000 * share)


@pytest.mark.parametrize(("seconds", "seen"), [(20, False), (140, False), (145, False), (150, True), (200, True)])
def test_a_burst_ends_at_seven_buckets(seconds: int, *, seen: bool) -> None:
    """A rise over seven buckets is a burst wherever it lies; one that touches nine is steady while it does."""
    rates = [
        fill_rate.steady_rate
        for fill_rate in watched(EVEN, times_of([EVEN_SECONDS], 1500), ramp(7, 500, seconds, 1000))
    ]
    assert (max(rates) > 0) is seen
    assert rates[-1] == 0


@pytest.mark.parametrize(("interval", "rate"), [(139.999, 1000), (140, 1000), (140.001, 0)])
def test_measurements_too_far_apart_show_no_trend(interval: float, rate: int) -> None:
    """An interval of 7/16 of the window can be told from a step, a longer one cannot."""
    *_, last = watched(EVEN, times_of([interval], 2000), ramp(0, 0, math.inf, 1000))
    assert last.steady_rate == pytest.approx(rate)
    assert last.latest_rate == pytest.approx(1000)


def test_after_a_long_gap_it_measures_anew() -> None:
    """What rose during a gap and before it counts no more; what rises after it is steady after 9/16 of the window."""
    times = [*times_of([EVEN_SECONDS], 400), *(541 + at for at in times_of([EVEN_SECONDS], 180))]
    rates = [fill_rate.steady_rate for fill_rate in watched(EVEN, times, ramp(0, 0, math.inf, 1000))]
    before, after = rates[:81], rates[81:]
    assert before[-1] == after[-1] == pytest.approx(1000)
    assert after[:33] == [0] * 33
    assert 0 < after[-2] < after[-1]


@pytest.mark.parametrize("deleted_at", [501, 507, 519])
def test_one_deletion_by_others_hides_no_rise(deleted_at: float) -> None:
    """A fall in two buckets, however deep, leaves a steady rise as it is."""
    rise = ramp(10**12, 0, math.inf, 1000)
    fill_rates = watched(EVEN, times_of([EVEN_SECONDS], 900), lambda at: rise(at) - (10**11 if at > deleted_at else 0))
    assert {round(fill_rate.steady_rate) for number, fill_rate in enumerate(fill_rates) if number >= 36} == {1000}


@pytest.mark.parametrize(("falls", "rate"), [(1, 1000), (2, 1000), (3, 1000 - 200), (4, 1000 - 200), (7, 1000 - 200)])
def test_what_falls_in_a_third_bucket_is_taken_off(falls: int, rate: int) -> None:
    """Two buckets may fall, as deep as they like; from the third on the third deepest is taken off."""
    steps = [-(10**9), -(10**9), -4000, -3000, -2000, -1000, -1][:falls] + [20_000] * (16 - falls)
    fill_rate = FillRate(EVEN)
    for number, used in enumerate(accumulate(steps, initial=10**12)):
        fill_rate.add_measurement(20.0 * number, used)
    assert fill_rate.steady_rate == pytest.approx(rate)


@pytest.mark.parametrize(("third", "rate"), [(-20_001, 0), (-20_000, 0), (-19_980, 1), (0, 1000), (1, 1000)])
def test_a_fall_as_deep_as_the_rise_leaves_nothing(third: int, rate: int) -> None:
    """What falls as fast as it rises is no rise, and never less than none."""
    fill_rate = FillRate(EVEN)
    for number, used in enumerate(accumulate([-(10**6), third, -(10**6), *[20_000] * 13], initial=10**8)):
        fill_rate.add_measurement(20.0 * number, used)
    assert fill_rate.steady_rate == pytest.approx(rate)


def test_the_latest_rate_is_the_fastest_of_three_intervals() -> None:
    """The fourth interval from the end is forgotten; emptying counts as no rise."""
    fill_rate = FillRate(WINDOW)
    seen = []
    for at, used in [(0, 0), (10, 500), (11, 510), (13, 510), (14, 514), (15, 400), (16, 400), (17, 300)]:
        fill_rate.add_measurement(at, used)
        seen.append(fill_rate.latest_rate)
    assert seen == [0, 50, 50, 50, 10, 4, 4, 0]


@pytest.mark.parametrize(("at", "rate"), [(-5.0, 0), (0.0, 0), (0.099, 0), (0.1, 1000), (0.101, 100 / 0.101)])
def test_a_measurement_that_is_hardly_later_is_left_out(at: float, rate: float) -> None:
    """A measurement before the last, or less than 0.1 s after it, is left out; the next one counts from the last."""
    fill_rate = FillRate(WINDOW)
    fill_rate.add_measurement(0.0, 100)
    fill_rate.add_measurement(at, 200)
    assert fill_rate.latest_rate == pytest.approx(rate)
    fill_rate.add_measurement(10.0, 1100)
    assert fill_rate.latest_rate == pytest.approx(rate or 100)


@pytest.mark.parametrize(("amount", "rate"), [(-50, 0), (0, 0), (299, 0), (300, 0), (301, 0.1), (400, 10)])
def test_what_we_evicted_does_not_read_as_emptying(amount: int, rate: float) -> None:
    """A fall by 300 is made up for by what our own evictions gave back, and what is more came from others."""
    fill_rate = FillRate(WINDOW)
    fill_rate.add_measurement(0, 1000)
    fill_rate.add_freed(amount)
    fill_rate.add_measurement(10, 700)
    assert fill_rate.latest_rate == pytest.approx(rate)


def test_freed_space_below_0_does_not_count() -> None:
    """If the disk rose while we evicted, all that is used more since the last measurement is a rise."""
    fill_rate = FillRate(WINDOW)
    fill_rate.add_measurement(0, 1000)
    fill_rate.add_freed(-50)
    fill_rate.add_measurement(10, 1100)
    assert fill_rate.latest_rate == 10


def test_freed_space_waits_for_a_measurement_that_counts() -> None:
    """Freed space is not lost with a measurement that is left out."""
    fill_rate = FillRate(WINDOW)
    fill_rate.add_measurement(0, 1000)
    fill_rate.add_freed(200)
    fill_rate.add_measurement(0.05, 800)
    fill_rate.add_freed(100)
    fill_rate.add_measurement(10, 750)
    assert fill_rate.latest_rate == 5


def test_a_reset_forgets_all() -> None:
    """After a reset it is as new: no rate, and neither an old measurement nor old freed space counts."""
    fill_rate = FillRate(EVEN)
    for at in times_of([EVEN_SECONDS], 400):
        fill_rate.add_measurement(at, int(1000 * at))
    fill_rate.add_freed(10**9)
    fill_rate.reset()
    assert (fill_rate.steady_rate, fill_rate.latest_rate) == (0.0, 0.0)
    fill_rate.add_measurement(3, 10)
    fill_rate.add_measurement(4, 12)
    assert (fill_rate.steady_rate, fill_rate.latest_rate) == (0.0, 2.0)


def test_noise_around_a_level_is_no_rise() -> None:
    """A day of noise of 1 MiB up and down has no steady rate for 999 of 1000 measurements, and never one worth much."""
    random = Random(1)  # noqa: S311 - noise, no secret
    noise = watched(WINDOW, times_of([5.0], 86_400), lambda _: 10**12 + random.randint(-MIB, MIB))
    rates = [fill_rate.steady_rate for fill_rate in noise]
    assert sum(rate > 0 for rate in rates) <= len(rates) / 1000
    assert max(rates) * HORIZON_SECONDS <= 10 * MIB


@pytest.mark.parametrize("period", [10, 20, 30, 45, 60, 75, 90])
def test_what_is_written_and_deleted_fills_nothing(period: int) -> None:
    """A saw-tooth of others that falls three times in a window is no rise, once the window is full."""
    fill_rates = watched(WINDOW, times_of([5.0], 2000), lambda at: 10**9 + int(at % period) * MIB)
    assert {fill_rate.steady_rate for number, fill_rate in enumerate(fill_rates) if number >= 60} == {0.0}


@given(st.lists(st.integers(0, 10**9), min_size=17, max_size=60))
def test_usage_within_a_band_is_worth_a_third_of_it_per_bucket(course: list[int]) -> None:
    """Whatever usage does between two levels, its steady rate stays below their distance in three buckets."""
    fill_rate = FillRate(EVEN)
    for number, used in enumerate(course):
        fill_rate.add_measurement(20.0 * number, used)
        assert fill_rate.steady_rate <= (max(course) - min(course)) / 60 * (1 + 1e-9)


@given(STARTS, LEVELS, st.lists(st.floats(0.5, 1000), min_size=1, max_size=9))
def test_level_usage_never_rises(start: float, level: int, intervals: list[float]) -> None:
    """Where nothing changes both rates are exactly 0, however often it is measured."""
    for fill_rate in watched(WINDOW, times_of(intervals, 900), lambda _: level, start):
        assert (fill_rate.steady_rate, fill_rate.latest_rate) == (0.0, 0.0)


@given(STARTS, LEVELS, LEVELS, st.floats(0, 900), st.lists(st.floats(0.5, 1000), min_size=1, max_size=9))
def test_a_single_step_is_never_steady(
    start: float, level: int, after: int, step_at: float, intervals: list[float]
) -> None:
    """One step up or down, of any size and at any time, leaves the steady rate at exactly 0."""
    for fill_rate in watched(WINDOW, times_of(intervals, 1500), lambda at: after if at >= step_at else level, start):
        assert fill_rate.steady_rate == 0.0


@given(LEVELS, st.floats(0, 400), st.floats(0, 0.4), st.integers(0, 10**10), QUICK)
def test_a_pull_is_never_steady(level: int, begins: float, share: float, rate: int, intervals: list[float]) -> None:
    """A ramp of up to 40 % of the window leaves the steady rate at exactly 0, if measured every 5 s or more often."""
    course = ramp(level, begins, share * WINDOW_SECONDS, rate)
    for fill_rate in watched(WINDOW, times_of(intervals, 900), course):
        assert fill_rate.steady_rate == 0.0


@given(LEVELS, st.floats(0, 400), st.integers(1, 10**10), IRREGULAR, st.floats(0, 1))
def test_a_pull_is_never_steady_however_it_is_measured(
    level: int, begins: float, rate: int, intervals: list[float], share: float
) -> None:
    """A rise from the last measurement before a ramp to the first after it, in 7/16 of the window, is no trend."""
    times = list(times_of(intervals, 1100))
    first = next(at for at in reversed(times) if at <= begins)
    end = max(at for at in times if at <= first + LONGEST_BURST_SECONDS)
    course = ramp(level, begins, max(0.0, end - begins) * share, rate)
    assert {fill_rate.steady_rate for fill_rate in watched(WINDOW, times, course)} == {0.0}


@given(STARTS, LEVELS, st.floats(0, 600), st.integers(10, 10**10), IRREGULAR)
def test_a_steady_rise_is_measured_right(
    start: float, level: int, begins: float, rate: int, intervals: list[float]
) -> None:
    """Within 1 % from the bound on (9/16 of the window, a cell, and the first measurement), and never above."""
    times = list(times_of(intervals, begins + 700))
    seen_from = next((at for at in times if at >= begins), math.inf)
    for at, fill_rate in zip(times, watched(WINDOW, times, ramp(level, begins, math.inf, rate), start), strict=True):
        assert fill_rate.steady_rate <= rate * 1.01
        if at >= seen_from + BOUND_SECONDS:
            assert fill_rate.steady_rate >= rate * 0.99


@given(LEVELS, st.floats(0, 600), st.integers(10, 10**10), IRREGULAR, st.floats(0, 1000))
def test_any_steady_rise_is_seen_in_time(
    level: int, begins: float, rate: int, intervals: list[float], spare: float
) -> None:
    """A rise that lasts for the bound and a measurement is forecast in time: at the first one within the horizon."""
    lasting = BOUND_SECONDS + 2 * max(intervals) + spare
    high = level + math.ceil(rate * lasting)
    times = list(times_of(intervals, begins + lasting))
    seen_from = next(at for at in times if at >= begins)
    forecast_in_time = False
    course = ramp(level, begins, math.inf, rate)
    for at, fill_rate in zip(times, watched(WINDOW, times, course), strict=True):
        due = seconds_until(high - course(at), fill_rate.steady_rate) < HORIZON_SECONDS
        if at >= seen_from + BOUND_SECONDS and begins + lasting - at < HORIZON_SECONDS * 0.99:
            assert due
        forecast_in_time = forecast_in_time or due
    assert forecast_in_time


@given(
    STARTS,
    st.integers(0, 10**10),
    IRREGULAR,
    st.lists(st.integers(0, 2**40), min_size=1, max_size=9),
    st.floats(0, 600),
)
def test_own_evictions_change_no_rate(
    start: float, rate: int, intervals: list[float], given_back: list[int], begins: float
) -> None:
    """A saw-tooth of our own evictions fills as fast as the same rise without them."""
    plain, toothed, evicted = FillRate(WINDOW), FillRate(WINDOW), 0
    course = ramp(2**60, begins, math.inf, rate)
    for at, amount in zip(times_of(intervals, begins + 600), cycle(given_back), strict=False):
        plain.add_measurement(start + at, course(at))
        toothed.add_measurement(start + at, course(at) - evicted)
        assert (toothed.steady_rate, toothed.latest_rate) == (plain.steady_rate, plain.latest_rate)
        toothed.add_freed(amount)
        evicted += amount


SIZES = st.integers(0, 2**128)
"""As much as a filesystem can say of itself: blocks of 64 bits, of a size of 64 bits."""
TIMES = st.floats(allow_nan=False, allow_infinity=False)
STEPS = st.one_of(
    st.builds(lambda at, used: lambda fill_rate: fill_rate.add_measurement(at, used), TIMES, SIZES),
    st.builds(lambda amount: lambda fill_rate: fill_rate.add_freed(amount), SIZES),
    st.just(FillRate.reset),
)


@given(st.timedeltas(timedelta(microseconds=1)), st.lists(STEPS))
def test_rates_are_always_finite(window: timedelta, steps: list[Callable[[FillRate], None]]) -> None:
    """Whatever is added, when and in which order, nothing is raised and both rates are finite and at least 0."""
    fill_rate = FillRate(window)
    for step in steps:
        step(fill_rate)
        assert 0 <= fill_rate.steady_rate < math.inf
        assert 0 <= fill_rate.latest_rate < math.inf


@given(TIMES.map(abs), st.lists(st.tuples(st.floats(0, 1000), SIZES)))
def test_rates_are_finite_late_in_time(start: float, measurements: list[tuple[float, int]]) -> None:
    """A clock that is so late that it counts in coarse steps does no harm."""
    fill_rate = FillRate(WINDOW)
    for number, (at, used) in enumerate(measurements):
        fill_rate.add_measurement(start + 30 * number + at, used)
        assert 0 <= fill_rate.steady_rate < math.inf
        assert 0 <= fill_rate.latest_rate < math.inf


@given(st.lists(st.tuples(st.floats(0.5, 120), SIZES), max_size=300))
def test_memory_is_bounded(measurements: list[tuple[float, int]]) -> None:
    """However much is added, 65 levels and three rates are kept."""
    fill_rate = FillRate(WINDOW)
    for at, (_, used) in zip(accumulate(seconds for seconds, _ in measurements), measurements, strict=True):
        fill_rate.add_measurement(at, used)
    assert (len(fill_rate._levels), len(fill_rate._recent)) == (65, min(3, max(0, len(measurements) - 1)))


@pytest.mark.parametrize(
    ("room", "rate", "seconds"),
    [
        (-1, 0.0, 0.0),
        (0, 0.0, 0.0),
        (1, 0.0, math.inf),
        (1, -1.0, math.inf),
        (-1, 5.0, 0.0),
        (0, 5.0, 0.0),
        (1, 5.0, 0.2),
        (1, 5e-324, math.inf),
    ],
)
def test_seconds_until_the_room_is_used_up(room: int, rate: float, seconds: float) -> None:
    """Now where there is no room, never where nothing fills, else room by rate."""
    assert seconds_until(room, rate) == seconds


@pytest.mark.parametrize(
    ("seconds", "pause"),
    [(0, 0.5), (1.999, 0.5), (2, 0.5), (2.4, 0.6), (19.9, 4.975), (20, 5), (20.1, 5), (math.inf, 5), (-3, 0.5)],
)
def test_the_next_check_comes_after_a_quarter_of_the_time(seconds: float, pause: float) -> None:
    """A quarter of the time left, between half a second and the longest pause."""
    assert pause_before(seconds, 5.0) == pytest.approx(pause)


def test_the_longest_pause_wins() -> None:
    """Where the longest pause is shorter than the shortest, the longest counts."""
    assert pause_before(0.0, longest=0.2) == pause_before(math.inf, longest=0.2) == 0.2
    assert pause_before(0.0, longest=5.0, shortest=1.0) == 1.0


@given(st.floats(0), st.floats(0), st.floats(0.5, 600), st.floats(0.01, 0.5))
def test_pauses_keep_their_bounds_and_order(one: float, other: float, longest: float, shortest: float) -> None:
    """Less time left is never a longer pause."""
    sooner, later = (pause_before(seconds, longest, shortest) for seconds in sorted((one, other)))
    assert shortest <= sooner <= later <= longest


@pytest.mark.parametrize(
    ("levels", "rate"),
    [((0, 10, 20), 0), ((0, 10, 20, 30), 10), ((0, 50, 60, 90), 10), ((0, 0, 50, 90), 0), ((0, 40, 30, 90), 0)],
)
def test_a_rise_lasts_as_fast_as_its_slowest_of_three(levels: tuple[int, ...], rate: float) -> None:
    """One interval without a rise, and the rise has not lasted; before there are three, none has."""
    fill_rate = FillRate(WINDOW)
    for at, level in enumerate(levels):
        fill_rate.add_measurement(at, level)
    assert fill_rate.sustained_rate == rate
