"""What is stored of an image besides its times: the mark of an import, and removals that failed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.core.model import EvictionOutcome, Fault, Image, RemovalFailure
from cleaner.ledger import file as ledger_file
from cleaner.ledger.in_memory import InMemoryLedger
from cleaner.ledger.ledger import SqliteLedger
from cleaner.ledger.rows import micros
from support.fakes import NOON, FakeTimer
from support.ledgers import (
    A,
    AnyLedger,
    B,
    C,
    evict,
    fail_removal,
    inspect,
    make_ledger,
    observe_sweep,
    pulled_at,
    query,
    start_eviction,
    start_sweep,
)
from support.values import MICROSECOND

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MARKED = replace(A, imported=True)
UNKNOWN = replace(A, pulled_at=None)
"""A, as a runtime lists it that does not tell when it was pulled."""


@pytest.fixture
def timer() -> FakeTimer:
    return FakeTimer()


@pytest.fixture(params=["file", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, timer: FakeTimer) -> Iterator[AnyLedger]:
    """Each of the two ledgers."""
    ledger: AnyLedger = InMemoryLedger() if request.param == "memory" else make_ledger(tmp_path, timer)
    yield ledger
    assert ledger.error is None
    ledger.close()


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[SqliteLedger, bool], None]:
    """Have every write to the file fail, or none."""
    pragmas = ledger_file.PRAGMAS

    def set_limit(ledger: SqliteLedger, fails: bool) -> None:
        monkeypatch.setattr(ledger_file, "PRAGMAS", (*pragmas, "PRAGMA query_only = 1") if fails else pragmas)
        if fails:
            ledger._file._disconnect()

    return set_limit


def marks(folder: Path) -> list[str]:
    return [image_id for (image_id,) in query(folder, "SELECT image_id FROM imported ORDER BY image_id")]


def counts(folder: Path) -> dict[str, int]:
    return dict(query(folder, "SELECT image_id, count FROM removal_failure"))


# ---- marks of an import


def test_an_image_that_lost_its_mark_stays_marked(ledger: AnyLedger, timer: FakeTimer) -> None:
    """The runtime takes the mark away and writes a new record, which shows no pull."""
    assert inspect(ledger, timer, MARKED, B).imported == {A.id}
    timer.move(hours=1)
    assert inspect(ledger, timer, pulled_at(A, timer.now()), B).imported == {A.id}
    assert inspect(ledger, timer, UNKNOWN, replace(B, imported=True)).imported == {A.id, B.id}
    assert inspect(ledger, timer, replace(A, readable=False), B).imported == {A.id, B.id}


def test_an_image_that_is_missing_once_stays_marked(ledger: AnyLedger, timer: FakeTimer) -> None:
    """A runtime that lists nothing once has removed nothing, however often it does; a missing image is not given."""
    inspect(ledger, timer, MARKED, B)
    for _ in range(3):
        assert inspect(ledger, timer, B).imported == frozenset()
        assert inspect(ledger, timer, A, B).imported == {A.id}


def test_an_image_that_is_missing_twice_is_gone(ledger: AnyLedger, timer: FakeTimer) -> None:
    """What is pulled afterwards under its id was not imported; an import marks it again."""
    inspect(ledger, timer, MARKED, B)
    inspect(ledger, timer, B)
    inspect(ledger, timer, B)
    assert inspect(ledger, timer, A, B).imported == frozenset()
    assert inspect(ledger, timer, MARKED, B).imported == {A.id}


def test_an_evicted_image_is_forgotten_at_once(ledger: AnyLedger, timer: FakeTimer) -> None:
    """It may be re-pulled before the next inspection; other images stay marked."""
    inspect(ledger, timer, MARKED, replace(B, imported=True))
    evict(ledger, MARKED, timer.now())
    assert inspect(ledger, timer, A, B).imported == {B.id}


@pytest.mark.parametrize("outcome", [EvictionOutcome.FAILED, EvictionOutcome.SPARED])
def test_an_image_that_was_not_evicted_stays_marked(
    ledger: AnyLedger, timer: FakeTimer, outcome: EvictionOutcome
) -> None:
    """It is still there."""
    inspect(ledger, timer, MARKED)
    evict(ledger, MARKED, timer.now(), outcome)
    assert inspect(ledger, timer, A).imported == {A.id}


def test_marks_survive_a_restart(tmp_path: Path, timer: FakeTimer) -> None:
    """Also for a command that only reads; one more inspection does not write them anew."""
    first = make_ledger(tmp_path, timer)
    inspect(first, timer, MARKED, B)
    first.close()
    timer.move(hours=1)
    for writable in (False, True):
        ledger = make_ledger(tmp_path, timer, writable=writable)
        assert inspect(ledger, timer, A, B).imported == {A.id}
        assert inspect(ledger, timer, A, B).imported == {A.id}
        ledger.close()
    assert marks(tmp_path) == [A.id]


def test_processes_that_inspect_once_forget_what_is_gone(tmp_path: Path, timer: FakeTimer) -> None:
    """The second of them that misses the image confirms it; one that finds it again keeps the mark."""

    def inspect_once(*images: Image) -> frozenset[str]:
        ledger = make_ledger(tmp_path, timer)
        memory = inspect(ledger, timer, *images)
        ledger.close()
        return memory.imported

    assert inspect_once(MARKED, B) == {A.id}
    assert inspect_once(B) == frozenset()
    assert marks(tmp_path) == [A.id]
    assert inspect_once(A, B) == {A.id}
    for _ in range(2):
        assert inspect_once(B) == frozenset()
    assert marks(tmp_path) == []
    assert inspect_once(A, B) == frozenset()


def test_a_mark_stays_where_a_killed_process_may_have_evicted_the_image(tmp_path: Path, timer: FakeTimer) -> None:
    """A later record is no proof: the runtime may have restarted with the agent, and taken the mark away."""
    first = make_ledger(tmp_path, timer)
    inspect(first, timer, MARKED)
    start_sweep(first, timer.now())
    start_eviction(first, MARKED, timer.now())
    first.close()
    timer.move(hours=1)
    ledger = make_ledger(tmp_path, timer)
    assert inspect(ledger, timer, pulled_at(A, timer.now())).imported == {A.id}
    assert [past.outcome for past in ledger.history()] == [EvictionOutcome.EVICTED]
    ledger.close()


def test_marks_hold_while_the_file_fails(
    tmp_path: Path, timer: FakeTimer, limit: Callable[[SqliteLedger, bool], None]
) -> None:
    """What was seen and what was forgotten meanwhile is on disk once the file works again."""
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, MARKED, B, replace(C, imported=True))
    limit(ledger, True)
    assert inspect(ledger, timer, A, replace(B, imported=True)).imported == {A.id, B.id}
    assert ledger.error is not None
    inspect(ledger, timer, A, B)
    assert inspect(ledger, timer, A, B, C).imported == {A.id, B.id}
    assert marks(tmp_path) == [A.id, C.id]
    limit(ledger, False)
    assert inspect(ledger, timer, A, B, C).imported == {A.id, B.id}
    assert marks(tmp_path) == [A.id, B.id]
    ledger.close()


def test_marks_on_disk_are_merged_once_the_file_can_be_opened(
    tmp_path: Path, timer: FakeTimer, limit: Callable[[SqliteLedger, bool], None]
) -> None:
    """A process that started without the file keeps its own marks too, and an evicted image stays forgotten."""
    first = make_ledger(tmp_path, timer)
    inspect(first, timer, MARKED, replace(C, imported=True))
    first.close()
    state, away = tmp_path / "ledger.db", tmp_path / "away.db"
    state.rename(away)
    state.mkdir()
    ledger = make_ledger(tmp_path, timer)
    assert inspect(ledger, timer, A, replace(B, imported=True), C).imported == {B.id}
    evict(ledger, C, timer.now())
    state.rmdir()
    away.rename(state)
    assert inspect(ledger, timer, A, B, C).imported == {A.id, B.id}
    assert marks(tmp_path) == [A.id, B.id]
    ledger.close()


def test_what_the_disk_missed_and_memory_saw_again_is_missing_for_the_first_time(
    tmp_path: Path, timer: FakeTimer, limit: Callable[[SqliteLedger, bool], None]
) -> None:
    """The image was back while the file failed, so two more inspections must miss it."""
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, MARKED, B)
    inspect(ledger, timer, B)
    limit(ledger, True)
    assert inspect(ledger, timer, A, B).imported == {A.id}
    limit(ledger, False)
    inspect(ledger, timer, B)
    assert inspect(ledger, timer, A, B).imported == {A.id}
    ledger.close()


def test_an_image_that_is_imported_again_after_its_eviction_is_stored(tmp_path: Path, timer: FakeTimer) -> None:
    """It is there with a mark at the next inspection already."""
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, MARKED)
    evict(ledger, MARKED, timer.now())
    assert inspect(ledger, timer, MARKED).imported == {A.id}
    ledger.close()
    assert marks(tmp_path) == [A.id]


@pytest.mark.parametrize("other", ["deleted", "older"])
def test_a_new_file_gets_what_is_known(tmp_path: Path, timer: FakeTimer, other: str) -> None:
    """Deleted under a running daemon, or replaced by a copy of before, it has marks and failures again."""
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A, B)
    ledger.close()
    copy = (tmp_path / "ledger.db").read_bytes()
    inspect(ledger, timer, MARKED, B)
    fail_removal(ledger, B, timer.now())
    inspect(ledger, timer, A, B)
    (tmp_path / "ledger.db").unlink()
    if other == "older":
        (tmp_path / "copy.db").write_bytes(copy)
        (tmp_path / "copy.db").rename(tmp_path / "ledger.db")
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"ledger.db{suffix}").unlink(missing_ok=True)
    memory = inspect(ledger, timer, A, B)
    assert ledger.error is None
    assert memory.imported == {A.id}
    assert memory.removal_failures == {B.id: RemovalFailure(1, NOON, B.pulled_at)}
    assert (marks(tmp_path), counts(tmp_path)) == ([A.id], {B.id: 1})
    ledger.close()


def test_marks_of_another_process_are_known_at_the_next_inspection(tmp_path: Path, timer: FakeTimer) -> None:
    """So is its eviction, also where the image is there again at once."""
    daemon, manual = make_ledger(tmp_path, timer, tells=True), make_ledger(tmp_path, timer)
    inspect(daemon, timer, A, B)
    inspect(manual, timer, MARKED, B)
    assert inspect(daemon, timer, A, replace(B, imported=True)).imported == {A.id, B.id}
    assert inspect(manual, timer, A, B).imported == {A.id, B.id}
    evict(manual, A, timer.now())
    assert inspect(daemon, timer, A, B).imported == {B.id}
    evict(daemon, B, timer.now())
    assert inspect(manual, timer, A, B).imported == frozenset()
    assert marks(tmp_path) == []
    manual.close()
    daemon.close()


def test_an_unchanged_node_writes_nothing_more(tmp_path: Path, timer: FakeTimer) -> None:
    """Within the minute nothing, also after an eviction and a failure; a sample changes the meta rows only."""
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, MARKED, B, C)
    for image in (B, C):
        fail_removal(ledger, image, timer.now())
    evict(ledger, C, timer.now())
    connection = ledger._file._connection
    assert connection is not None
    before = connection.total_changes
    for image in (MARKED, A):
        timer.move(seconds=10)
        inspect(ledger, timer, image, B)
        assert (connection.total_changes, ledger._file.waiting) == (before, 0)
    timer.move(minutes=1)
    inspect(ledger, timer, A, B)
    assert connection.total_changes == before + len(("sampled_at", "since", "installed_at"))
    ledger.close()


# ---- removals that failed


def test_failures_of_an_image_are_counted(ledger: AnyLedger, timer: FakeTimer) -> None:
    """With the time of the latest, and when the image was pulled; the value given does not change any more."""
    inspect(ledger, timer, A, B)
    fail_removal(ledger, A, NOON)
    once = inspect(ledger, timer, A, B)
    fail_removal(ledger, A, NOON + MINUTE)
    fail_removal(ledger, B, NOON + HOUR)
    assert inspect(ledger, timer, A, B).removal_failures == {
        A.id: RemovalFailure(2, NOON + MINUTE, A.pulled_at),
        B.id: RemovalFailure(1, NOON + HOUR, B.pulled_at),
    }
    assert once.removal_failures == {A.id: RemovalFailure(1, NOON, A.pulled_at)}


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault.RUNTIME, EvictionOutcome.FAILED),
        (None, EvictionOutcome.FAILED),
        (Fault.IMAGE, EvictionOutcome.SPARED),
        (Fault.IMAGE, EvictionOutcome.PLANNED),
    ],
)
def test_what_is_no_failure_of_the_image_changes_nothing(
    ledger: AnyLedger, timer: FakeTimer, fault: Fault | None, outcome: EvictionOutcome
) -> None:
    """Neither a first failure nor one that was stored."""
    inspect(ledger, timer, A, B)
    fail_removal(ledger, A, NOON)
    for image in (A, B):
        fail_removal(ledger, image, NOON + HOUR, fault=fault, outcome=outcome)
    assert inspect(ledger, timer, A, B).removal_failures == {A.id: RemovalFailure(1, NOON, A.pulled_at)}


def test_a_dry_run_has_no_failures(tmp_path: Path, timer: FakeTimer) -> None:
    """A ledger that is only read stores none, nor does mode observe."""
    observing = make_ledger(tmp_path, timer, observes=True)
    inspect(observing, timer, A)
    observe_sweep(observing, timer.now(), A)
    reader = make_ledger(tmp_path, timer, writable=False)
    inspect(reader, timer, A)
    fail_removal(reader, A, timer.now())
    assert inspect(reader, timer, A).removal_failures == inspect(observing, timer, A).removal_failures == {}
    assert counts(tmp_path) == {}
    reader.close()
    observing.close()


def test_an_eviction_clears_the_failures(ledger: AnyLedger, timer: FakeTimer) -> None:
    """Only those of its image; it may be re-pulled before the next inspection."""
    inspect(ledger, timer, A, B)
    for image in (A, B):
        fail_removal(ledger, image, NOON)
    evict(ledger, A, timer.now())
    assert inspect(ledger, timer, A, B).removal_failures.keys() == {B.id}


@pytest.mark.parametrize(("missed", "kept"), [(1, True), (2, False)])
def test_an_image_that_is_gone_has_no_failures(ledger: AnyLedger, timer: FakeTimer, *, missed: int, kept: bool) -> None:
    """Two inspections miss it; a list that lacked it once clears nothing, and gives none while it is missing."""
    inspect(ledger, timer, A, B)
    fail_removal(ledger, A, NOON)
    for _ in range(missed):
        assert inspect(ledger, timer, B).removal_failures == {}
    assert (A.id in inspect(ledger, timer, A, B).removal_failures) is kept


@pytest.mark.parametrize("by", [MICROSECOND, DAY])
def test_a_new_pull_clears_the_failures(ledger: AnyLedger, timer: FakeTimer, by: timedelta) -> None:
    """A later pull time is a new one, for good."""
    image = pulled_at(A, NOON - HOUR)
    inspect(ledger, timer, image)
    fail_removal(ledger, image, NOON)
    assert inspect(ledger, timer, image).removal_failures.keys() == {A.id}
    assert inspect(ledger, timer, pulled_at(A, NOON - HOUR + by)).removal_failures == {}
    assert inspect(ledger, timer, image).removal_failures == {}


def test_an_earlier_pull_time_clears_nothing(ledger: AnyLedger, timer: FakeTimer) -> None:
    """A removal that failed half-way may have taken the newest record of the image."""
    fail_removal(ledger, pulled_at(A, NOON - HOUR), NOON)
    assert inspect(ledger, timer, pulled_at(A, NOON - DAY)).removal_failures.keys() == {A.id}


def test_a_pull_time_that_is_not_known_clears_nothing(ledger: AnyLedger, timer: FakeTimer) -> None:
    """Pull times may be unreadable for a while, at an inspection or at a failure, and some runtimes tell none."""
    inspect(ledger, timer, A)
    fail_removal(ledger, A, NOON)
    assert inspect(ledger, timer, UNKNOWN).removal_failures == {A.id: RemovalFailure(1, NOON, A.pulled_at)}
    fail_removal(ledger, UNKNOWN, NOON + MINUTE)
    assert inspect(ledger, timer, A).removal_failures == {A.id: RemovalFailure(2, NOON + MINUTE, None)}
    fail_removal(ledger, A, NOON + HOUR)
    assert inspect(ledger, timer, A).removal_failures == {A.id: RemovalFailure(3, NOON + HOUR, A.pulled_at)}


def test_a_failure_after_a_new_pull_is_the_first(ledger: AnyLedger, timer: FakeTimer) -> None:
    """Also where no inspection was between."""
    inspect(ledger, timer, A)
    for minute in range(3):
        fail_removal(ledger, A, NOON + minute * MINUTE)
    again = pulled_at(A, NOON)
    fail_removal(ledger, again, NOON + HOUR)
    assert inspect(ledger, timer, again).removal_failures == {A.id: RemovalFailure(1, NOON + HOUR, NOON)}


@pytest.mark.parametrize("by", [-DAY, HOUR, 365 * DAY])
def test_a_correction_moves_the_failures(ledger: AnyLedger, timer: FakeTimer, by: timedelta) -> None:
    """The pull time is the runtime's and stays, so the image does not count as pulled again."""
    inspect(ledger, timer, A)
    fail_removal(ledger, A, NOON)
    timer.move(minutes=1)
    timer.wall += by
    ledger.shift(by)
    assert inspect(ledger, timer, A).removal_failures == {A.id: RemovalFailure(1, NOON + by, A.pulled_at)}
    fail_removal(ledger, A, timer.now())
    assert inspect(ledger, timer, A).removal_failures == {A.id: RemovalFailure(2, timer.now(), A.pulled_at)}


