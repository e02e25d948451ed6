"""Which alerts hold on this node, as events move them: pure state on a clock that is given.

It must not send anything, see `outlet.py`, nor hold text without a bound: an alert counts images and names none.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cleaner.core.disk_usage import Usage
from cleaner.core.events import Checked, Event, RuntimeDown, RuntimeUp, SweepEnded, SweepFailed, SweepStarted
from cleaner.core.model import EvictionOutcome, StopReason, Trigger
from cleaner.core.ports import Timer
from cleaner.core.pressure import Watermarks, above_low, at_high
from cleaner.core.report import SweepReport, kept_counts
from cleaner.outlets.units import human_percent, one_line, rfc3339

CALM_SECONDS = 300.0
"""Usage below the high watermarks for 5 minutes ends the alert about them: a node that fills and empties all the time
has one alert."""
FAILURES = 3
FAILING_SECONDS = 300.0
"""Three failed sweeps in a row, or failures for 5 minutes, are an alert."""
LONGEST_ERROR = 300


class AlertName(StrEnum):
    """Names of their own: no rule of Prometheus pages for the same a second time."""

    CANNOT_RECLAIM = "ImageCleanerNodeCannotReclaim"
    RUNTIME_UNREACHABLE = "ImageCleanerNodeRuntimeUnreachable"
    SWEEPS_FAILING = "ImageCleanerNodeSweepsFailing"


_SUMMARIES = {
    AlertName.CANNOT_RECLAIM: "Eviction does not bring the image filesystem down to its low watermark",
    AlertName.RUNTIME_UNREACHABLE: "The container runtime does not answer, so no image can be evicted",
    AlertName.SWEEPS_FAILING: "Sweeps of container images fail",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that holds."""

    name: AlertName
    since: datetime
    description: str

    @property
    def summary(self) -> str:
        """What is wrong, the same whenever it is."""
        return _SUMMARIES[self.name]


class Alerts:
    """What holds after each event; `active` is in the order of `AlertName`."""

    def __init__(self, timer: Timer, watermarks: Watermarks, runtime_down_for: timedelta) -> None:
        self._states = (_Reclaim(timer, watermarks), _Runtime(timer, runtime_down_for), _Sweeps(timer, watermarks))

    def record(self, event: Event) -> None:
        """Take one event; with each of them the clock is read too."""
        for state in self._states:
            state.record(event)

    @property
    def active(self) -> tuple[Alert, ...]:
        """The alerts that hold now."""
        return tuple(state.alert for state in self._states if state.alert)


@dataclass
class _Reclaim:
    """Pressure that could not be met: from a sweep that says so until usage or another sweep says otherwise."""

    timer: Timer
    watermarks: Watermarks
    alert: Alert | None = None
    _calm_since: float | None = None
    """Monotonic seconds."""

    def record(self, event: Event) -> None:
        match event:
            case SweepStarted() if event.plan.low_watermark_reachable is False and _presses(event.plan.trigger, event):
                candidates = len(event.plan.evictions + event.plan.not_reached)
                self._hold(f"{_used(event.usage)} before; all {candidates} candidates are not enough")
            case SweepEnded() if _presses(event.report.trigger, event.report):
                self._record_end(event.report)
            case Checked() if event.usage is not None:
                self._check_usage(event.usage)
            case _:
                pass

    def _record_end(self, report: SweepReport) -> None:
        if report.low_watermark_met:
            self.alert = None
        elif report.stop_reason is not StopReason.STOP_REQUESTED:
            self._hold(_summary_of(report))

    def _hold(self, description: str) -> None:
        self._calm_since = None
        self.alert = _continued(AlertName.CANNOT_RECLAIM, self.alert, self.timer, description)

    def _check_usage(self, usage: Usage) -> None:
        """At or below every low watermark the alert ends at once, as the daemon's own backoff does."""
        now = self.timer.monotonic()
        if at_high(usage, self.watermarks):
            self._calm_since = None
            return
        self._calm_since = now if self._calm_since is None else self._calm_since
        is_low = not above_low(usage, self.watermarks)
        if is_low or now - self._calm_since >= CALM_SECONDS:
            self.alert = None


