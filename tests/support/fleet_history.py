"""Thirty days of the fleet of fleet_nodes.py as a Prometheus would have them: all targets, all metrics of ours.

It has no list of names: ours are those of the golden scrape, so a removed metric has no history either.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from support.daemon_process import read_scrape
from support.fleet_nodes import CAME, DAY, END, GIB, HIGH, HOUR, KUBELET, LOW, NODES, START, UNCOVERED, HistoryNode
from support.prometheus_server import create_blocks

STEP_SECONDS = 2 * HOUR
"""Between two scrapes, unless a shorter time is asked for."""
GOLDEN = Path(__file__).parents[1] / "unit" / "outlets" / "golden" / "metrics.txt"
_ESTIMATED = 0.97
_IMAGE_BYTES = 1.5 * GIB
_TIMES = {"kube_node_created", "process_start_time_seconds"}
"""Values that are times, besides those whose name says so."""

Sample = tuple[str, dict[str, str], float]


def lookback(step_seconds: int = STEP_SECONDS) -> str:
    """A flag for the Prometheus that serves it: a sample counts until the next one, by default five minutes."""
    return f"--query.lookback-delta={step_seconds + 60}s"


def make_blocks(folder: Path, start: int = START, step_seconds: int = STEP_SECONDS) -> int:
    """Make blocks of the history in a folder's `data`, for a Prometheus to serve; how many samples that are."""
    text = folder / "history.txt"
    samples = write_history(text, range(start, END + 1, step_seconds))
    create_blocks(text, folder / "data")
    text.unlink()
    return samples


def write_history(
    file: Path,
    times: Iterable[int] = range(START, END + 1, STEP_SECONDS),
    end: int = END,
    more: Iterable[tuple[int, Sample]] = (),
) -> int:
    """Write the history as OpenMetrics, for promtool to make blocks of; how many samples that are.

    Moved so that it ends at another time, and with more samples, whose times are still those of this module.
    """
    shift = end - END
    by_name: dict[str, list[str]] = {}
    own = ((at, sample) for at in times for sample in _samples(at))
    for at, (name, labels, value) in chain(own, more):
        quoted = ",".join(f'{label}="{word}"' for label, word in sorted(labels.items()))
        moved = value + shift if name.endswith("_timestamp_seconds") or name in _TIMES else value
        by_name.setdefault(name, []).append(f"{name}{{{quoted}}} {moved} {at + shift}\n")
    with file.open("w", encoding="utf-8") as out:
        for name in sorted(by_name):
            out.writelines(by_name[name])
        out.write("# EOF\n")
    return sum(map(len, by_name.values()))


def _samples(at: int) -> Iterator[Sample]:
    for node in NODES:
        yield from _neighbours(node, at)
        if at >= CAME:
            job = {"job": "node-image-cleaner"} | node.labels
            own = own_samples(node.mode, figures_of(node, at))
            yield from ((name, labels | job, value) for name, labels, value in own)
    yield from _cluster_state(at)


def _neighbours(node: HistoryNode, at: int) -> Iterator[Sample]:
    """What node_exporter and the kubelet say of a node; in staging nobody set node_exporter's instance to the node."""
    exporter = node.labels | {"job": "node-exporter", "mountpoint": "/", "fstype": "ext4", "device": "/dev/vda1"}
    exporter.pop("node")
    if node.environment == "staging":
        exporter["instance"] = f"10.0.0.{NODES.index(node)}:9100"
    yield "node_filesystem_size_bytes", exporter, node.size_bytes
    yield "node_filesystem_avail_bytes", exporter, node.size_bytes * (1 - node.used(at))
    kubelet = {"job": "kubelet", "cluster": node.cluster, "instance": f"{node.name}:10250", "node": node.name}
    yield "kubelet_image_garbage_collected_total", kubelet | {"reason": "space"}, node.collected(at)
    yield "kubelet_image_garbage_collected_total", kubelet | {"reason": "age"}, 0


