"""How times, references and whole events are written as rows of the ledger.

Values that SQLite cannot hold are cut to what it can: a row that cannot be written would hold up all that come after
it.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cleaner.core.events import NightlyRunEnded, RuleOnHold
from cleaner.core.model import Image, Trigger
from cleaner.core.report import SweepReport

SqlValue = str | int | float | None
Statement = tuple[str, Mapping[str, SqlValue]]
"""SQL with named parameters; carried out a second time it changes nothing."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A correction of the wall clock, which moves the times that were stored before it."""

    offset: timedelta
    key: str
    """Under which it is stored as done: carried out a second time it changes nothing either."""

    @classmethod
    def new(cls, offset: timedelta) -> "Shift":
        """One with a key that no other has."""
        return cls(offset, f"shift:{os.urandom(8).hex()}")


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
_GREATEST = 2**63 - 1


def micros(time: datetime) -> int:
    """Whole microseconds since 1970 UTC: as exact as a datetime is."""
    return (time - EPOCH) // MICROSECOND


def micros_or_none(time: datetime | None) -> int | None:
    """The same for a time that may not be known."""
    return None if time is None else micros(time)


def time_of(number: int) -> datetime:
    """The time of so many microseconds; beyond year 1 or 9999 the last that there is."""
    return EPOCH + timedelta(microseconds=min(max(number, _FIRST), _LAST))


def time_or_none(number: int | None) -> datetime | None:
    """The same for a time that may not be known."""
    return None if number is None else time_of(number)


def shift_of(offset: timedelta) -> int:
    """An offset in microseconds, no longer than all years."""
    return min(max(offset // MICROSECOND, -_LAST), _LAST)


def moved(time: datetime, offset: timedelta, latest: datetime) -> datetime:
    """Move a time that was stored before the wall clock was set; never beyond `latest`."""
    return min(time_of(micros(time) + shift_of(offset)), latest)


def text_of(references: Iterable[str]) -> str:
    """References as a JSON list."""
    return json.dumps(list(references), separators=(",", ":"))


def parse_references(text: str) -> tuple[str, ...]:
    """The references of a JSON list; none where a later version writes something else."""
    try:
        return tuple(map(str, json.loads(text)))
    except (ValueError, TypeError):
        return ()


def pulled_at_of(image: Image) -> int | None:
    """When an image that is listed was pulled, as the runtime says it."""
    return micros_or_none(image.pulled_at)


def storable(row: dict[str, SqlValue]) -> dict[str, SqlValue]:
    """The row with values that SQLite can hold."""
    return {name: _cut(value) for name, value in row.items()}


def _cut(value: SqlValue) -> SqlValue:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return min(value, _GREATEST) if isinstance(value, int) else value


def sweep_begins(key: str, trigger: Trigger, at: datetime, *, told: bool) -> Statement:
    """A sweep that is not over, or whose process died."""
    sql = """INSERT INTO sweep (key, trigger, started_at, told) VALUES (:key, :trigger, :started_at, :told)
        ON CONFLICT (key) DO NOTHING"""
    return sql, {"key": key, "trigger": trigger.value, "started_at": micros(at), "told": told}


def sweep_ends(key: str, report: SweepReport, at: datetime, *, told: bool) -> Statement:
    """The whole row, so that it does not depend on the one above."""
    sql = """INSERT INTO sweep (key, trigger, started_at, ended_at, duration_seconds, stop_reason, reclaimed_bytes,
            told)
        VALUES (:key, :trigger, :started_at, :ended_at, :duration_seconds, :stop_reason, :reclaimed_bytes, :told)
        ON CONFLICT (key) DO UPDATE SET ended_at = excluded.ended_at, duration_seconds = excluded.duration_seconds,
            stop_reason = excluded.stop_reason, reclaimed_bytes = excluded.reclaimed_bytes"""
    row: dict[str, SqlValue] = {
        "key": key,
        "trigger": report.trigger.value,
        "started_at": micros(report.started_at),
        "ended_at": micros(at),
        "duration_seconds": report.duration_seconds,
        "stop_reason": report.stop_reason.value,
        "reclaimed_bytes": report.reclaimed_bytes,
        "told": told,
    }
    return sql, storable(row)


def sweep_fails(key: str, trigger: Trigger, at: datetime, *, told: bool) -> Statement:
    """A sweep that failed; it lasted from its beginning, where that is known, until now."""
    sql = """INSERT INTO sweep (key, trigger, started_at, ended_at, duration_seconds, told)
        VALUES (:key, :trigger, :at, :at, 0, :told)
        ON CONFLICT (key) DO UPDATE SET ended_at = excluded.ended_at,
            duration_seconds = max(0, (excluded.ended_at - sweep.started_at) / 1e6)"""
    return sql, {"key": key, "trigger": trigger.value, "at": micros(at), "told": told}


def image_gone(image_id: str, at: datetime, last_used: datetime | None) -> Statement:
    """An image that is no longer there keeps its row, and so when it was last used."""
    sql = """UPDATE image SET gone_at = :at, in_use = 0, last_used = coalesce(:last_used, last_used)
        WHERE id = :id AND gone_at IS NULL"""
    return sql, {"id": image_id, "at": micros(at), "last_used": micros_or_none(last_used)}


def forget_later_nightly_runs(event: NightlyRunEnded) -> Statement:
    """Delete nightly runs beyond the latest one that was dealt with: a wall clock that was ahead stored them."""
    return "DELETE FROM nightly_run WHERE occurrence > :occurrence", {
        "occurrence": micros(event.nightly_run.occurrence)
    }


def nightly_run_ends(event: NightlyRunEnded) -> Statement:
    """A nightly occurrence that was dealt with."""
    sql = """INSERT INTO nightly_run (occurrence, ended_at) VALUES (:occurrence, :ended_at)
        ON CONFLICT (occurrence) DO UPDATE SET ended_at = excluded.ended_at"""
    return sql, {"occurrence": micros(event.nightly_run.occurrence), "ended_at": micros(event.nightly_run.ended_at)}


def rule_put_on_hold(event: RuleOnHold) -> Statement:
    """A rule's hold, from when until when."""
    sql = """INSERT INTO hold (rule, since, until) VALUES (:rule, :since, :until)
        ON CONFLICT (rule, since) DO UPDATE SET until = excluded.until"""
    return sql, storable({"rule": event.rule, "since": micros(event.since), "until": micros(event.until)})
