"""Values and events for the outlets' tests: one nightly run and one burst on an invented node."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.core.errors import DiskUnreadableError, RuntimeUnavailableError
from cleaner.core.events import (
    Checked,
    ClockJumped,
    ClockTrusted,
    DaemonStarted,
    DaemonStopped,
    DiskUnread,
    Event,
    EvictionEnded,
    EvictionObserved,
    EvictionRegretted,
    EvictionStarted,
    ForeignEviction,
    ForeignSweep,
    ImagesInventoried,
    ImagesRemovedExternally,
    InventoryFailed,
    LedgerDown,
    LedgerUp,
    LoopFailed,
    NightlyRunEnded,
    NightlySuspended,
    RegistriesProbed,
    RuleOnHold,
    RuntimeDown,
    RuntimeUp,
    SpaceInventoried,
    SweepEnded,
    SweepFailed,
    SweepStarted,
    SweepWaits,
)
from cleaner.core.history import ExternallyRemovedImage, NightlyRun, PastEviction, PastSweep, RegretKind
from cleaner.core.kubelet import KubeletConfig, KubeletRead, KubeletSettings, acts_of, collisions
from cleaner.core.model import (
    EvictionOutcome,
    EvictReason,
    Fault,
    Image,
    KeepReason,
    Plan,
    RuntimeVersion,
    StopReason,
    Trigger,
    Verdict,
)
from cleaner.core.pressure.forecast import Forecast
from cleaner.core.pressure.watermarks import WatermarkPair, Watermarks
from cleaner.core.read_state import AVAILABLE, OptionalRead, ReadChanged, not_offered, unavailable
from cleaner.core.reclaim import Holder, Size
from cleaner.core.regret import Regret
from cleaner.core.report import Eviction, SweepReport

MIDNIGHT = datetime(2026, 6, 15, tzinfo=UTC)
GIB = 1024**3
FULL = Usage("/var/lib/containerd", 100 * GIB, 20 * GIB, 1000, 400, 25 * GIB)
EMPTIER = Usage("/var/lib/containerd", 100 * GIB, 30 * GIB, 1000, 500, 35 * GIB)
BYTES_ONLY = Usage("/images", 100 * GIB, 20 * GIB, 0, 0, 20 * GIB)
CONTENT = replace(EMPTIER, path="/content", filesystem=Filesystem.CONTENT)
SNAPSHOTS = replace(EMPTIER, path="/snapshots", filesystem=Filesystem.SNAPSHOTS)
CONTAINERS = replace(BYTES_ONLY, path="/containers", filesystem=Filesystem.CONTAINERS)
SEVERAL = replace(FULL, others=(CONTENT, SNAPSHOTS, CONTAINERS))
"""A node with a filesystem for each."""
WATERMARKS = Watermarks(bytes=WatermarkPair(high=75, low=65), inodes=WatermarkPair(high=80, low=75))
REGISTRY = "registry.gitlab.com/golem-ai"


def image(number: int, *tags: str, digests: tuple[str, ...] = ()) -> Image:
    """An image whose id ends in a number."""
    return Image(f"sha256:{number:064x}", tags, digests, size_bytes=number * GIB)


def candidate(number: int, reason: EvictReason = EvictReason.EXPIRED) -> Verdict:
    """A verdict with every time known."""
    return Verdict(
        image(number, f"{REGISTRY}/app{number}:1.0", digests=(f"{REGISTRY}/app{number}@sha256:{number:064x}",)),
        reason,
        rule="company",
        created_at=MIDNIGHT - timedelta(days=45),
        pulled_at=MIDNIGHT - timedelta(days=40),
        last_used_at=MIDNIGHT - timedelta(days=35),
        age=timedelta(days=45),
    )


def staying(number: int, reason: KeepReason) -> Verdict:
    """A verdict of which little is known."""
    return Verdict(image(number, f"docker.io/library/kept{number}:1"), reason)


EVICTED = Eviction(candidate(1), EvictionOutcome.EVICTED, estimated_bytes=7 * GIB, reclaimed_bytes=6 * GIB, seconds=1.5)
FAILED = Eviction(
    candidate(2), EvictionOutcome.FAILED, error="still there\nafter RemoveImage", seconds=0.5, fault=Fault.IMAGE
)
SPARED = Eviction(candidate(3), EvictionOutcome.SPARED, error="a container uses it now")
PLANNED = Eviction(candidate(4), EvictionOutcome.PLANNED)
BURST = Eviction(candidate(5, EvictReason.PRESSURE), EvictionOutcome.EVICTED, reclaimed_bytes=2 * GIB, seconds=2.0)

KEPT = (staying(10, KeepReason.IN_USE), staying(11, KeepReason.IN_USE), staying(12, KeepReason.RECENT))
NIGHT = Plan(Trigger.NIGHTLY, (candidate(1), candidate(2), candidate(3), candidate(4)), KEPT)
PRESSURE = Plan(Trigger.PRESSURE, (candidate(5, EvictReason.PRESSURE),), KEPT)

HELD = {holder: number * GIB for number, holder in enumerate(Holder, 1)}
SPACE = SpaceInventoried(
    replace(NIGHT, reclaimable=Size(4 * GIB, 400)), replace(PRESSURE, reclaimable=Size(GIB, 9)), HELD
)
SPACE_IN_VAIN = replace(SPACE, low_watermark_reachable=False)
SPACE_UNMEASURED = replace(SPACE, unmeasured_snapshotters=frozenset({"zfs", "native"}))
SPACE_UNKNOWN = SpaceInventoried(NIGHT, PRESSURE, None, "the runtime has no containerd API")
COUNTED = ImagesInventoried(NIGHT)
"""On a runtime that does not tell what images share."""


def report(**changes: object) -> SweepReport:
    """A nightly sweep that evicted one image, failed on one, spared one and did not reach one."""
    values: dict[str, object] = {
        "trigger": Trigger.NIGHTLY,
        "dry_run": False,
        "started_at": MIDNIGHT,
        "duration_seconds": 12.5,
        "filesystem_before": FULL,
        "filesystem_after": EMPTIER,
        "stop_reason": StopReason.LIMIT,
        "evictions": (EVICTED, FAILED, SPARED),
        "plan": NIGHT,
        "not_reached": 1,
        "low_watermark_met": True,
    }
    return SweepReport(**(values | changes))  # type: ignore[arg-type]


FILLING = Checked(FULL, MIDNIGHT + timedelta(days=1, minutes=20), Forecast(FULL, 90.0, 1234.5, 3 * GIB))
"""The high watermark is 90 s away, and something is being pulled."""

UNAVAILABLE = RuntimeUnavailableError("nobody listens at /run/containerd/containerd.sock")
UNREAD = DiskUnreadableError("/var/lib/containerd: Input/output error")
CONTAINERD = RuntimeUp(RuntimeVersion("containerd", "2.1.4"), "/var/lib/containerd")
NEXT = MIDNIGHT + timedelta(days=1, minutes=20)
BURST_REPORT = report(
    trigger=Trigger.PRESSURE,
    stop_reason=StopReason.LOW_WATERMARK,
    evictions=(BURST,),
    plan=PRESSURE,
    not_reached=0,
    duration_seconds=75.0,
)
DRY_REPORT = report(dry_run=True, stop_reason=StopReason.DONE, evictions=(PLANNED,), not_reached=3)

INSTALLED = MIDNIGHT - timedelta(days=100)
IS_UP = LedgerUp(INSTALLED, None)
"""The ledger, as the next."""
IS_DOWN = LedgerDown("the ledger /var/lib/cleaner/ledger.db cannot be used: database or disk is full")


def past(number: int, **changes: object) -> PastEviction:
    """An eviction by `cleaner sweep`, half an hour before midnight."""
    verdict = candidate(number)
    values: dict[str, object] = {
        "image_id": verdict.image.id,
        "references": verdict.image.references,
        "trigger": Trigger.MANUAL,
        "reason": verdict.reason.value,
        "rule": verdict.rule,
        "outcome": EvictionOutcome.EVICTED,
        "error": None,
        "at": MIDNIGHT - timedelta(minutes=30),
        "created_at": verdict.created_at,
        "pulled_at": verdict.pulled_at,
        "last_used_at": verdict.last_used_at,
        "size_bytes": verdict.image.size_bytes,
        "estimated_bytes": 3 * GIB,
        "reclaimed_bytes": 2 * GIB,
    }
    return PastEviction(**(values | changes))  # type: ignore[arg-type]


FOREIGN = past(6)
OBSERVED = past(7, trigger=Trigger.NIGHTLY, outcome=EvictionOutcome.PLANNED, reclaimed_bytes=None)
REPULLED = past(1, regretted_at=MIDNIGHT + timedelta(hours=3), regretted_by=RegretKind.PULLED)
OBSERVED_USED = replace(OBSERVED, regretted_at=MIDNIGHT, regretted_by=RegretKind.USED)
SWEPT = PastSweep(Trigger.MANUAL, MIDNIGHT - timedelta(minutes=20), 5.0, "done")
SWEPT_IN_VAIN = replace(SWEPT, ended_at=MIDNIGHT - timedelta(minutes=10), stop_reason=None)
HOLD = RuleOnHold("company", Regret(20, 2), MIDNIGHT, MIDNIGHT + timedelta(days=3))

REMOVED_EXTERNALLY = ExternallyRemovedImage(
    candidate(8).image.id,
    candidate(8).image.references,
    last_seen_at=MIDNIGHT - timedelta(minutes=2),
    gone_at=MIDNIGHT - timedelta(minutes=1),
    first_seen_at=INSTALLED,
    used_percent=86.4,
)


def kubelet_read(settings: KubeletSettings, reason: str | None = None, *, broken: bool = False) -> KubeletRead:
    """What a kubelet with these settings does on the full disk."""
    config = KubeletConfig("/var/lib/kubelet/config.yaml", settings, reason, broken)
    return KubeletRead(config, acts_of(settings, FULL), collisions(settings, WATERMARKS, FULL))


ASSUMED = kubelet_read(KubeletSettings(), "/var/lib/kubelet/config.yaml is not there, or not mounted")
FIRST = kubelet_read(KubeletSettings(gc_high_percent=75, maximum_age=timedelta(days=7)))
"""A kubelet that acts before our high watermark of bytes."""

EVENTS_FOLLOWED = ReadChanged(OptionalRead.CONTAINER_EVENTS, AVAILABLE)
EVENTS_LOST = ReadChanged(OptionalRead.CONTAINER_EVENTS, unavailable("Events.Subscribe: UNAUTHENTICATED: no details"))
NO_EVENTS = ReadChanged(OptionalRead.CONTAINER_EVENTS, not_offered("Events.Subscribe: UNIMPLEMENTED: unknown service"))
PULLS_READ = ReadChanged(OptionalRead.PULLS, AVAILABLE)
PULLS_UNREAD = ReadChanged(OptionalRead.PULLS, unavailable("Leases.List: INTERNAL: broken"))
NO_PULLS = ReadChanged(OptionalRead.PULLS, not_offered("Leases.List: the runtime has no such service"))

EVERYTHING: tuple[Event, ...] = (
    DaemonStarted(None),
    RuntimeDown(UNAVAILABLE),
    CONTAINERD,
    NO_EVENTS,
    NO_PULLS,
    EVENTS_LOST,
    PULLS_UNREAD,
    EVENTS_FOLLOWED,
    PULLS_READ,
    DiskUnread(UNREAD),
    Checked(None, None),
    Checked(FULL, NEXT),
    InventoryFailed(UNAVAILABLE),
    IS_DOWN,
    IS_UP,
    ForeignSweep(SWEPT),
    ForeignSweep(SWEPT_IN_VAIN),
    ForeignEviction(FOREIGN),
    EvictionObserved(OBSERVED),
    EvictionRegretted(REPULLED),
    EvictionRegretted(OBSERVED_USED),
    HOLD,
    ASSUMED,
    FIRST,
    ImagesRemovedExternally((REMOVED_EXTERNALLY,)),
    COUNTED,
    SPACE_UNKNOWN,
    SPACE,
    SPACE_UNMEASURED,
    SPACE_IN_VAIN,
    ClockJumped(900.0),
    ClockTrusted(),
    NightlySuspended(INSTALLED),
    SweepWaits(Trigger.NIGHTLY),
    RegistriesProbed(frozenset({"docker.io"}), {"registry.gitlab.com": "HTTP 503"}),
    RegistriesProbed(frozenset({"docker.io", "registry.gitlab.com"}), {}),
    SweepStarted(NIGHT, FULL, MIDNIGHT, dry_run=False),
    EvictionStarted(Trigger.NIGHTLY, candidate(1), MIDNIGHT),
    EvictionEnded(Trigger.NIGHTLY, EVICTED, MIDNIGHT),
    EvictionEnded(Trigger.NIGHTLY, FAILED, MIDNIGHT),
    EvictionEnded(Trigger.NIGHTLY, SPARED, MIDNIGHT),
    SweepEnded(report(), MIDNIGHT + timedelta(seconds=12.5)),
    NightlyRunEnded(NightlyRun(MIDNIGHT, MIDNIGHT + timedelta(seconds=12.5))),
    FILLING,
    SweepStarted(PRESSURE, FULL, MIDNIGHT, dry_run=False, early=True, pulls_projected_bytes=3 * GIB),
    EvictionEnded(Trigger.PRESSURE, BURST, MIDNIGHT),
    SweepEnded(BURST_REPORT, MIDNIGHT + timedelta(hours=1)),
    SweepStarted(NIGHT, EMPTIER, MIDNIGHT, dry_run=False),
    SweepEnded(DRY_REPORT, MIDNIGHT + timedelta(hours=2)),
    SweepFailed(Trigger.NIGHTLY, UNAVAILABLE, 60.0, MIDNIGHT + timedelta(hours=13)),
    LoopFailed(ValueError("this is unexpected")),
    DaemonStopped(),
)
"""At least one event of every type, in an order that could be."""