def _cluster_state(at: int) -> Iterator[Sample]:
    """What kube-state-metrics says: one node was under DiskPressure before the cleaner came."""
    job = {"job": "kube-state-metrics", "instance": "kube-state-metrics:8080"}
    known = [(node.name, node.cluster) for node in NODES] + [(UNCOVERED, "main")]
    for name, cluster in known:
        labels = job | {"cluster": cluster, "node": name}
        yield "kube_node_info", labels | {"os_image": "Debian GNU/Linux 12 (bookworm)"}, 1
        pressed = float(name == "staging-a" and START + 2 * DAY <= at < START + 3 * DAY)
        yield "kube_node_status_condition", labels | {"condition": "DiskPressure", "status": "true"}, pressed
    waiting = job | {"cluster": "main", "namespace": "apps", "pod": "web-0", "container": "web"}
    yield "kube_pod_container_status_waiting_reason", waiting | {"reason": "ImagePullBackOff"}, float(at < CAME)


def own_samples(mode: str, figures: Mapping[str, float]) -> Iterator[Sample]:
    """All metrics of the golden scrape with all of their labels, in these figures; 0 where there is none."""
    for name, labels in _GOLDEN_SERIES:
        own = dict(labels)
        if name == "image_cleaner_config_info":
            own["mode"] = mode
        yield name, own, figures.get(name, 0.0) * _share(name, own, mode)
    yield "process_resident_memory_bytes", {}, 60 * 2.0**20


def figures_of(node: HistoryNode, at: int) -> dict[str, float]:
    """A figure for each name; for names with labels the sum of them, for counters since the cleaner came."""
    used = node.used(at)
    sweeps = node.sweeps(at)
    days = (at - CAME) // DAY
    observes = node.mode == "observe"
    reclaimed = node.reclaimed(at) * node.size_bytes
    evictions = reclaimed // _IMAGE_BYTES
    counters = {
        "image_cleaner_sweeps_total": sweeps,
        "image_cleaner_sweep_ends_total": sweeps - sweeps // 9,
        "image_cleaner_sweep_failures_total": sweeps // 9,
        "image_cleaner_evictions_total": evictions,
        "image_cleaner_reclaimed_bytes_total": reclaimed,
        "image_cleaner_estimated_bytes_total": reclaimed * _ESTIMATED,
        "image_cleaner_evictions_spared_total": evictions // 40,
        "image_cleaner_eviction_failures_total": evictions // 100,
        "image_cleaner_repulls_total": evictions // 60,
        "image_cleaner_repulled_bytes_total": evictions // 60 * GIB,
        "image_cleaner_observed_evictions_total": 3 * days * observes,
        "image_cleaner_observed_regrets_total": days // 3 * observes,
        "image_cleaner_images_removed_externally_total": days // 6,
        "image_cleaner_runtime_requests_total": 40_000 * (at - CAME) / DAY,
        "image_cleaner_runtime_request_failures_total": 2 * days,
        "image_cleaner_log_messages_total": 30 * days,
        "image_cleaner_sweep_duration_seconds_bucket": sweeps,
        "image_cleaner_sweep_duration_seconds_count": sweeps,
        "image_cleaner_sweep_duration_seconds_sum": 90.0 * sweeps,
        "image_cleaner_runtime_request_duration_seconds_bucket": 40_000.0 * (at - CAME) / DAY,
        "image_cleaner_runtime_request_duration_seconds_count": 40_000.0 * (at - CAME) / DAY,
        "image_cleaner_runtime_request_duration_seconds_sum": 800.0 * (at - CAME) / DAY,
    }
    return _gauges(node, at, used) | {name: float(value) for name, value in counters.items()}


