"""What became of images that were evicted, or would have been: found by what the ledger says and what is there now.

It must not write, see `file.py`: it returns statements, which change nothing where another process was first.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cleaner.core.history import RegretKind
from cleaner.core.model import Image
from cleaner.core.regret import REGRET_WINDOW
from cleaner.ledger.rows import MICROSECOND, SqlValue, Statement, micros, pulled_at_of

UNFINISHED_FOR = timedelta(minutes=5)
"""An eviction whose image is still there 5 minutes after it began did not happen: no runtime takes that long."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An eviction that began and is not known to be over."""

    sweep: str
    image_id: str
    began_at: int
    pulled_at: int | None
    """Of the image as it was listed then."""

    def is_pulled_again(self, image: Image) -> bool:
        """Whether the image was pulled later than the one to evict; an earlier time belongs to a lost record."""
        pulled_at = pulled_at_of(image)
        return self.pulled_at is not None and pulled_at is not None and pulled_at > self.pulled_at

    def settled(self, image: Image | None, now: datetime) -> Statement | None:
        """By what is there now; None while the runtime may still be at it."""
        key: dict[str, SqlValue] = {"sweep": self.sweep, "image_id": self.image_id, "now": micros(now)}
        if image is None:
            return (
                """UPDATE eviction SET outcome = 'evicted', at = :now, told = 0
                WHERE sweep = :sweep AND image_id = :image_id AND outcome = 'pending'""",
                key,
            )
        if self.is_pulled_again(image):
            return (
                """UPDATE eviction SET outcome = 'evicted', at = :now, told = 0,
                    regretted_at = :now, regretted_by = 'pulled', regret_told = 0
                WHERE sweep = :sweep AND image_id = :image_id AND outcome = 'pending'""",
                key,
            )
        if abs(micros(now) - self.began_at) <= UNFINISHED_FOR // MICROSECOND:
            return None
        return (
            "DELETE FROM eviction WHERE sweep = :sweep AND image_id = :image_id AND outcome = 'pending'",
            {"sweep": self.sweep, "image_id": self.image_id},
        )


def list_unfinished(connection: sqlite3.Connection, own_sweep: str | None) -> list[Unfinished]:
    """Those of sweeps that this process does not run."""
    rows = connection.execute(
        "SELECT sweep, image_id, began_at, listed_pulled_at FROM eviction WHERE outcome = 'pending' ORDER BY began_at"
    )
    return [unfinished for unfinished in (Unfinished(*row) for row in rows) if unfinished.sweep != own_sweep]


def repulls_of(connection: sqlite3.Connection, there: frozenset[str], now: datetime) -> list[Statement]:
    """Evicted images that are there again; of several evictions of one image the latest counts."""
    rows = connection.execute(
        """SELECT sweep, image_id, regretted_at, max(at) FROM eviction
        WHERE outcome = 'evicted' AND at > ? AND at <= ? GROUP BY image_id""",
        (micros(now - REGRET_WINDOW), micros(now)),
    )
    sql = """UPDATE eviction SET regretted_at = :now, regretted_by = 'pulled', regret_told = 0
        WHERE sweep = :sweep AND image_id = :image_id AND regretted_at IS NULL"""
    return [
        (sql, {"sweep": sweep, "image_id": image_id, "now": micros(now)})
        for sweep, image_id, regretted_at, _ in rows
        if regretted_at is None and image_id in there
    ]


def list_observed(connection: sqlite3.Connection) -> dict[str, int]:
    """By image id: when mode observe would have evicted it; without images that were used or re-pulled since."""
    return dict(connection.execute("SELECT image_id, at FROM observed WHERE regretted_at IS NULL"))


def observed_regrets(
    observed: Mapping[str, int],
    images: tuple[Image, ...],
    in_use: frozenset[str],
    appeared: frozenset[str],
    now: datetime,
) -> dict[str, Statement]:
    """By id, those of the observed images that were used or pulled after their eviction would have happened."""
    return {
        image.id: _regret(image.id, by, now)
        for image in images
        if image.id in observed and (by := _regretted_by(image, observed[image.id], in_use, appeared, now)) is not None
    }


def _regretted_by(
    image: Image, at: int, in_use: frozenset[str], appeared: frozenset[str], now: datetime
) -> RegretKind | None:
    """An image that was removed externally and is there again was re-pulled, also where no pull time is known."""
    pulled_at = pulled_at_of(image)
    if (pulled_at is not None and at < pulled_at <= micros(now)) or image.id in appeared:
        return RegretKind.PULLED
    return RegretKind.USED if image.id in in_use and micros(now) > at else None


def _regret(image_id: str, by: RegretKind, now: datetime) -> Statement:
    sql = """UPDATE observed SET regretted_at = :now, regretted_by = :by, regret_told = 0
        WHERE image_id = :image_id AND regretted_at IS NULL"""
    return sql, {"image_id": image_id, "by": by.value, "now": micros(now)}
