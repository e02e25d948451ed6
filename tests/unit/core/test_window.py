"""The nightly window: each occurrence is due once, in every kind of night; and whether the clock is believed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cleaner.core.window import BELIEVED_AFTER, CLOCK_JUMP, Calendar, ClockSense, Nightly, calendar_of
from support.values import DAY, HOUR, MICROSECOND, MINUTE, NOW, SECOND

PARIS, NEW_YORK, PLAIN_UTC = ZoneInfo("Europe/Paris"), ZoneInfo("America/New_York"), ZoneInfo("UTC")
NOTHING = timedelta(0)


def make_nightly(
    schedule: str = "0 0 * * *",
    timezone: ZoneInfo = PLAIN_UTC,
    window: timedelta = 4 * HOUR,
    splay: timedelta = NOTHING,
) -> Nightly:
    return Nightly(schedule, timezone, window, splay, evictions_per_night=200)


def make_calendar(
    schedule: str = "0 0 * * *",
    timezone: ZoneInfo = PLAIN_UTC,
    window: timedelta = 4 * HOUR,
    delay: timedelta = NOTHING,
) -> Calendar:
    return Calendar(make_nightly(schedule, timezone, window), delay)


def at(text: str) -> datetime:
    """`03-29 01:00` of 2026, UTC."""
    return datetime.strptime(f"2026-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def every(step: timedelta, start: datetime, end: datetime) -> Iterator[datetime]:
    moment = start
    while moment < end:
        yield moment
        moment += step


def swept(calendar: Calendar, start: datetime, end: datetime, step: timedelta = MINUTE) -> list[tuple[str, str]]:
    """(when, which occurrence) of each sweep of a daemon that looks every `step` and is done at once."""
    done, sweeps = calendar.due(start - step, None), []
    for now in every(step, start, end):
        occurrence = calendar.due(now, done)
        if occurrence is not None:
            done = occurrence
            sweeps.append((f"{now:%m-%d %H:%M}", f"{occurrence:%m-%d %H:%M}"))
    return sweeps


MIDNIGHT = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "due"),
    [
        (-MICROSECOND, False),
        (NOTHING, True),
        (MICROSECOND, True),
        (4 * HOUR - MICROSECOND, True),
        (4 * HOUR, False),
        (4 * HOUR + MICROSECOND, False),
    ],
)
def test_due_from_the_occurrence_until_the_window_ends(since: timedelta, due: bool) -> None:
    """The window holds its first moment and not its last."""
    assert make_calendar().due(MIDNIGHT + since, None) == (MIDNIGHT if due else None)


@pytest.mark.parametrize(
    ("since", "due"),
    [
        (NOTHING, False),
        (30 * MINUTE - MICROSECOND, False),
        (30 * MINUTE, True),
        (30 * MINUTE + MICROSECOND, True),
        (4 * HOUR - MICROSECOND, True),
        (4 * HOUR, False),
    ],
)
def test_the_delay_moves_the_start_and_not_the_end(since: timedelta, due: bool) -> None:
    """A node's sweep begins at its delay itself; the window still ends where it ends for all."""
    assert make_calendar(delay=30 * MINUTE).due(MIDNIGHT + since, None) == (MIDNIGHT if due else None)


@pytest.mark.parametrize(("done", "due"), [(-DAY, True), (-MICROSECOND, True), (NOTHING, False), (DAY, False)])
def test_what_is_done_is_not_due_again(done: timedelta, due: bool) -> None:
    """An occurrence is due until it is done; one done later counts for those before too."""
    now = MIDNIGHT + HOUR
    assert make_calendar().due(now, MIDNIGHT + done) == (MIDNIGHT if due else None)


def test_only_the_latest_occurrence_counts() -> None:
    """A daemon that was away does not catch up on windows that a later occurrence follows."""
    hourly = make_calendar("0 * * * *", window=4 * HOUR)
    assert hourly.due(MIDNIGHT + 3 * HOUR + MINUTE, None) == MIDNIGHT + 3 * HOUR


def test_next_start_is_after_now() -> None:
    """The next sweep begins at the next occurrence and this node's delay, never at this very moment."""
    calendar = make_calendar(delay=30 * MINUTE)
    start = MIDNIGHT + 30 * MINUTE
    assert calendar.next_start(start - MICROSECOND) == start
    assert calendar.next_start(start) == start + DAY
    assert calendar.next_start(start + MICROSECOND) == start + DAY
    assert calendar.next_start(MIDNIGHT) == start


