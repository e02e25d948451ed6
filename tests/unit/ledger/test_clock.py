"""A wrong wall clock and the ledger: what tells of it, what a correction moves, and one that cannot be written yet."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.core.ages import is_recent, times_of
from cleaner.core.clock_trust import StoredTimes
from cleaner.core.events import NightlyRunEnded
from cleaner.core.history import NightlyRun
from cleaner.daemon.trusted_clock import TrustedClock
from cleaner.ledger import file as ledger_file
from cleaner.ledger.rows import Shift, micros
from support.fakes import NOON, FakeTimer
from support.ledgers import GRACE, KEEP, A, B, C, evict, inspect, make_ledger, pulled_at, query
from support.values import make_image

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)
BOOT, OTHER_BOOT = 2**63 - 1, 7


def since_of(folder: Path) -> list[tuple[int]]:
    return [(row[0],) for row in query(folder, "SELECT value FROM meta WHERE key = 'since'")]


# ---- which boot a sample is of


@pytest.fixture
def timer(tmp_path: Path) -> FakeTimer:
    """A minute after a sample of NOON was written, in BOOT."""
    timer = FakeTimer()
    first = make_ledger(tmp_path, timer, boot=BOOT)
    inspect(first, timer, A)
    first.close()
    timer.move(minutes=1)
    return timer


@pytest.mark.parametrize("writable", [True, False])
def test_the_latest_sample_of_this_boot_is_stored(tmp_path: Path, timer: FakeTimer, *, writable: bool) -> None:
    """The sample tells another process of the same boot the expected time, also one that only reads."""
    ledger = make_ledger(tmp_path, timer, boot=BOOT, writable=writable)
    stored = ledger.stored_times()
    assert stored == StoredTimes(NOON, NOON, 1000.0)
    assert stored.expected(timer.monotonic()) == NOON + MINUTE
    evict(ledger, B, NOON + SECOND)
    assert ledger.stored_times() == StoredTimes(NOON + SECOND if writable else NOON, NOON, 1000.0)
    ledger.close()


@pytest.mark.parametrize("boot", [OTHER_BOOT, None])
def test_a_sample_of_another_boot_is_none(tmp_path: Path, timer: FakeTimer, boot: int | None) -> None:
    """Its seconds are not those of this one; so it is where the boot is not known, then or now."""
    ledger = make_ledger(tmp_path, timer, boot=boot)
    assert ledger.stored_times() == StoredTimes(NOON)
    inspect(ledger, timer, A, B)
    assert ledger.stored_times() == StoredTimes(NOON + MINUTE, *((NOON + MINUTE, 1060.0) if boot else ()))
    ledger.close()
    assert make_ledger(tmp_path, timer, boot=BOOT).stored_times() == StoredTimes(NOON + MINUTE)


@pytest.mark.parametrize(
    ("seconds", "known"), [(1000 - 1e-6, False), (1000, True), (1000 + 1e-6, True), (0, False), (-5, False)]
)
def test_a_sample_in_the_future_is_none(tmp_path: Path, timer: FakeTimer, seconds: float, known: bool) -> None:
    """A machine that was set back to a snapshot has seen less of its boot than the ledger."""
    timer.seconds = seconds
    assert make_ledger(tmp_path, timer, boot=BOOT).stored_times() == (
        StoredTimes(NOON, NOON, 1000.0) if known else StoredTimes(NOON)
    )


@pytest.mark.parametrize(("seconds", "known"), [(-1, False), (0, True), (1, True)])
def test_spoilt_seconds_are_none(tmp_path: Path, timer: FakeTimer, seconds: int, known: bool) -> None:
    """Nothing was stored before the boot."""
    query(tmp_path, "UPDATE meta SET value = ? WHERE key = 'boot_seconds'", seconds)
    stored = make_ledger(tmp_path, timer, boot=BOOT).stored_times()
    assert stored == (StoredTimes(NOON, NOON, seconds / 1e6) if known else StoredTimes(NOON))


@pytest.mark.parametrize("keys", ["'sampled_at'", "'sampled_at', 'since'"])
def test_a_sample_of_a_version_without_seconds_is_known(tmp_path: Path, timer: FakeTimer, keys: str) -> None:
    """What an older version samples or corrects in the same boot does not fit the seconds that it left alone."""
    query(tmp_path, f"UPDATE meta SET value = value + 1 WHERE key IN ({keys})")  # noqa: S608 - from above
    stored = make_ledger(tmp_path, timer, boot=BOOT).stored_times()
    assert stored is not None
    assert stored.sampled_at is None


def test_without_a_sample_nothing_is_expected(tmp_path: Path) -> None:
    """A nightly run alone is a time and no sample."""
    ledger = make_ledger(tmp_path, boot=BOOT)
    ledger.record(NightlyRunEnded(NightlyRun(NOON, NOON)))
    assert ledger.stored_times() == StoredTimes(NOON)
    ledger.close()


@pytest.mark.parametrize("by", [-HOUR, HOUR, 3 * DAY])
@pytest.mark.parametrize("writable", [True, False])
def test_a_jump_is_known_to_the_next_process(
    tmp_path: Path, timer: FakeTimer, by: timedelta, *, writable: bool
) -> None:
    """A daemon that starts anew, and a sweep by hand beside it, go on with the time from before the jump."""
    timer.wall += by
    ledger = make_ledger(tmp_path, timer, boot=BOOT, writable=writable)
    keeper = TrustedClock(timer, ledger.stored_times())
    assert (keeper.sense.sane, keeper.now()) == (False, NOON + MINUTE)
    inspect(ledger, keeper, A, B)
    ledger.close()
    timer.move(minutes=1)
    keeper = TrustedClock(timer, make_ledger(tmp_path, timer, boot=BOOT).stored_times())
    assert (keeper.sense.sane, keeper.now()) == (False, NOON + 2 * MINUTE)


@pytest.mark.parametrize("by", [-YEAR, -HOUR, HOUR, 3 * DAY, YEAR])
def test_a_correction_that_was_believed_is_expected(tmp_path: Path, timer: FakeTimer, by: timedelta) -> None:
    """The sample moves with all other times, so the next process trusts the clock."""
    timer.wall += by
    ledger = make_ledger(tmp_path, timer, boot=BOOT)
    ledger.shift(by)
    ledger.close()
    stored = make_ledger(tmp_path, timer, boot=BOOT).stored_times()
    assert stored == StoredTimes(NOON + by, NOON + by, 1000.0)
    keeper = TrustedClock(timer, stored)
    assert (keeper.sense.sane, keeper.now()) == (True, NOON + by + MINUTE)


# ---- when the watch begins, and what was pulled by a clock that was behind


@pytest.mark.parametrize("restarts", [False, True])
def test_the_watch_begins_with_the_first_inspection(tmp_path: Path, restarts: bool) -> None:
    """A file that lay there for an hour before the runtime answered knows of no arrival: old images came before."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    assert ledger.stored_times() is None
    timer.move(hours=1)
    if restarts:
        ledger.close()
        ledger = make_ledger(tmp_path, timer)
    image = pulled_at(A, NOON - 60 * DAY)
    memory = inspect(ledger, timer, image)
    assert memory.since == NOON + HOUR
    assert times_of(image, memory, timer.now()).pulled_at == image.pulled_at
    ledger.close()
    assert since_of(tmp_path) == [(micros(NOON + HOUR),)]
    timer.move(hours=1)
    other = make_ledger(tmp_path, timer)
    memory = inspect(other, timer, image)
    other.close()
    assert memory.since == NOON + HOUR
    assert times_of(image, memory, timer.now()).pulled_at == image.pulled_at


