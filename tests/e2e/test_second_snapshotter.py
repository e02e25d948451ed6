"""A second snapshotter with its own root on another disk: its bytes count there, and a sweep for that disk evicts them.

containerd 1.6 does not name the root of its native snapshotter: there the bytes count nowhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cleaner.core.disk_usage import Filesystem, Part, Resource
from cleaner.core.model import KeepReason, Policy, Rule, Trigger
from cleaner.core.policy import PressureContext, plan
from cleaner.core.reclaim import Size, reclaimable
from cleaner.core.references import parse_pattern
from cleaner.sweep.inspection import inspect_node
from lab import ImageSpec, Lab, Layer
from lab.disk import read_usage
from support.daemon_process import DaemonProcess, trace_sweep
from support.lab_node import config_text, disk_of, node_of, run_cleaner

MB = 1_000_000
COMPANY = "registry.gitlab.com"
MATCH = f"{COMPANY}/golem-ai/**"
POLICY = {"rules": [{"name": "company", "match": [MATCH], "max_age": "30d", "local": True}]}
TODAY = datetime.now(UTC)
IMAGES = 6
CLOSE = 300_000
"""Bytes: directories and containerd's own files change too."""
ON_IMAGES, ON_SNAPSHOTS = (Part(each, Resource.BYTES) for each in (Filesystem.IMAGES, Filesystem.SNAPSHOTS))


@dataclass(frozen=True)
class TwoSnapshotters:
    """A node with images of both; the ids by age, the oldest first, those of the native one before all others."""

    lab: Lab
    usual: list[str]
    native: list[str]

    @property
    def names_root(self) -> bool:
        """Whether containerd names the root of the native snapshotter."""
        return not self.lab.version.startswith("1.6.")


def push_aged(lab: Lab, name: str, number: int, days: int, *, compressible: bool) -> str:
    """One image of a layer of 10 MB; its reference."""
    created = f"{TODAY - timedelta(days=days - number):%Y-%m-%dT00:00:00Z}"
    layer = Layer(10 * MB, days + number, compressible)
    [image] = lab.push(ImageSpec(f"golem-ai/{name}", f"v{number}", (layer,), created, base=False))
    return image.reference(COMPANY)


@pytest.fixture(scope="module")
def node(lab_version: str) -> Iterator[TwoSnapshotters]:
    with Lab(version=lab_version, size_mib=500, native_mib=150) as lab:
        native = [
            lab.pull_unpacked_by("native", push_aged(lab, "native", number, 200, compressible=True))
            for number in range(IMAGES)
        ]
        usual = [lab.pull(push_aged(lab, "usual", number, 100, compressible=False)) for number in range(IMAGES)]
        yield TwoSnapshotters(lab, usual, native)


def estimate_of(lab: Lab, ids: list[str]) -> Size:
    """What the product estimates for these images together."""
    with node_of(lab) as node:
        layers = inspect_node(node).trusted_layers
        assert layers is not None
        return reclaimable(layers, ids)


def test_bytes_count_for_the_disk_that_has_them(node: TwoSnapshotters) -> None:
    """Snapshots of the native snapshotter lie on its disk, and next to nothing of its images on that of the others."""
    disk = disk_of(node.lab)
    apart = disk.read_usage().apart
    size = estimate_of(node.lab, node.native)
    on_images, on_snapshots = (
        size.amount_of(part, apart=frozenset({Filesystem.SNAPSHOTS})) for part in (ON_IMAGES, ON_SNAPSHOTS)
    )
    print(f"\n{node.lab.version}: {on_images:,} bytes on the images' disk, {on_snapshots:,} on a disk of its own")
    assert on_images < MB
    if node.names_root:
        assert disk.snapshotters["native"] is Filesystem.SNAPSHOTS
        assert apart == {Filesystem.SNAPSHOTS}
        assert IMAGES * 10 * MB <= on_snapshots < IMAGES * 10 * MB + CLOSE
    else:
        assert disk.snapshotters["native"] is None
        assert (apart, on_snapshots) == (frozenset(), 0)


def test_check_says_what_is_not_measured(node: TwoSnapshotters) -> None:
    """The disk of the second snapshotter has findings of its own, or a note says that its bytes count nowhere."""
    answer = run_cleaner(["check"], node.lab, config_text(policy=POLICY))
    assert answer.returncode == 0, answer.stderr
    assert ("filesystem (snapshots)" in answer.stdout) is node.names_root
    assert ("without the snapshots of native" in answer.stdout) is not node.names_root