def test_now_may_be_in_any_zone() -> None:
    """The same moment in another zone is due alike, and the answer is in UTC."""
    there = (MIDNIGHT + HOUR).astimezone(NEW_YORK)
    answer = make_calendar().due(there, None)
    assert answer == MIDNIGHT
    assert answer is not None
    assert answer.tzinfo is UTC


def test_a_schedule_that_never_comes_is_never_due() -> None:
    """A first of the month that is a second Monday: nothing is due, and nothing hangs."""
    never = make_calendar("0 0 */31 * 1#2")
    assert never.due(NOW, None) is None
    assert never.next_start(NOW) is None


@pytest.mark.parametrize("window", [timedelta(days=99_999_999), timedelta.max])
def test_a_window_beyond_the_calendar_breaks_nothing(window: timedelta) -> None:
    """A window without an end is open from the first occurrence on."""
    assert make_calendar(window=window).due(NOW, None) == MIDNIGHT


@pytest.mark.parametrize(
    ("schedule", "timezone", "start", "end", "expected"),
    [
        # Paris, spring: 02:00 becomes 03:00 at 01:00 UTC.
        ("0 2 * * *", PARIS, "03-28 22:00", "03-30 02:00", ["03-29 01:00", "03-30 00:00"]),
        ("30 2 * * *", PARIS, "03-28 22:00", "03-30 02:00", ["03-29 01:00", "03-30 00:30"]),
        ("0 3 * * *", PARIS, "03-28 22:00", "03-30 02:00", ["03-29 01:00", "03-30 01:00"]),
        ("0 0 * * *", PARIS, "03-28 22:00", "03-30 02:00", ["03-28 23:00", "03-29 22:00"]),
        # Paris, autumn: 03:00 becomes 02:00 at 01:00 UTC.
        ("0 2 * * *", PARIS, "10-24 21:00", "10-26 03:00", ["10-25 00:00", "10-26 01:00"]),
        ("30 2 * * *", PARIS, "10-24 21:00", "10-26 03:00", ["10-25 00:30", "10-26 01:30"]),
        ("59 2 * * *", PARIS, "10-24 21:00", "10-26 03:00", ["10-25 00:59", "10-26 01:59"]),
        ("0 3 * * *", PARIS, "10-24 21:00", "10-26 03:00", ["10-25 02:00", "10-26 02:00"]),
        ("0 0 * * *", PARIS, "10-24 21:00", "10-26 03:00", ["10-24 22:00", "10-25 23:00"]),
        ("30 1,2 * * *", PARIS, "10-24 22:00", "10-25 12:00", ["10-24 23:30", "10-25 00:30"]),
        # New York, spring: 02:00 becomes 03:00 at 07:00 UTC.
        ("30 2 * * *", NEW_YORK, "03-08 00:00", "03-09 08:00", ["03-08 07:00", "03-09 06:30"]),
        ("0 0 * * *", NEW_YORK, "03-08 04:00", "03-09 08:00", ["03-08 05:00", "03-09 04:00"]),
        # New York, autumn: 02:00 becomes 01:00 at 06:00 UTC.
        ("0 1 * * *", NEW_YORK, "11-01 04:00", "11-02 08:00", ["11-01 05:00", "11-02 06:00"]),
        ("30 1 * * *", NEW_YORK, "11-01 04:00", "11-02 08:00", ["11-01 05:30", "11-02 06:30"]),
        ("59 1 * * *", NEW_YORK, "11-01 04:00", "11-02 08:00", ["11-01 05:59", "11-02 06:59"]),
        # No change of time at all.
        ("0 0 * * 0", PLAIN_UTC, "05-30 20:00", "05-31 20:00", ["05-31 00:00"]),
    ],
)
@pytest.mark.parametrize(("window", "delay"), [(10 * MINUTE, 9 * MINUTE), (4 * HOUR, NOTHING)])
def test_each_night_has_one_sweep(  # noqa: PLR0917 a column of the table each
    schedule: str,
    timezone: ZoneInfo,
    start: str,
    end: str,
    expected: list[str],
    window: timedelta,
    delay: timedelta,
) -> None:
    """Minute by minute, each occurrence is swept once and on time, in the nights that are longer or shorter too."""
    calendar = make_calendar(schedule, timezone, window, delay)
    on_time = [(f"{at(text) + delay:%m-%d %H:%M}", text) for text in expected]
    assert swept(calendar, at(start), at(end)) == on_time


