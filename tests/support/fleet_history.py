"""Thirty days of a small fleet that is made up: six nodes fill, and after ten days the cleaner comes to them.

Refuses chance: the same history every time, so a picture or a test of it can be compared; it can only be moved in time.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from support.daemon_process import read_scrape

GIB = 1 << 30
HOUR = 3600
DAY = 24 * HOUR
END = 1_767_225_600
"""2026-01-01T00:00Z; the history ends there."""
DAYS = 30
START = END - DAYS * DAY
CAME = START + 10 * DAY
STEP_SECONDS = 2 * HOUR
"""Between two scrapes."""
SIZE_BYTES = 100 * GIB
HIGH, LOW, KUBELET = 0.75, 0.65, 0.85
GOLDEN = Path(__file__).parents[1] / "unit" / "outlets" / "golden" / "metrics.txt"
_CYCLE = 2 * DAY
"""From one sweep that evicts to the next."""
_RECLAIMED_BYTES = 20 * GIB
_ESTIMATED = 0.97
_TIMES = {"kube_node_created", "process_start_time_seconds"}
"""Values that are times, besides those whose name says so."""

Sample = tuple[str, dict[str, str], float]


@dataclass(frozen=True)
class HistoryNode:
    """One node, and what Prometheus calls it."""

    name: str
    environment: str
    pool: str
    cluster: str
    mode: str = "full"
    filling: bool = False
    """Whether it fills at the end, so that there is a forecast."""

    @property
    def labels(self) -> dict[str, str]:
        """The target labels of whatever is scraped on it."""
        known = {"environment": self.environment, "pool": self.pool, "cluster": self.cluster}
        return known | {"instance": self.name, "node": self.name}

    def used(self, at: float) -> float:
        """The share used: near the kubelet's mark before, a low saw-tooth afterwards, or as before in mode observe."""
        shift = 0.02 * (len(self.name) % 3)
        if at < CAME or self.mode == "observe":
            return 0.80 + shift + 0.03 * ((at - START) % (3 * DAY)) / (3 * DAY)
        return 0.30 + shift + 0.20 * ((at - CAME) % _CYCLE) / _CYCLE


NODES = (
    HistoryNode("prod-a", "production", "large", "main"),
    HistoryNode("prod-bb", "production", "large", "main", filling=True),
    HistoryNode("preprod-a", "preproduction", "small", "main"),
    HistoryNode("staging-a", "staging", "small", "side"),
    HistoryNode("staging-bb", "staging", "small", "side", mode="pressure"),
    HistoryNode("staging-ccc", "staging", "small", "side", mode="observe"),
)
UNCOVERED = "prod-new"
"""A node of cluster main that has no agent."""


def write_history(file: Path, end: int = END, more: Iterable[tuple[int, Sample]] = ()) -> int:
    """Write the history as OpenMetrics, for promtool to make blocks of; how many samples that are.

    Moved so that it ends at another time, and with more samples, whose times are still those of this module.
    """
    shift = end - END
    by_name: dict[str, list[str]] = {}
    own = ((at, sample) for at in range(START, END + 1, STEP_SECONDS) for sample in _samples(at))
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
    yield "node_filesystem_size_bytes", exporter, SIZE_BYTES
    yield "node_filesystem_avail_bytes", exporter, SIZE_BYTES * (1 - node.used(at))
    kubelet = {"job": "kubelet", "cluster": node.cluster, "instance": f"{node.name}:10250", "node": node.name}
    removed = (min(at, CAME) - START) // DAY * 3
    yield "kubelet_image_garbage_collected_total", kubelet | {"reason": "space"}, removed
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
        if name == "cleaner_config_info":
            own["mode"] = mode
        value = figures.get(name, 0.0)
        yield name, own, _partition(name, own, value)
    yield "process_resident_memory_bytes", {}, 60 * 2.0**20


