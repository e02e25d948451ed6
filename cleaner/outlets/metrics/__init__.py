"""The outlet behind `/metrics`.

Start at `outlet.py` (what moves a metric); the metrics are in `counters.py` and `gauges.py`. It must
not have a label without a bound.
"""

from cleaner.outlets.metrics.outlet import Metrics

__all__ = ["Metrics"]
