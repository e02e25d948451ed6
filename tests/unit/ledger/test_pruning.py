"""Old rows are deleted in small batches, each of which may fail without any harm."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.ledger.pruning import (
    BATCH_ROWS,
    LARGEST_LOG_PAGES,
    LONGEST_SECONDS,
    MOST_BATCHES,
    PRUNE_EVERY,
    RETRY_SECONDS,
    SPARE_PAGES,
)
from support.fakes import NOON, FakeTimer
from support.ledgers import A, B, fill_history, inspect, make_ledger, query

MINUTE = timedelta(minutes=1)
PAGE_BYTES = 4096
OLD = NOON - timedelta(days=200)
WHOLE_TURN = BATCH_ROWS * MOST_BATCHES
NO_DELETION = "CREATE TRIGGER keep_all BEFORE DELETE ON eviction BEGIN SELECT RAISE(ABORT, 'not today'); END"


@dataclass
class SlowTimer(FakeTimer):
    """Each question takes a while, as each batch does on a slow disk."""

    step: float = LONGEST_SECONDS

    def monotonic(self) -> float:
        self.seconds += self.step
        return self.seconds


@pytest.fixture
def due(tmp_path: Path) -> FakeTimer:
    """The clock of a ledger that was pruned a day ago, without old rows."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    ledger.close()
    timer.move(seconds=PRUNE_EVERY.total_seconds())
    return timer


def rows_left(folder: Path) -> int:
    return int(query(folder, "SELECT count(*) FROM eviction")[0][0])


def pruned_at(folder: Path) -> int:
    return int(query(folder, "SELECT value FROM meta WHERE key = 'pruned_at'")[0][0])


