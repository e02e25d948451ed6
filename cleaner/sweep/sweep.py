"""One pass over a node: inspect, decide, evict one by one, report.

It must not log or count: it yields events, and the caller hands them to the outlets.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import DiskUnreadableError, StopRequestedError
from cleaner.core.events import (
    Event,
    EvictionEnded,
    EvictionStarted,
    RegistriesProbed,
    SweepEnded,
    SweepStarted,
)
from cleaner.core.image_users import keys_used_after
from cleaner.core.model import (
    EvictionOutcome,
    Fault,
    Inspection,
    Plan,
    Policy,
    StopReason,
    Trigger,
    Verdict,
)
from cleaner.core.policy import PressureContext
from cleaner.core.ports import Node
from cleaner.core.pressure import KubeletThreshold, SweepTargets, Targets, Watermarks, danger_grace
from cleaner.core.report import Eviction, SweepReport
from cleaner.core.space import holders_of
from cleaner.core.sweep_progress import RemovalEstimates
from cleaner.sweep.eviction import Evictor
from cleaner.sweep.inspection import inspect_images, inspect_node
from cleaner.sweep.pacing import Pace, Pacer
from cleaner.sweep.planning import plan_within_reach
from cleaner.sweep.pressure_target import PressureTarget


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """What holds for every sweep of a node."""

    policy: Policy
    watermarks: Watermarks
    failures_per_sweep: int


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What one sweep is asked to do."""

    trigger: Trigger
    dry_run: bool = False
    limit: int | None = None
    """Evictions at most; None: as many as there are."""
    early: Targets = field(default_factory=dict)
    """Under pressure: targets of the parts that are lowered before they reach their high watermark."""
    kubelet: KubeletThreshold = field(default_factory=KubeletThreshold)
    """The usage above which the kubelet acts by itself."""
    pace: Pace | None = None
    """Of a nightly sweep; None: without a pause, to its end."""


@dataclass(frozen=True, slots=True)
class PreparedSweep:
    """What a sweep knows and has decided before its first eviction."""

    inspection: Inspection
    plan: Plan
    usage: Usage
    registries: RegistriesProbed | None
    """What registries answered; None where none was asked."""
    needed: bool
    """False for a pressure sweep while no part is at its high watermark."""
    danger_grace: timedelta | None = None
    """How long an image is kept at most while the kubelet is about to act; None while it is not."""