def test_only_what_frees_the_full_disk_is_a_candidate(node: TwoSnapshotters) -> None:
    """Images of the other snapshotter are no_gain while only one disk is to be lowered."""
    rule = Rule("company", (parse_pattern(MATCH),), timedelta(days=30), local=True)
    with node_of(node.lab) as own:
        inspection, apart = inspect_node(own), own.disk.read_usage().apart
    for lowered in (Filesystem.IMAGES, *apart):
        later = datetime.now(UTC) + timedelta(days=2)
        policy, filesystems = Policy((rule,)), frozenset({lowered})
        planned = plan(inspection, policy, Trigger.PRESSURE, later, PressureContext(lowered=filesystems, apart=apart))
        images = lowered is Filesystem.IMAGES
        assert [verdict.image.id for verdict in planned.evictions] == (node.usual if images else node.native)
        gainless = {verdict.image.id for verdict in planned.kept if verdict.reason is KeepReason.NO_GAIN}
        assert gainless == set(node.native if images else node.usual)


def assert_nothing_is_done(daemon: DaemonProcess, node: TwoSnapshotters) -> None:
    """A disk that is not measured starts no sweep, and no series names it."""
    daemon.wait_for_checks(3)
    assert daemon.events("sweep_started") == []
    assert daemon.scrape().by_label("filesystem_size_bytes").keys() == {"images"}
    assert all(node.lab.find_image(image_id) for image_id in node.native)


def pressure_below(high: float, low: float) -> Mapping[str, object]:
    return {"check_every": "1s", "grace": "0s", "bytes": {"high": high, "low": low}}


def test_a_sweep_for_the_images_leaves_the_other_disk_alone(node: TwoSnapshotters, tmp_path: Path) -> None:
    """It reaches its low watermark with images that free their disk, although those of the native one are older."""
    node.lab.fill(72.0)
    before = read_usage(node.lab.native)
    assert before.used_percent < 60
    pressure = pressure_below(70.0, 66.0)
    with DaemonProcess(tmp_path, node.lab.endpoint, mode="pressure", policy=POLICY, pressure=pressure) as daemon:
        sweep = trace_sweep(daemon)
    print(f"\n{node.lab.version}: {sweep.names} for {sweep.ended['reclaimed_bytes']:,} bytes")
    assert sweep.names == [f"usual:v{number}" for number in range(len(sweep.names))]
    assert 0 < len(sweep.names) < IMAGES
    assert (sweep.ended["stop_reason"], sweep.ended["low_watermark_met"]) == ("low_watermark", True)
    assert abs(sweep.ended["reclaimed_bytes"] - len(sweep.names) * 20 * MB) < CLOSE
    assert read_usage(node.lab.native) == before
    assert all(node.lab.find_image(image_id) for image_id in node.native)


def test_a_sweep_for_the_other_disk(node: TwoSnapshotters, tmp_path: Path) -> None:
    """It evicts images of the native snapshotter down to the low watermark of their disk, with exact figures."""
    node.lab.drop_ballast()
    before, images_before = read_usage(node.lab.native), read_usage(node.lab.disk)
    estimates = [estimate_of(node.lab, node.native[:number]) for number in range(IMAGES + 1)]
    high, low = before.used_percent - 1, before.used_percent - 16
    assert images_before.used_percent < low
    pressure = pressure_below(high, low)
    usual = [image_id for image_id in node.usual if node.lab.find_image(image_id)]
    with DaemonProcess(tmp_path, node.lab.endpoint, mode="pressure", policy=POLICY, pressure=pressure) as daemon:
        if not node.names_root:
            assert_nothing_is_done(daemon, node)
            return
        sweep = trace_sweep(daemon)
        after = read_usage(node.lab.native)
        daemon.wait_for_checks(2)
        scrape = daemon.scrape()
    size = estimates[len(sweep.names)]
    freed = after.available_bytes - before.available_bytes
    print(f"\n{node.lab.version}: {before.used_percent:.2f} % -> {after.used_percent:.2f} % (low {low:.2f})", end=" ")
    print(f"by {sweep.names}, {freed:,} bytes freed, {size.apart_bytes:,} estimated")
    assert sweep.names == [f"native:v{number}" for number in range(len(sweep.names))]
    assert 0 < len(sweep.names) < IMAGES
    assert after.used_percent <= low < after.used_percent + 100 * 10 * MB / before.capacity_bytes
    assert abs(freed - size.apart_bytes) < CLOSE
    assert abs(sweep.ended["reclaimed_bytes"] - size.bytes) < CLOSE
    assert (sweep.ended["stop_reason"], sweep.ended["low_watermark_met"]) == ("low_watermark", True)
    assert all(node.lab.find_image(image_id) for image_id in usual)
    assert scrape.value("filesystem_size_bytes", filesystem="snapshots") == after.capacity_bytes
    assert abs(scrape.value("filesystem_avail_bytes", filesystem="snapshots") - after.available_bytes) < CLOSE
    assert scrape.value("high_watermark_ratio", filesystem="snapshots", resource="bytes") == high / 100