def sampled_at(folder: Path) -> int:
    return int(query(folder, "SELECT value FROM meta WHERE key = 'sampled_at'")[0][0])


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Another process in the middle of a long answer: nothing that comes after it can be copied out of the log."""
    with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM eviction").fetchone()
        yield
        reader.execute("COMMIT")


def test_a_turn_is_bounded_and_the_next_goes_on(tmp_path: Path, due: FakeTimer) -> None:
    """Each inspection deletes some; only once nothing is left it counts as done for the day."""
    fill_history(tmp_path, WHOLE_TURN + 1, OLD)
    ledger, before = make_ledger(tmp_path, due), pruned_at(tmp_path)
    inspect(ledger, due, A)
    assert (rows_left(tmp_path), pruned_at(tmp_path)) == (1, before)
    due.move(minutes=1)
    inspect(ledger, due, A)
    assert rows_left(tmp_path) == 0
    while pruned_at(tmp_path) == before:
        due.move(minutes=1)
        inspect(ledger, due, A)
    ledger.close()


@pytest.mark.parametrize("rows", [BATCH_ROWS - 1, BATCH_ROWS, BATCH_ROWS + 1])
def test_all_is_deleted_whatever_the_size_of_a_batch(tmp_path: Path, due: FakeTimer, rows: int) -> None:
    """In one turn, with all that follows."""
    fill_history(tmp_path, rows, OLD)
    ledger, before = make_ledger(tmp_path, due), pruned_at(tmp_path)
    inspect(ledger, due, A)
    assert rows_left(tmp_path) == 0
    assert pruned_at(tmp_path) > before
    ledger.close()


def test_a_slow_disk_holds_the_loop_for_one_batch(tmp_path: Path, due: FakeTimer) -> None:
    """No batch begins once the time is over."""
    fill_history(tmp_path, 3 * BATCH_ROWS, OLD)
    timer = SlowTimer(due.wall, due.seconds)
    ledger = make_ledger(tmp_path, timer)
    for left in (2 * BATCH_ROWS, BATCH_ROWS, 0):
        inspect(ledger, timer, A)
        assert rows_left(tmp_path) == left
        timer.move(minutes=1)
    ledger.close()


def test_a_pruning_that_fails_fails_nothing_else(tmp_path: Path, due: FakeTimer) -> None:
    """The sample is written, the ledger stays up, and pruning is tried again ten minutes later."""
    fill_history(tmp_path, 3, OLD)
    query(tmp_path, NO_DELETION)
    ledger, before = make_ledger(tmp_path, due), sampled_at(tmp_path)
    memory = inspect(ledger, due, A, B)
    assert (ledger.error, memory.since) == (None, NOON)
    assert sampled_at(tmp_path) > before
    assert query(tmp_path, "SELECT count(*) FROM image") == [(2,)]
    query(tmp_path, "DROP TRIGGER keep_all")
    due.move(seconds=RETRY_SECONDS - 1)
    inspect(ledger, due, A, B)
    assert rows_left(tmp_path) == 3
    due.move(seconds=1)
    inspect(ledger, due, A, B)
    assert rows_left(tmp_path) == 0
    ledger.close()


def test_what_a_batch_began_is_undone_where_it_fails(tmp_path: Path, due: FakeTimer) -> None:
    """The next sample can begin its own transaction."""
    fill_history(tmp_path, 3, OLD)
    query(tmp_path, NO_DELETION.replace("BEGIN SELECT", "WHEN old.began_at % 3 = 0 BEGIN SELECT"))
    ledger = make_ledger(tmp_path, due)
    inspect(ledger, due, A)
    assert rows_left(tmp_path) == 3
    due.move(minutes=1)
    inspect(ledger, due, A, B)
    assert ledger.error is None
    assert query(tmp_path, "SELECT count(*) FROM image") == [(2,)]
    ledger.close()


def test_a_reader_pauses_pruning_before_the_log_grows(tmp_path: Path, due: FakeTimer) -> None:
    """Samples go on meanwhile; once the reader has ended, so does pruning."""
    fill_history(tmp_path, WHOLE_TURN, OLD)
    ledger = make_ledger(tmp_path, due)
    ledger.open()
    log = tmp_path / "ledger.db-wal"
    batch_bytes = LARGEST_LOG_PAGES * PAGE_BYTES
    with reading(tmp_path):
        for _ in range(60):
            inspect(ledger, due, A)
            due.move(minutes=1)
        assert log.stat().st_size < 2 * batch_bytes
        assert rows_left(tmp_path) > 0
        assert ledger.error is None
        assert sampled_at(tmp_path) == int((due.now() - MINUTE).timestamp() * 1e6)
    for _ in range(60):
        inspect(ledger, due, A)
        due.move(minutes=1)
    assert rows_left(tmp_path) == 0
    assert log.stat().st_size < 2 * batch_bytes
    ledger.close()


def test_no_sweep_waits_for_it(tmp_path: Path, due: FakeTimer) -> None:
    """A full disk does not wait for history; the next inspection prunes."""
    fill_history(tmp_path, 3, OLD)
    ledger = make_ledger(tmp_path, due)
    with ledger.sweep_turn() as mine:
        assert mine
        inspect(ledger, due, A)
    assert rows_left(tmp_path) == 3
    due.move(minutes=1)
    inspect(ledger, due, A)
    assert rows_left(tmp_path) == 0
    ledger.close()


def test_a_restart_goes_on_with_it(tmp_path: Path, due: FakeTimer) -> None:
    """Another process knows nothing of the turns before."""
    fill_history(tmp_path, WHOLE_TURN + 1, OLD)
    for left in (1, 0):
        ledger = make_ledger(tmp_path, due)
        inspect(ledger, due, A)
        ledger.close()
        assert rows_left(tmp_path) == left
        due.move(minutes=1)


def with_pages_that_stay(folder: Path) -> None:
    """As a file that another program has compacted."""
    with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")


@pytest.mark.parametrize(("prepare", "shrinks"), [(lambda _: None, True), (with_pages_that_stay, False)])
def test_the_file_gives_its_space_back(
    tmp_path: Path, due: FakeTimer, prepare: Callable[[Path], None], *, shrinks: bool
) -> None:
    """All but 1 MiB; where the file cannot, its free pages are used by new rows, and pruning ends too."""
    fill_history(tmp_path, 10 * BATCH_ROWS, OLD)
    prepare(tmp_path)
    ledger, before = make_ledger(tmp_path, due), pruned_at(tmp_path)
    size_before = (tmp_path / "ledger.db").stat().st_size
    inspect(ledger, due, A)
    ledger.close()
    assert pruned_at(tmp_path) > before
    ((free,),) = query(tmp_path, "PRAGMA freelist_count")
    size = (tmp_path / "ledger.db").stat().st_size
    assert (free == SPARE_PAGES, size < size_before - PAGE_BYTES) == (shrinks, shrinks)
    assert query(tmp_path, "PRAGMA integrity_check") == [("ok",)]
