"""Ages: which time counts, and what is not believed."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from cleaner.core.ages import FIRST_PLAUSIBLE, Times, age, is_expired, is_recent, times_of
from cleaner.core.clock_trust import CLOCK_JUMP
from cleaner.core.model import Clock, Image, Memory
from support.values import DAY, HOUR, MICROSECOND, NOW, make_rule

ID = "sha256:1"


def times(
    created_at: datetime | None = None,
    pulled_at: datetime | None = None,
    first_seen_at: datetime | None = None,
    last_used_at: datetime | None = None,
    since: datetime | None = None,
) -> Times:
    """`since`: where it is not given, the image was there at the agent's first inspection."""
    memory = Memory(
        since=since or first_seen_at or NOW,
        first_seen_at={ID: first_seen_at} if first_seen_at else {},
        last_used_at={ID: last_used_at} if last_used_at else {},
    )
    return times_of(Image(ID, created_at=created_at, pulled_at=pulled_at), memory, NOW)


@pytest.mark.parametrize(
    ("created_at", "believed"),
    [
        (None, False),
        (datetime(1, 1, 1, tzinfo=UTC), False),
        (datetime(1970, 1, 1, tzinfo=UTC), False),
        (datetime(1980, 1, 1, tzinfo=UTC), False),
        (FIRST_PLAUSIBLE - MICROSECOND, False),
        (FIRST_PLAUSIBLE, True),
        (FIRST_PLAUSIBLE + MICROSECOND, True),
        (NOW - MICROSECOND, True),
        (NOW, True),
        (NOW + MICROSECOND, False),
        (datetime.max.replace(tzinfo=UTC), False),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), False),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))), False),
    ],
)
def test_a_build_time_is_believed_between_docker_and_now(created_at: datetime | None, believed: bool) -> None:
    """A `created` from 2013-03-20 to now is believed, both ends included."""
    assert times(created_at=created_at).created_at == (created_at if believed else None)


def test_first_plausible_is_the_date_of_the_design() -> None:
    """Nothing was built before 2013-03-20."""
    assert datetime(2013, 3, 20, tzinfo=UTC) == FIRST_PLAUSIBLE


@pytest.mark.parametrize(
    ("pulled_at", "known"),
    [(datetime(1, 1, 1, tzinfo=UTC), False), (FIRST_PLAUSIBLE - MICROSECOND, False), (FIRST_PLAUSIBLE, True)],
)
def test_a_pull_before_docker_is_not_believed(pulled_at: datetime, known: bool) -> None:
    """A clock that was wrong when an image was pulled makes it no older: first seen counts instead."""
    found = times(pulled_at=pulled_at, first_seen_at=NOW - DAY)
    assert found.pulled_at == (pulled_at if known else None)
    assert found.arrived_at == (pulled_at if known else NOW - DAY)


@pytest.mark.parametrize(
    ("late", "believed"), [(CLOCK_JUMP - MICROSECOND, True), (CLOCK_JUMP, True), (CLOCK_JUMP + MICROSECOND, False)]
)
def test_a_pull_long_before_a_watched_arrival_is_not_believed(late: timedelta, believed: bool) -> None:
    """Seen up to ten minutes after its pull, an image was pulled when the runtime says; later, the clock was behind."""
    seen = NOW - DAY
    found = times(pulled_at=seen - late, first_seen_at=seen, since=NOW - 99 * DAY)
    assert found.pulled_at == (seen - late if believed else None)
    assert found.arrived_at == (seen - late if believed else seen)
    assert is_recent(found, DAY + late, NOW) is (not believed)
    assert is_recent(found, DAY, NOW) is False


@pytest.mark.parametrize(("seen_after", "believed"), [(-MICROSECOND, True), (timedelta(0), True), (MICROSECOND, False)])
def test_what_was_there_at_the_first_inspection_came_before(seen_after: timedelta, believed: bool) -> None:
    """Only of an image that was first seen after the watch began it is known when it came."""
    since, pulled_at = NOW - DAY, NOW - 60 * DAY
    known = times(pulled_at=pulled_at, first_seen_at=since + seen_after, since=since)
    assert (known.pulled_at == pulled_at) is believed
    assert known.arrived_at == (pulled_at if believed else since + seen_after)


def test_without_a_watch_every_pull_is_believed() -> None:
    """Where it is not known since when the node is watched, or the image was never seen, its pull time stands."""
    image = Image(ID, pulled_at=NOW - 60 * DAY)
    for memory in (Memory(None, {ID: NOW - DAY}), Memory(NOW - 99 * DAY)):
        assert times_of(image, memory, NOW).pulled_at == image.pulled_at


