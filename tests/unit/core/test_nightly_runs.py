"""Nights by exhaustion: each occurrence once, over changes of time, restarts, nodes that are off, and long absences."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from cleaner.core.history import NightlyRun
from cleaner.core.nightly import Calendar, calendar_of
from support.nights import PLAIN_UTC, KnownCalendar, NightNode, make_night_node, make_nightly, occurrences
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


def rested(calendar: Calendar, start: datetime) -> NightNode:
    """A node that has swept for every occurrence until `start`."""
    last = calendar.latest(start)
    assert last is not None
    return make_night_node(calendar, start, night=NightlyRun(last, last + calendar.delay))


def by_day(start: datetime, days: int) -> Iterator[datetime]:
    return (start + number * DAY for number in range(days))


def office_hours(node: NightNode, start: datetime, days: int, week: int = 7) -> None:
    """Run from 8:00 to 18:00 local time on the first days of each week, and be off at all other times."""
    for day in by_day(start, days):
        if day.weekday() < week:
            node.down(day.replace(hour=8, tzinfo=PARIS).astimezone(UTC))
            node.up(day.replace(hour=18, tzinfo=PARIS).astimezone(UTC), step=30 * MINUTE)


# ---- nights that are odd


@pytest.mark.parametrize("delay", [NOTHING, 50 * MINUTE])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("special", SPECIAL)
def test_each_occurrence_is_swept_once_and_when_it_was_foretold(
    special: datetime, schedule: str, delay: timedelta
) -> None:
    """Over nights that are longer or shorter, and a leap day, sweeps are cronsim's occurrences and come as foretold."""
    calendar = make_calendar(schedule, delay=delay)
    start, end = special - 3 * HOUR, special + 30 * HOUR
    node, foretold = rested(calendar, start), set()
    while node.timer.wall < end:
        foretold.add(calendar.next_start(node.timer.wall))
        node.up(node.timer.wall + STEP, STEP)
    expected = occurrences(schedule, PARIS, start, end)
    assert node.sweeps == [(occurrence + delay, occurrence) for occurrence in expected]
    assert sorted(filter(None, foretold))[:-1] == [when for when, _ in node.sweeps]


@pytest.mark.parametrize("name", [f"node-{number}" for number in range(8)])
@pytest.mark.parametrize("special", [SPRING, AUTUMN, LEAP_DAY])
def test_a_splay_over_midnight(special: datetime, name: str) -> None:
    """An hour of splay after 23:30 is over on the next day for most: each node sweeps once for each occurrence."""
    nightly = make_nightly("30 23 * * *", PARIS, splay=HOUR)
    calendar = KnownCalendar(nightly, calendar_of(nightly, name).delay)
    start, end = special - 3 * HOUR, special + 27 * HOUR
    node = rested(calendar, start)
    node.up(end, STEP)
    assert node.swept == occurrences("30 23 * * *", PARIS, start, end)
    assert all(NOTHING <= when - occurrence - calendar.delay < STEP for when, occurrence in node.sweeps)


def test_delays_of_nodes_lie_on_both_sides_of_midnight() -> None:
    """The nodes of the test above are worth looking at."""
    nightly = make_nightly("30 23 * * *", splay=HOUR)
    delays = [calendar_of(nightly, f"node-{number}").delay for number in range(8)]
    assert min(delays) < 30 * MINUTE < max(delays)


@pytest.mark.parametrize("schedule", ["0 2 * * 0", "30 0 1 * *", "0 0 29 2 *"])
def test_rare_schedules(schedule: str) -> None:
    """Weekly, monthly and rarer ones are swept for once each, in a leap year, and no more often."""
    calendar = make_calendar(schedule, delay=7 * MINUTE)
    start, end = datetime(2027, 12, 20, 12, tzinfo=UTC), datetime(2029, 1, 10, 12, tzinfo=UTC)
    node = rested(calendar, start)
    node.up(end, step=3 * HOUR)
    assert node.swept == occurrences(schedule, PARIS, start, end)


# ---- restarts and nodes that are off


@pytest.mark.parametrize("special", SPECIAL)
def test_restarts_at_every_minute(special: datetime) -> None:
    """A daemon that is started anew at any minute around the hour sweeps once a night all the same."""
    calendar = make_calendar("30 2 * * *", delay=10 * MINUTE)
    start, end = special - HOUR, special + 27 * HOUR
    expected = occurrences("30 2 * * *", PARIS, start, end)
    for minute in range(240):
        node = rested(calendar, start)
        node.up(special + minute * MINUTE, step=20 * MINUTE)
        node.down(special + minute * MINUTE)
        node.up(special + 6 * HOUR, step=20 * MINUTE)
        node.up(end, step=2 * HOUR)
        assert node.swept == expected, minute


@pytest.mark.parametrize("special", SPECIAL)
def test_a_restart_before_each_look(special: datetime) -> None:
    """A daemon that lives for one look each sweeps once a night, minute by minute."""
    node = rested(make_calendar("30 2 * * *"), special - 2 * HOUR)
    while node.timer.wall < special + 6 * HOUR:
        node.up(node.timer.wall + MINUTE, step=MINUTE)
        node.down(node.timer.wall)
    assert node.swept == occurrences("30 2 * * *", PARIS, special - 2 * HOUR, special + 6 * HOUR)


