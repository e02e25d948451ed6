"""Inodes on a real node: they are a resource of their own, and only the exhausted one is driven down."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from lab import ImageSpec, Lab, Layer
from support.daemon_process import DaemonProcess, trace_sweep

COMPANY = "registry.gitlab.com"
RULE = {"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}
INODES = {"high": 80, "low": 55}
BYTES = {"high": 90, "low": 5}
"""The disk is far above this low watermark all the time, and never at this high one."""
IMAGES = 10
FILES = 250


def pull_image_of_many_files(lab: Lab, number: int) -> str:
    """One a day, so the first is the oldest."""
    created = f"{datetime.now(UTC) - timedelta(days=20 - number):%Y-%m-%dT00:00:00Z}"
    layer = Layer(FILES * 10, seed=number, files=FILES)
    [image] = lab.push(ImageSpec("golem-ai/files", f"v{number}", (layer,), created))
    return lab.pull(image.reference(COMPANY))


def test_inodes_alone(tmp_path: Path) -> None:
    """A disk without free inodes is driven to the low watermark of inodes, while its bytes stay above theirs."""
    with Lab(version="1.7", size_mib=300, inodes=3000) as lab:
        ids = [pull_image_of_many_files(lab, number) for number in range(IMAGES)]
        lab.fill(60.0)
        before = lab.usage()
        assert before.used_inodes_percent >= INODES["high"]
        assert BYTES["low"] < before.used_percent < BYTES["high"]
        with DaemonProcess(
            tmp_path,
            lab.endpoint,
            mode="pressure",
            policy={"rules": [RULE]},
            pressure={"check_every": "1s", "grace": "0s", "bytes": BYTES, "inodes": INODES},
        ) as daemon:
            sweep = trace_sweep(daemon)
            after = lab.usage()
            each = (after.free_inodes - before.free_inodes) / len(sweep.evictions)
            print(f"\ninodes {before.used_inodes_percent:.2f} % -> {after.used_inodes_percent:.2f} %", end=" ")
            print(f"by {len(sweep.evictions)} images of {each:.1f} inodes;", end=" ")
            print(f"bytes {before.used_percent:.2f} % -> {after.used_percent:.2f} %")
            assert sweep.names == [f"files:v{number}" for number in range(len(sweep.names))]
            assert after.used_inodes_percent <= INODES["low"]
            assert sweep.ended["inodes_used_percent_after"] == after.used_inodes_percent
            # All images take the same number, give or take what containerd keeps for itself.
            assert after.used_inodes_percent + 100 * FILES / after.inodes > INODES["low"]
            assert after.used_percent > BYTES["low"]
            assert (sweep.ended["stop_reason"], sweep.ended["low_watermark_met"]) == ("low_watermark", True)
            kept = [number for number, known in enumerate(ids) if lab.find_image(known) is not None]
            assert kept == list(range(len(sweep.names), IMAGES))
            daemon.wait_for_checks(3)
            assert daemon.scrape().by_label("sweep_ends_total") == {"low_watermark": 1}
