"""What the ledger stores of images: clocks, the watch, and when it is written."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.clock_trust import StoredTimes
from cleaner.core.model import Image
from cleaner.core.ports import Ledger as LedgerPort
from cleaner.core.ports import Outlet
from cleaner.ledger.rows import micros, parse_references, text_of, time_of
from support.fakes import NOON, FakeTimer
from support.ledgers import GRACE, A, B, C, inspect, make_ledger, query
from support.values import MICROSECOND

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_is_read_to_the_microsecond(time: datetime) -> None:
    """Any time is read as it was written."""
    assert time_of(micros(time)) == time


def test_a_number_beyond_all_years_is_the_last_time() -> None:
    """What no datetime can hold is cut, not an error."""
    assert time_of(2**63 - 1).year == 9999
    assert time_of(-(2**63)).year == 1


def test_references_are_read_as_written(tmp_path: Path) -> None:
    """References are read as they were written; other text is no reference."""
    assert parse_references(text_of(("a/b:1", "c@sha256:ü"))) == ("a/b:1", "c@sha256:ü")
    assert parse_references("{") == parse_references("3") == ()


def test_it_is_what_the_logic_asks_for(tmp_path: Path) -> None:
    """It is a ledger and an outlet, and opens nothing before its first use."""
    ledger = make_ledger(tmp_path / "state")
    port: LedgerPort = ledger
    outlet: Outlet = ledger
    assert port.error is port.aside is None
    assert outlet is ledger
    assert not (tmp_path / "state").exists()
    ledger.open()
    assert ledger.error is None
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state/ledger.db").stat().st_mode & 0o777 == 0o600
    ledger.close()


def test_first_seen_stays_and_use_moves(tmp_path: Path) -> None:
    """An image keeps when it was first seen; its last use is the latest inspection that found it in use."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A, B, used=[A])
    timer.move(hours=1)
    memory = inspect(ledger, timer, A, B, used=[B])
    assert memory.first_seen_at == {A.id: NOON, B.id: NOON}
    assert memory.last_used_at == {A.id: NOON, B.id: NOON + HOUR}
    assert memory.since == memory.installed_at == NOON
    ledger.close()


def test_clocks_survive_a_restart(tmp_path: Path) -> None:
    """Another process knows what the first one saw; what was in use was so until the last sample."""
    timer = FakeTimer()
    first = make_ledger(tmp_path, timer)
    inspect(first, timer, A, B, C, used=[A, B])
    timer.move(minutes=1)
    inspect(first, timer, A, B, C, used=[B])
    timer.move(minutes=1)
    inspect(first, timer, A, B, C, used=[B])
    first.close()
    timer.move(hours=1)
    memory = inspect(second := make_ledger(tmp_path, timer), timer, A, B, C)
    assert memory.first_seen_at == {A.id: NOON, B.id: NOON, C.id: NOON}
    assert memory.last_used_at == {A.id: NOON, B.id: NOON + 2 * MINUTE}
    assert memory.since == memory.installed_at == NOON
    second.close()


def test_an_image_that_is_pulled_again_is_new_but_keeps_its_use(tmp_path: Path) -> None:
    """First seen begins anew, last used does not, in the same process and in another."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A, B, used=[A])
    timer.move(hours=1)
    assert inspect(ledger, timer, B).first_seen_at == {B.id: NOON}
    assert query(tmp_path, "SELECT gone_at FROM image WHERE id = ?", A.id) == [(micros(NOON + HOUR),)]
    timer.move(hours=1)
    memory = inspect(ledger, timer, A, B)
    ledger.close()
    again = inspect(other := make_ledger(tmp_path, timer), timer, A, B)
    other.close()
    for known in (memory, again):
        assert known.first_seen_at == {A.id: NOON + 2 * HOUR, B.id: NOON}
        assert known.last_used_at == {A.id: NOON}


def test_references_are_the_last_known(tmp_path: Path) -> None:
    """New references are written; an image whose status failed keeps those it had."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    inspect(ledger, timer, Image(A.id, ("registry.io/a:2",)))
    inspect(ledger, timer, Image(A.id, readable=False), Image("unread", readable=False), used=[A])
    assert query(tmp_path, "SELECT refs FROM image WHERE id = ?", A.id) == [('["registry.io/a:2"]',)]
    assert query(tmp_path, "SELECT refs FROM image WHERE id = 'unread'") == [("[]",)]
    ledger.close()


