"""What outlets wrote, as tests read it."""

import io
import json
from collections.abc import Iterable

from cleaner.core.disk_usage import Usage
from cleaner.core.events import Event
from cleaner.outlets.log.logger import make_logger
from cleaner.outlets.log.outlet import Logs
from cleaner.outlets.metrics.outlet import Metrics
from unit.outlets.happenings import FULL, WATERMARKS


def metrics_after(events: Iterable[Event] = (), usage: Usage | None = FULL) -> Metrics:
    metrics = Metrics(read_usage=lambda: usage)
    metrics.record_build("1.2.3", "abcdef0")
    metrics.record_config("full", "0a1b2c3d", WATERMARKS)
    for event in events:
        metrics.record(event)
    return metrics


def value(metrics: Metrics, name: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"image_cleaner_{name}", labels)


def written_by(*events: Event, level: str = "info") -> list[str]:
    stream = io.StringIO()
    logs = Logs(make_logger(level, "json", stream, lambda _level: None))
    for event in events:
        logs.record(event)
    return stream.getvalue().splitlines()


def lines_of(*events: Event, level: str = "info") -> list[dict[str, object]]:
    return [json.loads(line) for line in written_by(*events, level=level)]


def names_of(*events: Event) -> list[object]:
    return [line["event"] for line in lines_of(*events)]
