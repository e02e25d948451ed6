"""What a sweep did, as frozen values.

It must not hold words for a reader: each outlet makes of it what its readers need.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from cleaner.core.disk_usage import Part, Usage
from cleaner.core.model import EvictionOutcome, Fault, Plan, StopReason, Trigger, Verdict


@dataclass(frozen=True, slots=True)
class Eviction:
    """One image's way through a sweep, and how it ended."""

    verdict: Verdict
    outcome: EvictionOutcome
    error: str | None = None
    """Why it failed or was spared; None otherwise."""
    estimated_bytes: int | None = None
    """What the removal is estimated to free; None without an estimate."""
    reclaimed_bytes: int | None = None
    """Measured, never negative; None where nothing was removed or the filesystem cannot say."""
    seconds: float | None = None
    """From the call of RemoveImage to its confirmation; None where nothing was removed."""
    fault: Fault | None = None
    """What made it fail, or a final check never valid; None where neither is so."""


@dataclass(frozen=True, slots=True)
class SweepReport:
    """One whole sweep: every image is in `evictions`, or counted in `kept` or `not_reached`."""

    trigger: Trigger
    dry_run: bool
    started_at: datetime
    duration_seconds: float
    filesystem_before: Usage
    filesystem_after: Usage
    stop_reason: StopReason
    evictions: tuple[Eviction, ...]
    plan: Plan | None
    """None where the sweep was not needed and so nothing was listed."""
    not_reached: int
    """Candidates that the sweep ended before."""
    low_watermark_met: bool
    """Whether every resource that the sweep was to lower ended at or below its low watermark."""
    lowered: frozenset[Part] = frozenset()
    """The parts that the sweep was to lower; none unless under pressure."""

    @property
    def reclaimed_bytes(self) -> int | None:
        """Measured bytes of all evictions; None where the filesystem cannot say it per image."""
        gone = [e for e in self.evictions if e.outcome is EvictionOutcome.EVICTED]
        if any(eviction.reclaimed_bytes is None for eviction in gone):
            return None
        return sum(eviction.reclaimed_bytes or 0 for eviction in gone)


def kept_counts(plan: Plan | None) -> dict[str, int]:
    """How many images each keep reason holds, in the order of the reasons; only those that hold any."""
    return dict(Counter(verdict.reason.value for verdict in plan.kept)) if plan else {}
