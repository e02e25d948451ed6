"""What exact bytes change: which images are evicted, when it stops, and what is said; on real containerds."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cleaner.core.events import EvictionEnded, SweepEnded
from cleaner.core.model import EvictionOutcome, Image, KeepReason, Policy, Rule, Trigger
from cleaner.core.ports import Node
from cleaner.core.pressure.watermarks import WatermarkPair, Watermarks
from cleaner.core.reclaim import Layers, reclaimable, sum_of
from cleaner.core.references import parse_pattern
from cleaner.runtime.client import CriRuntime
from cleaner.sweep.sweep import Sweep, SweepRequest, SweepSettings
from lab import ImageSpec, Lab, Layer
from lab.waiting import wait_until
from support.crio_server import CrioServer, ServedImage
from support.daemon_process import DaemonProcess
from support.lab_node import config_text, node_of, run_cleaner, runtime_of

MIB = 1 << 20
REGISTRY = "registry.gitlab.com"
RULE = Rule("company", (parse_pattern(f"{REGISTRY}/**"),), timedelta(days=30))
POLICY = Policy((RULE,), grace=timedelta(0), pressure_grace=timedelta(0))
MIDST = 30
"""Events; the sweep has 62: its start, two of each eviction, and its end."""


def pull(lab: Lab, name: str, days: int, *layers: Layer) -> str:
    """An image built so many days ago; gives its id."""
    created = f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
    [image] = lab.push(ImageSpec(f"golem-ai/{name}", "v1", layers, created))
    lab.pull(image.reference(REGISTRY))
    return image.image_id


@dataclass
class Blind:
    """A runtime that fails to tell what images share, for the same sweep without that."""

    inner: CriRuntime
    layers_error: str = "hidden by the test"

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def read_layers(self, _images: tuple[Image, ...]) -> Layers | None:
        return None


@contextmanager
def worn_node() -> Iterator[tuple[Lab, Node]]:
    """The six oldest images are made of what a running pod uses; the five after them are their own."""
    with Lab(version="1.7", size_mib=400) as lab, node_of(lab) as node:
        shared = (Layer(6 * MIB, 1), Layer(6 * MIB, 2))
        pull(lab, "used", 5, *shared)
        lab.start_pod(f"{REGISTRY}/golem-ai/used:v1")
        for number in range(6):
            pull(lab, f"worn{number}", 100 - number, *shared)
        for number in range(5):
            pull(lab, f"own{number}", 80 - number, Layer(8 * MIB, 10 + number))
        yield lab, node


def sweep(lab: Lab, node: Node) -> SweepEnded:
    """A pressure sweep that has to free about 30 MiB; its high watermark is reached though a few become free before."""
    used = lab.usage().used_percent
    low = used - 100 * 30 * MIB / lab.usage().capacity_bytes
    watermarks = Watermarks(WatermarkPair(used - 0.1, low), WatermarkPair(100, 99))
    events = list(Sweep(node, SweepSettings(POLICY, watermarks, 5), SweepRequest(Trigger.PRESSURE)).events())
    for event in events:
        if isinstance(event, EvictionEnded):
            eviction = event.eviction
            print(f"  {eviction.verdict.image.tags[0]:45} {eviction.estimated_bytes} {eviction.reclaimed_bytes}")
    ended = events[-1]
    assert isinstance(ended, SweepEnded)
    return ended


def test_images_that_free_nothing_are_spared() -> None:
    """If the oldest images free nothing they stay, and fewer evictions reach the low watermark than blindly."""
    with worn_node() as (lab, node):
        seeing = sweep(lab, node).report
    with worn_node() as (lab, node):
        blind = sweep(lab, replace(node, runtime=Blind(node.runtime))).report  # type: ignore[arg-type]
    counts = [sum(e.outcome is EvictionOutcome.EVICTED for e in report.evictions) for report in (seeing, blind)]
    print(f"evictions until the low watermark: {counts[0]} with exact bytes, {counts[1]} oldest first")
    assert seeing.low_watermark_met
    assert seeing.plan is not None
    kept = {verdict.image.tags[0] for verdict in seeing.plan.kept if verdict.reason is KeepReason.NO_GAIN}
    assert kept == {f"{REGISTRY}/golem-ai/worn{number}:v1" for number in range(6)}
    assert counts == [2, 8]


def test_a_sweep_while_others_pull_adds_up() -> None:
    """While images are pulled without end, estimates are what the graph before and after says, to the byte.

    The sweep continues once a pull has begun and ended in its midst, so that at least that one overlaps.
    """
    stop = threading.Event()
    burst: list[str] = []

    def pull_on(lab: Lab) -> None:
        while not stop.is_set():
            burst.append(pull(lab, f"burst{len(burst)}", 1, Layer(300_000, 100_000 + len(burst))))

    def wait_for_a_pull() -> None:
        """The next one that ends may have begun before."""
        enough = len(burst) + 2
        wait_until(lambda: len(burst) >= enough, "a pull has begun and ended")

    with Lab(version="2", size_mib=1200) as lab, node_of(lab) as node:
        for number in range(30):
            pull(lab, f"old{number}", 90, Layer(MIB + 40_000 * number, 500 + number), Layer(MIB, 900 + number // 3))
        # All images have the lab's base layer: it stays with this one, whenever the first of the others is there.
        pull(lab, "young", 1, Layer(300_000, 99_999))
        puller = threading.Thread(target=pull_on, args=(lab,))
        puller.start()
        try:
            with runtime_of(lab) as observer:
                before = layers_of(observer)
                watermarks = Watermarks(WatermarkPair(100, 99), WatermarkPair(100, 99))
                request = SweepRequest(Trigger.MANUAL)
                sweeping = Sweep(node, SweepSettings(POLICY, watermarks, 5), request).events()
                assert len(list(islice(sweeping, MIDST))) == MIDST
                wait_for_a_pull()
                *_, ended = sweeping
                after = layers_of(observer)
        finally:
            stop.set()
            puller.join()
    assert isinstance(ended, SweepEnded)
    gone = [e for e in ended.report.evictions if e.outcome is EvictionOutcome.EVICTED]
    estimated = sum(e.estimated_bytes or 0 for e in gone)
    graph = reclaimable(before, [e.verdict.image.id for e in gone]).bytes
    removed = sum_of(before, before.sizes.keys() - after.sizes.keys()).bytes
    pulls = len(after.images.keys() - before.images.keys())
    print(f"{len(gone)} evictions, {pulls} pulls: estimated {estimated}, by the graph {graph}, removed {removed}")
    assert len(gone) == 30
    assert pulls > 0
    assert (estimated, graph) == (removed, removed)


def layers_of(runtime: CriRuntime) -> Layers:
    layers = runtime.read_layers(runtime.list_images())
    assert layers is not None
    return layers


def test_plan_and_dry_run_end_at_the_low_watermark() -> None:
    """`plan --trigger pressure` and a dry run list as many images as the low watermark needs, and say that it fits."""
    with Lab(version="1.6", size_mib=400) as lab:
        for number in range(8):
            pull(lab, f"app{number}", 90 - number, Layer(6 * MIB, number))
        used = lab.usage().used_percent
        low = used - 100 * 20 * MIB / lab.usage().capacity_bytes
        # Reached though some blocks become free before the sweep measures.
        watermarks = {"grace": "0s", "bytes": {"high": used - 0.1, "low": low}}
        rules = {"grace": "0s", "rules": [{"name": "company", "match": [f"{REGISTRY}/**"], "max_age": "30d"}]}
        text = config_text(policy=rules, pressure=watermarks)
        plan = json.loads(run_cleaner(["plan", "--trigger", "pressure", "-o", "json"], lab, text).stdout)
        dry = json.loads(run_cleaner(["sweep", "--trigger", "pressure", "--dry-run", "-o", "json"], lab, text).stdout)
    verdicts = [(image["verdict"], image["reason"]) for image in plan["images"]]
    assert verdicts[:8] == [("evict", "expired")] * 2 + [("keep", "not_reached")] * 6
    assert plan["low_watermark_reachable"] is True
    assert plan["reclaimable_bytes"] > 8 * 12 * MIB
    capacity, available = plan["filesystem"]["capacity_bytes"], plan["filesystem"]["available_bytes"]
    assert 0 < sum(plan["held_bytes"].values()) <= capacity - available
    assert [eviction["outcome"] for eviction in dry["evictions"]] == ["planned"] * 2
    assert (dry["stop_reason"], dry["kept"]["not_reached"]) == ("low_watermark", 6)


@pytest.mark.parametrize("local", [True, False])
def test_an_image_with_only_its_id_can_be_evicted(local: bool) -> None:
    """A record that is named only by its id is evicted by a rule with `<none>` and `local: true`, and by no other."""
    with Lab(version="1.6", size_mib=400) as lab:
        image_id = pull(lab, "stranded", 60, Layer(MIB, 1))
        for reference in lab.list_references(image_id):
            lab.remove_tag(reference)
        rules = [{"name": "none", "match": ["<none>"], "max_age": "30d", "local": local}]
        policy = {"grace": "0s", "rules": rules}
        swept = run_cleaner(["sweep", "-o", "json", "--grace", "0s"], lab, config_text(policy=policy))
        report = json.loads(swept.stdout)
        assert [eviction["outcome"] for eviction in report["evictions"]] == (["evicted"] if local else [])
        assert (lab.find_image(image_id) is None) is local


def test_a_socket_that_serves_cri_only_has_no_bytes(tmp_path: Path) -> None:
    """Without containerd's API every figure is null, one line of the log says so, and images are still evicted."""
    created = (datetime.now(UTC) - timedelta(days=60)).isoformat()
    names = ("registry.gitlab.com/golem-ai/app:v1", f"registry.gitlab.com/golem-ai/app@sha256:{'a' * 64}")
    image = ServedImage("b" * 64, (names[0],), (names[1],), created=created)
    # On a filesystem that every Linux has; the daemon locks the directory, so each run has its own.
    with (
        TemporaryDirectory(dir="/dev/shm") as images,
        CrioServer(tmp_path / "crio.sock", images=[image]) as server,
    ):
        server.mountpoints = (images,)
        rules = [{"name": "company", "match": [f"{REGISTRY}/**"], "max_age": "30d"}]
        with DaemonProcess(
            tmp_path,
            f"unix://{server.socket}",
            policy={"grace": "0s", "rules": rules},
            nightly={"schedule": "* * * * *", "splay": "0s", "window": "1h"},
        ) as daemon:
            eviction = daemon.wait_for_event("eviction")
            assert (eviction["outcome"], eviction["estimated_bytes"]) == ("evicted", None)
            assert len(daemon.events("estimates_unavailable")) == 1
            daemon.wait_for_checks(1)
            scrape = daemon.scrape()
            assert not [name for name, _ in scrape.samples if "held_bytes" in name or "reclaimable" in name]
