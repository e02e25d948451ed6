"""The images that are there, when each was first seen and last used; and how that differs from what is on disk.

It must not write, see `cache.py`: it returns the statements, and the ledger confirms them once they are on disk.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from cleaner.core.model import Image
from cleaner.ledger.rows import (
    Statement,
    image_gone,
    micros,
    micros_or_none,
    moved,
    parse_references,
    text_of,
    time_of,
    time_or_none,
)


class StoredImage(NamedTuple):
    """One image as it is on disk, as far as it matters for what to write next."""

    first_seen: datetime
    last_used: datetime | None
    """None while it is in use: then the time of the sample says it."""
    in_use: bool
    references: int
    """Their hash: the text is in the image."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What to write so that the disk says what is so."""

    statements: tuple[Statement, ...] = ()
    written: dict[str, StoredImage] = field(default_factory=dict)
    """What is on disk once they are carried out."""
    gone: Mapping[str, tuple[datetime, datetime | None]] = field(default_factory=dict)
    """Images on disk that are gone without an eviction of this process, by id: since when, and when last used."""
    appeared: frozenset[str] = frozenset()
    """Those that are there, and not on disk."""
    images: tuple[Image, ...] = ()
    """All that are there."""


class ImageTimes:
    """First seen and last used of all images that are there, by id."""

    def __init__(self) -> None:
        self.first_seen: dict[str, datetime] = {}
        self.last_used: dict[str, datetime] = {}
        self.updated = False
        """Whether this process has inspected the images yet."""
        self._in_use: frozenset[str] = frozenset()
        self._stored: dict[str, StoredImage] = {}
        self._gone: dict[str, tuple[datetime, datetime | None]] = {}
        """Images on disk that are gone, by id: since when, and when they were last used."""

    def load(
        self, connection: sqlite3.Connection, sampled_at: datetime | None, first_inspection: datetime | None
    ) -> None:
        """Load what is on disk.

        `first_inspection`: None where the file is up to date. Otherwise this process has inspected the node without
        the file since then, and knows better. An image that was there at that first inspection keeps its time from
        the file.
        """
        rows = connection.execute("SELECT id, first_seen, last_used, in_use, refs FROM image WHERE gone_at IS NULL")
        self._stored, seen, used = {}, {}, {}
        for image_id, first_seen, last_used, in_use, references in rows:
            seen[image_id] = time_of(first_seen)
            at = _later(time_or_none(last_used), sampled_at if in_use else None)
            if at is not None:
                used[image_id] = at
            self._stored[image_id] = StoredImage(
                seen[image_id], None if in_use else at, bool(in_use), hash(parse_references(references))
            )
        if first_inspection is None:
            self.first_seen, self._gone = seen, {}
        else:
            self.first_seen |= {i: seen[i] for i, at in self.first_seen.items() if i in seen and at <= first_inspection}
            self._gone = dict.fromkeys(seen.keys() - self.first_seen.keys(), (first_inspection, None)) | self._gone
            self._gone = {i: (at, _later(last, used.get(i))) for i, (at, last) in self._gone.items()}
        self.last_used = {i: at for i, at in self.last_used.items() if i in self.first_seen}
        self.merge_uses(used)

    def update(self, images: tuple[Image, ...], in_use: frozenset[str], now: datetime) -> frozenset[str]:
        """Update what is there and in use now; return the ids that were not there before."""
        ids = frozenset(image.id for image in images)
        appeared = ids - self.first_seen.keys()
        self.updated = True
        for image_id in self._stored.keys() - ids - self._gone.keys():
            self._gone[image_id] = (now, self.last_used.get(image_id))
        last_used = {i: at for i, at in self.last_used.items() if i in ids}
        last_used |= {i: at for i, (_, at) in self._gone.items() if i in ids and at is not None}
        self._gone = {i: times for i, times in self._gone.items() if i not in ids}
        self._in_use = ids & in_use
        last_used |= {i: max(now, last_used.get(i, now)) for i in self._in_use}
        self.first_seen = {image_id: self.first_seen.get(image_id, now) for image_id in ids}
        self.last_used = last_used
        return appeared

    def merge_uses(self, used: dict[str, datetime]) -> None:
        """Merge uses that were stored elsewhere, where they are later."""
        for image_id in used.keys() & self.first_seen.keys():
            self.last_used[image_id] = max(used[image_id], self.last_used.get(image_id, used[image_id]))

    def forget(self, image_id: str, at: datetime) -> Statement:
        """Forget an evicted image at once: if it is re-pulled before the next inspection, it counts as a new one."""
        self.first_seen.pop(image_id, None)
        self._stored.pop(image_id, None)
        return image_gone(image_id, at, self.last_used.pop(image_id, None))

    def changes(self, images: tuple[Image, ...]) -> Changes:
        """What differs from the disk, for the images of the last `update`."""
        statements = [image_gone(image_id, at, used) for image_id, (at, used) in self._gone.items()]
        written: dict[str, StoredImage] = {}
        for image in images:
            stored = self._stored.get(image.id)
            row = self._row_of(image, stored)
            written[image.id] = row
            if row != stored:
                statements.append(self._upsert(image, keep_references=stored is not None and not image.readable))
        appeared = frozenset(written.keys() - self._stored.keys())
        return Changes(tuple(statements), written, dict(self._gone), appeared, images)

    def confirm(self, changes: Changes) -> None:
        """They are on disk."""
        self._stored = changes.written
        self._gone = {}

    def shift(self, offset: timedelta, latest: datetime) -> None:
        """Move all times, none beyond `latest`; the disk still has the old ones, or what moves them waits for it."""
        self.first_seen = {i: moved(at, offset, latest) for i, at in self.first_seen.items()}
        self.last_used = {i: moved(at, offset, latest) for i, at in self.last_used.items()}
        self._gone = {
            i: (moved(at, offset, latest), last and moved(last, offset, latest)) for i, (at, last) in self._gone.items()
        }

    def _row_of(self, image: Image, stored: StoredImage | None) -> StoredImage:
        in_use = image.id in self._in_use
        references = hash(image.references)
        if stored is not None and not image.readable:
            references = stored.references
        return StoredImage(
            self.first_seen[image.id], None if in_use else self.last_used.get(image.id), in_use, references
        )

    def _upsert(self, image: Image, *, keep_references: bool) -> Statement:
        sql = """INSERT INTO image (id, first_seen, last_used, in_use, refs, gone_at)
            VALUES (:id, :first_seen, :last_used, :in_use, coalesce(:refs, '[]'), NULL)
            ON CONFLICT (id) DO UPDATE SET first_seen = excluded.first_seen, in_use = excluded.in_use, gone_at = NULL,
                last_used = max(coalesce(excluded.last_used, image.last_used),
                    coalesce(image.last_used, excluded.last_used)),
                refs = coalesce(:refs, image.refs)"""
        return sql, {
            "id": image.id,
            "first_seen": micros(self.first_seen[image.id]),
            "last_used": micros_or_none(self.last_used.get(image.id)),
            "in_use": image.id in self._in_use,
            "refs": None if keep_references else text_of(image.references),
        }


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((at for at in (one, other) if at is not None), default=None)
