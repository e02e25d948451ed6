"""Versions of the ledger: N, N + 1 and back."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from cleaner.ledger.rows import micros
from cleaner.ledger.schema import STEPS, Step, UnusableLedgerError, check, prepare
from support.fakes import NOON, FakeTimer
from support.ledgers import A, B, C, fail_removal, inspect, make_ledger, query, sweep_once

ADDS = Step(
    (
        "CREATE TABLE advice (key TEXT PRIMARY KEY, at INTEGER NOT NULL)",
        "ALTER TABLE image ADD COLUMN layers INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE eviction ADD COLUMN advised INTEGER",
    ),
    readable_from=len(STEPS),
)
"""What a made-up next version adds."""
TAKES_AWAY = Step(("ALTER TABLE image RENAME COLUMN last_used TO used_at",), readable_from=len(STEPS) + 1)
"""What a made-up next version must not do without saying so."""


def upgrade(folder: Path, *steps: Step) -> None:
    """As a daemon of a made-up next version does when it opens the file."""
    connection = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    prepare(connection, micros(NOON), (*STEPS, *steps))
    connection.close()


def fill(folder: Path, timer: FakeTimer) -> None:
    ledger = make_ledger(folder, timer)
    inspect(ledger, timer, A, B, used=[A])
    sweep_once(ledger, timer.now(), B)
    ledger.close()


def test_a_newer_file_that_only_has_more_is_used_as_it_is(tmp_path: Path) -> None:
    """N to N + 1 to N to N + 1 keeps clocks and history, and what the newer one added."""
    timer = FakeTimer()
    fill(tmp_path, timer)
    upgrade(tmp_path, ADDS)
    query(tmp_path, "INSERT INTO advice (key, at) VALUES ('a', 1)")
    query(tmp_path, "UPDATE image SET layers = 7")
    timer.move(hours=1)
    older = make_ledger(tmp_path, timer)
    memory = inspect(older, timer, A, C, used=[C])
    assert older.error is None
    assert memory.since == memory.installed_at == NOON
    assert memory.first_seen_at == {A.id: NOON, C.id: timer.now()}
    assert memory.last_used_at == {A.id: NOON, C.id: timer.now()}
    assert [past.image_id for past in older.history()] == [B.id]
    sweep_once(older, timer.now(), A)
    older.close()
    assert query(tmp_path, "PRAGMA user_version") == [(len(STEPS) + 1,)]
    upgrade(tmp_path, ADDS)
    assert query(tmp_path, "SELECT key, at FROM advice") == [("a", 1)]
    assert query(tmp_path, "SELECT id, layers FROM image ORDER BY layers") == [(C.id, 0), (A.id, 7), (B.id, 7)]
    assert query(tmp_path, "SELECT count(*), count(advised) FROM eviction") == [(2, 0)]
    reader = make_ledger(tmp_path, timer, writable=False)
    assert len(reader.history()) == 2
    reader.close()


@pytest.mark.parametrize("damage", ["", "DROP TABLE meta", "DROP TABLE hold", "DELETE FROM meta"])
def test_a_newer_file_that_is_not_for_us_stays_where_it_is(tmp_path: Path, damage: str) -> None:
    """It is refused, not set aside and not written, also where it says nothing of who may read it."""
    timer = FakeTimer()
    fill(tmp_path, timer)
    upgrade(tmp_path, ADDS if damage else TAKES_AWAY)
    if damage:
        query(tmp_path, damage)
    before = (tmp_path / "ledger.db").read_bytes()
    ledger = make_ledger(tmp_path, timer)
    for _ in range(2):
        assert inspect(ledger, timer, A).since is None
        assert ledger.error == (
            f"the ledger {tmp_path}/ledger.db is not used: it was written by a newer version that this one cannot "
            "read; move it away or go back to the newer version"
        )
    ledger.close()
    assert ledger.aside is None
    assert (tmp_path / "ledger.db").read_bytes() == before


def test_an_older_file_is_only_read_once_it_is_brought_up_to_date(tmp_path: Path) -> None:
    """A command that only reads does not change it, and says that the daemon will."""
    fill(tmp_path, FakeTimer())
    connection = sqlite3.connect(tmp_path / "ledger.db")
    with pytest.raises(UnusableLedgerError, match="an older version, and the daemon has not brought it up to date"):
        check(connection, len(STEPS) + 1)
    connection.close()


def take_back(folder: Path) -> None:
    """Make the file one of the version before the import marks and failed removals."""
    for statement in ("DROP TABLE imported", "DROP TABLE removal_failure", "PRAGMA user_version = 2"):
        query(folder, statement)


def test_a_file_without_marks_and_failures_is_brought_up_to_date(tmp_path: Path) -> None:
    """It keeps clocks and history, and stores both from then on; until then a reader does not use it."""
    timer = FakeTimer()
    fill(tmp_path, timer)
    take_back(tmp_path)
    reader = make_ledger(tmp_path, timer, writable=False)
    inspect(reader, timer, A)
    assert reader.error is not None
    assert "an older version, and the daemon has not brought it up to date yet" in reader.error
    timer.move(hours=1)
    ledger = make_ledger(tmp_path, timer)
    memory = inspect(ledger, timer, replace(A, imported=True), C)
    assert ledger.error is ledger.aside is None
    assert memory.since == NOON
    assert memory.first_seen_at == {A.id: NOON, C.id: timer.now()}
    assert [past.image_id for past in ledger.history()] == [B.id]
    fail_removal(ledger, C, timer.now())
    ledger.close()
    memory = inspect(reader, timer, A, C)
    reader.close()
    assert reader.error is None
    assert memory.imported == {A.id}
    assert memory.removal_failures.keys() == {C.id}


def test_a_version_without_marks_and_failures_may_use_the_file(tmp_path: Path) -> None:
    """It finds all of its tables, and may not remove those that it does not know."""
    fill(tmp_path, FakeTimer())
    connection = sqlite3.connect(tmp_path / "ledger.db")
    check(connection, 2)
    check(connection, 1)
    connection.close()


def test_another_process_may_be_first_to_bring_it_up_to_date(tmp_path: Path) -> None:
    """Two that open a new file at once make one of it."""
    timer = FakeTimer()
    one, two = make_ledger(tmp_path, timer), make_ledger(tmp_path, timer)
    connection = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    trace: list[str] = []

    def come_between(statement: str) -> None:
        trace.append(statement)
        if statement == "BEGIN IMMEDIATE" and trace.count(statement) == 1:
            one.open()

    connection.set_trace_callback(come_between)
    prepare(connection, micros(NOON))
    connection.close()
    two.open()
    assert one.error is two.error is None
    one.close()
    two.close()


def test_the_version_is_in_the_file(tmp_path: Path) -> None:
    """With the oldest one that may use it, the log and the sync that a removal needs."""
    ledger = make_ledger(tmp_path)
    ledger.open()
    assert query(tmp_path, "PRAGMA user_version") == [(3,)]
    assert query(tmp_path, "SELECT value FROM meta WHERE key = 'readable_from'") == [(1,)]
    assert query(tmp_path, "PRAGMA journal_mode") == [("wal",)]
    connection = ledger._file._connection
    assert connection is not None
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    ledger.close()
