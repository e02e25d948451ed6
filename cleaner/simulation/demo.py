"""The node of `cleaner demo`: one of each kind of image, on a disk above its high watermark.

The lists below show what is there, and what of it may be evicted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cleaner.core.model import Policy, Rule
from cleaner.core.ports import Timer
from cleaner.core.references import parse_pattern
from cleaner.simulation.node import Build, SimulatedNode

MB = 1_000_000
CAPACITY_BYTES = 10_000 * MB
COMPANY = "registry.gitlab.com/golem-ai"

DEMO_POLICY = Policy(
    rules=(Rule("company", (parse_pattern(f"{COMPANY}/**"),), max_age=timedelta(days=30), keep_newest=1),),
    protect=(parse_pattern(f"{COMPANY}/base/**"),),
)

RELEASES = tuple((f"{COMPANY}/inbox:v{number}", 90 - 10 * number) for number in range(1, 9))
"""Reference, and days since it was built and pulled; all over one base, each with 650 MB of its own."""


@dataclass(slots=True)
class _FrozenTimer:
    """A timer that stands still, so that the past can be built."""

    timer: Timer
    at: datetime

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.timer.monotonic()


def build_demo(directory: Path, timer: Timer) -> SimulatedNode:
    """A node at 80 % of 10 GB: releases, and images in use, protected, just pulled, local and foreign."""
    node = SimulatedNode(directory, CAPACITY_BYTES, timer)
    base = ("python-base", 900 * MB)
    for reference, days in RELEASES:
        with _days_ago(node, timer, days) as created_at:
            node.pull(reference, Build((base, (reference.replace("/", "-"), 650 * MB)), created_at, reference))
    with _days_ago(node, timer, 60) as created_at:
        node.pull(f"{COMPANY}/base/python:3.12", Build((base,), created_at, "base"))
        node.pull("quay.io/prometheus/node-exporter:v1.9", Build((("exporter", 300 * MB),), created_at))
        node.pull("registry.k8s.io/pause:3.9", Build((("pause", MB),), created_at), pinned=True)
        node.load(f"{COMPANY}/debug:local", Build((("debug", 900 * MB),), created_at))
    old = Build((base, ("rollback", 700 * MB)), timer.now() - timedelta(days=45), "rollback")
    node.pull(f"{COMPANY}/inbox:rollback", old)
    node.start_container(RELEASES[2][0])
    return node


@contextmanager
def _days_ago(node: SimulatedNode, timer: Timer, days: int) -> Iterator[datetime]:
    """Let the node live in the past for a while."""
    moment = timer.now() - timedelta(days=days)
    node.timer = _FrozenTimer(timer, moment)
    yield moment
    node.timer = timer