def test_what_is_given_does_not_change(tmp_path: Path) -> None:
    """A memory that was returned is not changed by the next inspection."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    memory = inspect(ledger, timer, A, used=[A])
    timer.move(hours=1)
    inspect(ledger, timer, B, used=[B])
    assert (memory.first_seen_at, memory.last_used_at) == ({A.id: NOON}, {A.id: NOON})
    ledger.close()


def sampled(folder: Path) -> list[tuple[int]]:
    return [(row[0],) for row in query(folder, "SELECT value FROM meta WHERE key = 'sampled_at'")]


def test_it_is_written_once_a_minute(tmp_path: Path) -> None:
    """Where nothing changed, a sample is written a minute after the last one, not before."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A, used=[A])
    timer.wall = NOON + MINUTE - MICROSECOND
    inspect(ledger, timer, A, used=[A])
    assert sampled(tmp_path) == [(micros(NOON),)]
    timer.wall = NOON + MINUTE
    inspect(ledger, timer, A, used=[A])
    assert sampled(tmp_path) == [(micros(NOON + MINUTE),)]
    ledger.close()


@pytest.mark.parametrize(("images", "used"), [((A, B), (B,)), ((A,), (A,)), ((A, B, C), (A,))], ids=str)
def test_a_change_is_written_at_once(tmp_path: Path, images: tuple[Image, ...], used: tuple[Image, ...]) -> None:
    """Another set in use, or other images, do not wait for the minute."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A, B, used=[A])
    timer.move(seconds=1)
    inspect(ledger, timer, *images, used=used)
    assert sampled(tmp_path) == [(micros(timer.now()),)]
    in_use = query(tmp_path, "SELECT id FROM image WHERE in_use AND gone_at IS NULL")
    assert in_use == [(image.id,) for image in used]
    ledger.close()


def test_a_clock_set_back_does_not_stop_the_writing(tmp_path: Path) -> None:
    """Behind the last sample counts as a minute; what was stored by the later clock stays."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A, used=[A])
    timer.wall -= HOUR
    memory = inspect(ledger, timer, A, used=[A])
    assert sampled(tmp_path) == [(micros(NOON - HOUR),)]
    assert memory.last_used_at == {A.id: NOON}
    ledger.close()


@pytest.mark.parametrize(("gap", "kept"), [(GRACE, True), (GRACE + MICROSECOND, False)])
def test_a_gap_longer_than_grace_begins_the_watch_anew(tmp_path: Path, gap: timedelta, *, kept: bool) -> None:
    """After a gap of exactly grace the watch continues, after a longer one it does not know what ran."""
    timer = FakeTimer(seconds=100 * 86400)
    first = make_ledger(tmp_path, timer)
    inspect(first, timer, A)
    first.close()
    timer.wall += gap
    timer.seconds += gap.total_seconds()
    memory = inspect(second := make_ledger(tmp_path, timer), timer, A)
    second.close()
    assert memory.since == (NOON if kept else timer.now())
    assert memory.installed_at == NOON
    third = make_ledger(tmp_path, timer)
    assert inspect(third, timer, A).since == memory.since
    third.close()


def test_a_node_that_was_down_has_no_gap(tmp_path: Path) -> None:
    """Nothing is used before the node boots: only what lies after that counts."""
    timer = FakeTimer(seconds=100 * 86400)
    first = make_ledger(tmp_path, timer)
    inspect(first, timer, A)
    first.close()
    timer.wall, timer.seconds = NOON + 30 * DAY, 60.0
    memory = inspect(second := make_ledger(tmp_path, timer), timer, A)
    second.close()
    assert memory.since == NOON


