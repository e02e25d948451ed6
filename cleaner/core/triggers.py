"""Which sweep is due now, and what the end of a sweep means for the next one.

It must not act: it is a value. The daemon asks `due`, sweeps, and keeps what `after` or `after_failure` returns.
"""

import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cleaner.core.clock_trust import CLOCK_JUMP
from cleaner.core.disk_usage import Part, Usage
from cleaner.core.history import NightlyRun
from cleaner.core.model import EvictionOutcome, Fault, Mode, StopReason, Trigger
from cleaner.core.nightly import Calendar
from cleaner.core.pressure import (
    Backoff,
    KubeletThreshold,
    Targets,
    Watermarks,
    above_low,
    at_high,
    low_targets,
    next_backoff,
    next_wait,
)
from cleaner.core.report import SweepReport

LONGEST_RETRY_SECONDS = 60.0
CONTINUED = frozenset({StopReason.STOP_REQUESTED, StopReason.YIELDED_TO_PRESSURE})
"""A nightly run that ended for one of these continues within its window, at once."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """All that the question "what is due?" needs to know of now."""

    now: datetime
    monotonic: float
    usage: Usage
    """As if the pulls in progress were done."""
    fingerprint: int
    """Of the images, containers and candidates last listed."""
    clock_sane: bool
    watched_since: datetime | None
    """Since when the agent has watched this node; None where that is not known."""
    early: Targets = field(default_factory=dict)
    """Targets of the parts that are to be lowered before they reach their high watermark."""
    kubelet: KubeletThreshold = field(default_factory=KubeletThreshold)
    measured: Usage | None = None
    """Without pulls; None where that is the same."""


@dataclass(frozen=True, slots=True)
class Triggers:
    """What may start a sweep, and what holds it back."""

    mode: Mode
    watermarks: Watermarks
    calendar: Calendar
    grace: timedelta
    """How long the agent must have watched the node before the first nightly sweep, to know which images it uses."""
    nightly_run: NightlyRun | None = None
    """The latest nightly run."""
    backoff: Backoff | None = None
    retry_at: float = 0.0
    """Monotonic seconds; before that no sweep is tried again."""
    retry_seconds: float = 0.0
    nightly_at: float = 0.0
    """Monotonic seconds; before that a nightly sweep that left candidates untried is not tried again."""
    nightly_wait: float = 0.0
    """How long that wait is, in seconds; 0 where the last nightly sweep left none."""

    def due(self, moment: NodeState) -> Trigger | None:
        """The sweep that is due, pressure before nightly; none before the retry of one that failed."""
        if moment.monotonic < self.retry_at:
            return None
        if self._pressure_due(moment):
            return Trigger.PRESSURE
        if moment.monotonic < self.nightly_at or self.occurrence_due(moment) is None:
            return None
        return Trigger.NIGHTLY

    def targets_below_high(self, moment: NodeState) -> Targets:
        """Targets of the parts that a pressure sweep is to lower now though they are below their high watermark.

        They will soon reach it, or the last sweep was to lower them and left candidates untried.
        """
        unfinished = self.backoff.unfinished if self.backoff else ()
        still = above_low(moment.usage, self.watermarks).intersection(unfinished)
        return {**low_targets(moment.usage, self.watermarks, still), **moment.early}

    def occurrence_due(self, moment: NodeState) -> datetime | None:
        """The nightly occurrence to sweep for; None where there is none, or too little is known."""
        return None if self._knows_too_little(moment) else self._occurrence_waiting(moment)

    def suspended_for_memory(self, moment: NodeState) -> bool:
        """Whether a nightly sweep would be due, were the node known for longer."""
        return self._knows_too_little(moment) and self._occurrence_waiting(moment) is not None

    def with_usage(self, usage: Usage) -> "Triggers":
        """What holds once a usage is seen: at or below every low watermark, a backoff is over."""
        if self.backoff is None:
            return self
        return replace(self, backoff=self.backoff.lowered(usage) if above_low(usage, self.watermarks) else None)

    def next_nightly(self, now: datetime) -> datetime | None:
        """When the next nightly sweep begins; None where the mode has none."""
        return None if self.mode is Mode.PRESSURE else self.calendar.next_start(now)

    def after(self, report: SweepReport, moment: NodeState) -> "Triggers":
        """What holds once a sweep got to its end; `moment` is after it."""
        calm = replace(self, retry_at=0.0, retry_seconds=0.0)
        if report.trigger is Trigger.PRESSURE:
            return replace(calm, backoff=self._backoff_after(report, moment))
        if report.trigger is not Trigger.NIGHTLY or report.stop_reason in CONTINUED:
            return calm
        if _is_unfinished(report):
            wait = next_wait(self.nightly_wait)
            return replace(calm, nightly_at=moment.monotonic + wait, nightly_wait=wait)
        calm = replace(calm, nightly_at=0.0, nightly_wait=0.0)
        occurrence = self.calendar.latest(report.started_at)
        if occurrence is None or (self.nightly_run is not None and occurrence <= self.nightly_run.occurrence):
            return calm
        return replace(calm, nightly_run=NightlyRun(occurrence, moment.now))

    def shifted(self, correction: timedelta) -> "Triggers":
        """What holds once the time itself is corrected: the time since the last nightly run stays the same."""
        if self.nightly_run is None:
            return self
        return replace(self, nightly_run=replace(self.nightly_run, ended_at=self.nightly_run.ended_at + correction))

    def corrected(self, now: datetime) -> "Triggers":
        """What holds where a clock that was ahead stored a nightly run of the future: what has begun by now is done.

        A run that is a few minutes ahead happened before the clock was set back a little, and stays.
        """
        if self.nightly_run is None or self.nightly_run.occurrence - now <= CLOCK_JUMP:
            return self
        return replace(self, nightly_run=NightlyRun(self.calendar.latest(now) or now, now))

    def continues_at_once(self, report: SweepReport, measured: Usage) -> bool:
        """Whether the next sweep is to come at once: this one helped, and a high watermark is reached all the same.

        What became a candidate meanwhile was not in its plan. The last of such sweeps evicts nothing, so they end.
        Never where removals are not measured: what this one freed is still to be seen.
        """
        return _helped(report) and report.reclaimed_bytes is not None and bool(at_high(measured, self.watermarks))

    def after_failure(self, monotonic: float, check_seconds: float) -> "Triggers":
        """What holds once a sweep failed: it is tried again after a wait that doubles, to a minute at most."""
        seconds = min(2 * self.retry_seconds or check_seconds, max(LONGEST_RETRY_SECONDS, check_seconds))
        return replace(self, retry_at=monotonic + seconds, retry_seconds=seconds)

    def _pressure_due(self, moment: NodeState) -> bool:
        if not (self.targets_below_high(moment) or at_high(moment.usage, self.watermarks)):
            return False
        if self.backoff is None:
            return True
        if self.backoff.ahead and at_high(moment.measured or moment.usage, self.watermarks):
            return True  # the high watermark itself is reached, as it was not before
        return self.backoff.may_retry(
            moment.usage, moment.fingerprint, moment.monotonic, moment.kubelet, moment.measured
        )

    def _knows_too_little(self, moment: NodeState) -> bool:
        return moment.watched_since is None or moment.now - moment.watched_since < self.grace

    def _occurrence_waiting(self, moment: NodeState) -> datetime | None:
        if self.mode is Mode.PRESSURE or not moment.clock_sane:
            return None
        since = moment.now if moment.watched_since is None else moment.watched_since + self.grace
        return self.calendar.due(moment.now, self.nightly_run, since)

    def _backoff_after(self, report: SweepReport, moment: NodeState) -> Backoff | None:
        if report.stop_reason is StopReason.NOT_NEEDED:
            return self.backoff
        measured = moment.measured or moment.usage
        if report.stop_reason is StopReason.STOP_REQUESTED or self._is_met(report, moment.usage, measured):
            return None
        if _helped(report) and (self.continues_at_once(report, measured) or not at_high(moment.usage, self.watermarks)):
            return None
        ended = Backoff(
            moment.fingerprint,
            moment.usage,
            moment.monotonic,
            measured=measured,
            ahead=not any(at_high(each, self.watermarks) for each in (report.filesystem_before, measured)),
            unfinished=_unfinished(report),
            candidate_at=_candidate_at(report, moment),
        )
        return next_backoff(self.backoff, ended)

    def _is_met(self, report: SweepReport, usage: Usage, measured: Usage) -> bool:
        """Whether the low watermarks are met, also with the pulls in progress: they alone would start the sweep again.

        A sweep that evicted down to the low watermark counted them already in its last measurement.
        """
        evicted_enough = report.stop_reason is StopReason.LOW_WATERMARK and not report.dry_run
        only_pulls_press = bool(at_high(usage, self.watermarks)) and not at_high(measured, self.watermarks)
        return report.low_watermark_met and (evicted_enough or not only_pulls_press)


def _helped(report: SweepReport) -> bool:
    """Whether a pressure sweep evicted something, and another inspection of the node may give it more.

    Not so where the runtime failed, nor where the low watermark was not reachable from the beginning and the sweep
    reached the target that it had instead.
    """
    evicted = any(eviction.outcome is EvictionOutcome.EVICTED for eviction in report.evictions)
    if not evicted or any(eviction.fault is Fault.RUNTIME for eviction in report.evictions):
        return False
    if report.trigger is not Trigger.PRESSURE or report.stop_reason is StopReason.NO_PROGRESS:
        return False
    confined = report.plan is not None and report.plan.low_watermark_reachable is False
    return not (confined and report.stop_reason is StopReason.KUBELET_THRESHOLD)


def _unfinished(report: SweepReport) -> frozenset[Part]:
    """The parts that a sweep was to lower, where it ended early."""
    return report.lowered if _is_unfinished(report) else frozenset()


def _is_unfinished(report: SweepReport) -> bool:
    """Whether another sweep may do what this one could not: the runtime failed, or removals freed nothing so far."""
    untried = report.stop_reason is StopReason.NO_PROGRESS and report.not_reached > 0
    ended_early = untried or report.stop_reason is StopReason.FAILURES
    return ended_early or any(eviction.fault is Fault.RUNTIME for eviction in report.evictions)


def _candidate_at(report: SweepReport, moment: NodeState) -> float:
    """When the grace of the first recent image of its plan ends, in monotonic seconds; never where there is none."""
    wait = report.plan.next_candidate_in if report.plan else None
    return math.inf if wait is None else moment.monotonic + wait.total_seconds()