def test_a_correction_leads_nowhere_beyond_now(tmp_path: Path, timer: FakeTimer) -> None:
    """Neither in memory, also while the file fails, nor on disk."""
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    fail_removal(ledger, A, NOON)
    timer.move(minutes=1)
    for _ in range(2):
        ledger.shift(HOUR)
        assert inspect(ledger, timer, A).removal_failures[A.id].failed_at == timer.now()
        assert query(tmp_path, "SELECT failed_at FROM removal_failure") == [(micros(timer.now()),)]
        ledger._file._disconnect()
    ledger.close()


def test_failures_survive_a_restart(tmp_path: Path, timer: FakeTimer) -> None:
    """Also for a command that only reads; the next failure counts on."""
    first = make_ledger(tmp_path, timer)
    inspect(first, timer, A, UNKNOWN)
    for minute in range(3):
        fail_removal(first, A, NOON + minute * MINUTE)
    first.close()
    timer.move(hours=1)
    reader = make_ledger(tmp_path, timer, writable=False)
    assert inspect(reader, timer, A).removal_failures == {A.id: RemovalFailure(3, NOON + 2 * MINUTE, A.pulled_at)}
    reader.close()
    second = make_ledger(tmp_path, timer)
    inspect(second, timer, A)
    fail_removal(second, A, timer.now())
    assert inspect(second, timer, A).removal_failures == {A.id: RemovalFailure(4, timer.now(), A.pulled_at)}
    second.close()


