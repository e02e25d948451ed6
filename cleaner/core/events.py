"""What happened, as frozen values: the daemon and the sweep yield these, and outlets record them.

An event must not hold words for a reader, nor totals: each outlet makes of it what its readers need.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import CleanerError
from cleaner.core.history import ExternallyRemovedImage, NightlyRun, PastEviction, PastSweep
from cleaner.core.kubelet import KubeletRead
from cleaner.core.model import Plan, RuntimeVersion, Trigger, Verdict
from cleaner.core.pressure import Forecast
from cleaner.core.read_state import ReadChanged
from cleaner.core.reclaim import Holder
from cleaner.core.regret import Regret
from cleaner.core.report import Eviction, SweepReport


@dataclass(frozen=True, slots=True)
class RegistriesProbed:
    """A sweep asked the registries of its candidates whether they answer."""

    up: frozenset[str]
    down: Mapping[str, str]
    """Registry: why it counts as down. Its images stay."""


@dataclass(frozen=True, slots=True)
class SweepStarted:
    """A sweep has inspected the node and decided; what it will do is in `plan`."""

    plan: Plan
    usage: Usage
    started_at: datetime
    dry_run: bool
    early: bool = False
    """Whether no part has reached its high watermark yet, but soon will."""
    pulls_projected_bytes: int = 0
    """What pulls in progress will still write: the sweep makes room for that too."""
    given_up: frozenset[str] = frozenset()
    """Digests of pulls that have no room even once all candidates are evicted."""
    held: Mapping[Holder, int] | None = None
    """Bytes by holder, where the low watermark is not reachable; None otherwise, and where they are not known."""


@dataclass(frozen=True, slots=True)
class EvictionStarted:
    """The final check of an image begins; if it finds nothing, the sweep removes the image."""

    trigger: Trigger
    verdict: Verdict
    at: datetime


@dataclass(frozen=True, slots=True)
class EvictionEnded:
    """One eviction is over, whatever its outcome."""

    trigger: Trigger
    eviction: Eviction
    at: datetime


@dataclass(frozen=True, slots=True)
class SweepEnded:
    """A sweep is over and did what it could."""

    report: SweepReport
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class SweepFailed:
    """A sweep could not read what it must know, or failed otherwise; it evicts nothing more."""

    trigger: Trigger
    error: CleanerError
    retry_seconds: float
    at: datetime


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    """The daemon begins, before it knows whether the runtime is there."""

    next_nightly_at: datetime | None


@dataclass(frozen=True, slots=True)
class RuntimeUp:
    """The runtime answers, for the first time or again."""

    version: RuntimeVersion
    filesystem_path: str
    unseen_paths: tuple[str, ...] = ()
    """Of other filesystems that the runtime fills, and that the agent cannot see: nothing is done about them."""


@dataclass(frozen=True, slots=True)
class RuntimeDown:
    """The runtime does not answer, in each round again."""

    error: CleanerError


@dataclass(frozen=True, slots=True)
class Checked:
    """The loop has checked the node once; `usage` is None while the disk cannot be read."""

    usage: Usage | None
    next_nightly_at: datetime | None
    forecast: Forecast | None = None
    """The forecast of this check; None where `usage` is, or while the runtime does not answer."""


@dataclass(frozen=True, slots=True)
class DiskUnread:
    """The filesystem's usage could not be read in this round."""

    error: CleanerError


@dataclass(frozen=True, slots=True)
class InventoryFailed:
    """The inventory failed in this round; no sweep was due."""

    error: CleanerError


@dataclass(frozen=True, slots=True)
class ImagesInventoried:
    """The nightly plan as of now: what the `images` gauge shows; its sizes may be unknown."""

    nightly: Plan


@dataclass(frozen=True, slots=True)
class SpaceInventoried:
    """What each trigger would free, and who holds the space; reported when the node changed, or now and then."""

    nightly: Plan
    pressure: Plan
    held: Mapping[Holder, int] | None
    """Bytes by holder, by the pressure plan's verdicts; None where they are not known."""
    reason_without_estimates: str | None = None
    """Why they are not known."""
    low_watermark_reachable: bool | None = None
    """Whether evicting every candidate would reach the low watermarks; None where that is not known."""
    unmeasured_snapshotters: frozenset[str] = frozenset()
    """Whose snapshots the estimates leave out."""


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """The wall clock jumped against the monotonic one, or does not fit the ledger: nightly sweeps are suspended."""

    off_seconds: float
    """Positive where it is ahead."""


@dataclass(frozen=True, slots=True)
class ClockTrusted:
    """The wall clock is right again, or has run true for a day: nightly sweeps are no longer suspended."""


@dataclass(frozen=True, slots=True)
class NightlyRunEnded:
    """A nightly run is over: the agent does not sweep for its occurrence again."""

    nightly_run: NightlyRun


@dataclass(frozen=True, slots=True)
class NightlySuspended:
    """A nightly sweep would be due, but the agent has not watched the node for the grace period."""

    since: datetime | None


@dataclass(frozen=True, slots=True)
class SweepWaits:
    """A sweep is due, but another process of this node sweeps; it is tried again in the next round."""

    trigger: Trigger


@dataclass(frozen=True, slots=True)
class LedgerUp:
    """The ledger is on disk, for the first time or again."""

    installed_at: datetime | None
    aside: str | None
    """Where a file lies that could not be read and was set aside; None where there was none."""


@dataclass(frozen=True, slots=True)
class LedgerDown:
    """The ledger cannot be read or written: memory lives in this process only."""

    reason: str


@dataclass(frozen=True, slots=True)
class ForeignSweep:
    """Another process of this node swept."""

    sweep: PastSweep


@dataclass(frozen=True, slots=True)
class ForeignEviction:
    """An eviction by another process of this node, or one that was under way when this daemon's predecessor died."""

    eviction: PastEviction


@dataclass(frozen=True, slots=True)
class EvictionObserved:
    """In mode observe, an image would have been evicted; reported once."""

    eviction: PastEviction


@dataclass(frozen=True, slots=True)
class EvictionRegretted:
    """An evicted image was re-pulled within a week, or one that would have been evicted was pulled or used."""

    eviction: PastEviction


@dataclass(frozen=True, slots=True)
class ImagesRemovedExternally:
    """Images that were removed externally, and were still gone at a later inspection; all of one inspection."""

    images: tuple[ExternallyRemovedImage, ...]


@dataclass(frozen=True, slots=True)
class RuleOnHold:
    """Too many images that a rule evicted were re-pulled: the nightly trigger keeps its images for a while."""

    rule: str
    regret: Regret
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class LoopFailed:
    """An unexpected error ended one round of the loop; the next round starts as usual."""

    error: Exception


@dataclass(frozen=True, slots=True)
class DaemonStopped:
    """The daemon ends because a stop was requested."""


Event = (
    DaemonStarted
    | RuntimeUp
    | RuntimeDown
    | ReadChanged
    | Checked
    | DiskUnread
    | ImagesInventoried
    | SpaceInventoried
    | InventoryFailed
    | ClockJumped
    | ClockTrusted
    | NightlyRunEnded
    | NightlySuspended
    | SweepWaits
    | LedgerUp
    | LedgerDown
    | ForeignSweep
    | ForeignEviction
    | EvictionObserved
    | EvictionRegretted
    | ImagesRemovedExternally
    | KubeletRead
    | RuleOnHold
    | LoopFailed
    | RegistriesProbed
    | SweepStarted
    | EvictionStarted
    | EvictionEnded
    | SweepEnded
    | SweepFailed
    | DaemonStopped
)
