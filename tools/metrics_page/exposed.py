"""What the daemon exposes, as values: each metric with its type, labels, series and meaning.

It keeps no list of its own: all of it is read from the registry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from prometheus_client import Metric

from cleaner.core.model import Mode
from metrics_page.known import known_registry

OPEN_LABELS = frozenset({"hash", "name", "revision", "version"})
"""Labels of the `_info` metrics whose values cannot be listed."""
_WORDS = {"mode": tuple(Mode)}
"""Labels of which a node shows one value at a time, and what that may be."""


@dataclass(frozen=True)
class ExposedMetric:
    """A metric as people ask for it."""

    name: str
    """A counter's with `_total`."""
    kind: str
    labels: Mapping[str, tuple[str, ...]]
    """All values in their order; none where they cannot be listed."""
    series: tuple[str, ...]
    """Names of its series: of a histogram three, else its own."""
    meaning: str


@cache
def exposed_metrics() -> Mapping[str, ExposedMetric]:
    """Every metric of the daemon by its name, in the order of a scrape."""
    metrics = (_metric_of(family) for family in known_registry().collect())
    return {metric.name: metric for metric in metrics}


@cache
def metric_by_series() -> Mapping[str, ExposedMetric]:
    """The metric that each series belongs to, by the name of the series."""
    return {series: metric for metric in exposed_metrics().values() for series in metric.series}


def _metric_of(family: Metric) -> ExposedMetric:
    values: dict[str, dict[str, None]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            values.setdefault(label, {})[value] = None
    return ExposedMetric(
        name=family.name + ("_total" if family.type == "counter" else ""),
        kind=family.type,
        labels={label: _values_of(label, tuple(found)) for label, found in values.items()},
        series=tuple(dict.fromkeys(sample.name for sample in family.samples)),
        meaning=family.documentation,
    )


def _values_of(label: str, found: tuple[str, ...]) -> tuple[str, ...]:
    return () if label in OPEN_LABELS else _WORDS.get(label, found)
