"""What the ledger says of the past: history, news, regret and holds.

Rows with a trigger or an outcome that this version does not know are left out: a newer version may write more of them.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from cleaner.core.events import (
    EvictionObserved,
    EvictionRegretted,
    ForeignEviction,
    ForeignSweep,
    ImagesRemovedExternally,
)
from cleaner.core.history import NightlyRun, PastEviction, PastSweep, RegretKind
from cleaner.core.model import EvictionOutcome, Trigger
from cleaner.core.ports import News
from cleaner.core.regret import REGRET_WINDOW, Regret
from cleaner.ledger.removed_externally import unreported_external_removals
from cleaner.ledger.rows import Shift, micros, parse_references, shift_of, time_of, time_or_none

SqlRow = tuple[Any, ...]
"""Columns as SQLite gives them."""

_EVICTED = """SELECT image_id, refs, trigger, reason, rule, outcome, error, at, created_at, pulled_at, last_used_at,
    size_bytes, estimated_bytes, reclaimed_bytes, regretted_at, regretted_by FROM eviction
    WHERE outcome <> 'pending' AND """
_OBSERVED = """SELECT image_id, refs, trigger, reason, rule, 'planned', NULL, at, created_at, pulled_at, last_used_at,
    size_bytes, estimated_bytes, NULL, regretted_at, regretted_by FROM observed WHERE """
_SWEPT = """SELECT trigger, ended_at, duration_seconds, stop_reason FROM sweep
    WHERE told = 0 AND ended_at IS NOT NULL"""
_ANY_NEWS = """SELECT EXISTS (SELECT 1 FROM sweep WHERE told = 0 AND ended_at IS NOT NULL)
    OR EXISTS (SELECT 1 FROM eviction WHERE told = 0 AND outcome <> 'pending')
    OR EXISTS (SELECT 1 FROM eviction WHERE regret_told = 0)
    OR EXISTS (SELECT 1 FROM observed WHERE told = 0)
    OR EXISTS (SELECT 1 FROM observed WHERE regret_told = 0)
    OR EXISTS (SELECT 1 FROM removed_externally WHERE told = 0 AND confirmed = 1)"""
_TOLD = (
    "UPDATE sweep SET told = 1 WHERE told = 0 AND ended_at IS NOT NULL",
    "UPDATE eviction SET told = 1 WHERE told = 0 AND outcome <> 'pending'",
    "UPDATE eviction SET regret_told = 1 WHERE regret_told = 0",
    "UPDATE observed SET told = 1 WHERE told = 0",
    "UPDATE observed SET regret_told = 1 WHERE regret_told = 0",
    "UPDATE removed_externally SET told = 1 WHERE told = 0 AND confirmed = 1",
)
_ALL = -(2**63)
"""Before any time that a row has."""


def evictions_since(connection: sqlite3.Connection, since: datetime | None) -> tuple[PastEviction, ...]:
    """Newest first; those that are not over are left out."""
    begin = _ALL if since is None else micros(since)
    return tuple(_past(connection.execute(_EVICTED + "at >= ? ORDER BY at DESC, image_id", (begin,))))


def observed_since(connection: sqlite3.Connection, since: datetime | None) -> tuple[PastEviction, ...]:
    """What mode observe would have evicted, newest first."""
    begin = _ALL if since is None else micros(since)
    return tuple(_past(connection.execute(_OBSERVED + "at >= ? ORDER BY at DESC, image_id", (begin,))))


def _past(rows: Iterable[SqlRow]) -> Iterator[PastEviction]:
    for row in rows:
        try:
            trigger, outcome = Trigger(row[2]), EvictionOutcome(row[5])
        except ValueError:
            continue
        yield PastEviction(
            image_id=row[0],
            references=parse_references(row[1]),
            trigger=trigger,
            reason=row[3],
            rule=row[4],
            outcome=outcome,
            error=row[6],
            at=time_of(row[7]),
            created_at=time_or_none(row[8]),
            pulled_at=time_or_none(row[9]),
            last_used_at=time_or_none(row[10]),
            size_bytes=row[11],
            estimated_bytes=row[12],
            reclaimed_bytes=row[13],
            regretted_at=time_or_none(row[14]),
            regretted_by=RegretKind(row[15]) if row[15] in set(RegretKind) else None,
        )


def has_news(connection: sqlite3.Connection) -> bool:
    """Whether there is anything to report; by partial indexes, since it is asked all the time."""
    return bool(connection.execute(_ANY_NEWS).fetchone()[0])


def report_news(connection: sqlite3.Connection) -> tuple[News, ...]:
    """Return what was not reported yet, oldest first, and store that it is; call this inside a transaction."""
    news: list[tuple[datetime, News]] = [(s.ended_at, ForeignSweep(s)) for s in _sweeps(connection.execute(_SWEPT))]
    news += [(e.at, ForeignEviction(e)) for e in _past(connection.execute(_EVICTED + "told = 0"))]
    news += [(e.at, EvictionObserved(e)) for e in _past(connection.execute(_OBSERVED + "told = 0"))]
    for selection in (_EVICTED, _OBSERVED):
        news += [
            (e.regretted_at or e.at, EvictionRegretted(e))
            for e in _past(connection.execute(selection + "regret_told = 0"))
        ]
    news += [
        (images[0].gone_at, ImagesRemovedExternally(images)) for images in unreported_external_removals(connection)
    ]
    for statement in _TOLD:
        connection.execute(statement)
    return tuple(told for _, told in sorted(news, key=lambda dated: dated[0]))


def _sweeps(rows: Iterable[SqlRow]) -> Iterator[PastSweep]:
    for trigger, ended_at, duration_seconds, stop_reason in rows:
        if trigger in set(Trigger):
            yield PastSweep(Trigger(trigger), time_of(ended_at), duration_seconds or 0.0, stop_reason)


def regrets_of(connection: sqlite3.Connection, now: datetime) -> dict[str, Regret]:
    """By rule: the evictions of the last week, without those before its latest hold, and how many were re-pulled."""
    rows = connection.execute(
        """SELECT rule, count(*), count(regretted_at) FROM eviction
        WHERE outcome = 'evicted' AND rule IS NOT NULL AND at > :begin AND at <= :now
            AND at > coalesce((SELECT max(since) FROM hold WHERE hold.rule = eviction.rule), :begin)
        GROUP BY rule""",
        {"begin": micros(now - REGRET_WINDOW), "now": micros(now)},
    )
    return {rule: Regret(evicted, repulled) for rule, evicted, repulled in rows}


def holds_of(connection: sqlite3.Connection) -> dict[str, datetime]:
    """By rule: until when its latest hold lasts."""
    rows = connection.execute("SELECT rule, until, max(since) FROM hold GROUP BY rule")
    return {rule: time_of(until) for rule, until, _ in rows}


def last_nightly_run_of(connection: sqlite3.Connection) -> NightlyRun | None:
    """The latest nightly occurrence that was dealt with."""
    row = connection.execute("SELECT occurrence, ended_at FROM nightly_run ORDER BY occurrence DESC LIMIT 1").fetchone()
    return None if row is None else NightlyRun(time_of(row[0]), time_of(row[1]))


def evicted_in_nightly_run(connection: sqlite3.Connection, occurrence: datetime) -> int:
    """Images that nightly sweeps since an occurrence evicted."""
    row = connection.execute(
        """SELECT count(*) FROM sweep JOIN eviction ON eviction.sweep = sweep.key
        WHERE sweep.trigger = 'nightly' AND sweep.started_at >= ? AND eviction.outcome = 'evicted'""",
        (micros(occurrence),),
    ).fetchone()
    return int(row[0])


def newest_of(connection: sqlite3.Connection) -> datetime | None:
    """The newest time of a sample, an eviction or a nightly run; None where there is none."""
    row = connection.execute(
        """SELECT max(at) FROM (SELECT max(at) AS at FROM eviction UNION ALL SELECT max(ended_at) FROM nightly_run
        UNION ALL SELECT value FROM meta WHERE key = 'sampled_at')"""
    ).fetchone()
    return time_or_none(row[0])


def shift_times(connection: sqlite3.Connection, correction: Shift, latest: datetime) -> None:
    """Move the times from before the wall clock was set, none beyond `latest`.

    These are the times of images, samples, nightly runs and failed removals. Times of evictions stay as they are,
    unless they are in the future. A correction is applied once: a commit may be on disk although SQLite reported it
    as failed.
    """
    done = connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)", (correction.key, micros(latest)))
    if not done.rowcount:
        return
    shift = {"offset": shift_of(correction.offset), "latest": micros(latest)}
    connection.execute(
        """UPDATE image SET first_seen = min(first_seen + :offset, :latest),
            last_used = min(last_used + :offset, :latest)""",
        shift,
    )
    connection.execute(
        """UPDATE meta SET value = min(value + :offset, :latest)
            WHERE key IN ('sampled_at', 'boot_sampled_at', 'since')""",
        shift,
    )
    connection.execute("UPDATE nightly_run SET ended_at = min(ended_at + :offset, :latest)", shift)
    connection.execute("UPDATE removal_failure SET failed_at = min(failed_at + :offset, :latest)", shift)
    connection.execute("UPDATE eviction SET at = :latest WHERE at > :latest", {"latest": shift["latest"]})
