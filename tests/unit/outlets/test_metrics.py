"""What Prometheus reads, from events to the scrape."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from cleaner.core.events import (
    Checked,
    Event,
    EvictionEnded,
    RuntimeDown,
    RuntimeUp,
    SweepEnded,
    SweepFailed,
)
from cleaner.core.model import KeepReason, RuntimeVersion, Trigger, Usage
from cleaner.outlets.metrics import Metrics
from unit.outlets.happenings import (
    AWAY,
    BYTES_ONLY,
    CONTAINERD,
    COUNTED,
    DRY_REPORT,
    EVERYTHING,
    EVICTED,
    FULL,
    GIB,
    HELD,
    MARKS,
    MIDNIGHT,
    NIGHT,
    PLANNED,
    SPACE,
    SPACE_UNKNOWN,
    UNREAD,
    report,
)

GOLDEN = Path(__file__).parent / "golden" / "metrics.txt"
DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
MOST_SERIES = 150
ONE_PM = MIDNIGHT.timestamp() + 13 * 3600


def _metrics(events: Iterable[Event] = (), usage: Usage | None = FULL) -> Metrics:
    metrics = Metrics(read_usage=lambda: usage, now=lambda: ONE_PM)
    metrics.record_build("1.2.3", "abcdef0")
    metrics.record_config("full", "0a1b2c3d", MARKS)
    for event in events:
        metrics.record(event)
    return metrics


def _after_everything() -> Metrics:
    metrics = _metrics(EVERYTHING)
    for seconds, ok in ((0.005, True), (0.05, True), (130.0, False)):
        metrics.record_runtime_call("RemoveImage", seconds, ok)
    metrics.record_log("info")
    metrics.record_log("error")
    return metrics


def _value(metrics: Metrics, name: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"cleaner_{name}", labels)


def _own_lines(registry: CollectorRegistry) -> str:
    lines = generate_latest(registry).decode().splitlines(keepends=True)
    return "".join(line for line in lines if not re.match(r"(# \w+ )?process_", line))


def test_a_scrape_is_the_golden_one() -> None:
    """A fixed night and burst give exactly the scrape that is committed (UPDATE_GOLDEN=1 writes it anew)."""
    scraped = _own_lines(_after_everything().registry)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(scraped)
    assert scraped == GOLDEN.read_text()


def test_series_stay_few() -> None:
    """With everything known, the process's own included, a scrape has at most 150 series."""
    series = [line for line in generate_latest(_after_everything().registry).splitlines() if not line.startswith(b"#")]
    assert len(series) <= MOST_SERIES


def test_no_series_appears_later() -> None:
    """Every labelled counter is there at 0 before anything happened, so that increase() sees the first one."""
    before = _own_lines(_metrics().registry)
    after = _own_lines(_after_everything().registry)
    series = {line.rpartition(" ")[0] for line in after.splitlines() if not line.startswith("#")}
    known_later = {"cleaner_runtime_info", "timestamp_seconds", "reclaimable_bytes", "held_bytes"}
    missing = {name for name in series if name not in before and not any(word in name for word in known_later)}
    assert missing == set()


def test_the_registry_is_its_own() -> None:
    """Two outlets share nothing."""
    first, second = _metrics([SweepEnded(report(), MIDNIGHT)]), _metrics()
    assert _value(first, "sweeps_total", trigger="nightly") == 1
    assert _value(second, "sweeps_total", trigger="nightly") == 0


def test_a_given_registry_is_used() -> None:
    """A registry may be handed in."""
    registry = CollectorRegistry()
    assert Metrics(registry).registry is registry


def test_unknown_times_have_no_sample() -> None:
    """Before the first sweep there is no time of a last one, rather than 1970."""
    metrics = _metrics()
    assert _value(metrics, "last_sweep_timestamp_seconds") is None
    assert _value(metrics, "last_sweep_success_timestamp_seconds") is None
    assert _value(metrics, "next_nightly_timestamp_seconds") is None


def test_a_failed_sweep_is_an_attempt_and_a_failure() -> None:
    """A failed sweep counts twice, moves the time of the last sweep, and not that of the last success."""
    metrics = _metrics([SweepEnded(report(), MIDNIGHT), SweepFailed(Trigger.NIGHTLY, AWAY, 60.0)])
    assert _value(metrics, "sweeps_total", trigger="nightly") == 2
    assert _value(metrics, "sweep_failures_total", trigger="nightly") == 1
    assert _value(metrics, "last_sweep_timestamp_seconds") == ONE_PM
    assert _value(metrics, "last_sweep_success_timestamp_seconds") == MIDNIGHT.timestamp()
    assert _value(metrics, "sweep_duration_seconds_count") == 1


def test_planned_evictions_move_no_eviction_counter() -> None:
    """A dry run is a sweep, but nothing went, failed or was spared."""
    metrics = _metrics([EvictionEnded(Trigger.NIGHTLY, PLANNED), SweepEnded(DRY_REPORT, MIDNIGHT)])
    quiet = _metrics()
    moved = set(_own_lines(metrics.registry).splitlines()) - set(_own_lines(quiet.registry).splitlines())
    assert {line for line in moved if "evict" in line or "reclaimed" in line or "estimated" in line} == set()
    assert _value(metrics, "sweeps_total", trigger="nightly") == 1


