"""When the kubelet's thresholds are read, and when they are reported."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cleaner.core.disk_usage import Resource, Usage
from cleaner.core.kubelet import EvictionThreshold, KubeletConfig, KubeletRead, KubeletSettings
from cleaner.core.ports import Node
from cleaner.daemon.kubelet_watch import CHECK_EVERY_SECONDS, KubeletWatch
from support.fakes import FakeTimer, Recorder
from support.nodes import WATERMARKS, make_world

GIB = 1024**3
USAGE = Usage("/images", 100 * GIB, 50 * GIB, 0, 0, 50 * GIB)
DEFAULTS = KubeletConfig("/config.yaml")
EARLY = KubeletConfig("/config.yaml", KubeletSettings(gc_high_percent=60))


@dataclass
class FakeKubelet:
    """A kubelet whose file a test replaces."""

    config: KubeletConfig = DEFAULTS
    reads: int = 0

    def read(self) -> KubeletConfig:
        self.reads += 1
        return self.config


@dataclass
class Watched:
    """A watch, and what it reported."""

    watch: KubeletWatch
    kubelet: FakeKubelet
    node: Node
    timer: FakeTimer
    recorder: Recorder

    def check(self, usage: Usage = USAGE) -> list[KubeletRead]:
        self.recorder.events.clear()
        self.watch.check(self.node, usage)
        return self.recorder.of(KubeletRead)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    kubelet, timer, recorder = FakeKubelet(), FakeTimer(), Recorder()
    node = replace(make_world(tmp_path).node, kubelet=kubelet)
    return Watched(KubeletWatch(WATERMARKS, timer, recorder.record), kubelet, node, timer, recorder)


def test_it_is_reported_once_until_it_changes(watched: Watched) -> None:
    """At the first check, and then when a check an hour later or more finds a change."""
    (first,) = watched.check()
    assert (first.config, first.collisions) == (DEFAULTS, ())
    assert {resource: act.above_percent for resource, act in first.acts.items()} == {Resource.BYTES: 84}
    assert watched.watch.latest == first
    watched.kubelet.config = EARLY
    watched.timer.move(seconds=CHECK_EVERY_SECONDS - 1)
    assert watched.check() == []
    assert watched.kubelet.reads == 1
    watched.timer.move(seconds=1)
    (second,) = watched.check()
    assert [collision.acts_first for collision in second.collisions] == [True]
    watched.timer.move(seconds=CHECK_EVERY_SECONDS)
    assert watched.check() == []
    assert watched.kubelet.reads == 3


def test_a_filesystem_that_grew_is_another_share(watched: Watched) -> None:
    """A threshold in bytes is met at another share of it."""
    ten = EvictionThreshold("imagefs.available", "10Gi", None, 10 * GIB)
    watched.kubelet.config = KubeletConfig("/config.yaml", KubeletSettings(gc_high_percent=100, thresholds=(ten,)))
    shares = []
    for size in (100, 200):
        (read,) = watched.check(replace(USAGE, capacity_bytes=size * GIB))
        shares.append(read.acts[Resource.BYTES].above_percent)
        watched.timer.move(seconds=CHECK_EVERY_SECONDS)
    assert shares == [90, 95]


def test_nothing_is_read_where_the_kubelet_is_switched_off(watched: Watched) -> None:
    """A node without a kubelet has nothing to tell."""
    watched.node = replace(watched.node, kubelet=None)
    assert watched.check() == []
    assert watched.watch.latest is None
