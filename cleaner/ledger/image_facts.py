"""What the ledger stores of an image besides its times: the mark of an import, and removals that failed.

An inspection may miss an image that is there, so an image is gone once the next one misses it too. Until then both
stay. The statements are handed to the file's backlog: what counts as stored here is on disk or waits for it.

An import mark is kept in doubt. The runtime may take it away while the image stays (k3s does at its start), and sets
the time of the record then, so that a later pull time does not show that the image was pulled. Example: an image that
was imported at 10:00 has lost its mark at 11:00, with a record of 11:00; it stays marked. It was removed at 12:00, two
inspections missed it, and it is pulled at 13:00: it is not marked any more.
"""

import sqlite3
from datetime import datetime, timedelta

from cleaner.core.events import EvictionEnded
from cleaner.core.model import EvictionOutcome, Fault, Image, RemovalFailure
from cleaner.core.removal_failures import is_pulled_since
from cleaner.ledger.rows import SqlValue, Statement, micros, micros_or_none, moved, storable, time_of, time_or_none


class ImageFacts:
    """The facts of all images that are there, by id."""

    def __init__(self, version: str = "") -> None:
        """`version`: of this agent; failures that another version stored do not count."""
        self._version = version
        self._imported: frozenset[str] = frozenset()
        self._failures: dict[str, RemovalFailure] = {}
        self._missing: frozenset[str] = frozenset()
        """Images with a mark or a failure that were missing for the first time in the latest inspection."""
        self._stored_imported: frozenset[str] = frozenset()
        self._stored_failures: dict[str, RemovalFailure | None] = {}
        """None: by another version."""

    @property
    def imported(self) -> frozenset[str]:
        """Images that are there and were seen with an import mark at some time."""
        return self._imported - self._missing

    @property
    def failures(self) -> dict[str, RemovalFailure]:
        """Failures of images that are there; a copy."""
        return {image_id: failure for image_id, failure in self._failures.items() if image_id not in self._missing}

    def load(self, connection: sqlite3.Connection, *, opened: bool) -> None:
        """Load what is on disk.

        `opened`: whether the file was opened since the last time. Then it may be another one, or lack what could not
        be written meanwhile, so nothing that is known is given up. Otherwise the file says what is so: all that this
        process knew is in it, unless another one has deleted that since.
        """
        imported = frozenset(image_id for (image_id,) in connection.execute("SELECT image_id FROM imported"))
        rows = connection.execute("SELECT image_id, count, failed_at, pulled_at, version FROM removal_failure")
        stored = {i: _failure_of(*row) if version == self._version else None for i, *row, version in rows}
        found = {image_id: failure for image_id, failure in stored.items() if failure is not None}
        gone = _gone_of(connection) - self._imported - self._failures.keys()
        known = self._failures if opened else {}
        self._imported = imported | self._imported if opened else imported
        self._failures = {i: _later(known.get(i), found.get(i)) for i in known.keys() | found.keys()}
        self._missing |= gone
        self._stored_imported, self._stored_failures = imported, stored

    def update(self, images: tuple[Image, ...]) -> list[Statement]:
        """Update by an inspection; return the statements for what differs from the disk."""
        ids = frozenset(image.id for image in images)
        missing = (self._imported | self._failures.keys()) - ids
        gone = missing & self._missing
        self._missing = missing - gone
        self._imported = (self._imported - gone) | {image.id for image in images if image.imported}
        pulled = {image.id: image.pulled_at for image in images}
        self._failures = {
            image_id: failure
            for image_id, failure in self._failures.items()
            if image_id not in gone and not is_pulled_since(failure, pulled.get(image_id))
        }
        return self._store()

    def record_failure(self, event: EvictionEnded) -> Statement:
        """One more failed removal of an image."""
        image = event.eviction.verdict.image
        before = self._failures.get(image.id)
        count = 0 if before is None or is_pulled_since(before, image.pulled_at) else before.count
        failure = RemovalFailure(count + 1, event.at, image.pulled_at)
        self._failures = self._failures | {image.id: failure}
        self._stored_failures[image.id] = failure
        return self._upsert(image.id, failure)

    def forget(self, image_id: str) -> list[Statement]:
        """Forget an evicted image at once: if it is re-pulled before the next inspection, it counts as a new one."""
        self._imported -= {image_id}
        self._stored_imported -= {image_id}
        self._failures.pop(image_id, None)
        self._stored_failures.pop(image_id, None)
        return [_delete_mark(image_id), _delete_failure(image_id)]

    def shift(self, offset: timedelta, latest: datetime) -> None:
        """Move the times of the failures, none beyond `latest`. Pull times are the runtime's, and stay."""
        self._failures = {
            image_id: RemovalFailure(failure.count, moved(failure.failed_at, offset, latest), failure.pulled_at)
            for image_id, failure in self._failures.items()
        }

    def _store(self) -> list[Statement]:
        statements = [_insert_mark(image_id) for image_id in sorted(self._imported - self._stored_imported)]
        statements += [_delete_mark(image_id) for image_id in sorted(self._stored_imported - self._imported)]
        statements += [
            self._upsert(image_id, failure)
            for image_id, failure in sorted(self._failures.items())
            if self._stored_failures.get(image_id) != failure
        ]
        gone = self._stored_failures.keys() - self._failures.keys()
        statements += [_delete_failure(image_id) for image_id in sorted(gone)]
        self._stored_imported, self._stored_failures = self._imported, dict(self._failures)
        return statements

    def _upsert(self, image_id: str, failure: RemovalFailure) -> Statement:
        """Of the same pull and version the count never falls: a process that had no file counts from 1 again."""
        sql = """INSERT INTO removal_failure (image_id, count, failed_at, pulled_at, version)
            VALUES (:image_id, :count, :failed_at, :pulled_at, :version)
            ON CONFLICT (image_id) DO UPDATE SET failed_at = excluded.failed_at, pulled_at = excluded.pulled_at,
                version = excluded.version,
                count = CASE WHEN version = excluded.version AND pulled_at IS excluded.pulled_at
                    THEN max(count, excluded.count) ELSE excluded.count END"""
        row: dict[str, SqlValue] = {
            "image_id": image_id,
            "count": failure.count,
            "failed_at": micros(failure.failed_at),
            "pulled_at": micros_or_none(failure.pulled_at),
            "version": self._version,
        }
        return sql, storable(row)


