"""The log's lines: one for each event that somebody may ask about later.

It must not repeat itself: a state is logged when it changes, and a round in which nothing happened not at all.
"""

import logging
from collections.abc import Callable
from typing import Any

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
from cleaner.core.kubelet import KubeletRead
from cleaner.core.model import EvictionOutcome, Trigger
from cleaner.core.read_state import Availability, OptionalRead, ReadChanged
from cleaner.core.report import Eviction, SweepReport, kept_counts
from cleaner.outlets.log.keys import (
    READ_EVENTS,
    Keys,
    end_keys,
    eviction_keys,
    external_removal_keys,
    foreign_sweep_keys,
    image_keys,
    kubelet_keys,
    past_keys,
    regret_keys,
    satisfies,
    start_keys,
    used_keys,
)
from cleaner.outlets.units import rfc3339


class Logs:
    """An outlet that writes lines; keeps what it last wrote of the runtime, the disk, the ledger and dry runs."""

    def __init__(self, logger: FilteringBoundLogger) -> None:
        self._logger = logger
        self._runtime: object = None
        self._reads: dict[OptionalRead, Availability] = {}
        self._disk_unread = False
        self._inventory_failure: ErrorKind | None = None
        self._estimates_unavailable = False
        self._unmeasured: frozenset[str] = frozenset()
        self._ledger: tuple[bool, str | None] | None = None
        """Whether it is up, and what was last set aside."""
        self._nightly_suspended: NightlySuspended | None = None
        self._waits: Trigger | None = None
        """What waits for its turn in this round."""
        self._waited: Trigger | None = None
        """What did so in the round before."""
        self._registries_down: frozenset[str] = frozenset()
        self._planned: dict[Trigger, frozenset[str]] = {}
        self._writers = self._writers_by_event()

    def _writers_by_event(self) -> dict[type, Callable[[Any], None]]:
        writers: dict[Callable[[Any], None], tuple[type, ...]] = {
            self._record_sweep: (SweepStarted, EvictionStarted, EvictionEnded, SweepEnded, SweepFailed),
            self._record_wait: (SweepWaits,),
            self._record_check: (Checked,),
            self._record_runtime: (RuntimeUp, RuntimeDown),
            self._record_read: (ReadChanged,),
            self._record_disk: (DiskUnread,),
            self._record_nightly_run: (NightlyRunEnded, NightlySuspended, ClockJumped, ClockTrusted),
            self._record_ledger: (LedgerUp, LedgerDown),
            self._record_memory: (ForeignSweep, ForeignEviction, EvictionObserved, EvictionRegretted, RuleOnHold),
            self._record_others: (KubeletRead, ImagesRemovedExternally),
            self._record_daemon: (DaemonStarted, DaemonStopped, LoopFailed),
            self._record_inventory: (InventoryFailed, ImagesInventoried),
            self._record_space: (SpaceInventoried,),
            self._record_registries: (RegistriesProbed,),
        }
        return {event: writer for writer, events in writers.items() for event in events}

    def record(self, event: Event) -> None:
        """Write the line of one event, if it has one."""
        self._writers[type(event)](event)

    def _record_sweep(self, event: SweepStarted | EvictionStarted | EvictionEnded | SweepEnded | SweepFailed) -> None:
        match event:
            case SweepStarted():
                # The log says before the first eviction that the candidates cannot be enough.
                in_vain = event.plan.low_watermark_reachable is False or event.given_up
                level = logging.WARNING if in_vain else logging.INFO
                self._logger.log(level, "sweep_started", **start_keys(event))
            case EvictionStarted():
                self._logger.debug("eviction_started", trigger=event.trigger, **image_keys(event.verdict))
            case EvictionEnded():
                self._record_eviction(event.trigger, event.eviction)
            case SweepEnded():
                self._record_end(event.report)
            case SweepFailed():
                keys: Keys = {"trigger": event.trigger, "kind": event.error.kind, "error": str(event.error)}
                self._logger.error("sweep_failed", **keys, retry_seconds=event.retry_seconds)

    def _record_wait(self, event: SweepWaits) -> None:
        """Once, until a round in which it need not wait: another sweep may take many rounds."""
        self._waits = event.trigger
        if self._waits != self._waited:
            self._logger.info("sweep_waits", trigger=event.trigger)

    def _record_check(self, event: Checked) -> None:
        """A round begins."""
        self._waited, self._waits = self._waits, None
        if self._disk_unread and event.usage is not None:
            self._logger.info("disk_read_again", **used_keys(event.usage))
            self._disk_unread = False

    def _record_daemon(self, event: DaemonStarted | DaemonStopped | LoopFailed) -> None:
        match event:
            case DaemonStarted():
                self._logger.info("daemon_started", next_nightly_at=rfc3339(event.next_nightly_at))
            case DaemonStopped():
                self._logger.info("daemon_stopped")
            case LoopFailed():
                self._logger.error("loop_error", error=str(event.error), exc_info=event.error)

    def _record_nightly_run(self, event: NightlyRunEnded | NightlySuspended | ClockJumped | ClockTrusted) -> None:
        match event:
            case NightlyRunEnded():
                self._nightly_suspended = None
                self._logger.info("nightly_done", occurrence=rfc3339(event.nightly_run.occurrence))
            case NightlySuspended() if event != self._nightly_suspended:
                self._logger.info("nightly_suspended", watched_since=rfc3339(event.since))
                self._nightly_suspended = event
            case ClockJumped():
                self._logger.warning("clock_jumped", off_seconds=event.off_seconds)
            case ClockTrusted():
                self._logger.info("clock_trusted")
            case _:
                pass

    def _record_ledger(self, event: LedgerUp | LedgerDown) -> None:
        """Once, until the other: a ledger that is down takes memory, and nothing else."""
        was_up, was_aside = self._ledger or (None, None)
        is_up = isinstance(event, LedgerUp)
        aside = event.aside if isinstance(event, LedgerUp) else was_aside
        if (is_up, aside) == (was_up, was_aside):
            return
        self._ledger = is_up, aside
        self._nightly_suspended = None
        if isinstance(event, LedgerDown):
            self._logger.error("ledger_down", reason=event.reason)
            return
        # A broken one may be set aside, and a new one begun, between two events.
        level = logging.INFO if aside == was_aside else logging.WARNING
        self._logger.log(level, "ledger_up", installed_at=rfc3339(event.installed_at), set_aside=aside)

    def _record_memory(
        self, event: ForeignSweep | ForeignEviction | EvictionObserved | EvictionRegretted | RuleOnHold
    ) -> None:
        match event:
            case ForeignSweep():
                level = logging.WARNING if event.sweep.stop_reason is None else logging.INFO
                self._logger.log(level, "foreign_sweep", **foreign_sweep_keys(event.sweep))
            case ForeignEviction():
                level = _level_of(event.eviction.outcome)
                self._logger.log(level, "foreign_eviction", **past_keys(event.eviction))
            case EvictionObserved():
                self._logger.debug("eviction_observed", **past_keys(event.eviction))
            case EvictionRegretted():
                self._logger.warning("eviction_regretted", **past_keys(event.eviction), **regret_keys(event.eviction))
            case RuleOnHold():
                regret: Keys = {"evicted": event.regret.evicted, "repulled": event.regret.repulled}
                self._logger.warning("rule_on_hold", rule=event.rule, **regret, until=rfc3339(event.until))

    def _record_others(self, event: KubeletRead | ImagesRemovedExternally) -> None:
        """What the agent does not do: the kubelet's thresholds, and images that were removed externally."""
        if isinstance(event, ImagesRemovedExternally):
            self._logger.info("images_removed_externally", **external_removal_keys(event.images))
            return
        attention = event.config.broken or any(collision.acts_first for collision in event.collisions)
        self._logger.log(logging.WARNING if attention else logging.INFO, "kubelet_read", **kubelet_keys(event))

    def _record_runtime(self, event: RuntimeUp | RuntimeDown) -> None:
        state = event.version if isinstance(event, RuntimeUp) else event.error.kind
        if state == self._runtime:
            return
        self._runtime = state
        if isinstance(event, RuntimeDown):
            self._logger.warning("runtime_down", kind=event.error.kind, error=event.error.advised)
            return
        keys: Keys = {"runtime": event.version.name, "version": event.version.version}
        paths: Keys = {"filesystem_path": event.filesystem_path, "unseen_paths": list(event.unseen_paths)}
        self._logger.info("runtime_up", **keys, **paths)

    def _record_read(self, event: ReadChanged) -> None:
        """Say nothing where it is available from the start, as it should be."""
        availability, known = event.state.availability, event.read in self._reads
        self._reads[event.read] = availability
        name = READ_EVENTS[event.read][availability]
        if availability is not Availability.AVAILABLE:
            level = logging.WARNING if event.state.unavailable else logging.INFO
            self._logger.log(level, name, reason=event.state.reason)
        elif known:
            self._logger.info(name)

    def _record_disk(self, event: DiskUnread) -> None:
        if not self._disk_unread:
            self._logger.error("disk_unread", kind=event.error.kind, error=str(event.error))
        self._disk_unread = True

    def _record_inventory(self, event: InventoryFailed | ImagesInventoried) -> None:
        if isinstance(event, ImagesInventoried):
            counts = {"evictable": len(event.nightly.evictions)} | kept_counts(event.nightly)
            self._logger.debug("images_inventoried", images=counts)
            self._inventory_failure = None
        elif event.error.kind != self._inventory_failure:
            self._logger.warning("inventory_failed", kind=event.error.kind, error=str(event.error))
            self._inventory_failure = event.error.kind

    def _record_space(self, event: SpaceInventoried) -> None:
        """Once, until bytes are estimated again: all else works without."""
        if event.reason_without_estimates and not self._estimates_unavailable:
            self._logger.warning("estimates_unavailable", reason=event.reason_without_estimates)
        elif self._estimates_unavailable and not event.reason_without_estimates:
            self._logger.info("estimates_available")
        self._estimates_unavailable = bool(event.reason_without_estimates)
        if event.unmeasured_snapshotters - self._unmeasured:
            self._logger.info("snapshots_unmeasured", snapshotters=sorted(event.unmeasured_snapshotters))
        self._unmeasured = event.unmeasured_snapshotters

    def _record_registries(self, event: RegistriesProbed) -> None:
        """Once for each, until it answers again."""
        for registry, reason in event.down.items():
            if registry not in self._registries_down:
                self._logger.warning("registry_down", registry=registry, reason=reason)
        for registry in sorted(event.up & self._registries_down):
            self._logger.info("registry_up", registry=registry)
        self._registries_down = (self._registries_down | event.down.keys()) - event.up

    def _record_eviction(self, trigger: Trigger, eviction: Eviction) -> None:
        self._logger.log(_level_of(eviction.outcome), "eviction", **eviction_keys(trigger, eviction))

    def _record_end(self, report: SweepReport) -> None:
        self._record_planned(report)
        level = logging.INFO if satisfies(report) else logging.WARNING
        self._logger.log(level, "sweep_ended", **end_keys(report))

    def _record_planned(self, report: SweepReport) -> None:
        """What a dry run would evict, each image once while it stays so: mode `observe` plans again and again."""
        if not report.dry_run:
            return
        known = self._planned.get(report.trigger, frozenset())
        for eviction in report.evictions:
            if eviction.verdict.image.id not in known:
                self._record_eviction(report.trigger, eviction)
        self._planned[report.trigger] = frozenset(eviction.verdict.image.id for eviction in report.evictions)


def _level_of(outcome: EvictionOutcome) -> int:
    """Only a failed eviction asks for attention."""
    return logging.WARNING if outcome is EvictionOutcome.FAILED else logging.INFO
