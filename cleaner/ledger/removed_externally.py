"""Images that were removed externally: the ledger has them, an inspection misses them, and no eviction explains it.

The ledger cannot say who removed them. An image counts once a later inspection misses it too.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from cleaner.core.history import ExternallyRemovedImage
from cleaner.ledger.image_times import Changes
from cleaner.ledger.repulls import UNFINISHED_FOR
from cleaner.ledger.rows import MICROSECOND, micros, micros_or_none, parse_references, time_of, time_or_none

_SLACK = UNFINISHED_FOR // MICROSECOND
"""An inspection lists images before it asks the ledger, and a runtime may finish a removal that failed. So an eviction
may explain a missing image if it ended up to 5 minutes before the image was last seen."""
_INSERT = """INSERT INTO removed_externally
        (image_id, refs, first_seen, last_used, last_seen, gone_at, used_percent, replaced_by)
    SELECT id, refs, first_seen, coalesce(:last_used, last_used), :last_seen, :gone_at, :used_percent, :replaced_by
    FROM image WHERE id = :id AND gone_at IS NULL
    ON CONFLICT (image_id, gone_at) DO NOTHING"""
_DELETE_OURS = """DELETE FROM removed_externally WHERE told = 0 AND confirmed = 0 AND (
    image_id IN (SELECT image_id FROM eviction WHERE outcome = 'pending')
    OR image_id IN (SELECT image_id FROM eviction WHERE outcome IN ('evicted', 'failed')
        AND at > (SELECT min(last_seen) FROM removed_externally WHERE told = 0 AND confirmed = 0) - :slack))"""
"""All images of one inspection were last seen at the same time. The query works by indexes, since all images of a node
may be removed at once."""
_SELECT = """SELECT image_id, refs, last_seen, gone_at, first_seen, last_used, used_percent, replaced_by, returned_at
    FROM removed_externally WHERE """
_ALL = -(2**63)
"""Before any time that a row has."""


class PeakUsage:
    """The highest usage that was measured since the last inspection."""

    def __init__(self) -> None:
        self.percent: float | None = None
        """None while nothing was measured."""
        self._latest: float | None = None

    def add_measurement(self, percent: float) -> None:
        """One measurement."""
        self._latest = percent
        self.percent = percent if self.percent is None else max(percent, self.percent)

    def reset(self) -> None:
        """Begin again after an inspection, with the latest measurement as the first of the next interval."""
        self.percent = self._latest


def store_external_removals(
    connection: sqlite3.Connection, changes: Changes, used_percent: float | None, now: datetime
) -> bool:
    """Store the images that are gone; whether a later inspection has to confirm any of them.

    Call this inside a transaction, before the changes are written. `used_percent`: the highest usage since the
    inspection before.
    """
    _reconcile_returned(connection, changes.appeared, now)
    connection.execute(_DELETE_OURS, {"slack": _SLACK})
    connection.execute("UPDATE removed_externally SET confirmed = 1 WHERE told = 0 AND confirmed = 0")
    sampled_at = _sampled_at(connection)
    owners = {tag: image.id for image in changes.images for tag in image.tags} if changes.gone else {}
    for image_id, (at, last_used) in changes.gone.items():
        row = {
            "id": image_id,
            "last_used": micros_or_none(last_used),
            "last_seen": micros(min(sampled_at or at, at)),
            "gone_at": micros(at),
            "used_percent": used_percent,
            "replaced_by": _replacement_of(connection, image_id, owners),
        }
        connection.execute(_INSERT, row)
    connection.execute(_DELETE_OURS, {"slack": _SLACK})
    return is_unconfirmed(connection)


def _sampled_at(connection: sqlite3.Connection) -> datetime | None:
    """The time of the last inspection that is on disk."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'sampled_at'").fetchone()
    return None if row is None else time_of(row[0])


def _reconcile_returned(connection: sqlite3.Connection, appeared: frozenset[str], now: datetime) -> None:
    """Delete images that are back at the next inspection; of those that are back later store when they returned."""
    if not appeared:
        return
    rows = connection.execute(
        "SELECT image_id, gone_at, confirmed FROM removed_externally WHERE returned_at IS NULL"
    ).fetchall()
    for image_id, gone_at, confirmed in rows:
        if image_id in appeared:
            sql = "DELETE FROM removed_externally WHERE image_id = :id AND gone_at = :gone_at"
            if confirmed:
                sql = "UPDATE removed_externally SET returned_at = :now WHERE image_id = :id AND gone_at = :gone_at"
            connection.execute(sql, {"id": image_id, "gone_at": gone_at, "now": micros(now)})


def _replacement_of(connection: sqlite3.Connection, image_id: str, owners: Mapping[str, str]) -> str | None:
    """The image that has all of its tags now; None where it had none, or one is gone too."""
    row = connection.execute("SELECT refs FROM image WHERE id = ?", (image_id,)).fetchone()
    tags = [reference for reference in parse_references(row[0]) if "@" not in reference] if row else []
    return owners[tags[0]] if tags and all(tag in owners for tag in tags) else None


def is_unconfirmed(connection: sqlite3.Connection) -> bool:
    """Whether any image waits for a later inspection to confirm it."""
    sql = "SELECT EXISTS (SELECT 1 FROM removed_externally WHERE told = 0 AND confirmed = 0)"
    return bool(connection.execute(sql).fetchone()[0])


def external_removals_since(
    connection: sqlite3.Connection, since: datetime | None
) -> tuple[ExternallyRemovedImage, ...]:
    """Newest first, including those that an inspection has yet to confirm."""
    begin = _ALL if since is None else micros(since)
    return tuple(_images(connection.execute(_SELECT + "gone_at >= ? ORDER BY gone_at DESC, image_id", (begin,))))


def unreported_external_removals(connection: sqlite3.Connection) -> Iterator[tuple[ExternallyRemovedImage, ...]]:
    """What was not reported yet, oldest first, all images of one inspection together; none whose tags moved."""
    sql = _SELECT + "told = 0 AND confirmed = 1 AND replaced_by IS NULL ORDER BY gone_at, refs, image_id"
    rows = connection.execute(sql)
    for _, images in groupby(_images(rows), key=lambda image: image.gone_at):
        yield tuple(images)


def _images(rows: Iterable[tuple[Any, ...]]) -> Iterator[ExternallyRemovedImage]:
    for image_id, refs, last_seen, gone_at, first_seen, last_used, used_percent, replaced_by, returned_at in rows:
        yield ExternallyRemovedImage(
            image_id=image_id,
            references=parse_references(refs),
            last_seen_at=time_of(last_seen),
            gone_at=time_of(gone_at),
            first_seen_at=time_of(first_seen),
            last_used_at=time_or_none(last_used),
            used_percent=used_percent,
            replaced_by=replaced_by,
            returned_at=time_or_none(returned_at),
        )