def test_another_version_begins_anew(tmp_path: Path, timer: FakeTimer) -> None:
    """It may be able to remove the image; a reader of another version knows of no failure either."""
    first = make_ledger(tmp_path, timer, version="1.0.0")
    inspect(first, timer, A, B)
    for image in (A, A, B):
        fail_removal(first, image, NOON)
    first.close()
    reader = make_ledger(tmp_path, timer, version="1.1.0", writable=False)
    assert inspect(reader, timer, A, B).removal_failures == {}
    reader.close()
    assert counts(tmp_path) == {A.id: 2, B.id: 1}
    newer = make_ledger(tmp_path, timer, version="1.1.0")
    assert inspect(newer, timer, A, B).removal_failures == {}
    assert counts(tmp_path) == {}
    fail_removal(newer, A, NOON + HOUR)
    assert inspect(newer, timer, A, B).removal_failures == {A.id: RemovalFailure(1, NOON + HOUR, A.pulled_at)}
    newer.close()
    older = make_ledger(tmp_path, timer, version="1.0.0")
    assert inspect(older, timer, A, B).removal_failures == {}
    older.close()


def test_another_version_counts_from_one_before_it_inspected(tmp_path: Path, timer: FakeTimer) -> None:
    """The row of the version before does not add to its own."""
    for version, failures in (("1.0.0", 3), ("1.1.0", 1)):
        ledger = make_ledger(tmp_path, timer, version=version)
        for _ in range(failures):
            fail_removal(ledger, A, NOON)
        ledger.close()
    assert query(tmp_path, "SELECT count, version FROM removal_failure") == [(1, "1.1.0")]