@pytest.mark.parametrize("behind", [HOUR, 30 * DAY])
def test_an_image_pulled_by_a_clock_that_was_behind_is_new(tmp_path: Path, behind: timedelta) -> None:
    """Once the clock is right and believed, grace counts from its arrival, over restarts; old images stay old."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    old, new = pulled_at(A, NOON - 60 * DAY), pulled_at(B, NOON + HOUR)
    inspect(ledger, timer, old)
    timer.move(hours=1, seconds=30)
    inspect(ledger, timer, old, new)
    timer.wall += behind
    ledger.shift(behind)
    timer.move(hours=1)
    memory = inspect(ledger, timer, old, new)
    ledger.close()
    again = inspect(other := make_ledger(tmp_path, timer), timer, old, new)
    other.close()
    for known in (memory, again):
        arrived = times_of(new, known, timer.now()).arrived_at
        assert arrived == NOON + HOUR + 30 * SECOND + behind
        assert is_recent(times_of(new, known, timer.now()), GRACE, timer.now())
        assert times_of(old, known, timer.now()).pulled_at == old.pulled_at


# ---- a correction that cannot be written yet


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Have another process lock the file, or the disk accept no writes, until the state is `right` again."""
    pragmas, others = ledger_file.PRAGMAS, sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    monkeypatch.setattr(ledger_file, "BUSY_SECONDS", 0.01)

    def set_state(state: str) -> None:
        if others.in_transaction:
            others.execute("ROLLBACK")
        monkeypatch.setattr(ledger_file, "PRAGMAS", pragmas)
        if state == "busy":
            others.execute("BEGIN IMMEDIATE")
        elif state == "full":
            monkeypatch.setattr(ledger_file, "PRAGMAS", (*pragmas, "PRAGMA query_only = 1"))

    yield set_state
    others.close()


