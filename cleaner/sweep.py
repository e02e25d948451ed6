"""One pass over a node: observe, decide, evict one by one, report.

Refuses to log or count: it yields what happened, and the caller hands that to the outlets.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

from cleaner.core.errors import CleanerError, DiskUnreadableError, ImageInUseError
from cleaner.core.events import (
    Event,
    Eviction,
    EvictionEnded,
    EvictionStarted,
    SweepEnded,
    SweepReport,
    SweepStarted,
)
from cleaner.core.foresight import foresee
from cleaner.core.model import (
    EvictionOutcome,
    Image,
    Observation,
    Plan,
    Policy,
    Resource,
    StopReason,
    Trigger,
    Usage,
    Verdict,
)
from cleaner.core.needs import ids_in_use, needs_of, reason_to_spare
from cleaner.core.policy import plan
from cleaner.core.ports import Disk, Recollection, Runtime, Stop, Timer
from cleaner.core.pressure import Marks, above_low, at_high
from cleaner.core.progress import Forecast, Progress


@dataclass(frozen=True, slots=True)
class Node:
    """What a sweep works on and with."""

    runtime: Runtime
    disk: Disk
    timer: Timer
    stop: Stop
    recollection: Recollection


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """What holds for every sweep of a node."""

    policy: Policy
    marks: Marks
    failures_per_sweep: int


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What one sweep is asked to do."""

    trigger: Trigger
    dry_run: bool = False
    limit: int | None = None
    """Evictions at most; None: as many as there are."""


def observe(node: Node) -> Observation:
    """One look at the node, with what its images share; raises where a list cannot be read."""
    observation = look(node)
    return replace(observation, layers=node.runtime.read_layers(observation.images))


def look(node: Node) -> Observation:
    """What is there and in use. Images first: what starts meanwhile counts."""
    images = node.runtime.list_images()
    sandbox_images = node.runtime.list_sandbox_images()
    containers = node.runtime.list_containers()
    in_use = ids_in_use(images, needs_of(containers, sandbox_images))
    memory = node.recollection.remember(images, in_use, node.timer.now())
    return Observation(images, containers, sandbox_images, memory)


