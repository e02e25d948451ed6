"""Nightly runs by exhaustion: each occurrence once, over changes of time, restarts and long absences."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from cleaner.core.history import NightlyRun
from cleaner.core.nightly import Calendar, calendar_of
from support.nights import PLAIN_UTC, KnownCalendar, NightlyNode, make_nightly, make_nightly_node, occurrences
from support.values import DAY, HOUR, MINUTE

PARIS = ZoneInfo("Europe/Paris")
NOTHING = timedelta(0)
STEP = 10 * MINUTE
SPRING, AUTUMN = datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)
LEAP_DAY, ORDINARY = datetime(2028, 2, 29, tzinfo=UTC), datetime(2026, 6, 10, tzinfo=UTC)
SPECIAL = [SPRING, AUTUMN, LEAP_DAY, ORDINARY]
SCHEDULES = ["0 0 * * *", "30 1 * * *", "30 2 * * *", "0 3 * * *"]


def make_calendar(schedule: str, timezone: ZoneInfo = PARIS, delay: timedelta = NOTHING) -> KnownCalendar:
    return KnownCalendar(make_nightly(schedule, timezone), delay)


def node_of(calendar: Calendar, start: datetime) -> NightlyNode:
    """A node that has swept for every occurrence until `start`."""
    last = calendar.latest(start)
    assert last is not None
    return make_nightly_node(calendar, start, nightly_run=NightlyRun(last, last + calendar.delay))


def by_day(start: datetime, days: int) -> Iterator[datetime]:
    return (start + number * DAY for number in range(days))


def office_hours(node: NightlyNode, start: datetime, days: int, week: int = 7) -> None:
    """Run from 8:00 to 18:00 local time on the first days of each week, and be off at all other times."""
    for day in by_day(start, days):
        if day.weekday() < week:
            node.down(day.replace(hour=8, tzinfo=PARIS).astimezone(UTC))
            node.up(day.replace(hour=18, tzinfo=PARIS).astimezone(UTC), step=30 * MINUTE)


# ---- odd days


@pytest.mark.parametrize("delay", [NOTHING, 50 * MINUTE])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("special", SPECIAL)
def test_each_occurrence_is_swept_once_and_when_it_was_announced(
    special: datetime, schedule: str, delay: timedelta
) -> None:
    """Over longer and shorter days and a leap day, sweeps are cronsim's occurrences, at the announced times."""
    calendar = make_calendar(schedule, delay=delay)
    start, end = special - 3 * HOUR, special + 30 * HOUR
    node, announced = node_of(calendar, start), set()
    while node.timer.wall < end:
        announced.add(calendar.next_start(node.timer.wall))
        node.up(node.timer.wall + STEP, STEP)
    expected = occurrences(schedule, PARIS, start, end)
    assert node.sweeps == [(occurrence + delay, occurrence) for occurrence in expected]
    assert sorted(filter(None, announced))[:-1] == [when for when, _ in node.sweeps]


@pytest.mark.parametrize("name", [f"node-{number}" for number in range(8)])
@pytest.mark.parametrize("special", [SPRING, AUTUMN, LEAP_DAY])
def test_a_splay_over_midnight(special: datetime, name: str) -> None:
    """An hour of splay after 23:30 is over on the next day for most: each node sweeps once for each occurrence."""
    nightly = make_nightly("30 23 * * *", PARIS, splay=HOUR)
    calendar = KnownCalendar(nightly, calendar_of(nightly, name).delay)
    start, end = special - 3 * HOUR, special + 27 * HOUR
    node = node_of(calendar, start)
    node.up(end, STEP)
    assert node.swept == occurrences("30 23 * * *", PARIS, start, end)
    assert all(NOTHING <= when - occurrence - calendar.delay < STEP for when, occurrence in node.sweeps)


def test_delays_of_nodes_lie_on_both_sides_of_midnight() -> None:
    """The nodes of the test above cover both cases."""
    nightly = make_nightly("30 23 * * *", splay=HOUR)
    delays = [calendar_of(nightly, f"node-{number}").delay for number in range(8)]
    assert min(delays) < 30 * MINUTE < max(delays)