@pytest.mark.parametrize(("gap", "kept"), [(GRACE, True), (GRACE + timedelta(milliseconds=1), False)])
def test_a_gap_while_running_begins_the_watch_anew(tmp_path: Path, gap: timedelta, *, kept: bool) -> None:
    """No inspection for longer than grace, by the monotonic clock."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    timer.move(seconds=gap.total_seconds())
    assert inspect(ledger, timer, A).since == (NOON if kept else timer.now())
    timer.move(minutes=1)
    assert inspect(ledger, timer, A).since == (NOON if kept else timer.now() - MINUTE)
    ledger.close()


def test_a_clock_that_jumps_leaves_no_gap(tmp_path: Path) -> None:
    """A year that passed on the wall clock alone is no gap in a running process."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    timer.wall += 365 * DAY
    assert inspect(ledger, timer, A).since == NOON
    ledger.close()


def test_a_clock_set_forward_is_taken_over(tmp_path: Path) -> None:
    """All times move with a correction, none beyond now; also those of images that are gone."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A, B, used=[A, B])
    timer.move(hours=1)
    inspect(ledger, timer, A, C, used=[A])
    timer.wall += 365 * DAY
    ledger.shift(365 * DAY)
    now = timer.now()
    memory = inspect(ledger, timer, A, B, C, used=[])
    assert memory.first_seen_at == {A.id: now - HOUR, B.id: now, C.id: now}
    assert memory.last_used_at == {A.id: now, B.id: now - HOUR}
    assert memory.since == now - HOUR
    ledger.close()
    memory = inspect(other := make_ledger(tmp_path, timer), timer, A, B, C)
    other.close()
    assert memory.first_seen_at == {A.id: now - HOUR, B.id: now, C.id: now}
    assert memory.last_used_at == {A.id: now, B.id: now - HOUR}


def test_a_shift_before_the_first_inspection_and_one_too_far(tmp_path: Path) -> None:
    """A correction is taken over on disk also where nothing is loaded; no shift leads beyond the calendar."""
    timer = FakeTimer()
    first = make_ledger(tmp_path, timer)
    inspect(first, timer, A, used=[A])
    first.close()
    timer.wall += DAY
    second = make_ledger(tmp_path, timer)
    second.shift(DAY)
    assert second.stored_times() == StoredTimes(NOON + DAY)
    assert inspect(second, timer, A).first_seen_at == {A.id: NOON + DAY}
    second.shift(timedelta.max)
    second.shift(timedelta.min)
    assert set(inspect(second, timer, A).first_seen_at) == {A.id}
    second.close()


def test_the_newest_time_is_that_of_the_last_sample(tmp_path: Path) -> None:
    """A file that holds nothing has none."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    assert ledger.stored_times() is None
    inspect(ledger, timer, A)
    assert ledger.stored_times() == StoredTimes(NOON)
    ledger.close()


def test_what_another_process_saw_is_known_at_the_next_inspection(tmp_path: Path) -> None:
    """A use that only a manual sweep saw counts for the daemon too, and is not written over."""
    timer = FakeTimer()
    daemon, manual = make_ledger(tmp_path, timer, tells=True), make_ledger(tmp_path, timer)
    inspect(daemon, timer, A, B)
    timer.move(seconds=30)
    inspect(manual, timer, A, B, used=[A])
    manual.close()
    timer.move(seconds=30)
    memory = inspect(daemon, timer, A, B)
    assert memory.last_used_at == {A.id: NOON + MINUTE / 2}
    timer.move(minutes=5)
    inspect(daemon, timer, A, B)
    daemon.close()
    memory = inspect(other := make_ledger(tmp_path, timer), timer, A, B)
    other.close()
    assert memory.last_used_at == {A.id: NOON + MINUTE / 2}
