"""Seven nodes of a small fleet that is made up: full, until after ten of thirty days the cleaner comes to them.

Available space becomes three times what it was, in staging four times, as in the article that Impact is after.
Nothing is random: the figures are the same every time, so pictures and tests of them can be compared.
"""

from dataclasses import dataclass

GIB = 1 << 30
MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR
END = 1_767_225_600
"""2026-01-01T00:00Z; the history ends there."""
DAYS = 30
START = END - DAYS * DAY
CAME = START + 10 * DAY
"""A Friday."""
HIGH, LOW, KUBELET = 0.75, 0.65, 0.85
_FIRST_NIGHTLY_RUN = CAME + 2 * HOUR
_KUBELETS_LOW = 0.80
_KUBELETS_CYCLE = 3 * DAY
"""From one time that the kubelet collects to the next."""
_PRESSURE_CYCLE = 30 * HOUR
"""From one time that a node reaches its high watermark to the next."""
_RISES = (0.05, 0.02, 0.02, 0.05, 0.05, 0.05, 0.05)
"""What is pulled in a day, from Friday on: less at weekends. A share of the disk."""


@dataclass(frozen=True)
class HistoryNode:
    """One node, and what Prometheus calls it."""

    name: str
    environment: str
    pool: str
    cluster: str
    size_bytes: int
    cleaned: float = LOW
    """The share used after a sweep."""
    mode: str = "full"
    fill_rate: bool = False
    """Whether there is a forecast at the end."""

    @property
    def labels(self) -> dict[str, str]:
        """The target labels of whatever is scraped on it."""
        known = {"environment": self.environment, "pool": self.pool, "cluster": self.cluster}
        return known | {"instance": self.name, "node": self.name}

    def used(self, at: float) -> float:
        """The share used: between the kubelet's thresholds; after the first sweep between our watermarks or below."""
        done = self.sweeps(at)
        if done == 0 or self.mode == "observe":
            return _KUBELETS_LOW + (KUBELET - _KUBELETS_LOW) * (self._kubelets_cycles(at) % 1)
        began = self._first_sweep + (done - 1) * self.cycle
        return self.cleaned + self._rise(done - 1) * (at - began) / self.cycle

    def sweeps(self, at: float) -> int:
        """How many there were; in mode observe they evict nothing."""
        return max(0, int((at - self._first_sweep) // self.cycle) + 1)

    def reclaimed(self, at: float) -> float:
        """The share of the disk that all sweeps together freed."""
        done = self.sweeps(at)
        if done == 0 or self.mode == "observe":
            return 0.0
        first = self.used(self._first_sweep - 1) - self.cleaned
        return first + sum(map(self._rise, range(done - 1)))

    def collected(self, at: float) -> int:
        """How many images the kubelet removed by itself."""
        watched = at if self.mode == "observe" else min(at, self._first_sweep - 1)
        return 9 * int(self._kubelets_cycles(watched))

    def next_sweep(self, at: float) -> float:
        """When the next one begins."""
        return self._first_sweep + self.sweeps(at) * self.cycle

    def until(self, watermark: float, at: float) -> float:
        """Seconds until a share is used, at the rate of this cycle; endless where there is no forecast."""
        done = self.sweeps(at)
        if not self.fill_rate or done == 0:
            return float("inf")
        return (watermark - self.used(at)) / self._rise(done - 1) * self.cycle

    @property
    def _splay(self) -> int:
        return self._number * 10 * MINUTE

    @property
    def _number(self) -> int:
        """Among the nodes; nodes of another fleet come after them."""
        return NODES.index(self) if self in NODES else len(NODES)

    @property
    def _first_sweep(self) -> int:
        return _FIRST_NIGHTLY_RUN + self._splay

    @property
    def cycle(self) -> int:
        """Seconds from one sweep to the next."""
        return _PRESSURE_CYCLE if self.mode == "pressure" else DAY

    def _rise(self, cycle: int) -> float:
        return HIGH - LOW if self.mode == "pressure" else _RISES[cycle % len(_RISES)]

    def _kubelets_cycles(self, at: float) -> float:
        """How often it has collected; nodes differ in when."""
        return (at - START) / _KUBELETS_CYCLE + self._number * 0.37


NODES = (
    HistoryNode("prod-a", "production", "large", "main", 330 * GIB, 0.47),
    HistoryNode("prod-b", "production", "large", "main", 330 * GIB, 0.45, fill_rate=True),
    HistoryNode("pre-a", "preproduction", "small", "main", 900 * GIB, 0.43, fill_rate=True),
    HistoryNode("staging-a", "staging", "small", "side", 900 * GIB, 0.24),
    HistoryNode("staging-b", "staging", "small", "side", 100 * GIB, mode="pressure", fill_rate=True),
    HistoryNode("staging-c", "staging", "small", "side", 100 * GIB, mode="observe"),
    HistoryNode("staging-d", "staging", "small", "side", 900 * GIB, 0.22),
)
UNCOVERED = "prod-new"
"""A node of cluster main that has no agent."""