def test_a_repeated_hour_stays_due_until_it_is_done() -> None:
    """In the second pass of the repeated hour the occurrence of the first is still due, for a sweep that failed."""
    calendar = make_calendar("30 2 * * *", PARIS, window=2 * HOUR)
    first = at("10-25 00:30")
    for now in every(MINUTE, first, first + 2 * HOUR):
        assert calendar.due(now, None) == first
        assert calendar.due(now, first) is None


def test_next_start_in_a_repeated_hour_is_ahead() -> None:
    """In the second pass of the repeated hour the next sweep is tomorrow's, not one that has been."""
    calendar = make_calendar("30 2 * * *", PARIS)
    assert calendar.next_start(at("10-25 00:29")) == at("10-25 00:30")
    for now in every(MINUTE, at("10-25 00:30"), at("10-25 03:00")):
        assert calendar.next_start(now) == at("10-26 01:30")


@pytest.mark.parametrize("delay", [NOTHING, 14 * MINUTE, 15 * MINUTE, 40 * MINUTE])
@pytest.mark.parametrize("start", ["03-28 21:00", "06-01 00:00", "10-24 21:00"])
def test_every_quarter_of_an_hour_has_one_sweep(start: str, delay: timedelta) -> None:
    """`*/15` runs each quarter of real time once, repeated and skipped hours included, however late the node is."""
    calendar = make_calendar("*/15 * * * *", PARIS, window=HOUR, delay=delay)
    begin = at(start) + delay
    expected = [
        (f"{now + delay:%m-%d %H:%M}", f"{now:%m-%d %H:%M}")
        for now in every(15 * MINUTE, at(start), at(start) + 8 * HOUR)
    ]
    assert swept(calendar, begin, begin + 8 * HOUR) == expected


def test_hourly_with_a_window_longer_than_an_hour() -> None:
    """Windows that overlap still give one sweep an hour."""
    calendar = make_calendar("0 * * * *", window=5 * HOUR, delay=90 * MINUTE)
    start = at("06-01 01:30")
    expected = [
        (f"{now + 90 * MINUTE:%m-%d %H:%M}", f"{now:%m-%d %H:%M}")
        for now in every(HOUR, at("06-01 00:00"), at("06-02 00:00"))
    ]
    assert swept(calendar, start, start + DAY) == expected


def test_a_year_has_a_sweep_for_each_of_its_days() -> None:
    """Hour by hour through a leap year: one sweep each local midnight, 366 of them."""
    start = datetime(2028, 1, 1, tzinfo=PARIS).astimezone(UTC)
    end = datetime(2029, 1, 1, tzinfo=PARIS).astimezone(UTC)
    calendar = make_calendar(timezone=PARIS, delay=7 * MINUTE)
    sweeps = swept(calendar, start, end, step=HOUR)
    assert len(sweeps) == 366
    assert len({occurrence for _, occurrence in sweeps}) == 366


def test_leap_day() -> None:
    """29 February is swept in leap years, and the next one is four years ahead."""
    calendar = make_calendar("0 0 29 2 *")
    leap = datetime(2028, 2, 29, tzinfo=UTC)
    assert calendar.due(leap, None) == leap
    assert calendar.due(leap - MICROSECOND, None) is None
    assert calendar.next_start(leap) == datetime(2032, 2, 29, tzinfo=UTC)
    assert calendar.due(datetime(2027, 3, 1, tzinfo=UTC), None) is None


def test_a_delay_across_midnight_belongs_to_the_day_before() -> None:
    """An occurrence at 23:30 with an hour's delay is swept at 00:30, once, and its window ends as written."""
    calendar = make_calendar("30 23 * * *", window=2 * HOUR, delay=HOUR)
    expected = [("06-02 00:30", "06-01 23:30"), ("06-03 00:30", "06-02 23:30")]
    assert swept(calendar, at("06-01 12:00"), at("06-03 12:00")) == expected
    assert calendar.due(at("06-02 01:30") - MICROSECOND, None) == at("06-01 23:30")
    assert calendar.due(at("06-02 01:30"), None) is None


def test_seconds_do_not_hide_an_occurrence() -> None:
    """A look a moment after the minute still finds the occurrence of that minute."""
    for after in (NOTHING, MICROSECOND, SECOND / 2, SECOND, 59 * SECOND, MINUTE - MICROSECOND):
        assert make_calendar().due(MIDNIGHT + after, None) == MIDNIGHT


# ---- splay


