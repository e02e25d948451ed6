"""The nightly window: each occurrence is due once, on every kind of day."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cleaner.core.history import NightlyRun
from cleaner.core.nightly import Calendar, calendar_of
from support.nights import PLAIN_UTC, every, make_nightly
from support.values import DAY, HOUR, MICROSECOND, MINUTE, NOW, SECOND

PARIS, NEW_YORK = ZoneInfo("Europe/Paris"), ZoneInfo("America/New_York")
NOTHING = timedelta(0)


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


def asked(calendar: Calendar, now: datetime, done: datetime | None = None) -> datetime | None:
    """What is due inside the window: nothing is ever overdue."""
    return calendar.due(now, None if done is None else NightlyRun(done, now), now)


def swept(calendar: Calendar, start: datetime, end: datetime, step: timedelta = MINUTE) -> list[tuple[str, str]]:
    """(when, which occurrence) of each sweep of a daemon that checks every `step` and is done at once."""
    done, sweeps = asked(calendar, start - step), []
    for now in every(step, start, end):
        occurrence = asked(calendar, now, done)
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
    """The window includes its first moment and not its last."""
    assert asked(make_calendar(), MIDNIGHT + since) == (MIDNIGHT if due else None)


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
    assert asked(make_calendar(delay=30 * MINUTE), MIDNIGHT + since) == (MIDNIGHT if due else None)


@pytest.mark.parametrize(("done", "due"), [(-DAY, True), (-MICROSECOND, True), (NOTHING, False), (DAY, False)])
def test_what_is_done_is_not_due_again(done: timedelta, due: bool) -> None:
    """An occurrence is due until it is done; one done later counts for those before too."""
    now = MIDNIGHT + HOUR
    assert asked(make_calendar(), now, MIDNIGHT + done) == (MIDNIGHT if due else None)


@pytest.mark.parametrize(("short_of", "due"), [(MICROSECOND, False), (NOTHING, True), (-MICROSECOND, True)])
def test_what_was_missed_is_due_once_the_last_sweep_is_overdue(short_of: timedelta, due: bool) -> None:
    """After its window an occurrence is due from 48 hours after the end of the last nightly sweep on."""
    now = MIDNIGHT + 12 * HOUR
    last = NightlyRun(MIDNIGHT - 2 * DAY, now - 48 * HOUR + short_of)
    assert make_calendar().due(now, last, NOW - 365 * DAY) == (MIDNIGHT if due else None)
    assert make_calendar().due(now, last, now - 48 * HOUR + MICROSECOND) is None
    assert make_calendar().due(now, NightlyRun(MIDNIGHT, last.ended_at), NOW - 365 * DAY) is None


@pytest.mark.parametrize(("late", "due"), [(-MICROSECOND, True), (NOTHING, True), (MICROSECOND, False)])
def test_what_could_not_have_been_swept_for_was_not_missed(late: timedelta, due: bool) -> None:
    """An occurrence from before one could have been swept for is due inside its window only."""
    first = datetime(2026, 6, 1, tzinfo=UTC)
    monthly, now = make_calendar("0 0 1 * *"), first + 5 * DAY
    assert monthly.due(now, None, first + late) == (first if due else None)
    assert monthly.due(first + HOUR, None, first + late) == first


def test_only_the_latest_occurrence_counts() -> None:
    """A daemon that was off does not catch up on windows that a later occurrence follows."""
    hourly = make_calendar("0 * * * *", window=4 * HOUR)
    assert asked(hourly, MIDNIGHT + 3 * HOUR + MINUTE) == MIDNIGHT + 3 * HOUR


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
    answer = asked(make_calendar(), there)
    assert answer == MIDNIGHT
    assert answer is not None
    assert answer.tzinfo is UTC


def test_a_schedule_that_never_comes_is_never_due() -> None:
    """A first of the month that is a second Monday: nothing is due, and nothing hangs."""
    never = make_calendar("0 0 */31 * 1#2")
    assert asked(never, NOW) is None
    assert never.next_start(NOW) is None


@pytest.mark.parametrize("window", [timedelta(days=99_999_999), timedelta.max])
def test_a_window_beyond_the_calendar_breaks_nothing(window: timedelta) -> None:
    """A window without an end is open from the first occurrence on."""
    assert asked(make_calendar(window=window), NOW) == MIDNIGHT
    assert make_calendar(window=window).end_of(MIDNIGHT, NOW) == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "has_end"), [(NOTHING, True), (4 * HOUR - MICROSECOND, True), (4 * HOUR, False), (DAY, False)]
)
def test_a_sweep_ends_with_the_window_that_it_began_in(since: timedelta, has_end: bool) -> None:
    """The end is the window's, whatever the delay; a sweep that begins at the end itself catches up, and has none."""
    end = make_calendar(delay=30 * MINUTE).end_of(MIDNIGHT, MIDNIGHT + since)
    assert end == (MIDNIGHT + 4 * HOUR if has_end else None)


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
def test_each_nightly_run_has_one_sweep(  # noqa: PLR0917 a column of the table each
    schedule: str,
    timezone: ZoneInfo,
    start: str,
    end: str,
    expected: list[str],
    window: timedelta,
    delay: timedelta,
) -> None:
    """Minute by minute, each occurrence is swept once and on time, also on days that are longer or shorter."""
    calendar = make_calendar(schedule, timezone, window, delay)
    on_time = [(f"{at(text) + delay:%m-%d %H:%M}", text) for text in expected]
    assert swept(calendar, at(start), at(end)) == on_time


def test_a_repeated_hour_stays_due_until_it_is_done() -> None:
    """In the second pass of the repeated hour the occurrence of the first is still due, for a sweep that failed."""
    calendar = make_calendar("30 2 * * *", PARIS, window=2 * HOUR)
    first = at("10-25 00:30")
    for now in every(MINUTE, first, first + 2 * HOUR):
        assert asked(calendar, now) == first
        assert asked(calendar, now, first) is None


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
    assert asked(calendar, leap) == leap
    assert asked(calendar, leap - MICROSECOND) is None
    assert calendar.next_start(leap) == datetime(2032, 2, 29, tzinfo=UTC)
    assert asked(calendar, datetime(2027, 3, 1, tzinfo=UTC)) is None


def test_a_delay_across_midnight_belongs_to_the_day_before() -> None:
    """An occurrence at 23:30 with an hour's delay is swept at 00:30, once, and its window ends as written."""
    calendar = make_calendar("30 23 * * *", window=2 * HOUR, delay=HOUR)
    expected = [("06-02 00:30", "06-01 23:30"), ("06-03 00:30", "06-02 23:30")]
    assert swept(calendar, at("06-01 12:00"), at("06-03 12:00")) == expected
    assert asked(calendar, at("06-02 01:30") - MICROSECOND) == at("06-01 23:30")
    assert asked(calendar, at("06-02 01:30")) is None


def test_seconds_do_not_hide_an_occurrence() -> None:
    """A check a moment after the minute still finds the occurrence of that minute."""
    for after in (NOTHING, MICROSECOND, SECOND / 2, SECOND, 59 * SECOND, MINUTE - MICROSECOND):
        assert asked(make_calendar(), MIDNIGHT + after) == MIDNIGHT


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
