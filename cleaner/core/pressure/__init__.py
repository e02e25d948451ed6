"""When a disk is under pressure, to which target a sweep lowers it, and what is forecast.

Start at `watermarks.py`. `daemon/forecaster.py` and `sweep/pressure_target.py` pass measurements to it.
Like all of the core, it must not read, wait or write.
"""

from cleaner.core.pressure.backoff import Backoff, next_backoff, next_wait
from cleaner.core.pressure.forecast import Forecast, UsageForecaster
from cleaner.core.pressure.pulls import (
    DEFAULT_RATIO,
    GivenUp,
    Movement,
    PendingLayer,
    Pull,
    project_pulls,
    projected_usage,
    pulls_fit,
    ratio_of,
    total_bytes,
)
from cleaner.core.pressure.reserve import Reserve, reserves_in_the_way
from cleaner.core.pressure.targets import SweepTargets, excess_of, left_after, limit_to_targets, out_of_reach
from cleaner.core.pressure.watermarks import (
    AvailableWatermarks,
    KubeletThreshold,
    Targets,
    WatermarkPair,
    Watermarks,
    above_low,
    at_high,
    danger_grace,
    in_danger,
    low_targets,
)

__all__ = [
    "DEFAULT_RATIO",
    "AvailableWatermarks",
    "Backoff",
    "Forecast",
    "GivenUp",
    "KubeletThreshold",
    "Movement",
    "PendingLayer",
    "Pull",
    "Reserve",
    "SweepTargets",
    "Targets",
    "UsageForecaster",
    "WatermarkPair",
    "Watermarks",
    "above_low",
    "at_high",
    "danger_grace",
    "excess_of",
    "in_danger",
    "left_after",
    "limit_to_targets",
    "low_targets",
    "next_backoff",
    "next_wait",
    "out_of_reach",
    "project_pulls",
    "projected_usage",
    "pulls_fit",
    "ratio_of",
    "reserves_in_the_way",
    "total_bytes",
]
