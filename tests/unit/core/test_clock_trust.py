"""The wall clock: when it is believed, and what time it is while it is not."""

from datetime import UTC, datetime, timedelta

import pytest

from cleaner.core.clock_trust import (
    ABSURD,
    BELIEVED_AFTER,
    CLOCK_JUMP,
    LONGEST_ABSENCE,
    ClockSense,
    StoredTimes,
    sense_at_start,
)
from support.values import DAY, HOUR, MICROSECOND, MINUTE, NOW, SECOND

NOTHING = timedelta(0)
STARTED = 5000.0


def jumped(by: timedelta) -> ClockSense:
    """A clock that moved `by` more than the second that went by."""
    return after(sense_at_start(NOW, STARTED, None), SECOND, by)


def after(sense: ClockSense, time: timedelta, jump: timedelta = NOTHING) -> ClockSense:
    """The next reading of the clocks, after this time."""
    return sense.updated(sense.wall + time + jump, sense.monotonic + time.total_seconds())


def test_the_figures() -> None:
    """Ten minutes are a jump, a day makes it believed, and a long weekend is no reason for doubt."""
    assert timedelta(minutes=10) == CLOCK_JUMP
    assert timedelta(hours=24) == BELIEVED_AFTER
    assert timedelta(days=4) == LONGEST_ABSENCE


# ---- jumps


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("by", "sane"), [(CLOCK_JUMP - MICROSECOND, True), (CLOCK_JUMP, True), (CLOCK_JUMP + MICROSECOND, False)]
)
def test_a_jump_of_more_than_ten_minutes_is_not_believed(by: timedelta, sane: bool, sign: int) -> None:
    """Ten minutes either way are a correction, and the time; a microsecond more is a jump, and not."""
    sense = jumped(sign * by)
    assert sense.sane is sane
    assert sense.deviation == (NOTHING if sane else sign * by)
    assert sense.believed == NOW + SECOND + (sign * by if sane else NOTHING)