@dataclass
class _Runtime:
    """A runtime that is unavailable for a while; a restart is no alert."""

    timer: Timer
    down_for: timedelta
    alert: Alert | None = None
    _down_since: float | None = None
    """Monotonic seconds."""

    def record(self, event: Event) -> None:
        match event:
            case RuntimeUp():
                self._down_since = self.alert = None
            case RuntimeDown():
                self._record_down(event)
            case _:
                pass

    def _record_down(self, event: RuntimeDown) -> None:
        """The daemon reports it in each round, so no timer is needed."""
        now = self.timer.monotonic()
        self._down_since = now if self._down_since is None else self._down_since
        if now - self._down_since >= self.down_for.total_seconds():
            self.alert = _continued(AlertName.RUNTIME_UNREACHABLE, self.alert, self.timer, _cut(str(event.error)))


@dataclass
class _Sweeps:
    """Sweeps that fail, one after another."""

    timer: Timer
    watermarks: Watermarks
    alert: Alert | None = None
    _failures: Counter[Trigger] = field(default_factory=Counter)
    """Since a sweep got to its end."""
    _failing_since: float = 0.0
    """Monotonic seconds of the first of them."""
    _last: SweepFailed | None = None

    def record(self, event: Event) -> None:
        match event:
            case SweepEnded():
                self._failures.clear()
            case SweepFailed():
                self._record_failure(event)
            case Checked() if event.usage is not None and not _is_pressing(event, event.usage, self.watermarks):
                del self._failures[Trigger.PRESSURE]  # nothing presses any more: none will follow that could succeed
            case _:
                pass
        self._judge()

    def _record_failure(self, event: SweepFailed) -> None:
        if not self._failures:
            self._failing_since = self.timer.monotonic()
        self._failures[event.trigger] += 1
        self._last = event

    def _judge(self) -> None:
        count = self._failures.total()
        lasts = count > 0 and self.timer.monotonic() - self._failing_since >= FAILING_SECONDS
        if self._last is None or not (count >= FAILURES or lasts):
            self.alert = None
            return
        description = f"{count} in a row, the last one ({self._last.trigger}) at {rfc3339(self._last.at)}: "
        description += _cut(str(self._last.error))
        self.alert = _continued(AlertName.SWEEPS_FAILING, self.alert, self.timer, description)


def _continued(name: AlertName, before: Alert | None, timer: Timer, description: str) -> Alert:
    """An alert that goes on keeps its begin."""
    return Alert(name, before.since if before else timer.now(), description)


def _is_pressing(event: Checked, usage: Usage, watermarks: Watermarks) -> bool:
    """Whether a pressure sweep may be due: by what is measured, for a pull, or ahead of a watermark."""
    if event.forecast is None:
        return bool(at_high(usage, watermarks))
    return bool(at_high(event.forecast.projected, watermarks) or event.forecast.early)


def _presses(trigger: Trigger, what: SweepStarted | SweepReport) -> bool:
    """Only a sweep that evicts can fail to reclaim."""
    return trigger is Trigger.PRESSURE and not what.dry_run


def _summary_of(report: SweepReport) -> str:
    evicted = sum(eviction.outcome is EvictionOutcome.EVICTED for eviction in report.evictions)
    kept = ", ".join(f"{reason} {count}" for reason, count in kept_counts(report.plan).items() if count)
    return f"{_used(report.filesystem_after)} after {evicted} evictions ({report.stop_reason}); kept: {kept or 'none'}"


def _used(usage: Usage) -> str:
    shares = f"{human_percent(usage.used_percent)} of bytes"
    if usage.inodes_used_percent is not None:
        shares += f" and {human_percent(usage.inodes_used_percent)} of inodes"
    return f"{usage.path}: {shares} used"


def _cut(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= LONGEST_ERROR else f"{line[: LONGEST_ERROR - 3]}..."
