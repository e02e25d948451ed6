"""When a disk is under pressure, how far a sweep must go, and what is forecast.

Start at `watermarks.py`. Like all of the core, it must not read, wait or write.
"""

from cleaner.core.pressure.backoff import Standstill, next_standstill
from cleaner.core.pressure.forecast import Lookout, Outlook
from cleaner.core.pressure.pulls import (
    DEFAULT_RATIO,
    GivenUp,
    Movement,
    PendingLayer,
    Pull,
    fit,
    foretell,
    ratio_of,
    total_bytes,
    with_pulls,
)
from cleaner.core.pressure.targets import Goal, foresee, left_after, targets_now
from cleaner.core.pressure.watermarks import (
    AvailableMark,
    KubeletMark,
    Mark,
    Marks,
    Targets,
    above_low,
    at_high,
    in_danger,
    low_targets,
)

__all__ = [
    "DEFAULT_RATIO",
    "AvailableMark",
    "GivenUp",
    "Goal",
    "KubeletMark",
    "Lookout",
    "Mark",
    "Marks",
    "Movement",
    "Outlook",
    "PendingLayer",
    "Pull",
    "Standstill",
    "Targets",
    "above_low",
    "at_high",
    "fit",
    "foresee",
    "foretell",
    "in_danger",
    "left_after",
    "low_targets",
    "next_standstill",
    "ratio_of",
    "targets_now",
    "total_bytes",
    "with_pulls",
]
