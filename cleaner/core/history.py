"""What the ledger tells of the past, as frozen values.

Refuses a judgement: which of it was a mistake is in `regret`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cleaner.core.model import EvictionOutcome, Trigger


class RegretKind(StrEnum):
    """How an image was seen to be wanted after it went, or would have gone."""

    PULLED = "pulled"
    USED = "used"


@dataclass(frozen=True, slots=True)
class PastEviction:
    """One image that a sweep took, tried to take, or in mode observe would have taken."""

    image_id: str
    references: tuple[str, ...]
    """Tags, then digests, each sorted, as they were then."""
    trigger: Trigger
    reason: str
    """An EvictReason; text, since a later version may know more of them."""
    rule: str | None
    outcome: EvictionOutcome
    """`planned` where it only would have gone."""
    error: str | None
    at: datetime
    """When it was over; of an observed one, when it would have gone for the first time."""
    created_at: datetime | None = None
    pulled_at: datetime | None = None
    last_used_at: datetime | None = None
    size_bytes: int = 0
    estimated_bytes: int | None = None
    reclaimed_bytes: int | None = None
    regretted_at: datetime | None = None
    """When it was seen to be there again within a week of its eviction, or of an observed one, pulled or used."""
    regretted_by: RegretKind | None = None

    @property
    def regretted_after(self) -> timedelta | None:
        """How long it was gone before somebody wanted it; None where nobody did."""
        return None if self.regretted_at is None else max(self.regretted_at - self.at, timedelta(0))


@dataclass(frozen=True, slots=True)
class ExternallyRemovedImage:
    """One image that was there at one look and gone at the next, without an eviction of ours."""

    image_id: str
    references: tuple[str, ...]
    """Tags, then digests, each sorted, as they were last seen."""
    last_seen_at: datetime
    """The latest look at which it was there."""
    gone_at: datetime
    """The first look at which it was not."""
    first_seen_at: datetime
    last_used_at: datetime | None = None
    used_percent: float | None = None
    """The highest usage that was measured since it was last seen; None where nobody measured."""
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
    """The latest nightly occurrence that this node dealt with."""

    occurrence: datetime
    ended_at: datetime
    """When its sweep was over."""
