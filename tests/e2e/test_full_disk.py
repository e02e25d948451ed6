"""Disks that are full of something else, or to the last byte: it does what it can, and does not go round in circles."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab import ImageSpec, Lab, Layer
from support.daemon_process import DaemonProcess, trace_sweep
from support.lab_node import config_text, run_cleaner

MB = 1_000_000
COMPANY = "registry.gitlab.com"
RULES = {"rules": [{"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}]}
TODAY = datetime.now(UTC)
WITHIN_A_MINUTE = 50.0
"""Seconds. After a minute a sweep may be repeated, if the node has changed."""


def pull_aged(lab: Lab, number: int) -> str:
    """One image of 6 MB; the lower its number, the older it is."""
    created = f"{TODAY - timedelta(days=60 - number):%Y-%m-%dT00:00:00Z}"
    [image] = lab.push(ImageSpec("golem-ai/app", f"v{number:02}", (Layer(6 * MB, number),), created))
    return lab.pull(image.reference(COMPANY))


def test_full_of_something_else(tmp_path: Path) -> None:
    """What images cannot free is tried once, said, and not tried again and again; nor because an image came."""
    with Lab(version="2", size_mib=300) as lab:
        ids = [pull_aged(lab, number) for number in range(2)]
        lab.fill(94.0)
        pressure = {"check_every": "1s", "grace": "0s", "bytes": {"high": 75, "low": 65}}
        with DaemonProcess(tmp_path, lab.endpoint, mode="pressure", policy=RULES, pressure=pressure) as daemon:
            sweep = trace_sweep(daemon)
            print(f"\n{sweep.ended['used_percent_before']:.2f} % -> {sweep.ended['used_percent_after']:.2f} %", end=" ")
            print(f"by {len(sweep.names)} images, all that there are: {sweep.ended['stopped_because']}")
            assert sweep.names == ["app:v00", "app:v01"]
            assert [lab.find_image(known) for known in ids] == [None, None]
            assert (sweep.ended["stopped_because"], sweep.ended["low_mark_met"]) == ("done", False)
            assert sweep.ended["level"] == "warning"
            assert sweep.ended["used_percent_after"] > 75
            daemon.wait_for_checks(5, WITHIN_A_MINUTE)
            newcomer = pull_aged(lab, 2)
            daemon.wait_for_checks(5, WITHIN_A_MINUTE)
            scrape = daemon.scrape()
            assert lab.find_image(newcomer) == newcomer
            assert scrape.by_label("sweeps_total") == {"pressure": 1}
            assert scrape.by_label("sweep_stops_total") == {"done": 1}
            print(f"after {scrape.value('runtime_requests_total', method='Version'):.0f} checks still one sweep")
        by_hand = run_cleaner(
            ["sweep", "--trigger", "pressure", "-o", "json"],
            lab,
            config_text(policy=RULES, pressure=pressure),
        )
        assert by_hand.returncode == 0
        report = json.loads(by_hand.stdout)
        assert report["stopped_because"] == "done"
        assert report["filesystem_after"]["used_percent"] > 65
        assert lab.find_image(newcomer) is None


@pytest.mark.parametrize("version", ["1.6", "2"])
def test_not_a_byte_free(version: str, tmp_path: Path) -> None:
    """With every block taken, root's reserve too, images still go, and the disk gets to its low mark."""
    with Lab(version=version, size_mib=300) as lab:
        ids = [pull_aged(lab, number) for number in range(12)]
        lab.fill_completely()
        assert lab.usage().available_bytes == 0
        with DaemonProcess(
            tmp_path,
            lab.endpoint,
            mode="pressure",
            policy=RULES,
            pressure={"check_every": "1s", "grace": "0s", "bytes": {"high": 95, "low": 80}},
        ) as daemon:
            sweep = trace_sweep(daemon)
            print(f"\ncontainerd {lab.version}: {sweep.ended['used_percent_before']:.2f} % before")
            for line, name in zip(sweep.evictions, sweep.names, strict=True):
                print(f"  {name} {line['reclaimed_bytes']:>11,} bytes")
            print(f"  {sweep.ended['used_percent_after']:.2f} % after; the first ones refilled root's reserve")
            assert sweep.ended["used_percent_before"] == 100
            assert sweep.used_before_last() > 80
            assert sweep.ended["used_percent_after"] <= 80
            assert lab.usage().used_percent <= 80
            assert sweep.ended["stopped_because"] == "low_mark"
            gone = [number for number, known in enumerate(ids) if lab.find_image(known) is None]
            assert gone == list(range(len(sweep.names)))
            assert lab.find_image(pull_aged(lab, 12)) is not None