def figures_of(node: HistoryNode, at: int) -> dict[str, float]:
    """A figure for each name; for names with labels the sum of them, for counters since the cleaner came."""
    used = node.used(at)
    cycles = (at - CAME) // _CYCLE
    days = (at - CAME) // DAY
    evicts = node.mode != "observe"
    endless = float("inf")
    counters = {
        "cleaner_sweeps_total": days,
        "cleaner_sweep_stops_total": days - days // 9,
        "cleaner_sweep_failures_total": days // 9,
        "cleaner_evictions_total": 12 * cycles * evicts,
        "cleaner_reclaimed_bytes_total": _RECLAIMED_BYTES * cycles * evicts,
        "cleaner_estimated_bytes_total": _RECLAIMED_BYTES * _ESTIMATED * cycles * evicts,
        "cleaner_evictions_spared_total": cycles // 2 * evicts,
        "cleaner_eviction_failures_total": cycles // 5 * evicts,
        "cleaner_repulls_total": cycles // 4 * evicts,
        "cleaner_repulled_bytes_total": cycles // 4 * evicts * GIB,
        "cleaner_observed_evictions_total": 3 * days * (not evicts),
        "cleaner_observed_regrets_total": days // 3 * (not evicts),
        "cleaner_images_vanished_total": days // 6,
        "cleaner_runtime_requests_total": 40_000 * days,
        "cleaner_runtime_request_failures_total": 2 * days,
        "cleaner_log_messages_total": 30 * days,
        "cleaner_sweep_duration_seconds_bucket": days,
        "cleaner_sweep_duration_seconds_count": days,
        "cleaner_sweep_duration_seconds_sum": 90.0 * days,
        "cleaner_runtime_request_duration_seconds_bucket": 40_000.0 * days,
        "cleaner_runtime_request_duration_seconds_count": 40_000.0 * days,
        "cleaner_runtime_request_duration_seconds_sum": 800.0 * days,
    }
    gauges = {
        "cleaner_build_info": 1.0,
        "cleaner_runtime_info": 1.0,
        "cleaner_config_info": 1.0,
        "cleaner_runtime_up": float(not (node.name == "prod-bb" and DAY <= at - CAME < DAY + 4 * HOUR)),
        "cleaner_ledger_up": 1.0,
        "cleaner_installed_timestamp_seconds": float(CAME),
        "cleaner_filesystem_size_bytes": float(SIZE_BYTES),
        "cleaner_filesystem_avail_bytes": SIZE_BYTES * (1 - used),
        "cleaner_filesystem_files": 6_000_000.0,
        "cleaner_filesystem_files_free": 6_000_000 * (1 - used / 2),
        "cleaner_high_watermark_ratio": HIGH,
        "cleaner_low_watermark_ratio": LOW,
        "cleaner_kubelet_watermark_ratio": KUBELET,
        "cleaner_kubelet_config_read": 1.0,
        "cleaner_low_watermark_reachable": 1.0,
        "cleaner_images": 60.0,
        "cleaner_reclaimable_bytes": 30.0 * GIB,
        "cleaner_filesystem_held_bytes": SIZE_BYTES * used,
        "cleaner_time_to_high_watermark_seconds": (HIGH - used) * 10 * DAY if node.filling else endless,
        "cleaner_runway_seconds": (KUBELET - used) * 20 * DAY if node.filling else endless,
        "cleaner_last_sweep_timestamp_seconds": float(CAME + days * DAY),
        "cleaner_last_sweep_success_timestamp_seconds": float(CAME + days * DAY),
        "cleaner_next_nightly_timestamp_seconds": float(CAME + (days + 1) * DAY),
    }
    return gauges | {name: float(value) for name, value in counters.items()}


_BOUNDS = {"0.01": 0.6, "0.1": 0.95, "1.0": 1.0, "10.0": 1.0, "60.0": 0.5}
"""Of buckets: what share lies below; 1 above the largest that is named."""
_WHOLE = {"cleaner_high_watermark_ratio", "cleaner_low_watermark_ratio", "cleaner_kubelet_watermark_ratio"}


def _partition(name: str, labels: dict[str, str], value: float) -> float:
    """A series' part of a sum: equal parts, but of marks and infos, which are no parts, and of buckets."""
    if "le" in labels:
        return value * _BOUNDS.get(labels["le"], 1.0)
    if name in _WHOLE or name.endswith("_info"):
        return value
    return value / _PARTS[name]


def _golden_series() -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    scrape = read_scrape(GOLDEN.read_text("utf-8"))
    found = [(name, tuple(sorted(labels))) for name, labels in scrape.samples]
    # What has no sample in the golden scrape, since it was not known there.
    unknown = ("time_to_high_watermark_seconds", "runway_seconds", "pulls_expected_bytes", "low_watermark_reachable")
    return (*found, *((f"cleaner_{name}", ()) for name in unknown))


_GOLDEN_SERIES = _golden_series()
_PARTS = {name: sum(known == name for known, _ in _GOLDEN_SERIES) for name, _ in _GOLDEN_SERIES}
