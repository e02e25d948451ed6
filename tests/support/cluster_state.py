"""What a cluster says of the lab's nodes: kube-state-metrics and a kubelet, as far as the rules read them.

Names, labels and values are those of kube-state-metrics 2 (internal/store/node.go and pod.go: a reason to wait is 1
while it holds, a condition has a series for each status) and of the kubelet (pkg/kubelet/metrics).

It does not follow what happens on the node: none of these pods ever starts, and this kubelet removes no image. A pod
that waits is soon replaced by another one, so none has waited for ten minutes, however long a test takes.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_REASONS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "ContainerCreating")
_DEBIAN, _WINDOWS = "Debian GNU/Linux 12 (bookworm)", "Windows Server 2022 Datacenter"
_YEAR = 365 * 86400.0
_POD = ("namespace", "pod", "uid")
_REPLACED_SECONDS = 200


@contextmanager
def serve_cluster_state(node: str, young: str) -> Iterator[tuple[int, int]]:
    """Ports of kube-state-metrics and of the kubelet of a node, in a cluster of a few more.

    One of them is young, one not ready, one runs Windows, and six pods wait on the first for their images.
    """
    with ExitStack() as undo:
        ports = []
        for registry in (_cluster_of(node, young), _kubelet()):
            server, thread = start_http_server(0, "127.0.0.1", registry)
            undo.callback(thread.join)
            undo.callback(server.server_close)
            undo.callback(server.shutdown)
            ports.append(int(server.server_port))
        yield ports[0], ports[1]


def _cluster_of(node: str, young: str) -> CollectorRegistry:
    registry = CollectorRegistry()
    info = Gauge("kube_node_info", "About a node.", ("node", "os_image"), registry=registry)
    created = Gauge("kube_node_created", "Unix creation timestamp.", ("node",), registry=registry)
    names = ("node", "condition", "status")
    condition = Gauge("kube_node_status_condition", "The condition of a node.", names, registry=registry)
    for name in (node, young, "lab-down", "lab-windows"):
        info.labels(name, _WINDOWS if name == "lab-windows" else _DEBIAN).set(1)
        created.labels(name).set(time.time() - (60 if name == young else _YEAR))
        for status in ("true", "false", "unknown"):
            holds = status == ("unknown" if name == "lab-down" else "true")
            condition.labels(name, "Ready", status).set(holds)
    registry.register(_Pods(node))
    return registry


class _Pods(Collector):
    """Pods that wait, one for each reason and kind of container."""

    def __init__(self, node: str) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        turn = int(time.monotonic() // _REPLACED_SECONDS)
        info = GaugeMetricFamily("kube_pod_info", "About a pod.", labels=(*_POD, "node", "created_by_kind"))
        for kind in ("container", "init_container"):
            name = f"kube_pod_{kind}_status_waiting_reason"
            waiting = GaugeMetricFamily(name, "Why a container waits.", labels=(*_POD, "container", "reason"))
            for reason in _REASONS:
                pod = ("apps", f"{kind}-{reason}-{turn}".lower(), f"uid-{kind}-{reason}-{turn}".lower())
                info.add_metric((*pod, self._node, "ReplicaSet"), 1)
                waiting.add_metric((*pod, "app", reason), 1)
            yield waiting
        yield info


def _kubelet() -> CollectorRegistry:
    registry = CollectorRegistry()
    name = "kubelet_image_garbage_collected"
    removed = Counter(name, "Images collected by the kubelet.", ("reason",), registry=registry)
    for reason in ("age", "space"):
        removed.labels(reason)
    return registry
