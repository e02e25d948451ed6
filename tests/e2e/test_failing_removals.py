"""Images whose removal always fails do not keep the others from being evicted, on a real containerd.

The daemon talks to a proxy, which answers RemoveImage of the six oldest images with an error.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from lab import ImageSpec, Lab, Layer
from support.daemon_process import NO_NIGHT, DaemonProcess
from support.lab_node import run_cleaner_at
from support.slow_proxy import SlowProxy

COMPANY = "registry.gitlab.com"
MB = 1_000_000
RULE = {"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}
POLICY = {"grace": "0s", "rules": [RULE]}
STUCK, OTHERS = 6, 12
"""More than `limits.failures_per_sweep`, and enough to reach the low watermark without them: 4 MB each of 300 MB."""
WATERMARKS = {"high": 75, "low": 65}
NEXT_SWEEP_SECONDS = 120.0
"""The next sweep begins a minute after one that left candidates untried."""
MOST_SWEEPS = 2
TODAY = datetime.now(UTC)


@dataclass(frozen=True)
class StuckNode:
    """A node on which the removal of the oldest images fails."""

    lab: Lab
    proxy: SlowProxy
    stuck: frozenset[str]
    others: frozenset[str]

    def still_there(self, image_ids: frozenset[str]) -> frozenset[str]:
        return frozenset(image_id for image_id in image_ids if self.lab.find_image(image_id) is not None)


@contextmanager
def stuck_node(version: str, others: int) -> Iterator[StuckNode]:
    with Lab(version=version, size_mib=300) as lab:
        ids = pull(lab, STUCK + others)
        with SlowProxy(lab.folder / "proxy.sock", lab.socket) as proxy:
            proxy.refuse("RemoveImage", grpc.StatusCode.UNKNOWN, "failed to delete image: device busy", *ids[:STUCK])
            yield StuckNode(lab, proxy, frozenset(ids[:STUCK]), frozenset(ids[STUCK:]))


@pytest.fixture
def node(lab_version: str, require_lab: None) -> Iterator[StuckNode]:
    with stuck_node(lab_version, OTHERS) as node:
        yield node


def pull(lab: Lab, count: int) -> list[str]:
    """Images past their rule's max_age, oldest first; their ids."""
    specs = [
        ImageSpec(
            "golem-ai/app",
            f"v{number:02}",
            (Layer(2 * MB, number),),
            f"{TODAY - timedelta(days=100 - number):%Y-%m-%dT00:00:00Z}",
        )
        for number in range(count)
    ]
    return lab.pull_all(image.reference(COMPANY) for image in lab.push(*specs))


def test_pressure_reaches_the_low_watermark(node: StuckNode, tmp_path: Path) -> None:
    """With six images at the head that cannot be removed, the others bring the disk to its low watermark."""
    node.lab.fill(WATERMARKS["high"] + 1)
    pressure = {"check_every": "1s", "grace": "0s", "bytes": WATERMARKS}
    with DaemonProcess(tmp_path, node.proxy.endpoint, policy=POLICY, pressure=pressure, nightly=NO_NIGHT) as daemon:

        def reached() -> list[dict[str, object]] | None:
            ends = daemon.events("sweep_ended")
            return ends if ends and ends[-1]["low_watermark_met"] else None

        ends = daemon.wait_for(reached, "a sweep reaches the low watermark", NEXT_SWEEP_SECONDS)
        print(f"\n{[(end['stop_reason'], end['evicted'], end['failed']) for end in ends]}")
    assert len(ends) <= MOST_SWEEPS
    assert node.lab.usage().used_percent <= WATERMARKS["low"]
    assert node.still_there(node.stuck) == node.stuck
    assert node.still_there(node.others) < node.others
    assert STUCK <= node.proxy.count_refused("RemoveImage") <= len(ends) * STUCK


def test_nightly_run_is_done(node: StuckNode, tmp_path: Path) -> None:
    """The nightly run evicts all the others, and is done: it ended because nothing was left to try.

    The plan that follows keeps the six as `removal_failed`.
    """
    # Its window has just begun, and there is no other occurrence today.
    nightly = {"schedule": f"0 {datetime.now(UTC).hour} * * *", "splay": "0s", "duty_cycle": "100%"}
    with DaemonProcess(tmp_path, node.proxy.endpoint, policy=POLICY, nightly=nightly) as daemon:
        daemon.wait_for_event("nightly_done")
        ends, scrape = daemon.events("sweep_ended"), daemon.scrape()
        # The daemon's ledger, which the plan reads, has it from here on.
        run = run_cleaner_at(["plan", "-o", "json"], node.proxy.endpoint, daemon.config)
    assert [(end["trigger"], end["stop_reason"]) for end in ends][-1] == ("nightly", "done")
    assert node.still_there(node.others) == frozenset()
    assert scrape.value("sweeps_total", trigger="nightly") == len(ends) <= MOST_SWEEPS
    assert scrape.value("sweep_failures_total", trigger="nightly") == 0
    assert run.returncode == 0, run.stderr
    reasons = {image["id"]: image["reason"] for image in json.loads(run.stdout)["images"]}
    assert {reasons[image_id] for image_id in node.stuck} == {"removal_failed"}


def test_removed_once_the_runtime_can(tmp_path: Path) -> None:
    """An image whose removal failed is tried again by itself once its wait is over, and evicted."""
    # The others are not there: the low watermark needs what failed.
    with stuck_node("2", others=0) as node:
        node.lab.fill(WATERMARKS["high"] + 1)
        watermarks = {"high": WATERMARKS["high"], "low": WATERMARKS["high"] - 4}
        pressure = {"check_every": "1s", "grace": "0s", "bytes": watermarks}
        with DaemonProcess(tmp_path, node.proxy.endpoint, policy=POLICY, pressure=pressure, nightly=NO_NIGHT) as daemon:
            daemon.wait_for_event("sweep_ended")
            assert node.still_there(node.stuck) == node.stuck
            assert node.proxy.count_refused("RemoveImage") == STUCK
            node.proxy.stop_refusing()
            end = daemon.wait_for_event("sweep_ended", 2)
        assert (end["stop_reason"], end["failed"]) == ("low_watermark", 0)
        assert node.still_there(node.stuck) < node.stuck