@pytest.mark.parametrize(
    ("left", "sane"), [(CLOCK_JUMP - MICROSECOND, True), (CLOCK_JUMP, True), (CLOCK_JUMP + MICROSECOND, False)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_jumps_may_leave_ten_minutes(left: timedelta, sane: bool, sign: int) -> None:
    """A clock that jumped far and back is sane if it ends up ten minutes off or less; the time does not move."""
    back = after(jumped(sign * DAY), SECOND, -sign * (DAY - left))
    assert (back.deviation, back.sane) == (sign * left, sane)
    assert back.believed == NOW + 2 * SECOND


def test_time_that_passes_is_no_jump() -> None:
    """A reading after a week that both clocks counted finds nothing odd."""
    sense = after(sense_at_start(NOW, STARTED, None), 7 * DAY)
    assert (sense.sane, sense.believed) == (True, NOW + 7 * DAY)


def test_a_jump_back_undoes_the_jump() -> None:
    """A clock that returns to where it was is sane at once."""
    back = after(jumped(DAY), SECOND, -DAY)
    assert (back.sane, back.deviation) == (True, NOTHING)
    assert back.settled() == back


def test_jumps_add_up() -> None:
    """A second jump the same way leaves the clock as far off as both together."""
    assert after(jumped(HOUR), SECOND, HOUR).deviation == 2 * HOUR


def test_drift_is_followed_by_a_sane_clock_only() -> None:
    """Slewing moves the time of a clock that is believed; after a jump it moves the clock towards the time."""
    slewed = after(sense_at_start(NOW, STARTED, None), HOUR, 5 * MINUTE)
    assert slewed.believed == NOW + HOUR + 5 * MINUTE
    sense = jumped(HOUR)
    for _ in range(10):
        assert not sense.sane
        sense = after(sense, MINUTE, -5 * MINUTE)
    assert (sense.sane, sense.deviation, sense.believed) == (True, 10 * MINUTE, NOW + SECOND + 10 * MINUTE)


@pytest.mark.parametrize("by", [HOUR, -HOUR, 365 * DAY])
@pytest.mark.parametrize(("short_of", "sane"), [(MICROSECOND, False), (NOTHING, True), (-MICROSECOND, True)])
def test_a_new_time_is_believed_after_a_day(by: timedelta, short_of: timedelta, sane: bool) -> None:
    """A clock that jumped and then ran true for 24 hours is believed, from 24 hours on."""
    sense = after(jumped(by), BELIEVED_AFTER - short_of)
    settled = sense.settled()
    assert (sense.sane, settled.sane) == (False, sane)
    assert settled.believed - sense.believed == (by if sane else NOTHING)


def test_another_jump_starts_the_day_again() -> None:
    """The day counts from the latest jump."""
    sense = after(after(jumped(HOUR), 23 * HOUR), HOUR, HOUR)
    assert not sense.settled().sane
    assert not after(sense, 23 * HOUR).settled().sane
    assert after(sense, 24 * HOUR).settled().sane


# ---- the start


@pytest.mark.parametrize(
    ("ahead", "sane"),
    [
        (-365 * DAY, False),
        (-CLOCK_JUMP - MICROSECOND, False),
        (-CLOCK_JUMP, True),
        (NOTHING, True),
        (LONGEST_ABSENCE, True),
        (LONGEST_ABSENCE + MICROSECOND, False),
        (365 * DAY, False),
    ],
)
def test_a_clock_has_to_fit_the_stored_times(ahead: timedelta, sane: bool) -> None:
    """Behind the newest stored time by more than ten minutes, or ahead by more than four days, a clock is doubted."""
    sense = sense_at_start(NOW, STARTED, StoredTimes(NOW - ahead))
    assert (sense.sane, sense.deviation) == (sane, NOTHING if sane else ahead)
    assert sense.believed == (NOW if sane else NOW - ahead)


def test_without_stored_times_there_is_nothing_to_doubt() -> None:
    """The first start on a node believes its clock as it is."""
    assert sense_at_start(NOW, STARTED, None) == ClockSense(NOW, STARTED, unsure_since=STARTED)


@pytest.mark.parametrize("ahead", [-HOUR, -365 * DAY, 365 * DAY])
def test_in_doubt_time_continues_from_the_stored_time(ahead: timedelta) -> None:
    """Nothing but time that passes makes anything older in doubt, whatever the wall clock does."""
    sense = sense_at_start(NOW, STARTED, StoredTimes(NOW - ahead))
    for jump in (NOTHING, 5 * MINUTE, -5 * MINUTE, HOUR, -DAY):
        before, sense = sense.believed, after(sense, MINUTE, jump)
        assert sense.believed - before == MINUTE


@pytest.mark.parametrize("ahead", [-HOUR, -365 * DAY, 365 * DAY])
@pytest.mark.parametrize(
    ("absence", "fits"),
    [
        (-CLOCK_JUMP - MICROSECOND, False),
        (-CLOCK_JUMP, True),
        (NOTHING, True),
        (3 * HOUR, True),
        (LONGEST_ABSENCE, True),
        (LONGEST_ABSENCE + MICROSECOND, False),
    ],
)
def test_a_doubted_clock_that_is_set_right_is_believed(ahead: timedelta, absence: timedelta, fits: bool) -> None:
    """Once it fits the stored times and the time since the start, the wall clock is believed, whatever the absence."""
    doubted = after(sense_at_start(NOW, STARTED, StoredTimes(NOW - ahead)), 5 * HOUR)
    right = after(doubted, MINUTE, absence - ahead)
    assert not right.sane
    settled = right.settled()
    assert settled.sane is fits
    assert settled.believed - right.believed == (absence if fits else NOTHING)


@pytest.mark.parametrize("ahead", [-HOUR, 365 * DAY])
@pytest.mark.parametrize(("short_of", "sane"), [(MICROSECOND, False), (NOTHING, True)])
def test_a_doubted_clock_is_believed_after_a_day(ahead: timedelta, short_of: timedelta, sane: bool) -> None:
    """A clock that never fitted and ran true for 24 hours since the start is believed as it is."""
    sense = after(sense_at_start(NOW, STARTED, StoredTimes(NOW - ahead)), BELIEVED_AFTER - short_of)
    assert sense.settled().sane is sane


def test_a_clock_an_hour_behind_does_not_come_to_fit_by_waiting() -> None:
    """The stored time is compared with as it would be now: after an hour the clock is still an hour behind."""
    sense = sense_at_start(NOW, STARTED, StoredTimes(NOW + HOUR))
    for _ in range(23):
        sense = after(sense, HOUR).settled()
        assert (sense.sane, sense.deviation) == (False, -HOUR)


def test_slewing_sets_a_doubted_clock_right_too() -> None:
    """In doubt small steps count: a clock that is brought back slowly fits in the end."""
    sense = sense_at_start(NOW, STARTED, StoredTimes(NOW + HOUR))
    for _ in range(10):
        assert not sense.settled().sane
        sense = after(sense, HOUR, 5 * MINUTE)
    assert sense.settled().sane


# ---- the start, in the boot in which something was stored


def stored(expected: datetime, since: timedelta = 2 * MINUTE, newest: datetime | None = None) -> StoredTimes:
    """The times of a sample of this boot, `since` before the start, which make `expected` the time of the start."""
    return StoredTimes(newest or expected - since, expected - since, STARTED - since.total_seconds())


def test_the_time_to_expect() -> None:
    """It is the time of the latest sample and the seconds since; in another boot no time is expected."""
    assert stored(NOW).expected(STARTED) == NOW
    assert stored(NOW).expected(STARTED + 3600) == NOW + HOUR
    assert StoredTimes(NOW).expected(STARTED) is None


@pytest.mark.parametrize("since", [NOTHING, 2 * MINUTE, LONGEST_ABSENCE, 300 * DAY])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("by", "sane"),
    [
        (CLOCK_JUMP - MICROSECOND, True),
        (CLOCK_JUMP, True),
        (CLOCK_JUMP + MICROSECOND, False),
        (HOUR, False),
        (LONGEST_ABSENCE, False),
    ],
)
def test_a_jump_before_the_start_is_one(by: timedelta, sane: bool, sign: int, since: timedelta) -> None:
    """In the boot of the latest sample a clock that moved by more than ten minutes has jumped, however long ago."""
    sense = sense_at_start(NOW, STARTED, stored(NOW - sign * by, since))
    assert (sense.sane, sense.doubted) == (sane, False)
    assert sense.believed == (NOW if sane else NOW - sign * by)
    back = after(sense, MINUTE, -sign * by).settled()
    assert (back.sane or sane) is True


@pytest.mark.parametrize("by", [-HOUR, HOUR, 3 * DAY])
@pytest.mark.parametrize(("short_of", "sane"), [(MICROSECOND, False), (NOTHING, True)])
def test_a_jump_before_the_start_is_believed_after_a_day(by: timedelta, short_of: timedelta, sane: bool) -> None:
    """Of a clock that ran true since the start; a day counts anew with each start."""
    sense = after(sense_at_start(NOW, STARTED, stored(NOW - by)), BELIEVED_AFTER - short_of)
    assert sense.settled().sane is sane
    assert sense.settled().believed - sense.believed == (by if sane else NOTHING)


@pytest.mark.parametrize("newest", [NOW - 300 * DAY, NOW + 300 * DAY])
def test_in_this_boot_the_newest_time_says_nothing(newest: datetime) -> None:
    """Times stored by a clock that was wrong once are no reason to doubt one that runs as it did at the last sample."""
    assert sense_at_start(NOW, STARTED, stored(NOW, newest=newest)).sane


def test_an_absurd_sample_says_nothing() -> None:
    """A spoilt time of the latest sample leaves the newest time, which is as absurd."""
    assert sense_at_start(NOW, STARTED, stored(NOW + ABSURD)).deviation == -ABSURD
    assert sense_at_start(NOW, STARTED, stored(NOW + ABSURD + 2 * DAY)).sane


def test_an_absurd_stored_time_says_nothing() -> None:
    """A spoilt ledger with a time at the end of the calendar must not stop the agent."""
    sense = sense_at_start(NOW, 0.0, StoredTimes(datetime.max.replace(tzinfo=UTC)))
    assert sense.sane
    assert sense.updated(NOW + timedelta(hours=1), 3600.0).believed == NOW + timedelta(hours=1)
