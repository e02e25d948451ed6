"""What goes wrong on nodes of a cluster of their own in the last hours of the history: all that an alert is there for.

It has no figures of its own for what is well: those are the healthy fleet's.
"""

from collections.abc import Iterator

from support.fleet_history import STEP_SECONDS, Sample, figures_of, own_samples
from support.fleet_nodes import CAME, DAY, END, GIB, HOUR, NODES, HistoryNode

OFTEN_SECONDS = 300
"""Between two scrapes of the last hours: windows of an hour need more than the history has."""
ILL_SINCE = END - 9 * HOUR
_FIRST = END - 8 * DAY
_NEW_SINCE = END - 1200
_CLUSTER = "ward"
_SIZE_BYTES = 100 * GIB
_ILL = tuple(HistoryNode(name, "test", "ill", _CLUSTER, _SIZE_BYTES) for name in ("ill-a", "ill-b"))
_NEW = HistoryNode("ill-new", "test", "ill", _CLUSTER, _SIZE_BYTES)
"""As ill, but younger than half an hour."""
_DOWN, _WINDOWS = "ill-down", "ill-windows"
_KUBE_STATE = {"job": "kube-state-metrics", "instance": "kube-state-metrics:8080", "cluster": _CLUSTER}
_REASONS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "ContainerCreating")


def ill_samples() -> Iterator[tuple[int, Sample]]:
    """Times of the history and what else there is to be scraped then, of the healthy nodes' agents too."""
    for at in (*range(_FIRST, ILL_SINCE, STEP_SECONDS), *range(ILL_SINCE, END + 1, OFTEN_SECONDS)):
        agents = (*_ILL, _NEW) if at >= _NEW_SINCE else _ILL
        for node in agents:
            figures = figures_of(node, at) | _troubles(at)
            yield from ((at, _on(node, sample)) for sample in own_samples(node.mode, figures))
        for node in (*agents, *(node for node in NODES if at % STEP_SECONDS == 0)):
            yield at, _on(node, ("up", {}, float(node.name != "ill-b")))
            yield at, _on(node, ("process_start_time_seconds", {}, float(CAME)))
        yield from ((at, sample) for sample in _cluster_state([node.name for node in agents]))
        for reason, removed in (("space", _rounds(at)), ("age", 0)):
            kubelet = {"job": "kubelet", "cluster": _CLUSTER, "instance": "ill-a:10250", "node": "ill-a"}
            yield at, ("kubelet_image_garbage_collected_total", kubelet | {"reason": reason}, float(removed))


def _on(node: HistoryNode, sample: Sample) -> Sample:
    name, labels, value = sample
    return name, labels | {"job": "node-image-cleaner"} | node.labels, value


def _rounds(at: int) -> int:
    return max(0, (at - ILL_SINCE) // OFTEN_SECONDS)


def _troubles(at: int) -> dict[str, float]:
    """The figures of a node that is ill: it fills, and what it does fails or is re-pulled."""
    rounds = _rounds(at)
    used = 0.70 + 0.16 * rounds * OFTEN_SECONDS / (END - ILL_SINCE)
    return {
        "image_cleaner_runtime_up": 0.0,
        "image_cleaner_ledger_up": 0.0,
        "image_cleaner_container_events_up": 0.0,
        "image_cleaner_pulls_readable": 0.0,
        "image_cleaner_kubelet_collision": 1.0,
        "image_cleaner_low_watermark_reachable": 0.0,
        "image_cleaner_time_to_kubelet_threshold_seconds": 600.0,
        "image_cleaner_filesystem_avail_bytes": _SIZE_BYTES * (1 - used),
        "image_cleaner_reclaimable_bytes": 2.0 * GIB,
        "image_cleaner_sweep_failures_total": float(rounds),
        "image_cleaner_last_sweep_timestamp_seconds": float(at),
        "image_cleaner_last_sweep_success_timestamp_seconds": END - 100.0 * HOUR,
        "image_cleaner_next_nightly_timestamp_seconds": at + 12.0 * HOUR,
        "image_cleaner_evictions_total": 2.0 * rounds,
        "image_cleaner_eviction_failures_total": float(rounds),
        "image_cleaner_reclaimed_bytes_total": 1.0 * GIB * rounds,
        "image_cleaner_estimated_bytes_total": 2.0 * GIB * rounds,
        "image_cleaner_repulls_total": float(rounds),
        "image_cleaner_images_removed_externally_total": float(rounds),
    }


def _cluster_state(agents: list[str]) -> Iterator[Sample]:
    """What kube-state-metrics says of the cluster: nodes that are excused, and pods that wait for their image."""
    for node in (*agents, _DOWN, _WINDOWS):
        known = _KUBE_STATE | {"node": node}
        system = "Windows Server 2022 Datacenter" if node == _WINDOWS else "Debian GNU/Linux 12 (bookworm)"
        yield "kube_node_info", known | {"os_image": system}, 1.0
        yield "kube_node_created", known, float(_NEW_SINCE if node == _NEW.name else CAME)
        for status in ("true", "false", "unknown"):
            ready = known | {"condition": "Ready", "status": status}
            yield "kube_node_status_condition", ready, float(status == ("unknown" if node == _DOWN else "true"))
    for number, reason in enumerate(_REASONS):
        pod = _KUBE_STATE | {"namespace": "apps", "pod": f"web-{number}"}
        yield "kube_pod_info", pod | {"node": "ill-a", "created_by_kind": "ReplicaSet"}, 1.0
        for kind in ("", "init_"):
            waiting = pod | {"container": f"{kind}web", "reason": reason}
            yield f"kube_pod_{kind}container_status_waiting_reason", waiting, 1.0
