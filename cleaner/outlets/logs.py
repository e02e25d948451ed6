"""The log's lines: one for each event that somebody may ask about later.

Refuses repetition: a state is logged when it changes, and a round in which nothing happened not at all.
"""

import logging

from structlog.typing import FilteringBoundLogger

from cleaner.core.errors import ErrorKind
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
from cleaner.core.model import EvictionOutcome, StopReason, Trigger, Usage, Verdict
from cleaner.outlets.documents import kept_counts, references_of
from cleaner.outlets.units import rfc3339

Keys = dict[str, object]


class Logs:
    """An outlet that writes lines; remembers what it said of the runtime, the disk and dry runs."""

    def __init__(self, logger: FilteringBoundLogger) -> None:
        self._logger = logger
        self._runtime: object = None
        self._disk_unread = False
        self._unobserved: ErrorKind | None = None
        self._bytes_unknown = False
        self._planned: dict[Trigger, frozenset[str]] = {}

    def record(self, event: Event) -> None:
        """Write the line of one event, if it has one."""
        match event:
            case SweepStarted() | EvictionStarted() | EvictionEnded() | SweepEnded() | SweepFailed():
                self._record_sweep(event)
            case RuntimeUp() | RuntimeDown():
                self._record_runtime(event)
            case DiskUnread() | Checked():
                self._record_disk(event)
            case ClockJumped():
                self._logger.warning("clock_jumped", jumped_seconds=event.jumped_seconds)
            case DaemonStarted() | DaemonStopped() | ClockTrusted() | LoopBroke():
                self._record_daemon(event)
            case ObservationFailed() | ImagesCounted():
                self._record_observation(event)
            case SpaceCounted():
                self._record_space(event)

    def _record_sweep(self, event: SweepStarted | EvictionStarted | EvictionEnded | SweepEnded | SweepFailed) -> None:
        match event:
            case SweepStarted():
                # Taking every candidate where that cannot be enough is said before the first one goes.
                level = logging.WARNING if event.plan.low_mark_reachable is False else logging.INFO
                self._logger.log(level, "sweep_started", **_start_keys(event))
            case EvictionStarted():
                self._logger.debug("eviction_started", trigger=event.trigger, **_image_keys(event.verdict))
            case EvictionEnded():
                self._record_eviction(event.trigger, event.eviction)
            case SweepEnded():
                self._record_end(event.report)
            case SweepFailed():
                keys: Keys = {"trigger": event.trigger, "kind": event.error.kind, "error": str(event.error)}
                self._logger.error("sweep_failed", **keys, retry_seconds=event.retry_seconds)

    def _record_daemon(self, event: DaemonStarted | DaemonStopped | ClockTrusted | LoopBroke) -> None:
        match event:
            case DaemonStarted():
                self._logger.info("daemon_started", next_nightly_at=rfc3339(event.next_nightly_at))
            case DaemonStopped():
                self._logger.info("daemon_stopped")
            case ClockTrusted():
                self._logger.info("clock_trusted")
            case LoopBroke():
                self._logger.error("loop_broke", error=str(event.error), exc_info=event.error)

    def _record_runtime(self, event: RuntimeUp | RuntimeDown) -> None:
        state = event.version if isinstance(event, RuntimeUp) else event.error.kind
        if state == self._runtime:
            return
        self._runtime = state
        if isinstance(event, RuntimeDown):
            self._logger.warning("runtime_down", kind=event.error.kind, error=str(event.error))
            return
        keys: Keys = {"runtime": event.version.name, "version": event.version.version}
        self._logger.info("runtime_up", **keys, filesystem_path=event.filesystem_path)

    def _record_disk(self, event: DiskUnread | Checked) -> None:
        if isinstance(event, DiskUnread):
            if not self._disk_unread:
                self._logger.error("disk_unread", kind=event.error.kind, error=str(event.error))
            self._disk_unread = True
        elif self._disk_unread and event.usage is not None:
            self._logger.info("disk_read_again", **_used_keys(event.usage))
            self._disk_unread = False

    def _record_observation(self, event: ObservationFailed | ImagesCounted) -> None:
        if isinstance(event, ImagesCounted):
            counts = {"evictable": len(event.nightly.evictions)} | kept_counts(event.nightly)
            self._logger.debug("images_counted", images=counts)
            self._unobserved = None
        elif event.error.kind != self._unobserved:
            self._logger.warning("observation_failed", kind=event.error.kind, error=str(event.error))
            self._unobserved = event.error.kind

    def _record_space(self, event: SpaceCounted) -> None:
        """Once, until bytes are foretold again: all else works without."""
        if event.unknown_because and not self._bytes_unknown:
            self._logger.warning("bytes_unknown", because=event.unknown_because)
        elif self._bytes_unknown and not event.unknown_because:
            self._logger.info("bytes_known_again")
        self._bytes_unknown = bool(event.unknown_because)

    def _record_eviction(self, trigger: Trigger, eviction: Eviction) -> None:
        failed = eviction.outcome is EvictionOutcome.FAILED
        level = logging.WARNING if failed else logging.INFO
        self._logger.log(level, "eviction", **_eviction_keys(trigger, eviction))

    def _record_end(self, report: SweepReport) -> None:
        self._record_planned(report)
        level = logging.INFO if _satisfies(report) else logging.WARNING
        self._logger.log(level, "sweep_ended", **_end_keys(report))

    def _record_planned(self, report: SweepReport) -> None:
        """What a dry run would take, each image once while it stays so: mode `observe` looks again and again."""
        if not report.dry_run:
            return
        known = self._planned.get(report.trigger, frozenset())
        for eviction in report.evictions:
            if eviction.verdict.image.id not in known:
                self._record_eviction(report.trigger, eviction)
        self._planned[report.trigger] = frozenset(eviction.verdict.image.id for eviction in report.evictions)


