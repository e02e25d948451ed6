"""What Prometheus reads, from events to the scrape."""

import math
import os
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.core.events import Checked, EvictionEnded, RuntimeDown, RuntimeUp, SweepEnded, SweepFailed
from cleaner.core.model import KeepReason, RuntimeVersion, Trigger
from cleaner.core.pressure.forecast import Forecast
from cleaner.outlets.metrics.outlet import Metrics
from cleaner.runtime.rpc import methods
from unit.outlets.happenings import (
    BYTES_ONLY,
    CONTAINERD,
    COUNTED,
    DRY_REPORT,
    EVERYTHING,
    EVICTED,
    FILLING,
    FULL,
    GIB,
    HELD,
    MIDNIGHT,
    NIGHT,
    PLANNED,
    SEVERAL,
    SPACE,
    SPACE_IN_VAIN,
    SPACE_UNKNOWN,
    UNAVAILABLE,
    UNREAD,
    report,
)
from unit.outlets.written import metrics_after, value

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.txt"
MOST_SERIES = 150
MOST_SERIES_OF_THREE = 180
ONE_PM = MIDNIGHT + timedelta(hours=13)


def _after_everything(usage: Usage = FULL) -> Metrics:
    metrics = metrics_after(EVERYTHING, usage)
    for seconds, ok in ((0.005, True), (0.05, True), (130.0, False)):
        metrics.record_runtime_call("RemoveImage", seconds, ok)
    metrics.record_log("info")
    metrics.record_log("error")
    return metrics


def _own_lines(registry: CollectorRegistry) -> str:
    lines = generate_latest(registry).decode().splitlines(keepends=True)
    return "".join(line for line in lines if not re.match(r"(# \w+ )?process_", line))


def test_a_scrape_is_the_golden_one() -> None:
    """A fixed nightly run and burst give exactly the scrape that is committed (UPDATE_GOLDEN=1 writes it anew)."""
    scraped = _own_lines(_after_everything().registry)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(scraped)
    assert scraped == GOLDEN.read_text()


def test_series_stay_few() -> None:
    """With everything known, the process's own included, a scrape has at most 150 series."""
    series = [line for line in generate_latest(_after_everything().registry).splitlines() if not line.startswith(b"#")]
    assert len(series) <= MOST_SERIES


def test_series_stay_few_with_three_filesystems() -> None:
    """Three filesystems that a sweep may lower have at most 180 series."""
    usage = replace(SEVERAL, others=tuple(each for each in SEVERAL.others if each in SEVERAL.freeable))
    scrape = generate_latest(_after_everything(usage).registry)
    assert len([line for line in scrape.splitlines() if not line.startswith(b"#")]) <= MOST_SERIES_OF_THREE


def test_no_series_appears_later() -> None:
    """Every labelled counter is there at 0 before anything happened, so that increase() sees the first one."""
    before = _own_lines(metrics_after().registry)
    after = _own_lines(_after_everything().registry)
    series = {line.rpartition(" ")[0] for line in after.splitlines() if not line.startswith("#")}
    known_later = {
        "image_cleaner_runtime_info",
        "image_cleaner_kubelet_",
        "timestamp_seconds",
        "reclaimable_bytes",
        "held_bytes",
    }
    missing = {name for name in series if name not in before and not any(word in name for word in known_later)}
    assert missing == set()


def test_the_registry_is_its_own() -> None:
    """Two outlets share nothing."""
    first, second = metrics_after([SweepEnded(report(), MIDNIGHT)]), metrics_after()
    assert value(first, "sweeps_total", trigger="nightly") == 1
    assert value(second, "sweeps_total", trigger="nightly") == 0


def test_a_given_registry_is_used() -> None:
    """A registry may be handed in."""
    registry = CollectorRegistry()
    assert Metrics(registry).registry is registry


def test_unknown_times_have_no_sample() -> None:
    """Before the first sweep there is no time of a last one, rather than 1970."""
    metrics = metrics_after()
    assert value(metrics, "last_sweep_timestamp_seconds") is None
    assert value(metrics, "last_sweep_success_timestamp_seconds") is None
    assert value(metrics, "next_nightly_timestamp_seconds") is None
    assert value(metrics, "installed_timestamp_seconds") is None


def test_a_failed_sweep_is_an_attempt_and_a_failure() -> None:
    """A failed sweep counts twice, moves the time of the last sweep, and not that of the last success."""
    metrics = metrics_after([SweepEnded(report(), MIDNIGHT), SweepFailed(Trigger.NIGHTLY, UNAVAILABLE, 60.0, ONE_PM)])
    assert value(metrics, "sweeps_total", trigger="nightly") == 2
    assert value(metrics, "sweep_failures_total", trigger="nightly") == 1
    assert value(metrics, "last_sweep_timestamp_seconds") == ONE_PM.timestamp()
    assert value(metrics, "last_sweep_success_timestamp_seconds") == MIDNIGHT.timestamp()
    assert value(metrics, "sweep_duration_seconds_count") == 1


