"""Puts the tables into template.md.

It writes no page with holes: a metric in no table or in two, one without a unit, a table without a place.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from string import Template

from prometheus_client import CollectorRegistry

from metrics_page.exposed import ExposedMetric, exposed_metrics
from metrics_page.groups import GROUPS, unit_of
from metrics_page.known import EACH_ITS_OWN, ONE_FILESYSTEM, known_registry

TEMPLATE = Path(__file__).with_name("template.md")
HEADER = "<!-- Made by `make metrics` from tools/metrics_page/ and the help texts in cleaner/outlets/. -->\n"
_HEAD = "| name | type | labels | unit | meaning |\n|---|---|---|---|---|\n"


def render(groups: Mapping[str, Sequence[str]] = GROUPS) -> str:
    """The page as it is committed; ValueError for tables that do not hold every metric once."""
    misplaced = _misplaced(groups)
    if misplaced:
        raise ValueError(f"not once in the tables of groups.py: {', '.join(misplaced)}")
    exposed = exposed_metrics()
    tables = {group: _HEAD + "".join(_row(exposed[name]) for name in names) for group, names in groups.items()}
    template = Template(TEMPLATE.read_text("utf-8"))
    unknown = set(tables) - set(template.get_identifiers())
    if unknown:
        raise ValueError(f"no place in template.md for: {', '.join(sorted(unknown))}")
    return HEADER + template.substitute({group: table.rstrip() for group, table in tables.items()} | _counts())


def _misplaced(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Metrics that are not in exactly one table, and names in tables that are no metric."""
    placed = Counter(chain.from_iterable(groups.values()))
    expected = Counter(exposed_metrics().keys())
    return sorted(name for name in placed.keys() | expected.keys() if placed[name] != expected[name])


def _row(metric: ExposedMetric) -> str:
    labels = "; ".join(
        f"`{label}`" + (f": {', '.join(values)}" if values else "") for label, values in metric.labels.items()
    )
    more = f" Series: {', '.join(f'`{name}`' for name in metric.series)}." if len(metric.series) > 1 else ""
    return f"| `{metric.name}` | {metric.kind} | {labels} | {unit_of(metric.name)} | {metric.meaning}{more} |\n"


def _counts() -> dict[str, str]:
    """How many series a node has."""
    one, each = _series(known_registry(ONE_FILESYSTEM)), _series(known_registry(EACH_ITS_OWN))
    return {"series": str(one), "series_more_filesystems": str(each - one)}


def _series(registry: CollectorRegistry) -> int:
    return sum(len(family.samples) for family in registry.collect())