class Sweep:
    """One sweep; use once: `for event in Sweep(...).events()`."""

    def __init__(self, node: Node, settings: SweepSettings, request: SweepRequest) -> None:
        self._node = node
        self._settings = settings
        self._request = request
        self._started_at = node.timer.now()
        self._started = node.timer.monotonic()
        self._driven: frozenset[Resource] = frozenset()
        self._evictions: list[Eviction] = []
        self._progress = Progress()
        self._forecast = Forecast(None, None)

    def events(self) -> Iterator[Event]:
        """Do it, yielding before and after each eviction, the report last.

        CleanerError where it cannot know what it must: nothing more is evicted then.
        """
        before = self._measure()
        if self._request.trigger is Trigger.PRESSURE and not self._driven:
            yield self._ended(before, None, StopReason.NOT_NEEDED)
            return
        observation = observe(self._node)
        planned = plan(observation, self._settings.policy, self._request.trigger, self._node.timer.now())
        if self._request.trigger is Trigger.PRESSURE:
            planned = foresee(planned, before, self._settings.marks)
        self._forecast = Forecast(observation.trusted_layers, planned)
        yield SweepStarted(planned, before)
        if self._request.dry_run:
            because = self._list(planned)
        else:
            because = yield from self._evict(planned)
        yield self._ended(before, planned, because)

    def _measure(self) -> Usage:
        """A new measurement; what reaches its high mark is driven down from then on."""
        usage = self._node.disk.read_usage()
        self._driven |= at_high(usage, self._settings.marks)
        return usage

    def _list(self, planned: Plan) -> StopReason:
        """What would go, up to the limit, and under pressure until the foretold bytes reach the low mark."""
        listed = planned.evictions[: self._request.limit]
        self._evictions += [
            Eviction(verdict, EvictionOutcome.PLANNED, estimated_bytes=self._forecast.bytes_of(verdict))
            for verdict in listed
        ]
        if len(listed) < len(planned.evictions):
            return StopReason.LIMIT
        return StopReason.LOW_MARK if planned.low_mark_reachable else StopReason.DONE

    def _evict(self, planned: Plan) -> Generator[Event, None, StopReason]:
        for verdict in planned.evictions + planned.not_reached:
            if because := self._reason_to_stop():
                return because
            yield EvictionStarted(self._request.trigger, verdict)
            eviction = self._evict_one(verdict)
            self._forecast.take(eviction)
            self._evictions.append(eviction)
            yield EvictionEnded(self._request.trigger, eviction)
        return StopReason.LOW_MARK if self._low_mark_met() else StopReason.DONE

    def _reason_to_stop(self) -> StopReason | None:
        if self._node.stop.requested():
            return StopReason.STOP_REQUESTED
        if self._request.limit is not None and self._count(EvictionOutcome.EVICTED) >= self._request.limit:
            return StopReason.LIMIT
        if self._count(EvictionOutcome.FAILED) >= self._settings.failures_per_sweep:
            return StopReason.FAILURES
        if self._request.trigger is Trigger.PRESSURE and self._progress.stands_still:
            return StopReason.NO_PROGRESS
        return StopReason.LOW_MARK if self._low_mark_met() else None

    def _low_mark_met(self) -> bool:
        """Under pressure only, by a measurement made now."""
        if self._request.trigger is not Trigger.PRESSURE:
            return False
        usage = self._measure()
        return not above_low(usage, self._settings.marks, self._driven)

    def _count(self, outcome: EvictionOutcome) -> int:
        return sum(eviction.outcome is outcome for eviction in self._evictions)

    def _evict_one(self, verdict: Verdict) -> Eviction:
        """The last look, then the removal; whatever fails here is a value, and the image stays."""
        try:
            before = self._node.disk.read_usage()
            against = self._last_look(verdict)
        except CleanerError as error:
            return Eviction(verdict, EvictionOutcome.FAILED, f"the last look failed: {error}")
        if against is not None:
            return Eviction(verdict, EvictionOutcome.SPARED, against)
        return self._remove(verdict, before)

    def _last_look(self, verdict: Verdict) -> str | None:
        """Why the image must stay after all; containers come last, since they are what changes fastest."""
        runtime = self._node.runtime
        present = runtime.read_image(verdict.image.id)
        sandbox_images = runtime.list_sandbox_images()
        containers = runtime.list_containers()
        return reason_to_spare(verdict.image, present, needs_of(containers, sandbox_images))

    def _remove(self, verdict: Verdict, before: Usage) -> Eviction:
        began = self._node.timer.monotonic()
        try:
            refusal = self._remove_and_confirm(verdict.image)
        except ImageInUseError as error:
            return Eviction(verdict, EvictionOutcome.SPARED, str(error))
        seconds = self._node.timer.monotonic() - began
        if refusal is not None:
            return Eviction(verdict, EvictionOutcome.FAILED, refusal, seconds=seconds)
        freed_bytes = self._freed_since(before)
        estimated_bytes = self._forecast.bytes_of(verdict)
        self._progress.note(before.free_bytes, freed_bytes, estimated_bytes)
        return Eviction(
            verdict,
            EvictionOutcome.EVICTED,
            estimated_bytes=estimated_bytes,
            reclaimed_bytes=freed_bytes if self._node.disk.measures_removals else None,
            seconds=seconds,
        )

    def _remove_and_confirm(self, image: Image) -> str | None:
        """None once the image is gone, whatever the call answered; else what is wrong.

        One that is there with another pull time was gone too: somebody has pulled it again since.
        """
        answer = "the runtime called it removed"
        try:
            self._node.runtime.remove_image(image.id)
        except ImageInUseError:
            raise
        except CleanerError as error:
            answer = str(error)
        try:
            present = self._node.runtime.read_image(image.id)
        except CleanerError as error:
            return f"{answer}; not known whether it is gone: {error}"
        if present is None:
            return self._leftovers_of(image)
        pulled_again = present.readable and present.pulled_at != image.pulled_at
        return None if pulled_again else f"{answer}; the image is still there"

    def _leftovers_of(self, image: Image) -> str | None:
        """What of an image that is gone still pins its layers (containerd issue 13875); None where nothing does."""
        try:
            names = self._node.runtime.list_leftovers(image)
        except CleanerError as error:
            return f"the image is gone; not known whether records of it are left: {error}"
        return f"the image is gone, but not its records: {', '.join(names)}" if names else None

    def _freed_since(self, before: Usage) -> int | None:
        """Measured on the settled disk; None where it cannot be read."""
        try:
            after = self._node.disk.read_settled_usage()
        except DiskUnreadableError:
            return None
        return max(0, after.free_bytes - before.free_bytes)

    def _ended(self, before: Usage, planned: Plan | None, because: StopReason) -> SweepEnded:
        after = before if self._request.dry_run or planned is None else self._node.disk.read_usage()
        report = SweepReport(
            trigger=self._request.trigger,
            dry_run=self._request.dry_run,
            started_at=self._started_at,
            duration_seconds=self._node.timer.monotonic() - self._started,
            filesystem_before=before,
            filesystem_after=after,
            stopped_because=because,
            evictions=tuple(self._evictions),
            plan=planned,
            not_reached=_count_candidates(planned) - len(self._evictions),
            low_mark_met=not above_low(after, self._settings.marks, self._driven),
        )
        return SweepEnded(report, self._node.timer.now())


def _count_candidates(planned: Plan | None) -> int:
    return len(planned.evictions + planned.not_reached) if planned else 0
