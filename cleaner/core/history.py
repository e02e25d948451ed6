"""What the ledger stores about the past, as frozen values.

It must not judge which evictions were mistakes; see `core/regret.py`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cleaner.core.model import EvictionOutcome, Trigger


class RegretKind(StrEnum):
    """What happened to the image of a regretted eviction: it was pulled, or used."""

    PULLED = "pulled"
    USED = "used"


@dataclass(frozen=True, slots=True)
class PastEviction:
    """One image that a sweep evicted, tried to evict, or in mode observe would have evicted."""

    image_id: str
    references: tuple[str, ...]
    """Tags, then digests, each sorted, as they were then."""
    trigger: Trigger
    reason: str
    """An EvictReason; text, since a later version may know more of them."""
    rule: str | None
    outcome: EvictionOutcome
    """`planned` where it only would have been evicted."""
    error: str | None
    at: datetime
    """When it was over; of an observed one, when the image would first have been evicted."""
    created_at: datetime | None = None
    pulled_at: datetime | None = None
    last_used_at: datetime | None = None
    size_bytes: int = 0
    estimated_bytes: int | None = None
    reclaimed_bytes: int | None = None
    regretted_at: datetime | None = None
    """When the image was seen to be re-pulled within a week; of an observed eviction, to be pulled or used."""
    regretted_by: RegretKind | None = None

    @property
    def regretted_after(self) -> timedelta | None:
        """How long after the eviction it was regretted; None where it was not."""
        return None if self.regretted_at is None else max(self.regretted_at - self.at, timedelta(0))


@dataclass(frozen=True, slots=True)
class ExternallyRemovedImage:
    """One image that was removed externally: there at one inspection, gone at the next, not evicted by the agent."""

    image_id: str
    references: tuple[str, ...]
    """Tags, then digests, each sorted, as they were last seen."""
    last_seen_at: datetime
    """The latest inspection that found it."""
    gone_at: datetime
    """The first inspection that no longer found it."""
    first_seen_at: datetime
    last_used_at: datetime | None = None
    used_percent: float | None = None
    """The highest usage that was measured since it was last seen; None where none was measured."""
    replaced_by: str | None = None
    """The image that has all of its tags since: they moved, and the runtime dropped what they had named."""
    returned_at: datetime | None = None
    """When it was there again."""


@dataclass(frozen=True, slots=True)
class PastSweep:
    """One sweep that another process of this node made."""

    trigger: Trigger
    ended_at: datetime
    duration_seconds: float
    stop_reason: str | None
    """A StopReason; None where it failed."""


@dataclass(frozen=True, slots=True)
class NightlyRun:
    """The latest nightly run of this node."""

    occurrence: datetime
    ended_at: datetime
    """When its sweep was over."""