@pytest.mark.parametrize("schedule", ["0 2 * * 0", "30 0 1 * *", "0 0 29 2 *"])
def test_rare_schedules(schedule: str) -> None:
    """Weekly, monthly and rarer ones are swept for once each, in a leap year, and no more often."""
    calendar = make_calendar(schedule, delay=7 * MINUTE)
    start, end = datetime(2027, 12, 20, 12, tzinfo=UTC), datetime(2029, 1, 10, 12, tzinfo=UTC)
    node = node_of(calendar, start)
    node.up(end, step=3 * HOUR)
    assert node.swept == occurrences(schedule, PARIS, start, end)


# ---- restarts and nodes that are off


@pytest.mark.parametrize("special", SPECIAL)
def test_restarts_at_every_minute(special: datetime) -> None:
    """A daemon that is started anew at any minute around the hour sweeps once per occurrence all the same."""
    calendar = make_calendar("30 2 * * *", delay=10 * MINUTE)
    start, end = special - HOUR, special + 27 * HOUR
    expected = occurrences("30 2 * * *", PARIS, start, end)
    for minute in range(240):
        node = node_of(calendar, start)
        node.up(special + minute * MINUTE, step=20 * MINUTE)
        node.down(special + minute * MINUTE)
        node.up(special + 6 * HOUR, step=20 * MINUTE)
        node.up(end, step=2 * HOUR)
        assert node.swept == expected, minute


@pytest.mark.parametrize("special", SPECIAL)
def test_a_restart_before_each_check(special: datetime) -> None:
    """A daemon that is restarted before each check sweeps once per occurrence, minute by minute."""
    node = node_of(make_calendar("30 2 * * *"), special - 2 * HOUR)
    while node.timer.wall < special + 6 * HOUR:
        node.up(node.timer.wall + MINUTE, step=MINUTE)
        node.down(node.timer.wall)
    assert node.swept == occurrences("30 2 * * *", PARIS, special - 2 * HOUR, special + 6 * HOUR)


@pytest.mark.parametrize("special", [SPRING, LEAP_DAY, ORDINARY])
def test_down_at_the_hour(special: datetime) -> None:
    """Off since before the hour, a node sweeps once it is up inside the window; after it, at the next occurrence."""
    calendar = make_calendar("30 2 * * *")
    first, second = occurrences("30 2 * * *", PARIS, special, special + 2 * DAY)
    for minute in range(300):
        node, back = node_of(calendar, first - 10 * MINUTE), first + minute * MINUTE
        node.up(first - 5 * MINUTE)
        node.down(back)
        node.up(second + HOUR, step=HOUR)
        expected = [first, second] if minute < 240 else [second]
        assert node.swept == expected
        assert (node.sweeps[0][0] == back) is (minute < 240)
        assert second <= node.sweeps[-1][0] < second + HOUR


def test_down_at_the_hour_before_the_longest_day() -> None:
    """48 hours are over an hour before the occurrence after a day of 25 hours: the missed one runs just before it."""
    first, second = occurrences("30 2 * * *", PARIS, AUTUMN, AUTUMN + 2 * DAY)
    node = node_of(make_calendar("30 2 * * *"), first - 10 * MINUTE)
    node.down(first + 4 * HOUR)
    node.up(second + HOUR)
    assert node.sweeps == [(second - HOUR, first), (second, second)]


def test_overdue_is_from_48_hours_on() -> None:
    """A node that missed its hours catches up at any hour once the last nightly sweep ended 48 hours ago, once."""
    calendar = make_calendar("0 0 * * *", PLAIN_UTC)
    for minute in range(-30, 30):
        node = node_of(calendar, ORDINARY + DAY)
        node.stored.nightly_run = NightlyRun(ORDINARY, ORDINARY + 8 * HOUR + 3 * MINUTE)
        back = ORDINARY + 2 * DAY + 8 * HOUR + minute * MINUTE
        node.down(back)
        node.up(ORDINARY + 3 * DAY, step=MINUTE * 6)
        waited = [when - (ORDINARY + 8 * HOUR + 3 * MINUTE) for when, _ in node.sweeps]
        assert node.swept == [ORDINARY + 2 * DAY]
        assert 48 * HOUR <= waited[0] < max(48 * HOUR + 6 * MINUTE, 48 * HOUR + minute * MINUTE)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("special", SPECIAL)