@pytest.mark.parametrize("state", ["busy", "full"])
@pytest.mark.parametrize("by", [-YEAR, HOUR, YEAR])
def test_a_correction_that_cannot_be_written_is_owed(
    tmp_path: Path, unwritable: Callable[[str], None], state: str, by: timedelta
) -> None:
    """It is in memory at once and on disk with the next write that works; until then `since` is unknown."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer, boot=BOOT)
    inspect(ledger, timer, A, B, used=[A])
    unwritable(state)
    ledger._file._disconnect()
    ledger._file.open()
    timer.move(minutes=1)
    timer.wall += by
    ledger.shift(by)
    memory = inspect(ledger, timer, A, B)
    assert (memory.since, memory.first_seen_at[A.id], memory.last_used_at[A.id]) == (None, NOON + by, NOON + by)
    assert ledger.error is not None
    unwritable("right")
    timer.move(minutes=1)
    memory = inspect(ledger, timer, A, B)
    assert memory.since == NOON + by
    assert (memory.first_seen_at[B.id], memory.last_used_at[A.id]) == (NOON + by, NOON + by)
    ledger.close()
    memory = inspect(other := make_ledger(tmp_path, timer, boot=BOOT), timer, A, B)
    assert (memory.since, memory.first_seen_at[B.id], memory.last_used_at[A.id]) == (NOON + by, NOON + by, NOON + by)
    assert TrustedClock(timer, other.stored_times()).sense.sane
    other.close()


def test_corrections_that_are_owed_add_up(tmp_path: Path, unwritable: Callable[[str], None]) -> None:
    """Each moves what was stored before it, and nothing that was stored later; also at the end of a process."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    unwritable("full")
    ledger._file._disconnect()
    ledger._file.open()
    for day in range(3):
        ledger.record(NightlyRunEnded(NightlyRun(NOON + day * DAY, timer.now())))
        timer.wall += 10 * DAY
        ledger.shift(10 * DAY)
    ledger.record(NightlyRunEnded(NightlyRun(NOON + 3 * DAY, timer.now())))
    unwritable("right")
    ledger.close()
    ended = query(tmp_path, "SELECT ended_at FROM nightly_run ORDER BY occurrence")
    assert ended == [(micros(NOON + 30 * DAY),)] * 4
    assert query(tmp_path, "SELECT first_seen FROM image") == [(micros(NOON + 30 * DAY),)]