def test_a_pull_that_is_not_believed_relies_on_memory_by_each_clock() -> None:
    """Its arrival stands in for it wherever a pull counts; a build date that is known goes on counting."""
    build, seen = NOW - 300 * DAY, NOW - DAY
    known = times(build, NOW - 60 * DAY, seen, since=NOW - 99 * DAY)
    assert [known.aged_since(clock) for clock in (Clock.CREATED, Clock.PULLED, Clock.LAST_USED)] == [build, seen, seen]
    assert [known.relies_on_memory(clock) for clock in (Clock.CREATED, Clock.PULLED, Clock.LAST_USED)] == [
        False,
        True,
        True,
    ]
    unbuilt = times(None, NOW - 60 * DAY, seen, since=NOW - 99 * DAY)
    assert (unbuilt.aged_since(Clock.CREATED), unbuilt.relies_on_memory(Clock.CREATED)) == (seen, True)


def test_a_time_in_another_zone_is_the_same_time() -> None:
    """An offset changes nothing: 14:00 +02:00 is noon."""
    there = NOW.astimezone(timezone(timedelta(hours=2)))
    assert times(created_at=there).created_at == NOW


@pytest.mark.parametrize("ahead", [MICROSECOND, DAY, 2000 * 365 * DAY])
def test_the_future_counts_as_now(ahead: timedelta) -> None:
    """A pull, a sighting or a use in the future is one of this moment."""
    future = NOW + ahead
    known = times(pulled_at=future, first_seen_at=future, last_used_at=future)
    assert (known.pulled_at, known.first_seen_at, known.last_used_at) == (NOW, NOW, NOW)


def test_an_image_never_seen_before_is_seen_now() -> None:
    """Without memory an image counts as seen first at this moment, and as never used."""
    known = times()
    assert known.first_seen_at == NOW
    assert known.last_used_at is None
    assert known.arrived_at == NOW


def test_created_falls_back_to_pulled_then_first_seen() -> None:
    """By `created`, an unknown build counts from the pull, and an unknown pull from first seen."""
    build, pull, seen = NOW - 3 * DAY, NOW - 2 * DAY, NOW - DAY
    assert times(build, pull, seen).aged_since(Clock.CREATED) == build
    assert times(None, pull, seen).aged_since(Clock.CREATED) == pull
    assert times(None, None, seen).aged_since(Clock.CREATED) == seen
    assert times(NOW + MICROSECOND, pull, seen).aged_since(Clock.CREATED) == pull


def test_pulled_falls_back_to_first_seen_never_to_created() -> None:
    """By `pulled`, an unknown pull counts from first seen, however old the build is."""
    build, pull, seen = NOW - 300 * DAY, NOW - 2 * DAY, NOW - DAY
    assert times(build, pull, seen).aged_since(Clock.PULLED) == pull
    assert times(build, None, seen).aged_since(Clock.PULLED) == seen


@pytest.mark.parametrize(
    ("pull", "seen", "use", "idle"),
    [
        (9, 5, None, 5),  # never used: pulled, or first seen if that is later
        (5, 9, None, 5),
        (None, 5, None, 5),
        (9, 9, 3, 3),  # used since
        (None, 9, 3, 3),
        (3, 9, 5, 3),  # used, then pulled again
        (9, 3, 5, 3),  # used before it was first seen: events came first
        (-5, 9, 9, 0),  # the future is now
        (9, -5, 9, 0),
        (9, 9, -5, 0),
        (None, None, None, 0),
        (None, None, 9, 0),
    ],
)
def test_idle_since(pull: int | None, seen: int | None, use: int | None, idle: int) -> None:
    """By `last_used`, age counts from the latest of use, pull and first seen, whatever the build."""
    pulled, first_seen, used = (None if ago is None else NOW - ago * DAY for ago in (pull, seen, use))
    for build in (None, NOW - 300 * DAY, NOW - DAY):
        known = times(build, pulled, first_seen, used)
        assert known.aged_since(Clock.LAST_USED) == known.idle_since == NOW - idle * DAY
        assert age(known, make_rule(age_from=Clock.LAST_USED), NOW) == idle * DAY


@pytest.mark.parametrize(
    ("since_max_age", "expired"), [(-MICROSECOND, False), (timedelta(0), True), (MICROSECOND, True)]
)
@pytest.mark.parametrize("field", ["pulled_at", "first_seen_at", "last_used_at"])
def test_an_image_idle_for_max_age_itself_expires(field: str, since_max_age: timedelta, expired: bool) -> None:
    """Whichever of its times is the latest, an image is idle long enough at max_age itself."""
    old = dict.fromkeys(("pulled_at", "first_seen_at", "last_used_at"), NOW - 99 * DAY)
    known = times(**{**old, field: NOW - 30 * DAY - since_max_age})
    assert is_expired(known, make_rule(max_age=30 * DAY, age_from=Clock.LAST_USED), NOW) is expired