class Sweep:
    """One sweep; use once: `for event in Sweep(...).events()`, or `prepare()` for what it would do."""

    def __init__(self, node: Node, settings: SweepSettings, request: SweepRequest) -> None:
        self._node = node
        self._settings = settings
        self._request = request
        self._started_at = node.timer.now()
        self._started = node.timer.monotonic()
        targets = SweepTargets(settings.watermarks, request.kubelet, request.early)
        self._target = PressureTarget(node.runtime, node.disk, targets, makes_room=request.trigger is Trigger.PRESSURE)
        self._evictions: list[Eviction] = []
        self._is_limited = False
        """Whether the request allows fewer evictions than there are candidates to evict."""
        self._planned_at = self._started_at
        self._evictor = Evictor(node, request.kubelet)

    @property
    def given_up(self) -> frozenset[str]:
        """Digests of pulls that had no room even once all candidates were evicted."""
        return self._target.given_up

    def events(self) -> Iterator[Event]:
        """Run the sweep, yielding before and after each eviction, the report last.

        CleanerError where it cannot know what it must: nothing more is evicted then.
        """
        before = self._target.measure(0)
        if self._request.trigger is Trigger.PRESSURE and not self._target.targets.by_part:
            yield self._ended(before, None, StopReason.NOT_NEEDED)
            return
        prepared = self._prepare(before)
        if prepared.registries is not None:
            yield prepared.registries
        yield self._begun(prepared)
        if self._request.dry_run:
            reason = self._list(prepared.plan)
        else:
            reason = yield from self._evict(prepared.plan)
        yield self._ended(before, prepared.plan, reason)

    def prepare(self) -> PreparedSweep:
        """What the sweep would do now, without doing it: every image has its verdict, also where no sweep is needed.

        CleanerError where it cannot know what it must.
        """
        return self._prepare(self._target.measure(0))

    def _prepare(self, usage: Usage) -> PreparedSweep:
        inspection = inspect_node(self._node)
        self._planned_at, policy = self._node.timer.now(), self._settings.policy
        trigger, registries = self._request.trigger, self._node.registries
        lowered = frozenset(part.filesystem for part in self._target.targets.by_part)
        context = PressureContext(danger_grace(usage, self._request.kubelet), lowered or None, usage.apart)
        planned, asked = plan_within_reach(inspection, policy, trigger, self._planned_at, registries, context=context)
        if trigger is Trigger.PRESSURE:
            planned = self._target.limit_plan(planned, usage)
        planned = self._within_limit(planned)
        self._evictor.estimates = RemovalEstimates(inspection.trusted_layers, planned)
        self._evictor.sizes_are_bounds = inspection.sizes_are_bounds
        needed = trigger is not Trigger.PRESSURE or bool(self._target.targets.by_part)
        return PreparedSweep(inspection, planned, usage, asked, needed, context.danger_grace)

    def _within_limit(self, planned: Plan) -> Plan:
        """The plan with as many evictions as the request allows."""
        count = len(planned.evictions) if self._request.limit is None else self._request.limit
        evictions, beyond = planned.evictions[:count], planned.evictions[count:]
        self._is_limited = bool(beyond)
        return replace(planned, evictions=evictions, not_reached=beyond + planned.not_reached)

    def _begun(self, prepared: PreparedSweep) -> SweepStarted:
        """Where the low watermark is not reachable, the sweep first reports who holds the space."""
        planned, usage = prepared.plan, prepared.usage
        held = holders_of(prepared.inspection, planned, usage) if planned.low_watermark_reachable is False else None
        target, dry_run = self._target, self._request.dry_run
        early, pulls_projected_bytes = target.targets.early, target.pulls_projected_bytes
        return SweepStarted(
            planned, usage, self._started_at, dry_run, early, pulls_projected_bytes, target.given_up, held
        )

    def _list(self, planned: Plan) -> StopReason:
        """What would be evicted, up to the limit, and under pressure until the estimates reach the low watermark."""
        self._evictions += [
            Eviction(verdict, EvictionOutcome.PLANNED, estimated_bytes=self._evictor.estimates.bytes_of(verdict))
            for verdict in planned.evictions
        ]
        if self._is_limited:
            return StopReason.LIMIT
        if self._target.targets.confined:
            return StopReason.KUBELET_THRESHOLD
        return StopReason.LOW_WATERMARK if planned.low_watermark_reachable else StopReason.DONE

    def _evict(self, planned: Plan) -> Generator[Event, None, StopReason]:
        pacer = self._pacer()
        for verdict in self._candidates(planned):
            if reason := self._reason_to_stop() or self._pause(pacer):
                return reason
            yield EvictionStarted(self._request.trigger, verdict, self._node.timer.now())
            eviction = self._evictor.evict(verdict, pulls_move=self._target.pulls_move)
            self._evictions.append(eviction)
            yield EvictionEnded(self._request.trigger, eviction, self._node.timer.now())
        return self._target_met() or StopReason.DONE

    def _pause(self, pacer: Pacer | None) -> StopReason | None:
        """The pause of a gentle sweep; a stop request during its reads ends the sweep as any other."""
        try:
            return pacer.pause() if pacer else None
        except StopRequestedError:
            return StopReason.STOP_REQUESTED

    def _candidates(self, planned: Plan) -> tuple[Verdict, ...]:
        """All candidates, since some may be spared or fail.

        Under pressure, those beyond the estimated low watermark only where a measurement shows in time that it is met.
        """
        pressure = self._request.trigger is Trigger.PRESSURE
        return planned.evictions if pressure and not self._node.disk.measures_removals else planned.candidates

    def _reason_to_stop(self) -> StopReason | None:
        if self._node.stop.requested():
            return StopReason.STOP_REQUESTED
        if self._request.limit is not None and self._evictions_with(EvictionOutcome.EVICTED) >= self._request.limit:
            return StopReason.LIMIT
        if sum(e.fault is Fault.RUNTIME for e in self._evictions) >= self._settings.failures_per_sweep:
            return StopReason.FAILURES
        if self._request.trigger is Trigger.PRESSURE and self._evictor.progress.is_stuck:
            return StopReason.NO_PROGRESS
        return self._target_met()

    def _pacer(self) -> Pacer | None:
        pace, node = self._request.pace, self._node
        return Pacer(pace, node.disk, node.timer, node.stop, self._inspect_again) if pace else None

    def _inspect_again(self) -> None:
        """What was used since the plan is spared, though it may be in no list any more."""
        self._evictor.final_checks.used |= keys_used_after(
            self._planned_at, inspect_images(self._node).memory.last_used_at
        )

    def _target_met(self) -> StopReason | None:
        """Under pressure only, by a measurement made now; None while there is more to free."""
        if self._request.trigger is not Trigger.PRESSURE:
            return None
        self._target.measure(len(self._evictions))
        return self._target.reason_to_end()

    def _evictions_with(self, outcome: EvictionOutcome) -> int:
        return sum(eviction.outcome is outcome for eviction in self._evictions)

    def _read_or(self, last: Usage) -> Usage:
        """What happened is reported, also where the disk cannot be read at the end."""
        try:
            return self._node.disk.read_usage()
        except DiskUnreadableError:
            return last

    def _ended(self, before: Usage, planned: Plan | None, reason: StopReason) -> SweepEnded:
        after = before if self._request.dry_run or planned is None else self._read_or(before)
        report = SweepReport(
            trigger=self._request.trigger,
            dry_run=self._request.dry_run,
            started_at=self._started_at,
            duration_seconds=self._node.timer.monotonic() - self._started,
            filesystem_before=before,
            filesystem_after=after,
            stop_reason=reason,
            evictions=tuple(self._evictions),
            plan=planned,
            not_reached=(len(planned.candidates) if planned else 0) - len(self._evictions),
            lowered=frozenset(self._target.targets.by_part),
            low_watermark_met=self._target.targets.is_low_watermark_met(after),
        )
        return SweepEnded(report, self._node.timer.now())