def test_failures_hold_while_the_file_fails(
    tmp_path: Path, timer: FakeTimer, limit: Callable[[SqliteLedger, bool], None]
) -> None:
    """Those of before are known, new ones count, and what was cleared is cleared on disk too."""
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A, B, C)
    for image in (A, B):
        fail_removal(ledger, image, NOON)
    limit(ledger, True)
    timer.move(minutes=1)
    inspect(ledger, timer, A, B, C)
    assert ledger.error is not None
    for image in (A, C):
        fail_removal(ledger, image, timer.now())
    timer.wall += HOUR
    ledger.shift(HOUR)
    again = pulled_at(B, NOON)
    expected = {
        A.id: RemovalFailure(2, timer.now(), A.pulled_at),
        C.id: RemovalFailure(1, timer.now(), C.pulled_at),
    }
    assert inspect(ledger, timer, A, again, C).removal_failures == expected
    assert counts(tmp_path) == {A.id: 1, B.id: 1}
    limit(ledger, False)
    assert inspect(ledger, timer, A, again, C).removal_failures == expected
    assert counts(tmp_path) == {A.id: 2, C.id: 1}
    ledger.close()
    other = make_ledger(tmp_path, timer)
    assert inspect(other, timer, A, again, C).removal_failures == expected
    other.close()