def test_evictions_are_counted_as_they_happen_and_once() -> None:
    """An eviction counts when it ended, and not again with its sweep's report."""
    metrics = _metrics([EvictionEnded(Trigger.NIGHTLY, EVICTED), SweepEnded(report(), MIDNIGHT)])
    assert _value(metrics, "evictions_total", reason="expired") == 1
    assert _value(metrics, "reclaimed_bytes_total", reason="expired") == EVICTED.reclaimed_bytes
    assert _value(metrics, "estimated_bytes_total", reason="expired") == EVICTED.estimated_bytes
    assert _value(metrics, "eviction_failures_total") == 0


def test_image_states_add_up_to_all_images() -> None:
    """Every state has a series, and the sum is the plan's images."""
    metrics = _metrics([COUNTED])
    states = {state: _value(metrics, "images", state=state) for state in ("evictable", *KeepReason)}
    assert sum(value or 0 for value in states.values()) == len(NIGHT.evictions) + len(NIGHT.kept)
    assert None not in states.values()
    assert (states["evictable"], states["in_use"], states["pinned"]) == (4, 2, 0)


def test_what_could_be_freed_and_who_holds_the_rest_is_shown() -> None:
    """Each trigger's candidates have the bytes that they free together, and each holder its bytes."""
    metrics = _metrics([SPACE])
    assert _value(metrics, "reclaimable_bytes", trigger="nightly") == 4 * GIB
    assert _value(metrics, "reclaimable_bytes", trigger="pressure") == GIB
    assert {holder: _value(metrics, "filesystem_held_bytes", holder=holder) for holder in HELD} == HELD


def test_bytes_that_cannot_be_foretold_have_no_sample() -> None:
    """Where the runtime does not tell what images share there is no figure, not even an earlier one."""
    for events in ([], [SPACE_UNKNOWN], [SPACE, SPACE_UNKNOWN]):
        metrics = _metrics(events)
        assert _value(metrics, "reclaimable_bytes", trigger="nightly") is None
        assert _value(metrics, "filesystem_held_bytes", holder="in_use") is None


def test_a_runtime_that_went_is_down() -> None:
    """runtime_up follows the runtime; its version stays known."""
    up = _metrics([CONTAINERD])
    down = _metrics([CONTAINERD, RuntimeDown(AWAY)])
    assert (_value(_metrics(), "runtime_up"), _value(up, "runtime_up"), _value(down, "runtime_up")) == (0, 1, 0)
    assert _value(down, "runtime_info", name="containerd", version="2.1.4") == 1


def test_an_upgraded_runtime_leaves_no_old_version() -> None:
    """There is one runtime_info, the latest."""
    metrics = _metrics([CONTAINERD, RuntimeUp(RuntimeVersion("containerd", "2.2.0"), "/var/lib/containerd")])
    assert _own_lines(metrics.registry).count("cleaner_runtime_info{") == 1


def test_the_filesystem_is_read_at_the_scrape() -> None:
    """Each scrape shows what the disk says at that moment."""
    readings = iter([FULL, BYTES_ONLY])
    metrics = Metrics(read_usage=lambda: next(readings))
    assert _value(metrics, "filesystem_files", filesystem="images") == FULL.inodes
    assert _value(metrics, "filesystem_files", filesystem="images") is None


def _broken() -> Usage:
    raise UNREAD


@pytest.mark.parametrize("read_usage", [lambda: None, _broken])
def test_an_unreadable_filesystem_has_no_sample(read_usage: object) -> None:
    """A disk that cannot be read leaves its series out, and the rest of the scrape stands."""
    metrics = Metrics(read_usage=read_usage)  # type: ignore[arg-type]
    assert _value(metrics, "filesystem_size_bytes", filesystem="images") is None
    assert _value(metrics, "runtime_up") == 0


def test_the_next_nightly_sweep_is_shown_and_withdrawn() -> None:
    """The time of the next nightly sweep follows the calendar; none is none."""
    metrics = _metrics([Checked(FULL, MIDNIGHT)])
    assert _value(metrics, "next_nightly_timestamp_seconds") == MIDNIGHT.timestamp()
    metrics.record(Checked(FULL, None))
    assert _value(metrics, "next_nightly_timestamp_seconds") is None


def test_marks_are_ratios() -> None:
    """Marks are shown as ratios, so that alerts repeat no number."""
    metrics = _metrics()
    assert _value(metrics, "high_watermark_ratio", filesystem="images", resource="bytes") == 0.75
    assert _value(metrics, "low_watermark_ratio", filesystem="images", resource="inodes") == 0.75


def test_a_failed_request_is_a_request_and_a_failure() -> None:
    """Requests and failures are two counters; a duration of exactly a bucket's bound is in it."""
    metrics = _metrics()
    metrics.record_runtime_call("Version", 0.01, ok=False)
    assert _value(metrics, "runtime_requests_total", method="Version") == 1
    assert _value(metrics, "runtime_request_failures_total", method="Version") == 1
    assert _value(metrics, "runtime_request_duration_seconds_bucket", le="0.01") == 1


def _documented() -> dict[str, tuple[str, frozenset[str]]]:
    rows = re.findall(r"^\| `(cleaner_\w+)` \| (\w+) \|([^|]*)\| [^|]+ \|$", DOCUMENT.read_text(), re.MULTILINE)
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def _exposed() -> dict[str, tuple[str, frozenset[str]]]:
    families = [family for family in _after_everything().registry.collect() if family.name.startswith("cleaner_")]
    return {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            frozenset(label for sample in family.samples for label in sample.labels if label != "le"),
        )
        for family in families
    }


def test_the_document_describes_what_is_exposed() -> None:
    """docs/metrics.md has each metric's name, type and labels, and no other metric."""
    assert _documented() == _exposed()