def _satisfies(report: SweepReport) -> bool:
    """Whether nobody needs to look: nothing failed, and pressure was met or not this sweep's business."""
    failed = any(eviction.outcome is EvictionOutcome.FAILED for eviction in report.evictions)
    met = report.low_mark_met or report.dry_run or report.trigger is not Trigger.PRESSURE
    return met and not failed and report.stopped_because is not StopReason.FAILURES


def _image_keys(verdict: Verdict) -> Keys:
    return {
        "image_id": verdict.image.id,
        "references": references_of(verdict.image),
        "reason": verdict.reason,
        "rule": verdict.rule,
    }


def _eviction_keys(trigger: Trigger, eviction: Eviction) -> Keys:
    """The line that answers who removed an image; docs/logs.md lists the same keys."""
    verdict = eviction.verdict
    return _image_keys(verdict) | {
        "trigger": trigger,
        "outcome": eviction.outcome,
        "error": eviction.error,
        "created_at": rfc3339(verdict.created_at),
        "pulled_at": rfc3339(verdict.pulled_at),
        "last_used_at": rfc3339(verdict.last_used_at),
        "age_seconds": verdict.age.total_seconds() if verdict.age is not None else None,
        "size_bytes": verdict.image.size_bytes,
        "estimated_bytes": eviction.estimated_bytes,
        "reclaimed_bytes": eviction.reclaimed_bytes,
        "duration_seconds": eviction.seconds,
    }


def _start_keys(event: SweepStarted) -> Keys:
    keys: Keys = {"trigger": event.plan.trigger, "to_evict": len(event.plan.evictions)}
    plan = event.plan
    keys |= {
        "reclaimable_bytes": plan.reclaimable.bytes if plan.reclaimable else None,
        "low_mark_reachable": plan.low_mark_reachable,
        "not_needed": len(plan.not_reached),
    }
    return keys | {"kept": kept_counts(plan)} | _used_keys(event.usage)


def _end_keys(report: SweepReport) -> Keys:
    outcomes = [eviction.outcome for eviction in report.evictions]
    return {
        "trigger": report.trigger,
        "dry_run": report.dry_run,
        "stopped_because": report.stopped_because,
        **{outcome.value: outcomes.count(outcome) for outcome in EvictionOutcome},
        "not_reached": report.not_reached,
        "kept": kept_counts(report.plan),
        "reclaimed_bytes": report.reclaimed_bytes,
        **_used_keys(report.filesystem_before, "_before"),
        **_used_keys(report.filesystem_after, "_after"),
        "low_mark_met": report.low_mark_met,
        "started_at": rfc3339(report.started_at),
        "duration_seconds": report.duration_seconds,
    }


def _used_keys(usage: Usage, suffix: str = "") -> Keys:
    return {
        f"used_percent{suffix}": usage.used_percent,
        f"inodes_used_percent{suffix}": usage.inodes_used_percent,
    }
