"""Deletes rows that are older than `state.keep`, a little at each inspection, once a day.

A single transaction that deletes a million rows writes hundreds of megabytes into the write-ahead log before it frees
one page. On a disk without that space it fails, and with it whatever shares its transaction. So pruning works in
batches of its own. A batch changes a few dozen pages, and the log is written over from its start as soon as a
checkpoint has copied it. The pages that a batch frees are used by the rows that come next.

A batch that fails is undone and tried again later; the ledger stays open. A reader that keeps its transaction open
(`cleaner history` into a slow pipe) stops checkpoints: pruning then waits, since the log would grow with every batch.
"""

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

from cleaner.ledger.file import LedgerFile
from cleaner.ledger.rows import MICROSECOND, micros

PRUNE_EVERY = timedelta(days=1)
RETRY_SECONDS = 600.0
"""After a batch that failed, or a log that could not be emptied."""
BATCH_ROWS = 500
BATCH_PAGES = 100
MOST_BATCHES = 100
LONGEST_SECONDS = 0.5
"""Of one turn, for which the daemon's loop waits; a batch that has begun is finished."""
LARGEST_LOG_PAGES = 256
"""1 MiB: more is not written while a reader keeps the log from being emptied."""
SPARE_PAGES = 256
"""1 MiB of free pages stays in the file, so that new rows need no space on the disk."""
_FIRST = -(2**63)

_DELETIONS = (
    """DELETE FROM eviction WHERE (sweep, image_id) IN
        (SELECT sweep, image_id FROM eviction WHERE at < :before LIMIT :rows)""",
    """DELETE FROM sweep WHERE key IN
        (SELECT key FROM sweep WHERE coalesce(ended_at, started_at) < :before LIMIT :rows)""",
    "DELETE FROM observed WHERE image_id IN (SELECT image_id FROM observed WHERE at < :before LIMIT :rows)",
    "DELETE FROM image WHERE id IN (SELECT id FROM image WHERE gone_at < :before LIMIT :rows)",
    """DELETE FROM nightly_run WHERE occurrence IN (SELECT occurrence FROM nightly_run WHERE ended_at < :before
        AND occurrence < (SELECT max(occurrence) FROM nightly_run) LIMIT :rows)""",
    "DELETE FROM hold WHERE (rule, since) IN (SELECT rule, since FROM hold WHERE until < :before LIMIT :rows)",
    "DELETE FROM meta WHERE key IN (SELECT key FROM meta WHERE key LIKE 'shift:%' AND value < :before LIMIT :rows)",
    """DELETE FROM removed_externally WHERE (image_id, gone_at) IN
        (SELECT image_id, gone_at FROM removed_externally WHERE gone_at < :before LIMIT :rows)""",
)
"""Never an image that is there, nor the latest nightly run."""


class Pruning:
    """Where the pruning of one ledger stands."""

    def __init__(self, keep: timedelta) -> None:
        self._keep = keep
        self._pruned_at: datetime | None = None
        self._table = 0
        """Index of the deletion that is under way: those before it found nothing more."""
        self._not_before = float("-inf")

    def load(self, pruned_at: datetime | None) -> None:
        """Take over when all was pruned last; None: never."""
        self._pruned_at = pruned_at

    def take_turn(self, file: LedgerFile, now: datetime, monotonic: Callable[[], float]) -> None:
        """Delete some of what is due; nothing else fails with it."""
        due = self._pruned_at is None or abs(now - self._pruned_at) >= PRUNE_EVERY
        began = monotonic()
        if not due or began < self._not_before:
            return
        for _ in range(MOST_BATCHES):
            done = self._take_step(file, now)
            if done is None:
                self._not_before = monotonic() + RETRY_SECONDS
                return
            if done or monotonic() - began >= LONGEST_SECONDS:
                return

    def _take_step(self, file: LedgerFile, now: datetime) -> bool | None:
        """One batch of rows, or of pages; whether all is done; None where it failed."""
        if not file.attempt(_is_log_short, in_transaction=False):
            return None
        if self._table < len(_DELETIONS):
            deleted = file.attempt(self._delete(_DELETIONS[self._table], now))
            if deleted is not None and deleted < BATCH_ROWS:
                self._table += 1
            return None if deleted is None else False
        freed = file.attempt(_shrink, in_transaction=False)
        if freed is None or freed:
            return None if freed is None else False
        return self._finish(file, now)

    def _delete(self, statement: str, now: datetime) -> Callable[[sqlite3.Connection], int]:
        # By the time of the last pruning: a wall clock set forward by a year forgets nothing for a day.
        latest = min(now, self._pruned_at or now)
        before = max(micros(latest) - self._keep // MICROSECOND, _FIRST)
        return lambda connection: connection.execute(statement, {"before": before, "rows": BATCH_ROWS}).rowcount

    def _finish(self, file: LedgerFile, now: datetime) -> bool | None:
        sql = """INSERT INTO meta (key, value) VALUES ('pruned_at', ?)
            ON CONFLICT (key) DO UPDATE SET value = excluded.value"""
        if file.attempt(lambda connection: connection.execute(sql, (micros(now),)).rowcount) is None:
            return None
        self._pruned_at, self._table = now, 0
        return True


def _is_log_short(connection: sqlite3.Connection) -> bool:
    """Whether the log will be written over from its start, or has room; copies what readers allow, waits for none."""
    _, pages, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return bool(pages == copied or pages < LARGEST_LOG_PAGES)


def _shrink(connection: sqlite3.Connection) -> int:
    """Give pages at the end of the file back to the disk; how many."""
    free = _free_pages(connection)
    pages = min(free - SPARE_PAGES, BATCH_PAGES)
    if pages <= 0:
        return 0
    # Each step of the statement frees one page, and `execute` makes one step only since there are no columns.
    connection.executescript(f"PRAGMA incremental_vacuum({pages})")
    return free - _free_pages(connection)


def _free_pages(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])