@pytest.mark.parametrize("special", [SPRING, LEAP_DAY, ORDINARY])
def test_down_at_the_hour(special: datetime) -> None:
    """Off since before the hour, a node sweeps as soon as it is back inside the window; after it, in the next night."""
    calendar = make_calendar("30 2 * * *")
    first, second = occurrences("30 2 * * *", PARIS, special, special + 2 * DAY)
    for minute in range(300):
        node, back = rested(calendar, first - 10 * MINUTE), first + minute * MINUTE
        node.up(first - 5 * MINUTE)
        node.down(back)
        node.up(second + HOUR, step=HOUR)
        expected = [first, second] if minute < 240 else [second]
        assert node.swept == expected
        assert (node.sweeps[0][0] == back) is (minute < 240)
        assert second <= node.sweeps[-1][0] < second + HOUR


def test_down_at_the_hour_before_the_longest_day() -> None:
    """48 hours are over an hour before the night that follows a day of 25: what was missed comes just before it."""
    first, second = occurrences("30 2 * * *", PARIS, AUTUMN, AUTUMN + 2 * DAY)
    node = rested(make_calendar("30 2 * * *"), first - 10 * MINUTE)
    node.down(first + 4 * HOUR)
    node.up(second + HOUR)
    assert node.sweeps == [(second - HOUR, first), (second, second)]


def test_overdue_is_from_48_hours_on() -> None:
    """A node that missed its hours catches up at any hour once the last nightly sweep ended 48 hours ago, once."""
    calendar = make_calendar("0 0 * * *", PLAIN_UTC)
    for minute in range(-30, 30):
        node = rested(calendar, ORDINARY + DAY)
        node.notes.night = NightlyRun(ORDINARY, ORDINARY + 8 * HOUR + 3 * MINUTE)
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
    node = rested(make_calendar(schedule), start)
    office_hours(node, start, 14)
    assert len(set(node.swept)) == len(node.swept)
    assert {when.astimezone(PARIS).hour for when, _ in node.sweeps} <= {8, 9}
    days = [(after.date() - before.date()).days for (before, _), (after, _) in pairwise(node.sweeps)]
    assert (node.sweeps[0][0] - start).days <= 2
    assert set(days) == {2}


def test_a_node_that_is_off_at_weekends_too() -> None:
    """A weekend off is no reason to doubt the clock: on Monday the node catches up, then every second day."""
    start = ORDINARY - timedelta(days=ORDINARY.weekday())
    node = rested(make_calendar("0 0 * * *"), start)
    office_hours(node, start, 28, week=5)
    assert [when.strftime("%a") for when, _ in node.sweeps][-9:] == ["Mon", "Wed", "Fri"] * 3


@pytest.mark.parametrize("schedule", ["0 2 * * 0", "0 2 1 * *"])
@pytest.mark.parametrize("sleeps", [False, True])
def test_overdue_makes_no_rare_schedule_frequent(schedule: str, sleeps: bool) -> None:
    """A weekly or monthly sweep is caught up with once where the node was off, and comes no more often than that."""
    calendar, start = make_calendar(schedule), datetime(2026, 1, 7, tzinfo=UTC)
    node, expected = rested(calendar, start), occurrences(schedule, PARIS, start, start + 90 * DAY)
    if sleeps:
        office_hours(node, start, 90)
    else:
        node.up(start + 90 * DAY, step=HOUR)
    assert node.swept == expected
    assert all(when - occurrence < (8 * HOUR if sleeps else HOUR) for when, occurrence in node.sweeps)


# ---- the first nights


@pytest.mark.parametrize("hours", [0, 1, 12, 24, 25, 48, 71, 72, 100])
def test_the_first_sweep_comes_by_night(hours: int) -> None:
    """Once the memory is as old as grace the next night is the first, even after a grace longer than `overdue`."""
    start = ORDINARY + 12 * HOUR
    node = make_night_node(make_calendar("0 0 * * *", PLAIN_UTC), start, since=NOTHING, grace=hours * HOUR)
    node.up(start + 7 * DAY, step=30 * MINUTE)
    known = start + hours * HOUR
    nights = occurrences("0 0 * * *", PLAIN_UTC, known - 4 * HOUR + MINUTE, start + 7 * DAY)
    assert node.sweeps == [(max(night, known), night) for night in nights]


@pytest.mark.parametrize("schedule", ["0 0 * * 0", "0 0 1 * *"])
@pytest.mark.parametrize("sleeps", [False, True])
def test_what_came_before_the_agent_was_not_missed(schedule: str, sleeps: bool) -> None:
    """A new node with a rare schedule does not catch up with an occurrence from before it was known."""
    start, days = ORDINARY + 8 * HOUR, 30
    node = make_night_node(make_calendar(schedule), start, since=NOTHING)
    if sleeps:
        office_hours(node, start, days)
    else:
        node.up(start + days * DAY, step=HOUR)
    assert node.swept == occurrences(schedule, PARIS, start, start + days * DAY)


def test_a_new_node_that_sleeps_at_night() -> None:
    """Its first sweep comes at the latest when its habits are known and `overdue` has passed since."""
    start = ORDINARY + 6 * HOUR
    node = make_night_node(make_calendar("0 0 * * *"), start, since=NOTHING)
    office_hours(node, ORDINARY, 10)
    assert node.sweeps[0][0] - start == 3 * DAY
    assert {after - before for (before, _), (after, _) in pairwise(node.sweeps)} == {2 * DAY}
