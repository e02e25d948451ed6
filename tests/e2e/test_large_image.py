"""An image that needs half as much again as is free is pulled, since room is made while its first bytes arrive.

How this looks over time, and what happens without pulls counted, is `make bench-large-image`.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cleaner.daemon.forecaster import MOVED_BYTES
from lab import LabError
from support.daemon_process import DaemonProcess, trace_sweep
from support.large_image import HIGH, LARGE_POLICY, LARGE_PRESSURE, REGISTRY, LargeImageNode, large_image_node
from support.usage_watch import UsageWatch

FIRST_BYTES = 4 * MOVED_BYTES
"""The pull is stopped after this many bytes, less than a tenth of the large image's blob.

The agent reads the pulls once the usage has changed by `MOVED_BYTES`. containerd 2.1 writes a layer by whole MiB,
so a pull that is stopped after 1 MiB may have written nothing.
"""


def test_large_image(lab_version: str, tmp_path: Path) -> None:
    """Without an agent it does not fit; an agent makes room for all of it while most of it is still to come."""
    with large_image_node(lab_version) as node:
        lab = node.lab
        assert node.needs_bytes > lab.usage().available_bytes
        with pytest.raises(LabError, match="no space left on device"):
            lab.pull(node.large.reference(REGISTRY))
        assert lab.find_image(node.large.image_id) is None
        node.refill()
        agent = DaemonProcess(tmp_path, lab.endpoint, mode="pressure", policy=LARGE_POLICY, pressure=LARGE_PRESSURE)
        with agent as daemon, UsageWatch(lab, hertz=20) as watch:
            daemon.wait_for_event("runtime_up")
            pulled_at = pull_once_there_is_room(daemon, node)
        assert lab.find_image(node.large.image_id) == node.large.image_id
        [*_, last] = [line for line in daemon.events("eviction") if line["outcome"] == "evicted"]
        assert datetime.fromisoformat(last["timestamp"]) < pulled_at
        # What the room was made for was there in the end, and no more than that was ever used.
        assert watch.highest < 85


def pull_once_there_is_room(daemon: DaemonProcess, node: LargeImageNode) -> datetime:
    """Stop the pull at its first bytes until the sweep that they start is over; when the pull was done."""
    lab = node.lab
    with lab.throttled(math.inf) as road, ThreadPoolExecutor(1) as pool:
        road.stop_at(FIRST_BYTES)
        try:
            pull = pool.submit(lab.pull, node.large.reference(REGISTRY))
            daemon.wait_for(lambda: bool(daemon.events("sweep_ended")) or pull.done(), "a sweep")
            assert not pull.done(), "the pull was over before any sweep"
            sweep = trace_sweep(daemon)
            # All of the room is there while all but the first bytes are still to come.
            assert node.lab.usage().available_bytes >= node.needs_bytes - FIRST_BYTES
        finally:
            road.stop_at(math.inf)
        pull.result()
    print(f"\ncontainerd {lab.version}: {sweep.ended['used_percent_before']:.1f} % used at {FIRST_BYTES >> 20} MiB,")
    print(
        f"{len(sweep.evictions)} images evicted down to {sweep.ended['used_percent_after']:.1f} %, then it was pulled"
    )
    # Nothing but the pull can have begun it: the disk itself is far below the high watermark.
    assert sweep.ended["used_percent_before"] < HIGH - 20
    assert sweep.evictions
    return datetime.now(UTC)
