"""Disks that are full of non-image data, or to the last byte: the agent does what it can, and makes no loop."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from lab import ImageSpec, Lab, Layer
from support.daemon_process import DaemonProcess, trace_sweep
from support.lab_node import config_text, run_cleaner

MB = 1_000_000
COMPANY = "registry.gitlab.com"
RULES = {"grace": "0s", "rules": [{"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}]}
TODAY = datetime.now(UTC)
SAMPLE_EVERY = "30s"
"""Between the backoff of a second, while the kubelet is about to act, and that of a minute otherwise: an agent that
waits too long, or for no reason, counts a new image before it sweeps."""
TRIES = 10


def pull_aged(lab: Lab, number: int) -> str:
    """One image of 6 MB; the lower its number, the older it is."""
    return lab.pull(push_aged(lab, number, 6 * MB))


def push_aged(lab: Lab, number: int, size_bytes: int) -> str:
    """One that can be pulled; gives its reference."""
    created = f"{TODAY - timedelta(days=60 - number):%Y-%m-%dT00:00:00Z}"
    [image] = lab.push(ImageSpec("golem-ai/app", f"v{number:02}", (Layer(size_bytes, number),), created))
    return image.reference(COMPANY)


def test_full_of_non_image_data(tmp_path: Path) -> None:
    """A sweep that cannot help runs once and is not repeated; an image that is pulled then is evicted at once."""
    with Lab(version="2", size_mib=300) as lab:
        ids = [pull_aged(lab, number) for number in range(2)]
        lab.fill(94.0)
        pressure = {"check_every": "1s", "grace": "0s", "bytes": {"high": 75, "low": 65}}
        state = {"path": str(tmp_path / "ledger.db"), "sample_every": SAMPLE_EVERY}
        sections = {"policy": RULES, "pressure": pressure, "state": state}
        with DaemonProcess(tmp_path, lab.endpoint, None, mode="pressure", **sections) as daemon:
            sweep = trace_sweep(daemon)
            print(f"\n{sweep.ended['used_percent_before']:.2f} % -> {sweep.ended['used_percent_after']:.2f} %", end=" ")
            print(f"by {len(sweep.names)} images, all that there are: {sweep.ended['stop_reason']}")
            assert sweep.names == ["app:v00", "app:v01"]
            assert [lab.find_image(known) for known in ids] == [None, None]
            assert (sweep.ended["stop_reason"], sweep.ended["low_watermark_met"]) == ("done", False)
            assert sweep.ended["level"] == "warning"
            assert sweep.ended["used_percent_after"] > 84
            assert_no_loop(daemon, evicted=2)
            pulled = assert_newcomer_is_evicted_at_once(lab, daemon, first=2)
            assert daemon.scrape().by_label("sweep_ends_total").keys() == {"done"}
        newcomer = pull_aged(lab, 2 + pulled)
        by_hand = run_cleaner(
            ["sweep", "--trigger", "pressure", "-o", "json"],
            lab,
            config_text(policy=RULES, pressure=pressure),
        )
        assert by_hand.returncode == 0
        report = json.loads(by_hand.stdout)
        assert report["stop_reason"] == "done"
        assert report["filesystem_after"]["used_percent"] > 65
        assert lab.find_image(newcomer) is None


def assert_newcomer_is_evicted_at_once(lab: Lab, daemon: DaemonProcess, first: int) -> int:
    """An image that is pulled is evicted by the next sweep, before it is ever counted; gives how many were pulled.

    A check in the midst of its pull sees a disk that fills, and nothing yet to evict: then another one is pulled.
    """
    for number in range(first, first + TRIES):
        reference = push_aged(lab, number, 2 * MB)
        # The next check is in a second.
        daemon.wait_for_checks(1)
        swept, counted = len(daemon.events("sweep_ended")), len(daemon.events("images_inventoried"))
        newcomer = lab.pull(reference)
        assert_no_loop(daemon, evicted=number + 1)
        assert lab.find_image(newcomer) is None
        if [line["evicted"] for line in daemon.events("sweep_ended")[swept:]] == [1, 0]:
            assert {line["images"]["evictable"] for line in daemon.events("images_inventoried")[counted:]} == {0}
            return number + 1 - first
    pytest.fail(f"{TRIES} pulls were checked in their midst")


def assert_no_loop(daemon: DaemonProcess, evicted: int) -> None:
    """After this many evictions one more sweep finds nothing, and none follows it while nothing changes.

    That one more starts without a check in between, which would count images.
    """

    def in_vain() -> bool:
        ended = [line["evicted"] for line in daemon.events("sweep_ended")]
        return bool(sum(ended) == evicted and ended[-1] == 0)

    daemon.wait_for(in_vain, f"an empty sweep after {evicted} evictions")
    told = [line for line in daemon.lines() if line["event"] in {"images_inventoried", "sweep_started", "sweep_ended"}]
    following = [after["event"] for line, after in pairwise(told) if line["event"] == "sweep_ended" and line["evicted"]]
    assert set(following) == {"sweep_started"}
    number = len(daemon.events("sweep_started"))
    daemon.wait_for_checks(5)
    assert len(daemon.events("sweep_started")) == number
    print(f"{number} sweeps so far, and no more after 5 checks")


@pytest.mark.parametrize("version", ["1.6", "2"])
def test_not_a_byte_free(version: str, tmp_path: Path) -> None:
    """With every block used, root's reserve too, images are still evicted, and the disk gets to its low watermark."""
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
            assert sweep.ended["stop_reason"] == "low_watermark"
            gone = [number for number, known in enumerate(ids) if lab.find_image(known) is None]
            assert gone == list(range(len(sweep.names)))
            assert lab.find_image(pull_aged(lab, 12)) is not None
