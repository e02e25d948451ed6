"""A disk full of non-image data: said first, hot images stay, no loop, and it ends when the space is free again."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab import ImageSpec, Lab, Layer
from support.daemon_process import DaemonProcess, SweepTrace, trace_sweep, wait_for

MB = 1_000_000
COMPANY = "registry.gitlab.com"
RULE = {"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "365d"}
TODAY = datetime.now(UTC)
GRACES = [timedelta(seconds=seconds) for seconds in (25, 90, 300)]
"""The long one: what was pulled before it is cold, what was pulled within it hot. A machine on which the hot images are
cold before the second sweep gets another node, with a longer one."""
DAYS = {"cold-a": 20, "cold-b": 19, "cold-c": 18, "hot-a": 90, "hot-b": 80, "hot-c": 70}
"""By age alone the hot ones would be evicted first."""
COLD, HOT = list(DAYS)[:3], list(DAYS)[3:]
MORE = {"more-a": 200, "more-b": 199, "more-c": 198, "more-d": 197}


def pull(lab: Lab, images: Sequence[str]) -> dict[str, str]:
    """Images of 3 MB; their ids by name."""
    ids = {}
    for name in images:
        days = (DAYS | MORE)[name]
        created = f"{TODAY - timedelta(days=days):%Y-%m-%dT00:00:00Z}"
        [image] = lab.push(ImageSpec(f"golem-ai/{name}", "v1", (Layer(3 * MB, days),), created))
        ids[name] = lab.pull(image.reference(COMPANY))
    return ids


def test_disk_full_of_non_image_data(tmp_path: Path) -> None:
    """At 80 % nothing is evicted, at 86 % cold images down to 83 %, hot ones stay; below again it sweeps as usual."""
    for grace in GRACES:
        with Lab(version="2", size_mib=300) as lab:
            ids = pull(lab, COLD)
            wait_until_later(datetime.now(UTC) + grace)
            hot_until = datetime.now(UTC) + grace
            ids |= pull(lab, HOT)
            lab.fill(80.0)
            with daemon_of(tmp_path, lab, grace) as daemon:
                assert_nothing_is_evicted(daemon)
                lab.fill(86.0)
                sweep = trace_sweep(daemon, 2)
                if datetime.fromisoformat(sweep.started["timestamp"]) < hot_until:
                    assert_cold_ones_are_evicted(daemon, lab, ids, sweep)
                    assert_space_is_free_again(daemon, lab)
                    return
    pytest.fail(f"no second sweep began within {GRACES[-1]} of the pulls before it")


def wait_until_later(moment: datetime) -> None:
    wait_for(lambda: datetime.now(UTC) >= moment, "the cold images are cold", 2 * GRACES[-1].total_seconds())


def assert_cold_ones_are_evicted(daemon: DaemonProcess, lab: Lab, ids: dict[str, str], sweep: SweepTrace) -> None:
    print(f"\n{sweep.ended['used_percent_before']:.2f} % -> {sweep.ended['used_percent_after']:.2f} %", end=" ")
    print(f"by {sweep.names} of {list(ids)}")
    assert sweep.names == [f"{name}:v1" for name in COLD[: len(sweep.names)]]
    assert sweep.used_before_last() > 83 >= sweep.ended["used_percent_after"]
    assert (sweep.ended["stop_reason"], sweep.ended["low_watermark_met"]) == ("kubelet_threshold", False)
    assert all(lab.find_image(ids[name]) for name in HOT)
    daemon.wait_for_checks(4)
    assert len(daemon.events("sweep_started")) == 2


def daemon_of(folder: Path, lab: Lab, grace: timedelta) -> DaemonProcess:
    return DaemonProcess(
        folder,
        lab.endpoint,
        mode="pressure",
        policy={"grace": f"{grace.total_seconds():.0f}s", "rules": [RULE]},
        pressure={"check_every": "1s", "grace": "0s"},
        state={"path": str(folder / f"ledger-{grace.seconds}.db"), "sample_every": "1s"},
    )


def assert_nothing_is_evicted(daemon: DaemonProcess) -> None:
    """One statement with the bytes by holder, and no second one."""
    sweep = trace_sweep(daemon)
    held_bytes = sweep.started["held_bytes"]
    print(f"\nheld by {held_bytes}; {sweep.started['to_evict']} to evict, {sweep.started['not_reached']} left")
    assert (sweep.started["level"], sweep.started["low_watermark_reachable"]) == ("warning", False)
    assert (sweep.started["to_evict"], sweep.started["not_reached"]) == (0, 6)
    assert max(held_bytes, key=held_bytes.get) == "non_image"
    assert (sweep.ended["stop_reason"], sweep.ended["evicted"]) == ("kubelet_threshold", 0)
    daemon.wait_for_checks(4)
    assert len(daemon.events("sweep_started")) == 1
    assert daemon.scrape().value("low_watermark_reachable") == 0


def assert_space_is_free_again(daemon: DaemonProcess, lab: Lab) -> None:
    """Once the file is removed the low watermark is within reach; the next time the disk is full it is driven to it."""
    lab.drop_ballast()
    daemon.wait_for_value(1, "low_watermark_reachable")
    assert len(daemon.events("sweep_started")) == 2
    pull(lab, list(MORE))
    lab.fill(75.5)
    sweep = trace_sweep(daemon, 3)
    print(f"{sweep.ended['used_percent_before']:.2f} % -> {sweep.ended['used_percent_after']:.2f} % by {sweep.names}")
    assert (sweep.started["low_watermark_reachable"], sweep.started["held_bytes"]) == (True, None)
    assert (sweep.ended["stop_reason"], sweep.ended["low_watermark_met"]) == ("low_watermark", True)
