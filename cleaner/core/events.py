"""What happened, as frozen values: the daemon and the sweep yield these, outlets take them.

Refuses wording and counting: each outlet makes of an event what its readers need.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cleaner.core.errors import CleanerError
from cleaner.core.model import (
    EvictionOutcome,
    Plan,
    RuntimeVersion,
    StopReason,
    Trigger,
    Usage,
    Verdict,
)
from cleaner.core.reclaim import Holder


@dataclass(frozen=True, slots=True)
class Eviction:
    """One image's way through a sweep, and how it ended."""

    verdict: Verdict
    outcome: EvictionOutcome
    error: str | None = None
    """Why it failed or was spared; None otherwise."""
    estimated_bytes: int | None = None
    """Foretold; None where nothing is foretold."""
    reclaimed_bytes: int | None = None
    """Measured, never negative; None where nothing was removed or the filesystem cannot say."""
    seconds: float | None = None
    """From the call of RemoveImage to its confirmation; None where nothing was removed."""


@dataclass(frozen=True, slots=True)
class SweepReport:
    """One whole sweep: every image is in `evictions`, or counted in `kept` or `not_reached`."""

    trigger: Trigger
    dry_run: bool
    started_at: datetime
    duration_seconds: float
    filesystem_before: Usage
    filesystem_after: Usage
    stopped_because: StopReason
    evictions: tuple[Eviction, ...]
    plan: Plan | None
    """None where the sweep was not needed and so nothing was listed."""
    not_reached: int
    """Candidates that the sweep ended before."""
    low_mark_met: bool
    """Whether every resource that was driven ended at or below its low mark."""

    @property
    def reclaimed_bytes(self) -> int | None:
        """Measured bytes of all evictions; None where the filesystem cannot say it per image."""
        gone = [e for e in self.evictions if e.outcome is EvictionOutcome.EVICTED]
        if any(eviction.reclaimed_bytes is None for eviction in gone):
            return None
        return sum(eviction.reclaimed_bytes or 0 for eviction in gone)


@dataclass(frozen=True, slots=True)
class SweepStarted:
    """A sweep got past Observe and Decide; what it will do is in `plan`."""

    plan: Plan
    usage: Usage


@dataclass(frozen=True, slots=True)
class EvictionStarted:
    """The last look is about to be taken, and the image removed if that allows it."""

    trigger: Trigger
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class EvictionEnded:
    """One eviction is over, whatever its outcome."""

    trigger: Trigger
    eviction: Eviction


@dataclass(frozen=True, slots=True)
class SweepEnded:
    """A sweep is over and did what it could."""

    report: SweepReport
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class SweepFailed:
    """A sweep could not read what it must know, or broke; it evicts nothing more."""

    trigger: Trigger
    error: CleanerError
    retry_seconds: float


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    """The daemon begins, before it knows whether the runtime is there."""

    next_nightly_at: datetime | None


@dataclass(frozen=True, slots=True)
class RuntimeUp:
    """The runtime answers, for the first time or again."""

    version: RuntimeVersion
    filesystem_path: str


@dataclass(frozen=True, slots=True)
class RuntimeDown:
    """The runtime stopped answering, or is not there yet."""

    error: CleanerError


@dataclass(frozen=True, slots=True)
class Checked:
    """The loop went round once; `usage` is None while the disk cannot be read."""

    usage: Usage | None
    next_nightly_at: datetime | None


@dataclass(frozen=True, slots=True)
class DiskUnread:
    """The filesystem's usage could not be read in this round."""

    error: CleanerError


@dataclass(frozen=True, slots=True)
class ObservationFailed:
    """The node's images could not be counted in this round; no sweep was due."""

    error: CleanerError


@dataclass(frozen=True, slots=True)
class ImagesCounted:
    """The nightly plan as of now: what the `images` gauge shows; its sizes may be unknown."""

    nightly: Plan


@dataclass(frozen=True, slots=True)
class SpaceCounted:
    """What each trigger would free, and who holds the space; told when the node changed, or now and then."""

    nightly: Plan
    pressure: Plan
    held: Mapping[Holder, int] | None
    """Bytes by holder, by the pressure plan's verdicts; None where they are not known."""
    unknown_because: str | None = None
    """Why they are not known."""


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """The wall clock jumped against the monotonic one: the nightly sweep holds."""

    jumped_seconds: float


@dataclass(frozen=True, slots=True)
class ClockTrusted:
    """The wall clock is back, or has run true for a day: the nightly sweep holds no more."""


@dataclass(frozen=True, slots=True)
class LoopBroke:
    """Something that nobody foresaw broke one round of the loop; the next one goes on."""

    error: Exception


@dataclass(frozen=True, slots=True)
class DaemonStopped:
    """The daemon ends because it was told to."""


Event = (
    DaemonStarted
    | RuntimeUp
    | RuntimeDown
    | Checked
    | DiskUnread
    | ImagesCounted
    | SpaceCounted
    | ObservationFailed
    | ClockJumped
    | ClockTrusted
    | LoopBroke
    | SweepStarted
    | EvictionStarted
    | EvictionEnded
    | SweepEnded
    | SweepFailed
    | DaemonStopped
)
