"""A disk of which root reserves 40 %: a holder of its own, said where it is in the way, and gone once it is lowered."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cleaner.node.disk import mount_of, read_mounts
from lab import ImageSpec, Lab, Layer
from support.daemon_process import DaemonProcess, trace_sweep
from support.lab_node import run_cleaner_at

MIB = 1024**2
COMPANY = "registry.gitlab.com"
RULE = {"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}
IMAGES = 3
USED = 76.0
"""Above the high watermark: 40 % of it reserved, and most of the rest a file that is no image."""


def pull_old_images(lab: Lab) -> None:
    specs = [
        ImageSpec(f"golem-ai/app{number}", "v1", (Layer(3 * MIB, number),), "2025-06-01T00:00:00Z")
        for number in range(IMAGES)
    ]
    lab.pull_all(image.reference(COMPANY) for image in lab.push(*specs))


def run(lab: Lab, daemon: DaemonProcess, words: Sequence[str]) -> dict[str, Any]:
    done = run_cleaner_at([*words, "-o", "json"], lab.endpoint, daemon.config)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def reserve_notes(lab: Lab, daemon: DaemonProcess) -> list[tuple[str, str]]:
    """What `check` says of reserved blocks."""
    findings = run(lab, daemon, ["check"])["findings"]
    return [(finding["grade"], finding["detail"]) for finding in findings if finding["subject"] == "reserved blocks"]


def lower_reserve(lab: Lab) -> None:
    """As the advice says: on the mounted filesystem."""
    device = next(
        line.split(" - ")[1].split()[1]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[4] == mount_of(str(lab.disk), read_mounts()).mountpoint
    )
    subprocess.run(["tune2fs", "-m", "1", device], check=True, capture_output=True, timeout=30)


def test_a_reserve_of_40_percent(tmp_path: Path) -> None:
    """The holders add up to what counts as used; the reserve is named with what to do, and doing so helps."""
    with Lab(version="2", size_mib=300, reserved_percent=40) as lab:
        pull_old_images(lab)
        lab.fill(USED)
        with DaemonProcess(
            tmp_path,
            lab.endpoint,
            mode="pressure",
            policy={"grace": "0s", "rules": [RULE]},
            pressure={"check_every": "1s", "grace": "0s"},
            state={"path": str(tmp_path / "ledger.db"), "sample_every": "1s"},
        ) as daemon:
            sweep = trace_sweep(daemon)
            plan = run(lab, daemon, ["plan", "--trigger", "pressure"])
            filesystem, held = plan["filesystem"], plan["held_bytes"]
            (notice,) = (notice for notice in plan["notices"] if "reserved for root" in notice)
            ((grade, detail),) = reserve_notes(lab, daemon)
            print(f"\n{filesystem['used_percent']:.2f} % used, held by {held}\n{notice}")
            assert plan["low_watermark_reachable"] is False
            assert sum(held.values()) == filesystem["capacity_bytes"] - filesystem["available_bytes"]
            # Of the device, which is larger than the filesystem's capacity; ext4 also reserves 4,096 blocks for itself.
            assert 40 < 100 * held["reserved"] / filesystem["capacity_bytes"] < 50
            assert held["reserved"] == filesystem["reserved_bytes"] > held["non_image"] > held["evictable"] > 0
            assert "without it, the low watermark of 65 % would be in reach" in notice
            assert (grade, f"{detail}.") == ("warning", notice)
            assert sweep.started["held_bytes"]["reserved"] == held["reserved"]
            assert (sweep.ended["stop_reason"], sweep.ended["evicted"]) == ("kubelet_threshold", 0)
            scraped = daemon.scrape()
            assert abs(sum(scraped.by_label("filesystem_held_bytes").values()) - sum(held.values())) < MIB
            assert scraped.value("low_watermark_reachable") == 0
            lower_reserve(lab)
            daemon.wait_for_value(1, "low_watermark_reachable")
            after = run(lab, daemon, ["plan", "--trigger", "pressure"])
            assert after["filesystem"]["used_percent"] < 65
            assert not [notice for notice in after["notices"] if "reserved" in notice]
            assert reserve_notes(lab, daemon) == []