def is_failure_of_image(event: EvictionEnded) -> bool:
    """Whether a removal failed that the image itself is to blame for."""
    return event.eviction.outcome is EvictionOutcome.FAILED and event.eviction.fault is Fault.IMAGE


def _failure_of(count: int, failed_at: int, pulled_at: int | None) -> RemovalFailure:
    return RemovalFailure(max(int(count), 1), time_of(failed_at), time_or_none(pulled_at))


def _later(known: RemovalFailure | None, found: RemovalFailure | None) -> RemovalFailure:
    return max((f for f in (known, found) if f is not None), key=lambda failure: (failure.failed_at, failure.count))


def _gone_of(connection: sqlite3.Connection) -> frozenset[str]:
    """Images that the latest inspection on disk missed."""
    rows = connection.execute(
        """SELECT id FROM image WHERE gone_at IS NOT NULL
            AND (id IN (SELECT image_id FROM imported) OR id IN (SELECT image_id FROM removal_failure))"""
    )
    return frozenset(image_id for (image_id,) in rows)


def _insert_mark(image_id: str) -> Statement:
    return "INSERT INTO imported (image_id) VALUES (:image_id) ON CONFLICT (image_id) DO NOTHING", storable(
        {"image_id": image_id}
    )


def _delete_mark(image_id: str) -> Statement:
    return "DELETE FROM imported WHERE image_id = :image_id", storable({"image_id": image_id})


def _delete_failure(image_id: str) -> Statement:
    return "DELETE FROM removal_failure WHERE image_id = :image_id", storable({"image_id": image_id})