def test_a_node_that_sleeps_at_night_sweeps_every_second_day(special: datetime, schedule: str) -> None:
    """Up from 8:00 to 18:00 only, a node catches up every second day in its first hour, whatever the season."""
    start = special - 7 * DAY
    node = node_of(make_calendar(schedule), start)
    office_hours(node, start, 14)
    assert len(set(node.swept)) == len(node.swept)
    assert {when.astimezone(PARIS).hour for when, _ in node.sweeps} <= {8, 9}
    days = [(after.date() - before.date()).days for (before, _), (after, _) in pairwise(node.sweeps)]
    assert (node.sweeps[0][0] - start).days <= 2
    assert set(days) == {2}


def test_a_node_that_is_off_at_weekends_too() -> None:
    """A weekend off is no reason to doubt the clock: on Monday the node catches up, then every second day."""
    start = ORDINARY - timedelta(days=ORDINARY.weekday())
    node = node_of(make_calendar("0 0 * * *"), start)
    office_hours(node, start, 28, week=5)
    assert [when.strftime("%a") for when, _ in node.sweeps][-9:] == ["Mon", "Wed", "Fri"] * 3


@pytest.mark.parametrize("schedule", ["0 2 * * 0", "0 2 1 * *"])
@pytest.mark.parametrize("sleeps", [False, True])
def test_overdue_makes_no_rare_schedule_frequent(schedule: str, sleeps: bool) -> None:
    """A weekly or monthly sweep is caught up with once where the node was off, and comes no more often than that."""
    calendar, start = make_calendar(schedule), datetime(2026, 1, 7, tzinfo=UTC)
    node, expected = node_of(calendar, start), occurrences(schedule, PARIS, start, start + 90 * DAY)
    if sleeps:
        office_hours(node, start, 90)
    else:
        node.up(start + 90 * DAY, step=HOUR)
    assert node.swept == expected
    assert all(when - occurrence < (8 * HOUR if sleeps else HOUR) for when, occurrence in node.sweeps)


# ---- the first nightly runs


@pytest.mark.parametrize("hours", [0, 1, 12, 24, 25, 48, 71, 72, 100])
def test_the_first_sweep_is_a_scheduled_one(hours: int) -> None:
    """Once the memory is as old as grace the next occurrence is the first, even after a grace longer than `overdue`."""
    start = ORDINARY + 12 * HOUR
    node = make_nightly_node(make_calendar("0 0 * * *", PLAIN_UTC), start, since=NOTHING, grace=hours * HOUR)
    node.up(start + 7 * DAY, step=30 * MINUTE)
    known = start + hours * HOUR
    scheduled = occurrences("0 0 * * *", PLAIN_UTC, known - 4 * HOUR + MINUTE, start + 7 * DAY)
    assert node.sweeps == [(max(at, known), at) for at in scheduled]


@pytest.mark.parametrize("schedule", ["0 0 * * 0", "0 0 1 * *"])
@pytest.mark.parametrize("sleeps", [False, True])
def test_what_came_before_the_agent_was_not_missed(schedule: str, sleeps: bool) -> None:
    """A new node with a rare schedule does not catch up with an occurrence from before it was known."""
    start, days = ORDINARY + 8 * HOUR, 30
    node = make_nightly_node(make_calendar(schedule), start, since=NOTHING)
    if sleeps:
        office_hours(node, start, days)
    else:
        node.up(start + days * DAY, step=HOUR)
    assert node.swept == occurrences(schedule, PARIS, start, start + days * DAY)


def test_a_new_node_that_sleeps_at_night() -> None:
    """Its first sweep comes at the latest when its habits are known and `overdue` has passed since."""
    start = ORDINARY + 6 * HOUR
    node = make_nightly_node(make_calendar("0 0 * * *"), start, since=NOTHING)
    office_hours(node, ORDINARY, 10)
    assert node.sweeps[0][0] - start == 3 * DAY
    assert {after - before for (before, _), (after, _) in pairwise(node.sweeps)} == {2 * DAY}
