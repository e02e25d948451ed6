"""Samples of a scrape as values, to say what changed between two.

What changes by itself is left out: times, latencies and the process's own figures.
"""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric

VOLATILE = ("_timestamp_seconds", "_duration_seconds", "runtime_request", "log_messages")
Samples = Mapping[str, float]
"""Value by name and labels, as a scrape writes them: `image_cleaner_images{state="evictable"}`."""


def read_samples(registry: CollectorRegistry) -> Samples:
    """What a scrape of a registry would show now."""
    return samples_of(registry.collect())


def samples_of(families: Iterable[Metric]) -> Samples:
    """The `image_cleaner_` samples of some metric families."""
    return {
        _name(sample.name, sample.labels): sample.value
        for family in families
        if family.name.startswith("image_cleaner_") and not any(part in family.name for part in VOLATILE)
        for sample in family.samples
    }


def changes(before: Samples, after: Samples) -> Iterator[tuple[str, float, float]]:
    """Name, value before (0 where there was none) and after, by name."""
    for name in sorted(after):
        if after[name] != before.get(name, 0.0):
            yield name, before.get(name, 0.0), after[name]


def _name(name: str, labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{pairs}}}" if pairs else name