@pytest.mark.parametrize(
    ("known", "clock", "relies"),
    [
        (times(NOW, NOW), Clock.CREATED, False),
        (times(NOW, None), Clock.CREATED, False),
        (times(None, NOW), Clock.CREATED, False),
        (times(None, None), Clock.CREATED, True),
        (times(NOW, NOW), Clock.PULLED, False),
        (times(NOW, None), Clock.PULLED, True),
        (times(None, NOW), Clock.PULLED, False),
        (times(None, None), Clock.PULLED, True),
        (times(NOW, None), Clock.LAST_USED, True),
        (times(NOW, NOW), Clock.LAST_USED, False),
        (times(NOW, NOW - DAY, NOW), Clock.LAST_USED, True),
        (times(NOW, NOW - DAY, NOW - MICROSECOND, NOW), Clock.LAST_USED, False),
        (times(NOW, None, NOW - DAY, NOW - DAY), Clock.LAST_USED, False),
        (times(NOW, NOW - DAY, NOW - DAY), Clock.LAST_USED, False),
    ],
)
def test_memory_is_relied_on_where_no_other_time_is_known(known: Times, clock: Clock, relies: bool) -> None:
    """First seen stands in only where the clock's own time and its fallback are missing."""
    assert known.relies_on_memory(clock) is relies


@pytest.mark.parametrize(
    ("since_max_age", "expired"), [(-MICROSECOND, False), (timedelta(0), True), (MICROSECOND, True)]
)
def test_an_image_expires_at_max_age_itself(since_max_age: timedelta, expired: bool) -> None:
    """An image becomes evictable at max_age itself."""
    known = times(created_at=NOW - 30 * DAY - since_max_age)
    assert is_expired(known, make_rule(max_age=30 * DAY), NOW) is expired


@pytest.mark.parametrize(("since_grace", "recent"), [(-MICROSECOND, True), (timedelta(0), False), (MICROSECOND, False)])
@pytest.mark.parametrize("field", ["pulled_at", "first_seen_at", "last_used_at"])
def test_an_image_stops_being_recent_at_grace_itself(field: str, since_grace: timedelta, recent: bool) -> None:
    """Whatever grace counts from, it protects for less than grace and not at grace itself."""
    at = NOW - 24 * HOUR - since_grace
    known = times(first_seen_at=NOW - 99 * DAY) if field != "first_seen_at" else times(first_seen_at=at)
    if field == "pulled_at":
        known = times(pulled_at=at)
    elif field == "last_used_at":
        known = times(pulled_at=NOW - 99 * DAY, last_used_at=at)
    assert is_recent(known, 24 * HOUR, NOW) is recent


def test_grace_counts_from_the_later_of_arrival_and_use() -> None:
    """A new pull keeps an image that was used long ago, and a use keeps one pulled long ago."""
    old, new = NOW - 99 * DAY, NOW - HOUR
    assert times(pulled_at=new, last_used_at=old).active_at == new
    assert times(pulled_at=old, last_used_at=new).active_at == new


def test_first_seen_does_not_count_where_the_pull_is_known() -> None:
    """An agent that has just started does not mistake old images for new ones."""
    assert not is_recent(times(pulled_at=NOW - 2 * DAY, first_seen_at=NOW), DAY, NOW)


def test_no_grace_protects_nothing() -> None:
    """With a grace of zero even what arrives now is not recent."""
    assert not is_recent(times(), timedelta(0), NOW)


@pytest.mark.parametrize("max_age", [timedelta.max, timedelta(days=99_999_999)])
def test_a_max_age_beyond_the_calendar_never_comes(max_age: timedelta) -> None:
    """A max_age longer than all of time keeps, and breaks nothing."""
    known = times(pulled_at=datetime.min.replace(tzinfo=UTC))
    assert not is_expired(known, make_rule(max_age=max_age), NOW)
    assert is_recent(known, max_age, NOW)


def test_age_is_never_negative() -> None:
    """Times in the future make an image new, never younger than that."""
    known = times(NOW + DAY, NOW + DAY)
    assert age(known, make_rule(), NOW) == timedelta(0)
    assert is_expired(known, make_rule(max_age=timedelta(0)), NOW)


@pytest.mark.parametrize("field", ["created_at", "pulled_at", "last_used_at"])
def test_a_time_without_a_zone_is_refused(field: str) -> None:
    """A time that could mean two moments ends the sweep instead of being guessed."""
    with pytest.raises(TypeError):
        times(**{field: NOW.replace(tzinfo=None)})