def test_a_process_that_started_without_the_file_does_not_lower_the_count(tmp_path: Path, timer: FakeTimer) -> None:
    """What is on disk and what is in memory are merged: the greater count, the later time."""
    first = make_ledger(tmp_path, timer)
    inspect(first, timer, A, B, C)
    for image in (A, A, A, B, C):
        fail_removal(first, image, NOON)
    first.close()
    state, away = tmp_path / "ledger.db", tmp_path / "away.db"
    state.rename(away)
    state.mkdir()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A, B, C)
    fail_removal(ledger, A, NOON + HOUR)
    evict(ledger, C, NOON + HOUR)
    assert inspect(ledger, timer, A, B, C).removal_failures == {A.id: RemovalFailure(1, NOON + HOUR, A.pulled_at)}
    state.rmdir()
    away.rename(state)
    assert inspect(ledger, timer, A, B, C).removal_failures == {
        A.id: RemovalFailure(3, NOON + HOUR, A.pulled_at),
        B.id: RemovalFailure(1, NOON, B.pulled_at),
    }
    assert counts(tmp_path) == {A.id: 3, B.id: 1}
    ledger.close()


def test_processes_know_of_each_others_failures(tmp_path: Path, timer: FakeTimer) -> None:
    """The daemon and a sweep by hand count on, and what one of them clears is cleared for both."""
    daemon, manual = make_ledger(tmp_path, timer, tells=True), make_ledger(tmp_path, timer)
    inspect(daemon, timer, A, B)
    fail_removal(daemon, A, NOON)
    for count, (ledger, other) in enumerate([(manual, daemon), (daemon, manual), (manual, daemon)], 2):
        inspect(ledger, timer, A, B)
        fail_removal(ledger, A, NOON + count * MINUTE)
        expected = {A.id: RemovalFailure(count, NOON + count * MINUTE, A.pulled_at)}
        assert inspect(other, timer, A, B).removal_failures == expected
    inspect(manual, timer, A, B)
    fail_removal(daemon, B, NOON)
    evict(manual, A, timer.now())
    assert inspect(daemon, timer, A, B).removal_failures == inspect(manual, timer, A, B).removal_failures
    assert counts(tmp_path) == {B.id: 1}
    manual.close()
    daemon.close()


