"""An image that needs half as much again as is free is pulled, since room is made while its first bytes arrive.

`pytest -rP` prints the usage over time, with pulls in progress counted and without.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from lab import ImageSpec, Lab, LabError, Layer
from lab.images import BuiltImage
from lab.waiting import wait_until
from support.daemon_process import DaemonProcess, WithoutPulls
from support.usage_watch import UsageWatch

REGISTRY = "registry.gitlab.com"
MIB = 1 << 20
REPEATS = 5
"""So many times larger are layers as snapshots than as blobs: unpacking is a burst that no look is quick enough for."""
SMALL, SMALL_MIB = 72, 5
"""Images that may go: that many, of so many MiB as snapshots."""
RATE = 6 * MIB
"""At which the large image arrives, in bytes a second."""
PRESSURE = {"check_every": "2s", "grace": "0s", "horizon": "0s", "bytes": {"high": 99.8, "low": 70}}
"""At the mark less than 2 MiB are left, and nothing is reserved for root: who waits for it is too late."""
POLICY = {"rules": [{"name": "all", "match": [f"{REGISTRY}/golem-ai/**"], "max_age": "30d"}]}
START_PERCENT = 70.0
NEEDS_OF_FREE = 1.5


@dataclass(frozen=True)
class Node:
    """A disk below its high mark, and an image with which it would be over-full."""

    lab: Lab
    small: list[str]
    large: BuiltImage
    needs_bytes: int


@pytest.fixture
def node(lab_version: str, require_lab: None) -> Iterator[Node]:
    with Lab(version=lab_version, size_mib=800, reserved_percent=0) as lab:
        layers = [Layer(SMALL_MIB * MIB, seed, repeats=REPEATS) for seed in range(SMALL)]
        built = lab.push(*(ImageSpec("golem-ai/app", f"v{layer.seed}", (layer,)) for layer in layers))
        small = [image.reference(REGISTRY) for image in built]
        lab.pull_all(small)
        lab.fill(START_PERCENT)
        needs = round(NEEDS_OF_FREE * lab.usage().available_bytes)
        # One layer: its blob and then, all at once, its snapshot.
        size = round(needs * REPEATS / (REPEATS + 1))
        [large] = lab.push(ImageSpec("golem-ai/large", layers=(Layer(size, 1000, repeats=REPEATS),)))
        yield Node(lab, small, large, needs)


def pull_beside(daemon: DaemonProcess, node: Node, title: str) -> tuple[bool, UsageWatch]:
    """Whether the pull succeeds while a daemon watches the disk; the usage meanwhile is printed."""
    lab, failure = node.lab, ""
    free = lab.usage().available_bytes
    with daemon, UsageWatch(lab, hertz=20) as watch:
        daemon.wait_for_event("runtime_up")
        with lab.throttled(RATE):
            try:
                lab.pull(node.large.reference(REGISTRY))
            except LabError as error:
                failure = str(error).partition("failed to ")[2][-120:] or str(error)[-120:]
    evicted = [line for line in daemon.events("eviction") if line["outcome"] == "evicted"]
    print(f"\n{title}, containerd {lab.version}: {free / MIB:.0f} MiB free, {node.needs_bytes / MIB:.0f} MiB needed")
    print(" ".join(f"{seconds:.0f}s:{percent:.0f}%" for seconds, percent in watch.by_second()))
    times = [datetime.fromisoformat(line["timestamp"]).timestamp() - watch.readings[0].at for line in evicted]
    span = f", from {times[0]:.1f} s to {times[-1]:.1f} s" if times else ""
    print(f"the pull {'failed: …' + failure if failure else 'succeeded'}; {len(evicted)} images evicted{span}")
    return not failure, watch


def refill(node: Node) -> None:
    """What was evicted is there again, and as much is free as before."""
    node.lab.drop_ballast()
    node.lab.pull_all(node.small)
    wait_until(lambda: node.lab.usage().used_percent < START_PERCENT, "what the failed pull left is gone")
    node.lab.fill(START_PERCENT)


def test_large_image(node: Node, tmp_path: Path) -> None:
    """With pulls in progress counted it fits in the end; by the level alone it fails, whatever goes meanwhile."""
    lesser = WithoutPulls(tmp_path / "lesser", node.lab.endpoint, mode="pressure", policy=POLICY, pressure=PRESSURE)
    succeeded, watch = pull_beside(lesser, node, "without pulls counted")
    assert not succeeded
    assert node.lab.find_image(node.large.image_id) is None
    assert watch.highest > 99
    refill(node)
    daemon = DaemonProcess(tmp_path / "whole", node.lab.endpoint, mode="pressure", policy=POLICY, pressure=PRESSURE)
    succeeded, watch = pull_beside(daemon, node, "with pulls counted")
    assert succeeded
    assert node.lab.find_image(node.large.image_id) == node.large.image_id
    assert watch.highest < 85
