"""What the ledger's file looks like, version by version, and whether this version may use the one it finds.

A step must not remove anything: it adds tables, and columns that may be missing or have a default. So the version
before it can still use the file.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

APPLICATION_ID = 0x0C1EA4E6
"""In the header of each ledger, so that the database of another program is not taken for one."""


class BrokenLedgerError(Exception):
    """The file is one of ours, and not whole."""


class UnusableLedgerError(Exception):
    """The file may be whole, but is not ours to use: it stays as it is, where it is."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one schema version adds to the one before."""

    statements: tuple[str, ...]
    readable_from: int
    """The oldest version that may still use a file with this step."""


STEPS = (
    Step(
        (
            "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
            """CREATE TABLE image (
                id TEXT PRIMARY KEY,
                first_seen INTEGER NOT NULL,
                last_used INTEGER,
                in_use INTEGER NOT NULL DEFAULT 0,
                gone_at INTEGER,
                refs TEXT NOT NULL DEFAULT '[]'
            ) WITHOUT ROWID""",
            """CREATE TABLE sweep (
                key TEXT PRIMARY KEY,
                trigger TEXT NOT NULL,
                started_at INTEGER NOT NULL,
                ended_at INTEGER,
                duration_seconds REAL,
                stop_reason TEXT,
                reclaimed_bytes INTEGER,
                told INTEGER NOT NULL DEFAULT 1
            ) WITHOUT ROWID""",
            "CREATE INDEX sweep_not_told ON sweep (ended_at) WHERE told = 0",
            """CREATE TABLE eviction (
                sweep TEXT NOT NULL,
                image_id TEXT NOT NULL,
                refs TEXT NOT NULL DEFAULT '[]',
                trigger TEXT NOT NULL,
                reason TEXT NOT NULL,
                rule TEXT,
                outcome TEXT NOT NULL,
                error TEXT,
                began_at INTEGER NOT NULL,
                at INTEGER NOT NULL,
                created_at INTEGER,
                pulled_at INTEGER,
                listed_pulled_at INTEGER,
                last_used_at INTEGER,
                size_bytes INTEGER NOT NULL DEFAULT 0,
                estimated_bytes INTEGER,
                reclaimed_bytes INTEGER,
                regretted_at INTEGER,
                regretted_by TEXT,
                told INTEGER NOT NULL DEFAULT 1,
                regret_told INTEGER NOT NULL DEFAULT 1,
                PRIMARY KEY (sweep, image_id)
            ) WITHOUT ROWID""",
            "CREATE INDEX eviction_at ON eviction (at)",
            "CREATE INDEX eviction_pending ON eviction (began_at) WHERE outcome = 'pending'",
            "CREATE INDEX eviction_not_told ON eviction (at) WHERE told = 0",
            "CREATE INDEX eviction_regret_not_told ON eviction (regretted_at) WHERE regret_told = 0",
            """CREATE TABLE observed (
                image_id TEXT PRIMARY KEY,
                refs TEXT NOT NULL DEFAULT '[]',
                trigger TEXT NOT NULL,
                reason TEXT NOT NULL,
                rule TEXT,
                at INTEGER NOT NULL,
                created_at INTEGER,
                pulled_at INTEGER,
                last_used_at INTEGER,
                size_bytes INTEGER NOT NULL DEFAULT 0,
                estimated_bytes INTEGER,
                regretted_at INTEGER,
                regretted_by TEXT,
                told INTEGER NOT NULL DEFAULT 1,
                regret_told INTEGER NOT NULL DEFAULT 1
            ) WITHOUT ROWID""",
            "CREATE INDEX observed_not_told ON observed (at) WHERE told = 0",
            "CREATE INDEX observed_regret_not_told ON observed (regretted_at) WHERE regret_told = 0",
            "CREATE TABLE nightly_run (occurrence INTEGER PRIMARY KEY, ended_at INTEGER NOT NULL)",
            """CREATE TABLE hold (
                rule TEXT NOT NULL,
                since INTEGER NOT NULL,
                until INTEGER NOT NULL,
                PRIMARY KEY (rule, since)
            ) WITHOUT ROWID""",
        ),
        readable_from=1,
    ),
    Step(
        (
            """CREATE TABLE removed_externally (
                image_id TEXT NOT NULL,
                refs TEXT NOT NULL DEFAULT '[]',
                first_seen INTEGER NOT NULL,
                last_used INTEGER,
                last_seen INTEGER NOT NULL,
                gone_at INTEGER NOT NULL,
                used_percent REAL,
                replaced_by TEXT,
                returned_at INTEGER,
                confirmed INTEGER NOT NULL DEFAULT 0,
                told INTEGER NOT NULL DEFAULT 0,
                PRIMARY KEY (image_id, gone_at)
            ) WITHOUT ROWID""",
            "CREATE INDEX removed_externally_not_told ON removed_externally (confirmed) WHERE told = 0",
        ),
        readable_from=1,
    ),
    Step(
        (
            "CREATE TABLE imported (image_id TEXT PRIMARY KEY) WITHOUT ROWID",
            """CREATE TABLE removal_failure (
                image_id TEXT PRIMARY KEY,
                count INTEGER NOT NULL,
                failed_at INTEGER NOT NULL,
                pulled_at INTEGER,
                version TEXT NOT NULL
            ) WITHOUT ROWID""",
        ),
        readable_from=1,
    ),
)
"""Version N is the file after the first N steps. Times are whole microseconds since 1970 UTC, flags 0 or 1, `refs` a
JSON list. An image with `in_use` was last used at meta `sampled_at`, whatever `last_used` says: so a minute in which
nothing changed writes one page. An eviction that began and is not known to be over has the outcome `pending`.
Beside `sampled_at` stand `boot`, `boot_seconds` and `boot_sampled_at`: in which boot that sample was taken, how long
after its begin (microseconds too), and the sample's time again, so that one is known that a version without them took.
`shift:` and a key are a correction that was carried out.
An image that was removed externally is `confirmed` by the second inspection that misses it, and reported only then.
`imported` holds the images that were seen with an import mark. `removal_failure` holds how many removals of an image
failed in a row, and the `version` of the agent that counted them. A row of either goes with its image."""
TABLES = frozenset(
    {
        "meta",
        "image",
        "sweep",
        "eviction",
        "observed",
        "nightly_run",
        "hold",
        "removed_externally",
        "imported",
        "removal_failure",
    }
)
"""What this version cannot do without."""


