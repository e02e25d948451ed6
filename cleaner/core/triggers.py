"""Which sweep is due now, and what the end of a sweep means for the next one.

Refuses to act: it is a value; the daemon asks `due`, sweeps, and keeps what `after` or `after_failure` gives.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from cleaner.core.events import SweepReport
from cleaner.core.model import Mode, Resource, StopReason, Trigger, Usage
from cleaner.core.pressure import Marks, Standstill, above_low, at_high, next_standstill
from cleaner.core.window import Calendar

LONGEST_RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Moment:
    """All that the question "what is due?" needs to know of now."""

    now: datetime
    monotonic: float
    usage: Usage
    fingerprint: int
    """Of the images, containers and candidates last listed."""
    clock_sane: bool


@dataclass(frozen=True, slots=True)
class Triggers:
    """What may start a sweep, and what holds it back."""

    mode: Mode
    marks: Marks
    calendar: Calendar
    done: datetime | None = None
    """The latest nightly occurrence that was dealt with."""
    standstill: Standstill | None = None
    retry_at: float = 0.0
    """Monotonic seconds; before that no sweep is tried again."""
    retry_seconds: float = 0.0

    def due(self, moment: Moment) -> Trigger | None:
        """Pressure goes first; nothing while the last failure is fresh."""
        if moment.monotonic < self.retry_at:
            return None
        if self._pressure_due(moment):
            return Trigger.PRESSURE
        return Trigger.NIGHTLY if self._nightly_due(moment) is not None else None

    def relaxed(self, usage: Usage) -> "Triggers":
        """What holds once a usage is seen: at or below every low mark, a standstill is over."""
        if self.standstill is None or above_low(usage, self.marks, frozenset(Resource)):
            return self
        return replace(self, standstill=None)

    def next_nightly(self, now: datetime) -> datetime | None:
        """When the next nightly sweep begins; None where the mode has none."""
        return None if self.mode is Mode.PRESSURE else self.calendar.next_start(now)

    def after(self, report: SweepReport, moment: Moment) -> "Triggers":
        """What holds once a sweep got to its end; `moment` is after it."""
        calm = replace(self, retry_at=0.0, retry_seconds=0.0)
        if report.trigger is Trigger.PRESSURE:
            return replace(calm, standstill=self._standstill_after(report, moment))
        if report.stopped_because is StopReason.STOP_REQUESTED:
            return calm
        occurrence = self.calendar.due(report.started_at, self.done)
        return replace(calm, done=occurrence or self.done)

    def after_failure(self, monotonic: float, check_seconds: float) -> "Triggers":
        """What holds once a sweep failed: it is tried again after a wait that doubles, to a minute at most."""
        seconds = min(2 * self.retry_seconds or check_seconds, max(LONGEST_RETRY_SECONDS, check_seconds))
        return replace(self, retry_at=monotonic + seconds, retry_seconds=seconds)

    def _pressure_due(self, moment: Moment) -> bool:
        if not at_high(moment.usage, self.marks):
            return False
        return self.standstill is None or self.standstill.may_repeat(moment.usage, moment.fingerprint, moment.monotonic)

    def _nightly_due(self, moment: Moment) -> datetime | None:
        if self.mode is Mode.PRESSURE or not moment.clock_sane:
            return None
        return self.calendar.due(moment.now, self.done)

    def _standstill_after(self, report: SweepReport, moment: Moment) -> Standstill | None:
        if report.stopped_because is StopReason.NOT_NEEDED:
            return self.standstill
        if report.low_mark_met or report.stopped_because is StopReason.STOP_REQUESTED:
            return None
        return next_standstill(self.standstill, Standstill(moment.fingerprint, moment.usage, moment.monotonic))