def test_planned_evictions_move_no_eviction_counter() -> None:
    """A dry run is a sweep, but nothing was evicted, failed or was spared."""
    metrics = metrics_after([EvictionEnded(Trigger.NIGHTLY, PLANNED, MIDNIGHT), SweepEnded(DRY_REPORT, MIDNIGHT)])
    quiet = metrics_after()
    moved = set(_own_lines(metrics.registry).splitlines()) - set(_own_lines(quiet.registry).splitlines())
    assert {line for line in moved if "evict" in line or "reclaimed" in line or "estimated" in line} == set()
    assert value(metrics, "sweeps_total", trigger="nightly") == 1


def test_evictions_are_counted_as_they_happen_and_once() -> None:
    """An eviction counts when it ended, and not again with its sweep's report."""
    metrics = metrics_after([EvictionEnded(Trigger.NIGHTLY, EVICTED, MIDNIGHT), SweepEnded(report(), MIDNIGHT)])
    assert value(metrics, "evictions_total", reason="expired") == 1
    assert value(metrics, "reclaimed_bytes_total", reason="expired") == EVICTED.reclaimed_bytes
    assert value(metrics, "estimated_bytes_total", reason="expired") == EVICTED.estimated_bytes
    assert value(metrics, "eviction_failures_total") == 0


def test_image_states_add_up_to_all_images() -> None:
    """Every state has a series, and the sum is the plan's images."""
    metrics = metrics_after([COUNTED])
    states = {state: value(metrics, "images", state=state) for state in ("evictable", *KeepReason)}
    assert sum(value or 0 for value in states.values()) == len(NIGHT.evictions) + len(NIGHT.kept)
    assert None not in states.values()
    assert (states["evictable"], states["in_use"], states["pinned"]) == (4, 2, 0)


def test_reclaimable_bytes_and_bytes_by_holder_are_shown() -> None:
    """Each trigger's candidates have the bytes that they free together, and each holder its bytes."""
    metrics = metrics_after([SPACE])
    assert value(metrics, "reclaimable_bytes", trigger="nightly") == 4 * GIB
    assert value(metrics, "reclaimable_bytes", trigger="pressure") == GIB
    assert {holder: value(metrics, "filesystem_held_bytes", holder=holder) for holder in HELD} == HELD


def test_bytes_that_were_not_measured_are_compared_with_nothing() -> None:
    """Where removals are not measured, as on ZFS, estimates do not count: they would seem wrong."""
    metrics = metrics_after([EvictionEnded(Trigger.PRESSURE, replace(EVICTED, reclaimed_bytes=None), MIDNIGHT)])
    assert value(metrics, "evictions_total", reason="expired") == 1
    assert value(metrics, "reclaimed_bytes_total", reason="expired") == 0
    assert value(metrics, "estimated_bytes_total", reason="expired") == 0


def test_bytes_that_cannot_be_estimated_have_no_sample() -> None:
    """Where the runtime does not tell what images share there is no figure, not even an earlier one."""
    for events in ([], [SPACE_UNKNOWN], [SPACE, SPACE_UNKNOWN]):
        metrics = metrics_after(events)
        assert value(metrics, "reclaimable_bytes", trigger="nightly") is None
        assert value(metrics, "filesystem_held_bytes", holder="in_use") is None


def test_a_runtime_that_became_unavailable_is_down() -> None:
    """runtime_up follows the runtime; its version stays known."""
    up = metrics_after([CONTAINERD])
    down = metrics_after([CONTAINERD, RuntimeDown(UNAVAILABLE)])
    assert (value(metrics_after(), "runtime_up"), value(up, "runtime_up"), value(down, "runtime_up")) == (0, 1, 0)
    assert value(down, "runtime_info", name="containerd", version="2.1.4") == 1


def test_an_upgraded_runtime_leaves_no_old_version() -> None:
    """There is one runtime_info, the latest."""
    metrics = metrics_after([CONTAINERD, RuntimeUp(RuntimeVersion("containerd", "2.2.0"), "/var/lib/containerd")])
    assert _own_lines(metrics.registry).count("image_cleaner_runtime_info{") == 1


