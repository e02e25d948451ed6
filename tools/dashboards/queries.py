"""Selectors and expressions that more than one board uses.

They contain no limits but zero: the watermarks and the kubelet's thresholds are series.
"""

from dataclasses import dataclass

from dashboards.model import Choice

FLEET_LABELS = ("cluster", "environment", "pool", "instance")
"""Target labels: Prometheus adds them to every series of a node, from this agent and from node_exporter."""
NODE_LABELS = ("cluster", "instance")
SAME_NODE_NAME = "on (cluster, node)"
"""For series of the kubelet and of kube-state-metrics, which have another `instance`."""
SAME_FILESYSTEM = "on (cluster, instance, filesystem)"
NOT_FILLING = "not filling"
"""The text for +Inf."""
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
        """A metric of this agent, by its name without `image_cleaner_`."""
        return self.other(f"image_cleaner_{name}", ", ".join(filter(None, (matchers, ANY_JOB))))

    def other(self, name: str, matchers: str = "") -> str:
        """A metric of another exporter on the same nodes, of any job."""
        return f"{name}{{{', '.join(filter(None, (matchers, self._chosen)))}}}"

    def increase(self, name: str, window: str = "$__rate_interval", matchers: str = "") -> str:
        """The increase of a counter of this agent."""
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
        """Series of the kubelet or of kube-state-metrics, only for nodes that have one of the chosen agents."""
        return f"({expr} and {SAME_NODE_NAME} {self.own('build_info')})"


FLEET_SCOPE = Scope(FLEET_LABELS)
NODE_SCOPE = Scope(NODE_LABELS)


def ratio(part: str, whole: str) -> str:
    """A share; no sample where the whole is 0, since 0 of 0 has no meaning."""
    return f"{part} / ({whole} > 0)"


def choices(source: str, labels: tuple[str, ...]) -> tuple[Choice, ...]:
    """A variable for each target label, from the series that `source` selects; each choice narrows the next."""
    found = []
    for number, label in enumerate(labels):
        matchers = [source, *(f'{known}=~"${known}"' for known in labels[:number])]
        all_value = ".+" if label == "instance" else ".*"
        found.append(Choice(label, f"{{{', '.join(matchers)}}}", label.capitalize(), all_value))
    return tuple(found)


OWN = '__name__="image_cleaner_build_info"'
JOB = Choice("job", "image_cleaner_build_info", "Job", ".+")
"""If one agent is scraped twice, by a PodMonitor and by annotations, every sum is doubled until one job is chosen."""