def test_what_another_process_stored_meanwhile_is_not_set_back(
    tmp_path: Path, unwritable: Callable[[str], None]
) -> None:
    """Times after the correction, which another process stored by the right clock, are moved up to now at most."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    unwritable("full")
    ledger._file._disconnect()
    ledger._file.open()
    timer.wall += DAY
    ledger.shift(DAY)
    unwritable("right")
    timer.move(hours=1)
    other = make_ledger(tmp_path, timer)
    inspect(other, timer, A, B)
    other.close()
    timer.move(hours=1)
    memory = inspect(ledger, timer, A, B)
    ledger.close()
    assert memory.first_seen_at == {A.id: NOON + DAY, B.id: timer.now()}


def test_a_correction_moves_what_was_removed_while_nothing_could_be_written(
    tmp_path: Path, unwritable: Callable[[str], None]
) -> None:
    """An image that is pulled again keeps its last use, by the clock as it is now."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A, B, C, used=[A])
    unwritable("full")
    ledger._file._disconnect()
    ledger._file.open()
    timer.move(minutes=1)
    inspect(ledger, timer, C)
    timer.wall += 10 * DAY
    ledger.shift(10 * DAY)
    memory = inspect(ledger, timer, A, B, C)
    assert memory.last_used_at == {A.id: NOON + 10 * DAY}
    unwritable("right")
    timer.move(minutes=1)
    assert inspect(ledger, timer, A, B, C).last_used_at == {A.id: NOON + 10 * DAY}
    ledger.close()


def test_a_correction_that_is_owed_is_never_given_up(tmp_path: Path, unwritable: Callable[[str], None]) -> None:
    """Of too many waiting statements the oldest are dropped, and the correction stays before those that came later."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    unwritable("full")
    ledger._file._disconnect()
    ledger._file.open()
    timer.wall += DAY
    ledger.record(NightlyRunEnded(NightlyRun(NOON, NOON)))
    ledger.shift(DAY)
    for number in range(1500):
        evict(ledger, make_image(number), timer.now())
    assert ledger._file.waiting == ledger_file.BACKLOG
    unwritable("right")
    memory = inspect(ledger, timer, A)
    assert (memory.since, memory.first_seen_at) == (NOON + DAY, {A.id: NOON + DAY})
    assert query(tmp_path, "SELECT * FROM nightly_run") == []
    ledger.close()


def test_what_waits_is_bounded_even_if_it_is_corrections(tmp_path: Path) -> None:
    """A clock that is corrected for ever fills no memory."""
    file = make_ledger(tmp_path)._file
    file.add([Shift.new(SECOND)] * (ledger_file.BACKLOG + 1))
    assert file.waiting == ledger_file.BACKLOG


def test_a_correction_is_carried_out_once(tmp_path: Path) -> None:
    """A commit that was called failed, and is on disk all the same, is not done again; the next correction is."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    timer.wall += YEAR
    first, second = Shift.new(HOUR), Shift.new(HOUR)
    for owed in ([first], [first, second], [first, second]):
        ledger._file.add(owed)
        assert ledger._file.write(lambda _: True)
    ledger.close()
    assert query(tmp_path, "SELECT first_seen FROM image") == [(micros(NOON + 2 * HOUR),)]


def test_corrections_of_long_ago_are_forgotten(tmp_path: Path) -> None:
    """That one was carried out is kept as long as all history."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    ledger.shift(-HOUR)
    for days, kept in ((KEEP.days - 1, 1), (3, 0)):
        timer.move(days=days)
        inspect(ledger, timer, A)
        timer.move(days=1)  # history is pruned by the time of the pruning before
        inspect(ledger, timer, A)
        assert query(tmp_path, "SELECT count(*) FROM meta WHERE key LIKE 'shift:%'") == [(kept,)]
    ledger.close()
