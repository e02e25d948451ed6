"""The forecast: how soon each part of a node's filesystems reaches its high watermark, and the kubelet's threshold.

It must not mistake a burst for a trend: an early sweep needs a steady rise (`core/pressure/fill_rate.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from cleaner.core.disk_usage import Part, Resource, Usage
from cleaner.core.model import EvictionOutcome
from cleaner.core.pressure.fill_rate import FillRate, pause_before, seconds_until
from cleaner.core.pressure.pulls import Pull, projected_usage, total_bytes
from cleaner.core.pressure.watermarks import SAFETY_PERCENT, KubeletThreshold, Targets, Watermarks, above_low
from cleaner.core.reclaim import NOTHING, Size
from cleaner.core.report import Eviction, SweepReport

WINDOW = timedelta(minutes=5)
"""How far back a rise is measured."""
EARLY_EVERY_SECONDS = 60.0
"""At least between two early sweeps: each evicts enough for longer than that."""
LEAD_SECONDS = 1.5
"""From one check to the next, and until its sweep has freed more than was written meanwhile, if a disk fills fast."""
MARGIN = 1.1
"""An early sweep frees this many times what the horizon needs: else the next check would begin another."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast of one check."""

    projected: Usage
    """The usage as if the pulls in progress were done."""
    seconds_to_high_watermark: float = math.inf
    """Until the first part reaches its high watermark, at its steady rate; infinite where none fills."""
    seconds_to_kubelet_threshold: float = math.inf
    """Until the first part reaches the kubelet's threshold, once all candidates are evicted."""
    pulls_projected_bytes: int = 0
    """What pulls in progress will still write."""
    early: Targets = field(default_factory=dict)
    """Targets of the parts that are nearer to their high watermark than the horizon."""


class UsageForecaster:
    """Tracks how fast each part fills."""

    def __init__(self, watermarks: Watermarks, kubelet: KubeletThreshold, horizon: timedelta) -> None:
        """With a horizon of 0 it forecasts, but no sweep begins early."""
        self._watermarks = watermarks
        self.kubelet = kubelet
        """From when on the kubelet acts by itself; the daemon keeps it up to date."""
        self._horizon = horizon.total_seconds()
        self._fill_rates: dict[Part, FillRate] = {}
        self._early_at = 0.0

    def add_measurement(self, usage: Usage, monotonic: float) -> None:
        """Add a measurement.

        It counts what is used, not what is left: the capacity moves with each write on ZFS, as do XFS's inodes.
        """
        for part, each in _parts(usage).items():
            used = each.capacity(part.resource) - each.available(part.resource)
            self._fill_rates.setdefault(part, FillRate(WINDOW)).add_measurement(monotonic, used)

    def add_sweep(self, report: SweepReport, monotonic: float) -> None:
        """Add what a sweep freed: it must not read as emptying."""
        freed = sum((freed_by(eviction) for eviction in report.evictions), NOTHING)
        apart = report.filesystem_after.apart
        for part, fill_rate in self._fill_rates.items():
            fill_rate.add_freed(freed.amount_of(part, apart=apart))
        if report.evictions:
            self._early_at = monotonic + EARLY_EVERY_SECONDS

    def forecast(self, usage: Usage, pulls: Sequence[Pull], evictable: Size | None, monotonic: float) -> Forecast:
        """The forecast for this usage; `evictable` is what all candidates of a pressure sweep would free."""
        soonest_to_high, soonest_to_threshold = math.inf, math.inf
        early: dict[Part, float] = {}
        for part, each in _parts(usage).items():
            rate = self._fill_rates[part].steady_rate if part in self._fill_rates else 0.0
            to_high = self._seconds_to_high_watermark(each, part, rate)
            to_threshold = self._seconds_to_kubelet_threshold(usage, each, part, rate, evictable)
            soonest_to_high = min(soonest_to_high, to_high)
            soonest_to_threshold = min(soonest_to_threshold, to_threshold)
            if 0 < to_high < self._horizon and monotonic >= self._early_at:
                early[part] = self._early_target(each, part, rate)
        nearing = {part: early[part] for part in above_low(usage, self._watermarks) if part in early}
        projected = projected_usage(usage, pulls)
        return Forecast(projected, soonest_to_high, soonest_to_threshold, total_bytes(pulls), nearing)

    def seconds_to_next_check(self, usage: Usage, longest: timedelta) -> float:
        """Seconds until the next check: the sooner the nearer a limit may be, at the fastest recent rate."""
        pauses = [longest.total_seconds()]
        for part, each in _parts(usage).items():
            limits = self._watermarks.pair_for(each, part.resource).high, self.kubelet.danger(part)
            rooms = [room for limit in limits if (room := _room(each, part, limit)) > 0]
            rate = self._fill_rates[part].latest_rate
            pauses += [pause_before(seconds_until(room, rate), longest.total_seconds()) for room in rooms]
        return min(pauses)

    def kubelet_threshold_at(self, usage: Usage) -> KubeletThreshold:
        """The kubelet's thresholds, with the danger as far below as a sustained rise gets meanwhile.

        The danger never begins below our own high watermark.
        """
        safety = {}
        for part, each in _parts(usage).items():
            rate = self._fill_rates[part].sustained_rate if part in self._fill_rates else 0.0
            rise = 100 * LEAD_SECONDS * rate / each.capacity(part.resource)
            room = self.kubelet.percent_of(part.resource) - self._watermarks.pair_for(each, part.resource).high
            if min(rise, room) > SAFETY_PERCENT:
                safety[part] = min(rise, room)
        return replace(self.kubelet, safety=safety)

    def _seconds_to_high_watermark(self, usage: Usage, part: Part, rate: float) -> float:
        high = self._watermarks.pair_for(usage, part.resource).high
        return seconds_until(_room(usage, part, high), rate)

    def _seconds_to_kubelet_threshold(
        self, whole: Usage, usage: Usage, part: Part, rate: float, evictable: Size | None
    ) -> float:
        """Where nothing is known of what is evictable, nothing is."""
        freed = (evictable or NOTHING).amount_of(part, apart=whole.apart)
        return seconds_until(_room(usage, part, self.kubelet.percent_of(part.resource)) + freed, rate)

    def _early_target(self, usage: Usage, part: Part, rate: float) -> float:
        """As far below the high watermark as the part rises within the horizon, and never below the low watermark."""
        watermark, capacity = self._watermarks.pair_for(usage, part.resource), usage.capacity(part.resource)
        return max(watermark.low, watermark.high - 100 * rate * self._horizon * MARGIN / capacity)


def freed_by(eviction: Eviction) -> Size:
    """What one eviction freed: as estimated, or the measured bytes where they are more.

    What was written meanwhile is missing in the measured bytes, and would be missing in the rate.
    """
    if eviction.outcome is not EvictionOutcome.EVICTED:
        return NOTHING
    size = eviction.verdict.reclaimable or NOTHING
    measured = eviction.reclaimed_bytes or 0
    return replace(size, bytes=max(size.bytes, measured))


def _room(usage: Usage, part: Part, percent: float) -> int:
    """What may still be used until a used percent is reached."""
    capacity = usage.capacity(part.resource)
    return usage.available(part.resource) - math.ceil(capacity * (100 - percent) / 100)


def _parts(usage: Usage) -> dict[Part, Usage]:
    """Every resource that has a limit, of every filesystem that a removal can free."""
    return {
        Part(each.filesystem, resource): each
        for each in usage.freeable
        for resource in Resource
        if each.capacity(resource)
    }
