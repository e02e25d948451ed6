"""One sweep: inspect the node, plan, evict one image at a time, report.

Start at `sweep.py`. It must not know CRI, Prometheus or YAML, nor when a sweep is due.
"""

from cleaner.sweep.inspection import inspect_images, inspect_node, with_layers
from cleaner.sweep.pacing import Pace
from cleaner.sweep.planning import SECONDS_TO_ASK, plan_as_known, plan_within_reach
from cleaner.sweep.sweep import PreparedSweep, Sweep, SweepRequest, SweepSettings

__all__ = [
    "SECONDS_TO_ASK",
    "Pace",
    "PreparedSweep",
    "Sweep",
    "SweepRequest",
    "SweepSettings",
    "inspect_images",
    "inspect_node",
    "plan_as_known",
    "plan_within_reach",
    "with_layers",
]
