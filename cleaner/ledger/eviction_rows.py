"""The rows of evictions: one begins before the runtime is called, and gets its outcome afterwards.

The table is in `schema.py`; other rows are in `rows.py`.
"""

from datetime import datetime

from cleaner.core.events import EvictionEnded, EvictionStarted
from cleaner.core.model import Trigger, Verdict
from cleaner.core.report import Eviction
from cleaner.ledger.rows import SqlValue, Statement, micros, micros_or_none, pulled_at_of, storable, text_of

PENDING = "pending"
"""The outcome of an eviction that began and is not known to be over."""


def _row_of(verdict: Verdict) -> dict[str, SqlValue]:
    """What a past eviction and an observed one have of the image."""
    image = verdict.image
    return {
        "image_id": image.id,
        "refs": text_of(image.references),
        "reason": verdict.reason.value,
        "rule": verdict.rule,
        "created_at": micros_or_none(verdict.created_at),
        "pulled_at": micros_or_none(verdict.pulled_at),
        "last_used_at": micros_or_none(verdict.last_used_at),
        "size_bytes": image.size_bytes,
    }


def eviction_begins(key: str, event: EvictionStarted, *, told: bool) -> Statement:
    """What is known before the runtime is asked to remove the image."""
    sql = """INSERT INTO eviction (sweep, image_id, refs, trigger, reason, rule, outcome, began_at, at, created_at,
            pulled_at, listed_pulled_at, last_used_at, size_bytes, estimated_bytes, told)
        VALUES (:sweep, :image_id, :refs, :trigger, :reason, :rule, :outcome, :at, :at, :created_at,
            :pulled_at, :listed_pulled_at, :last_used_at, :size_bytes, :estimated_bytes, :told)
        ON CONFLICT (sweep, image_id) DO NOTHING"""
    reclaimable = event.verdict.reclaimable
    row = _row_of(event.verdict) | {
        "sweep": key,
        "trigger": event.trigger.value,
        "outcome": PENDING,
        "at": micros(event.at),
        "listed_pulled_at": pulled_at_of(event.verdict.image),
        "estimated_bytes": None if reclaimable is None else reclaimable.bytes,
        "told": told,
    }
    return sql, storable(row)


def eviction_did_not_happen(key: str, event: EvictionStarted) -> Statement:
    """An image whose eviction begins is there: what another sweep left unfinished of it came to nothing."""
    sql = "DELETE FROM eviction WHERE image_id = :image_id AND outcome = :pending AND sweep <> :sweep"
    return sql, {"sweep": key, "image_id": event.verdict.image.id, "pending": PENDING}


def eviction_ends(key: str, event: EvictionEnded, *, told: bool) -> Statement:
    """The whole row with its outcome, so that it does not depend on the one above."""
    sql = """INSERT INTO eviction (sweep, image_id, refs, trigger, reason, rule, outcome, error, began_at, at,
            created_at, pulled_at, listed_pulled_at, last_used_at, size_bytes, estimated_bytes, reclaimed_bytes, told)
        VALUES (:sweep, :image_id, :refs, :trigger, :reason, :rule, :outcome, :error, :at, :at, :created_at,
            :pulled_at, :listed_pulled_at, :last_used_at, :size_bytes, :estimated_bytes, :reclaimed_bytes, :told)
        ON CONFLICT (sweep, image_id) DO UPDATE SET outcome = excluded.outcome, error = excluded.error,
            at = excluded.at, reclaimed_bytes = excluded.reclaimed_bytes,
            estimated_bytes = coalesce(excluded.estimated_bytes, eviction.estimated_bytes),
            told = max(eviction.told, excluded.told)"""
    eviction = event.eviction
    row = _row_of(eviction.verdict) | {
        "sweep": key,
        "trigger": event.trigger.value,
        "outcome": eviction.outcome.value,
        "error": eviction.error,
        "at": micros(event.at),
        "listed_pulled_at": pulled_at_of(eviction.verdict.image),
        "estimated_bytes": eviction.estimated_bytes,
        "reclaimed_bytes": eviction.reclaimed_bytes,
        "told": told,
    }
    return sql, storable(row)


def observed_eviction(eviction: Eviction, trigger: Trigger, at: datetime) -> Statement:
    """An image that mode observe would have evicted: the first time counts."""
    sql = """INSERT INTO observed (image_id, refs, trigger, reason, rule, at, created_at, pulled_at, last_used_at,
            size_bytes, estimated_bytes, told)
        VALUES (:image_id, :refs, :trigger, :reason, :rule, :at, :created_at, :pulled_at, :last_used_at,
            :size_bytes, :estimated_bytes, 0)
        ON CONFLICT (image_id) DO NOTHING"""
    row = _row_of(eviction.verdict) | {
        "trigger": trigger.value,
        "at": micros(at),
        "estimated_bytes": eviction.estimated_bytes,
    }
    return sql, storable(row)
