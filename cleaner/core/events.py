"""What happened, as frozen values: the daemon and the sweep yield these, outlets take them.

Refuses wording and counting: each outlet makes of an event what its readers need.
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
    """A sweep got past Observe and Decide; what it will do is in `plan`."""

    plan: Plan
    usage: Usage
    started_at: datetime
    dry_run: bool
    early: bool = False
    """Whether nothing has reached its high mark yet, but soon will."""
    pulls_projected_bytes: int = 0
    """What pulls in progress will still take: room is made for that too."""
    given_up: frozenset[str] = frozenset()
    """Digests of pulls that have no room even without all candidates."""
    held: Mapping[Holder, int] | None = None
    """Bytes by holder, where the low mark is out of reach; else, and where that is not known, None."""


@dataclass(frozen=True, slots=True)
class EvictionStarted:
    """The last look is about to be taken, and the image removed if that allows it."""

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
    """A sweep could not read what it must know, or broke; it evicts nothing more."""

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


@dataclass(frozen=True, slots=True)
class RuntimeDown:
    """The runtime does not answer, in each round again."""

    error: CleanerError


@dataclass(frozen=True, slots=True)
class Checked:
    """The loop went round once; `usage` is None while the disk cannot be read."""

    usage: Usage | None
    next_nightly_at: datetime | None
    forecast: Forecast | None = None
    """What is coming; None where `usage` is."""


@dataclass(frozen=True, slots=True)
class DiskUnread:
    """The filesystem's usage could not be read in this round."""

    error: CleanerError


@dataclass(frozen=True, slots=True)
class InventoryFailed:
    """The node's images could not be counted in this round; no sweep was due."""

    error: CleanerError


@dataclass(frozen=True, slots=True)
class ImagesInventoried:
    """The nightly plan as of now: what the `images` gauge shows; its sizes may be unknown."""

    nightly: Plan


@dataclass(frozen=True, slots=True)
class SpaceInventoried:
    """What each trigger would free, and who holds the space; told when the node changed, or now and then."""

    nightly: Plan
    pressure: Plan
    held: Mapping[Holder, int] | None
    """Bytes by holder, by the pressure plan's verdicts; None where they are not known."""
    reason_without_estimates: str | None = None
    """Why they are not known."""
    low_watermark_reachable: bool | None = None
    """Whether all that is evictable would bring usage to its low marks; None where that is not known."""


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """The wall clock jumped against the monotonic one, or does not fit the ledger: the nightly sweep holds."""

    off_seconds: float
    """Positive where it is ahead."""


@dataclass(frozen=True, slots=True)
class ClockTrusted:
    """The wall clock is back, or has run true for a day: the nightly sweep holds no more."""


@dataclass(frozen=True, slots=True)
class NightlyRunEnded:
    """A nightly occurrence is dealt with: it is not swept for again."""

    nightly_run: NightlyRun


@dataclass(frozen=True, slots=True)
class NightlySuspended:
    """A nightly sweep would be due, but the agent knows the node for less than the grace period, or not at all."""

    since: datetime | None


@dataclass(frozen=True, slots=True)
class SweepWaits:
    """A sweep is due, but another process of this node sweeps; it is tried again in the next round."""

    trigger: Trigger


@dataclass(frozen=True, slots=True)
class LedgerUp:
    """What the agent remembers is on disk, for the first time or again."""

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
    """In mode observe: an image would have gone, told once."""

    eviction: PastEviction


@dataclass(frozen=True, slots=True)
class EvictionRegretted:
    """An evicted image was pulled again within a week, or one that would have gone was pulled or used."""

    eviction: PastEviction


@dataclass(frozen=True, slots=True)
class ImagesRemovedExternally:
    """Images that went without an eviction of ours, and were still gone at a later look; all of one look."""

    images: tuple[ExternallyRemovedImage, ...]


@dataclass(frozen=True, slots=True)
class RuleOnHold:
    """Too much of what a rule evicted came back: the nightly trigger keeps its images for a while."""

    rule: str
    regret: Regret
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class LoopFailed:
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
