"""Values and events for the outlets' tests: one night and one burst on a node that never was."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cleaner.core.errors import DiskUnreadableError, RuntimeUnavailableError
from cleaner.core.events import (
    Checked,
    ClockJumped,
    ClockTrusted,
    DaemonStarted,
    DaemonStopped,
    DiskUnread,
    Event,
    Eviction,
    EvictionEnded,
    EvictionStarted,
    ImagesCounted,
    LoopBroke,
    ObservationFailed,
    RuntimeDown,
    RuntimeUp,
    SpaceCounted,
    SweepEnded,
    SweepFailed,
    SweepReport,
    SweepStarted,
)
from cleaner.core.model import (
    EvictionOutcome,
    EvictReason,
    Image,
    KeepReason,
    Plan,
    RuntimeVersion,
    StopReason,
    Trigger,
    Usage,
    Verdict,
)
from cleaner.core.pressure import Mark, Marks
from cleaner.core.reclaim import Holder, Size

MIDNIGHT = datetime(2026, 6, 15, tzinfo=UTC)
GIB = 1024**3
FULL = Usage("/var/lib/containerd", 100 * GIB, 20 * GIB, 1000, 400, 25 * GIB)
EMPTIER = Usage("/var/lib/containerd", 100 * GIB, 30 * GIB, 1000, 500, 35 * GIB)
BYTES_ONLY = Usage("/images", 100 * GIB, 20 * GIB, 0, 0, 20 * GIB)
MARKS = Marks(bytes=Mark(high=75, low=65), inodes=Mark(high=80, low=75))
REGISTRY = "registry.gitlab.com/golem-ai"


def image(number: int, *tags: str, digests: tuple[str, ...] = ()) -> Image:
    """An image whose id ends in a number."""
    return Image(f"sha256:{number:064x}", tags, digests, size_bytes=number * GIB)


def going(number: int, reason: EvictReason = EvictReason.EXPIRED) -> Verdict:
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


EVICTED = Eviction(going(1), EvictionOutcome.EVICTED, estimated_bytes=7 * GIB, reclaimed_bytes=6 * GIB, seconds=1.5)
FAILED = Eviction(going(2), EvictionOutcome.FAILED, error="still there\nafter RemoveImage", seconds=0.5)
SPARED = Eviction(going(3), EvictionOutcome.SPARED, error="a container uses it now")
PLANNED = Eviction(going(4), EvictionOutcome.PLANNED)
BURST = Eviction(going(5, EvictReason.PRESSURE), EvictionOutcome.EVICTED, reclaimed_bytes=2 * GIB, seconds=2.0)

KEPT = (staying(10, KeepReason.IN_USE), staying(11, KeepReason.IN_USE), staying(12, KeepReason.RECENT))
NIGHT = Plan(Trigger.NIGHTLY, (going(1), going(2), going(3), going(4)), KEPT)
PRESSURE = Plan(Trigger.PRESSURE, (going(5, EvictReason.PRESSURE),), KEPT)

HELD = {holder: number * GIB for number, holder in enumerate(Holder, 1)}
SPACE = SpaceCounted(replace(NIGHT, reclaimable=Size(4 * GIB, 400)), replace(PRESSURE, reclaimable=Size(GIB, 9)), HELD)
SPACE_UNKNOWN = SpaceCounted(NIGHT, PRESSURE, None, "the runtime has no containerd API")
COUNTED = ImagesCounted(NIGHT)
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
        "stopped_because": StopReason.LIMIT,
        "evictions": (EVICTED, FAILED, SPARED),
        "plan": NIGHT,
        "not_reached": 1,
        "low_mark_met": True,
    }
    return SweepReport(**(values | changes))  # type: ignore[arg-type]


AWAY = RuntimeUnavailableError("nobody listens at /run/containerd/containerd.sock")
UNREAD = DiskUnreadableError("/var/lib/containerd: Input/output error")
CONTAINERD = RuntimeUp(RuntimeVersion("containerd", "2.1.4"), "/var/lib/containerd")
NEXT = MIDNIGHT + timedelta(days=1, minutes=20)
BURST_REPORT = report(
    trigger=Trigger.PRESSURE,
    stopped_because=StopReason.LOW_MARK,
    evictions=(BURST,),
    plan=PRESSURE,
    not_reached=0,
    duration_seconds=75.0,
)
DRY_REPORT = report(dry_run=True, stopped_because=StopReason.DONE, evictions=(PLANNED,), not_reached=3)

EVERYTHING: tuple[Event, ...] = (
    DaemonStarted(None),
    RuntimeDown(AWAY),
    CONTAINERD,
    DiskUnread(UNREAD),
    Checked(None, None),
    Checked(FULL, NEXT),
    ObservationFailed(AWAY),
    COUNTED,
    SPACE_UNKNOWN,
    SPACE,
    ClockJumped(900.0),
    ClockTrusted(),
    SweepStarted(NIGHT, FULL),
    EvictionStarted(Trigger.NIGHTLY, going(1)),
    EvictionEnded(Trigger.NIGHTLY, EVICTED),
    EvictionEnded(Trigger.NIGHTLY, FAILED),
    EvictionEnded(Trigger.NIGHTLY, SPARED),
    SweepEnded(report(), MIDNIGHT + timedelta(seconds=12.5)),
    SweepStarted(PRESSURE, FULL),
    EvictionEnded(Trigger.PRESSURE, BURST),
    SweepEnded(BURST_REPORT, MIDNIGHT + timedelta(hours=1)),
    SweepStarted(NIGHT, EMPTIER),
    SweepEnded(DRY_REPORT, MIDNIGHT + timedelta(hours=2)),
    SweepFailed(Trigger.NIGHTLY, AWAY, 60.0),
    LoopBroke(ValueError("nobody foresaw this")),
    DaemonStopped(),
)
"""At least one event of every type, in an order that could be."""