def test_a_failure_by_a_clock_that_was_set_back_replaces_the_one_before(tmp_path: Path, timer: FakeTimer) -> None:
    """No later time that the file has stands in its way; the other process counts on."""
    daemon, manual = make_ledger(tmp_path, timer, tells=True), make_ledger(tmp_path, timer)
    inspect(daemon, timer, A)
    fail_removal(daemon, A, NOON + DAY)
    inspect(manual, timer, A)
    fail_removal(manual, A, NOON)
    assert inspect(daemon, timer, A).removal_failures == {A.id: RemovalFailure(2, NOON, A.pulled_at)}
    assert query(tmp_path, "SELECT count, failed_at FROM removal_failure") == [(2, micros(NOON))]
    manual.close()
    daemon.close()


@pytest.mark.parametrize("value", ["count = 'often'", "failed_at = 'yesterday'", "pulled_at = x'00'"])
def test_a_failure_that_somebody_wrote_by_hand_is_said(tmp_path: Path, timer: FakeTimer, value: str) -> None:
    """What cannot be understood is no crash; the images are known all the same."""
    first = make_ledger(tmp_path, timer)
    inspect(first, timer, A)
    fail_removal(first, A, NOON)
    first.close()
    query(tmp_path, f"UPDATE removal_failure SET {value}")  # noqa: S608 - from above
    ledger = make_ledger(tmp_path, timer)
    memory = inspect(ledger, timer, A)
    assert (memory.since, memory.removal_failures) == (None, {})
    assert ledger.error is not None
    ledger.close()


@pytest.mark.parametrize(("stored", "read"), [(-5, 1), (0, 1), (2**63 - 1, 2**63 - 1)])
def test_a_count_beyond_all_sense_is_cut(tmp_path: Path, timer: FakeTimer, stored: int, read: int) -> None:
    """It begins with 1, and one more than SQLite can hold is written as what it can."""
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    fail_removal(ledger, A, NOON)
    query(tmp_path, "UPDATE removal_failure SET count = ?", stored)
    assert inspect(ledger, timer, A).removal_failures[A.id].count == read
    fail_removal(ledger, A, NOON + SECOND)
    assert ledger.error is None
    assert counts(tmp_path) == {A.id: min(read + 1, 2**63 - 1)}
    ledger.close()