def test_the_filesystem_is_read_at_the_scrape() -> None:
    """Each scrape shows what the disk says at that moment."""
    readings = iter([FULL, BYTES_ONLY])
    metrics = Metrics(read_usage=lambda: next(readings))
    assert value(metrics, "filesystem_files", filesystem="images") == FULL.inodes
    assert value(metrics, "filesystem_files", filesystem="images") is None


def _broken() -> Usage:
    raise UNREAD


@pytest.mark.parametrize("read_usage", [lambda: None, _broken])
def test_an_unreadable_filesystem_has_no_sample(read_usage: object) -> None:
    """A disk that cannot be read leaves its series out, and the rest of the scrape stands."""
    metrics = Metrics(read_usage=read_usage)  # type: ignore[arg-type]
    assert value(metrics, "filesystem_size_bytes", filesystem="images") is None
    assert value(metrics, "runtime_up") == 0


def test_the_next_nightly_sweep_is_shown_and_withdrawn() -> None:
    """The time of the next nightly sweep follows the calendar; none is none."""
    metrics = metrics_after([Checked(FULL, MIDNIGHT)])
    assert value(metrics, "next_nightly_timestamp_seconds") == MIDNIGHT.timestamp()
    metrics.record(Checked(FULL, None))
    assert value(metrics, "next_nightly_timestamp_seconds") is None


def test_each_filesystem_has_series_of_its_own() -> None:
    """Sizes of all of them, watermarks of those that can be driven down."""
    metrics = metrics_after(usage=SEVERAL)
    sizes = {name: value(metrics, "filesystem_avail_bytes", filesystem=name) for name in Filesystem}
    assert sizes == {"images": 20 * GIB, "content": 30 * GIB, "snapshots": 30 * GIB, "containers": 20 * GIB}
    watermarks = {
        name: value(metrics, "high_watermark_ratio", filesystem=name, resource="bytes") for name in Filesystem
    }
    assert watermarks == {"images": 0.75, "content": 0.75, "snapshots": 0.75, "containers": None}
    assert value(metrics, "filesystem_files", filesystem="containers") is None


def test_forecasts_are_shown_and_withdrawn() -> None:
    """Times are those of the last check, +Inf where nothing fills; none are left once the disk cannot be read."""
    names = ("time_to_high_watermark_seconds", "time_to_kubelet_threshold_seconds", "pulls_projected_bytes")
    metrics = metrics_after([FILLING])
    assert [value(metrics, name) for name in names] == [90.0, 1234.5, 3 * GIB]
    metrics.record(Checked(FULL, None, Forecast(FULL)))
    assert [value(metrics, name) for name in names] == [math.inf, math.inf, 0]
    assert "image_cleaner_time_to_kubelet_threshold_seconds +Inf" in _own_lines(metrics.registry)
    metrics.record(Checked(None, None))
    assert [value(metrics, name) for name in names] == [None, None, None]


@pytest.mark.parametrize(("reachable", "shown"), [(None, None), (True, 1), (False, 0)])
def test_whether_the_low_watermark_is_within_reach_is_shown(*, reachable: bool | None, shown: float | None) -> None:
    """1 or 0, and nothing where that is not known, not even what was known before."""
    metrics = metrics_after([SPACE_IN_VAIN, replace(SPACE, low_watermark_reachable=reachable)])
    assert value(metrics, "low_watermark_reachable") == shown


def test_watermarks_are_ratios() -> None:
    """Watermarks are shown as ratios, so that alerts repeat no number."""
    metrics = metrics_after()
    assert value(metrics, "high_watermark_ratio", filesystem="images", resource="bytes") == 0.75
    assert value(metrics, "low_watermark_ratio", filesystem="images", resource="inodes") == 0.75


@pytest.mark.parametrize("each", [each for each in vars(methods).values() if isinstance(each, methods.Method)])
def test_every_request_has_its_series_from_the_start(each: methods.Method[Any, Any]) -> None:
    """CRI's methods each have their own, containerd's API has one: no request adds a series."""
    metrics = metrics_after()
    before = _own_lines(metrics.registry).count("\n")
    metrics.record_runtime_call(each.name, 0.01, ok=False)
    assert value(metrics, "runtime_requests_total", method="containerd" if each.optional else each.name) == 1
    assert _own_lines(metrics.registry).count("\n") == before


def test_a_failed_request_is_a_request_and_a_failure() -> None:
    """Requests and failures are two counters; a duration of exactly a bucket's bound is in it."""
    metrics = metrics_after()
    metrics.record_runtime_call("Version", 0.01, ok=False)
    assert value(metrics, "runtime_requests_total", method="Version") == 1
    assert value(metrics, "runtime_request_failures_total", method="Version") == 1
    assert value(metrics, "runtime_request_duration_seconds_bucket", le="0.01") == 1