def test_delays_are_whole_seconds_below_the_splay() -> None:
    """Nodes spread over the splay: no delay reaches it, and both ends of it are used."""
    nightly = make_nightly(splay=5 * SECOND)
    delays = {calendar_of(nightly, f"node-{number}").delay for number in range(200)}
    assert delays == {second * SECOND for second in range(5)}


def test_a_delay_is_the_same_in_every_run() -> None:
    """The delay is a hash of the name alone: a restart does not move a node, and the name may be any text."""
    nightly = make_nightly(splay=HOUR)
    assert calendar_of(nightly, "node-1") == calendar_of(nightly, "node-1")
    assert calendar_of(nightly, "node-1").delay == timedelta(seconds=1242)
    for name in ("", "ノード", "n" * 10_000):
        assert NOTHING <= calendar_of(nightly, name).delay < HOUR


@pytest.mark.parametrize("splay", [NOTHING, SECOND - MICROSECOND, SECOND])
def test_without_a_splay_there_is_no_delay(splay: timedelta) -> None:
    """A splay of up to a second leaves no choice."""
    assert calendar_of(make_nightly(splay=splay), "node-1").delay == NOTHING


# ---- the clock


def jumped(by: timedelta) -> ClockSense:
    """A clock that moved `by` more than the second that went by."""
    return ClockSense(NOW, 0.0).look(NOW + SECOND + by, 1.0)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("by", "sane"), [(CLOCK_JUMP - MICROSECOND, True), (CLOCK_JUMP, True), (CLOCK_JUMP + MICROSECOND, False)]
)
def test_a_jump_of_more_than_ten_minutes_is_not_believed(by: timedelta, sane: bool, sign: int) -> None:
    """Ten minutes either way are a correction; a microsecond more is a jump."""
    assert timedelta(minutes=10) == CLOCK_JUMP
    assert jumped(sign * by).sane is sane


def test_a_correction_of_ten_minutes_is_no_jump() -> None:
    """Ten minutes themselves leave nothing to be taken away later."""
    assert jumped(CLOCK_JUMP).offset == NOTHING


@pytest.mark.parametrize(
    ("left", "sane"), [(CLOCK_JUMP - MICROSECOND, True), (CLOCK_JUMP, True), (CLOCK_JUMP + MICROSECOND, False)]
)
def test_jumps_may_leave_ten_minutes(left: timedelta, sane: bool) -> None:
    """A clock that jumped far and back is believed if it ends up ten minutes off or less."""
    there = jumped(DAY)
    back = there.look(NOW + 2 * SECOND + left, 2.0)
    assert back.offset == left
    assert back.sane is sane


def test_time_that_passes_is_no_jump() -> None:
    """A look after a week that both clocks counted finds nothing odd."""
    assert ClockSense(NOW, 0.0).look(NOW + 7 * DAY, 7 * 86400.0).sane


def test_a_jump_back_takes_the_jump_away() -> None:
    """A clock that returns to where it was is believed at once."""
    there = jumped(DAY)
    assert there.offset == DAY
    back = there.look(NOW + 2 * SECOND, 2.0)
    assert back.sane
    assert back.offset == NOTHING


def test_jumps_add_up() -> None:
    """A second jump the same way leaves the clock as far off as both together."""
    assert jumped(HOUR).look(NOW + 2 * SECOND + 2 * HOUR, 2.0).offset == 2 * HOUR


@pytest.mark.parametrize(("short_of", "sane"), [(MICROSECOND, False), (NOTHING, True), (-MICROSECOND, True)])
def test_a_new_time_is_believed_after_a_day(short_of: timedelta, sane: bool) -> None:
    """A clock that jumped and then ran true for 24 hours is believed, from 24 hours on."""
    assert timedelta(hours=24) == BELIEVED_AFTER
    sense = jumped(HOUR)
    later = BELIEVED_AFTER - short_of
    assert sense.look(sense.wall + later, sense.monotonic + later.total_seconds()).sane is sane


def test_another_jump_starts_the_day_again() -> None:
    """The day counts from the latest jump."""
    sense = jumped(HOUR)
    sense = sense.look(sense.wall + 23 * HOUR, sense.monotonic + 23 * 3600)
    sense = sense.look(sense.wall + 2 * HOUR, sense.monotonic + 3600)
    assert not sense.sane
    assert not sense.look(sense.wall + 23 * HOUR, sense.monotonic + 23 * 3600).sane
    assert sense.look(sense.wall + 24 * HOUR, sense.monotonic + 24 * 3600).sane
