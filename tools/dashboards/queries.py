"""Selectors and expressions that more than one board uses.

It refuses figures of its own: high, low and the kubelet's marks are series, and zero is the only other limit.
"""

from dataclasses import dataclass

from dashboards.model import Choice

FLEET_LABELS = ("cluster", "environment", "pool", "instance")
"""Target labels: what Prometheus puts on every series of a node, this agent's and node_exporter's."""
NODE_LABELS = ("cluster", "instance")
SAME_NODE_NAME = "on (cluster, node)"
"""For series of the kubelet and of kube-state-metrics, whose instance is another."""
SAME_FILESYSTEM = "on (cluster, instance, filesystem)"
NOT_FILLING = "not filling"
"""What is said for +Inf."""
ANY_JOB = 'job=~"$job"'
ANY_CLUSTER = 'cluster=~"$cluster"'
LINUX_NODES = f'kube_node_info{{{ANY_CLUSTER}, os_image!~"(?i)windows.*"}}'


@dataclass(frozen=True)
class Scope:
    """The series that a board's variables choose."""

    labels: tuple[str, ...]

    @property
    def _chosen(self) -> str:
        return ", ".join(f'{label}=~"${label}"' for label in self.labels)

    def own(self, name: str, matchers: str = "") -> str:
        """A metric of ours, by its name without `cleaner_`."""
        return self.other(f"cleaner_{name}", ", ".join(filter(None, (matchers, ANY_JOB))))

    def other(self, name: str, matchers: str = "") -> str:
        """A metric of another exporter on the same nodes, under whatever job."""
        return f"{name}{{{', '.join(filter(None, (matchers, self._chosen)))}}}"

    def increase(self, name: str, window: str = "$__rate_interval", matchers: str = "") -> str:
        """By how much a counter of ours rose."""
        return f"increase({self.own(name, matchers)}[{window}])"

    def used(self, matchers: str) -> str:
        """The share of bytes in use, as the kubelet counts it."""
        avail, size = self.own("filesystem_avail_bytes", matchers), self.own("filesystem_size_bytes", matchers)
        return f"(1 - {avail} / {size})"

    def inodes_used(self, matchers: str) -> str:
        """The share of inodes in use; nothing where there is no limit."""
        free, files = self.own("filesystem_files_free", matchers), self.own("filesystem_files", matchers)
        return f"(1 - {free} / {files})"

    def on_these_nodes(self, expr: str) -> str:
        """What the kubelet or kube-state-metrics says of nodes that have an agent of the chosen ones."""
        return f"({expr} and {SAME_NODE_NAME} {self.own('build_info')})"


FLEET_SCOPE = Scope(FLEET_LABELS)
NODE_SCOPE = Scope(NODE_LABELS)


def ratio(part: str, whole: str) -> str:
    """A share; nothing where the whole is 0, since 0 of 0 says nothing."""
    return f"{part} / ({whole} > 0)"


def choices(source: str, labels: tuple[str, ...]) -> tuple[Choice, ...]:
    """A variable for each target label, of the series whose matcher of `__name__` is given; each narrows the next."""
    found = []
    for number, label in enumerate(labels):
        matchers = [source, *(f'{known}=~"${known}"' for known in labels[:number])]
        all_value = ".+" if label == "instance" else ".*"
        found.append(Choice(label, f"{{{', '.join(matchers)}}}", label.capitalize(), all_value))
    return tuple(found)


OWN = '__name__="cleaner_build_info"'
JOB = Choice("job", "cleaner_build_info", "Job", ".+")
"""Where one agent is scraped twice, by a PodMonitor and by annotations, every sum would be twice what it is."""