def prepare(connection: sqlite3.Connection, now: int, steps: Sequence[Step] = STEPS) -> None:
    """Make an empty file a ledger that begins `now`, and bring an older one up to date; both or nothing.

    BrokenLedgerError, UnusableLedgerError and sqlite3.Error where it cannot be used.
    """
    if _number(connection, "PRAGMA user_version") < len(steps):
        connection.execute("BEGIN IMMEDIATE")
        _upgrade(connection, now, steps)
        connection.execute("COMMIT")
    check(connection, len(steps))


def _upgrade(connection: sqlite3.Connection, now: int, steps: Sequence[Step]) -> None:
    """Inside a transaction; another process may have been here first."""
    version = _number(connection, "PRAGMA user_version")
    if version >= len(steps):
        return
    if version == 0:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for step in steps[version:]:
        for statement in step.statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(steps)}")
    begun = (("installed_at", now), ("since", now)) if version == 0 else ()
    readable_from = max(step.readable_from for step in steps)
    connection.executemany(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (("readable_from", readable_from), *begun),
    )


def require_own_file(connection: sqlite3.Connection, version: int = len(STEPS)) -> None:
    """UnusableLedgerError for a file that is another program's or a newer version's; before anything is written.

    A newer file that misses something is unusable, not broken: its version may know why.
    """
    tables = _tables(connection)
    if tables and _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise UnusableLedgerError("it is the database of another program; give the ledger a state.path of its own")
    if _number(connection, "PRAGMA user_version") <= version:
        return
    readable_from = _readable_from(connection) if tables >= TABLES else None
    if readable_from is None or readable_from > version:
        raise UnusableLedgerError(
            "it was written by a newer version that this one cannot read; move it away or go back to the newer version"
        )


def check(connection: sqlite3.Connection, version: int = len(STEPS)) -> None:
    """Whether this version may use the file as it is; raises as `prepare` does."""
    require_own_file(connection, version)
    found, tables = _number(connection, "PRAGMA user_version"), _tables(connection)
    if found == 0 and not tables:
        raise UnusableLedgerError(
            "it is empty: the daemon has not written to it yet, or cannot (ledger_down in its log)"
        )
    if found < version:
        raise UnusableLedgerError(
            "it was written by an older version, and the daemon has not brought it up to date yet"
        )
    if missing := sorted(TABLES - tables):
        raise BrokenLedgerError(f"no table {', '.join(missing)}")


def check_whole(connection: sqlite3.Connection) -> None:
    """BrokenLedgerError where SQLite finds something wrong; it may also raise that itself."""
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise BrokenLedgerError(found)


def _readable_from(connection: sqlite3.Connection) -> int | None:
    row = connection.execute("SELECT value FROM meta WHERE key = 'readable_from'").fetchone()
    return None if row is None else int(row[0])


def _tables(connection: sqlite3.Connection) -> frozenset[str]:
    return frozenset(name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(pragma).fetchone()[0])