def _gauges(node: HistoryNode, at: int, used: float) -> dict[str, float]:
    last = node.next_sweep(at) - node.cycle if node.sweeps(at) else 0.0
    return {
        "image_cleaner_build_info": 1.0,
        "image_cleaner_runtime_info": 1.0,
        "image_cleaner_config_info": 1.0,
        "image_cleaner_runtime_up": float(not (node.name == "prod-b" and DAY <= at - CAME < DAY + 4 * HOUR)),
        "image_cleaner_ledger_up": 1.0,
        "image_cleaner_container_events_up": 1.0,
        "image_cleaner_pulls_readable": 1.0,
        "image_cleaner_installed_timestamp_seconds": float(CAME),
        "image_cleaner_filesystem_size_bytes": float(node.size_bytes),
        "image_cleaner_filesystem_avail_bytes": node.size_bytes * (1 - used),
        "image_cleaner_filesystem_files": 6_000_000.0,
        "image_cleaner_filesystem_files_free": 6_000_000 * (1 - used / 2),
        "image_cleaner_high_watermark_ratio": HIGH,
        "image_cleaner_low_watermark_ratio": LOW,
        "image_cleaner_kubelet_threshold_ratio": KUBELET,
        "image_cleaner_kubelet_config_read": 1.0,
        "image_cleaner_low_watermark_reachable": 1.0,
        "image_cleaner_images": used * node.size_bytes // _IMAGE_BYTES,
        "image_cleaner_reclaimable_bytes": node.size_bytes * used * _HOLDER_SHARES["evictable"],
        "image_cleaner_filesystem_held_bytes": node.size_bytes * used,
        "image_cleaner_time_to_high_watermark_seconds": node.until(HIGH, at),
        "image_cleaner_time_to_kubelet_threshold_seconds": node.until(KUBELET + used * _HOLDER_SHARES["evictable"], at),
        "image_cleaner_last_sweep_timestamp_seconds": last,
        "image_cleaner_last_sweep_success_timestamp_seconds": last,
        "image_cleaner_next_nightly_timestamp_seconds": node.next_sweep(at),
    }


_BOUNDS = {"0.01": 0.6, "0.1": 0.95, "1.0": 1.0, "10.0": 1.0, "60.0": 0.5}
"""Of buckets: what share lies below; 1 above the largest that is named."""
_HOLDER_SHARES = {
    "in_use": 0.40,
    "kept": 0.20,
    "evictable": 0.25,
    "non_image": 0.09,
    "reserved": 0.03,
    "other_namespaces": 0.01,
    "unlisted": 0.02,
}
_STATES = {"in_use": 0.45, "recent": 0.12, "newest": 0.10, "unexpired": 0.05, "protected": 0.03, "evictable": 0.25}
_LEVELS = {"info": 0.9, "warning": 0.08, "error": 0.02}
_NIGHTLY = {("trigger", "nightly"), ("reason", "done")}
_UNDER_PRESSURE = {("trigger", "pressure"), ("reason", "low_watermark")}
_DONE = {"image_cleaner_sweep_ends_total", "image_cleaner_sweeps_total", "image_cleaner_sweep_failures_total"}
_EVICTED = {
    "image_cleaner_evictions_total",
    "image_cleaner_reclaimed_bytes_total",
    "image_cleaner_estimated_bytes_total",
}
_WHOLE = {
    "image_cleaner_high_watermark_ratio",
    "image_cleaner_low_watermark_ratio",
    "image_cleaner_kubelet_threshold_ratio",
    "image_cleaner_reclaimable_bytes",
}


def _share(name: str, labels: dict[str, str], mode: str) -> float:
    """A series' share of the sum over all of its name; 1 for watermarks, infos and buckets, which are no parts."""
    pressure = mode == "pressure"
    if "le" in labels:
        return _BOUNDS.get(labels["le"], 1.0)
    if name in _WHOLE or name.endswith("_info"):
        return 1.0
    if name in _EVICTED:
        return float(labels["reason"] == ("pressure" if pressure else "expired"))
    if name in _DONE:
        return float(labels.items() <= (_UNDER_PRESSURE if pressure else _NIGHTLY))
    shares = {
        "image_cleaner_images": _STATES,
        "image_cleaner_filesystem_held_bytes": _HOLDER_SHARES,
        "image_cleaner_log_messages_total": _LEVELS,
    }
    if name in shares:
        return shares[name].get(next(iter(labels.values())), 0.0)
    return 1 / _PARTS[name]


def _golden_series() -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    scrape = read_scrape(GOLDEN.read_text("utf-8"))
    return tuple((name, tuple(sorted(labels))) for name, labels in scrape.samples)


_GOLDEN_SERIES = _golden_series()
_PARTS = {name: sum(known == name for known, _ in _GOLDEN_SERIES) for name, _ in _GOLDEN_SERIES}
