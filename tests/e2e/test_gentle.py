"""A night with rests on a real containerd: it takes its time, and lets pressure go first."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab import ImageSpec, Lab, Layer
from support.daemon_process import DaemonProcess, Line

COMPANY = "registry.gitlab.com"
RULE = {"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}
IMAGES = 20
PER_NIGHT = 12
BEFORE_PRESSURE = 3
CHECK_SECONDS = 6
MARKS = {"high": 75, "low": 70}
TODAY = datetime.now(UTC)


def pull_aged(lab: Lab) -> None:
    """Images that take 4 MB of the disk each, blob and snapshot, long past their max_age; the lower the older."""
    specs = [
        ImageSpec(
            "golem-ai/app",
            f"v{number:02}",
            (Layer(2_000_000, number),),
            f"{TODAY - timedelta(days=90 - number):%Y-%m-%dT00:00:00Z}",
        )
        for number in range(IMAGES)
    ]
    lab.pull_all(image.reference(COMPANY) for image in lab.push(*specs))


def daemon_of(lab: Lab, folder: Path) -> DaemonProcess:
    """Its night has just begun, and there is no other today."""
    return DaemonProcess(
        folder,
        lab.endpoint,
        policy={"grace": "0s", "rules": [RULE]},
        nightly={
            "schedule": f"0 {datetime.now(UTC).hour} * * *",
            "splay": "0s",
            "evictions_per_night": PER_NIGHT,
            "duty": "20%",
        },
        pressure={"check_every": f"{CHECK_SECONDS}s", "grace": "0s", "bytes": MARKS},
    )


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def works_and_rests(lines: list[Line]) -> list[tuple[float, float]]:
    """Seconds of each nightly eviction but the last, and from its end until the next one began."""
    at = [
        line["timestamp"]
        for line in lines
        if line["event"] in {"eviction_started", "eviction"} and line["trigger"] == "nightly"
    ]
    return [
        (seconds_between(began, ended), seconds_between(ended, following))
        for began, ended, following in zip(at[::2], at[1::2], at[2::2], strict=False)
    ]


@pytest.mark.parametrize("version", ["1.7", "2"])
def test_a_night_rests_and_lets_pressure_go_first(version: str, tmp_path: Path) -> None:
    """Each rest is four times what it rests from; a disk that fills in one is driven down at once, without any.

    Then the night goes on: what both of its parts took together is what one night may take.
    """
    with Lab(version=version, size_mib=300) as lab:
        pull_aged(lab)
        lab.fill(MARKS["high"] - 2)
        with daemon_of(lab, tmp_path) as daemon:
            daemon.wait_for(lambda: len(daemon.events("eviction")) >= BEFORE_PRESSURE or None, "the night is under way")
            lab.fill(MARKS["high"] + 0.5)
            daemon.wait_for_event("nightly_done")
            night, pressure, rest = daemon.events("sweep_ended")
            evictions, lines = daemon.events("eviction"), daemon.lines()
            scrape = daemon.scrape()
    for sweep in (night, pressure, rest):
        print(f"\n{sweep['trigger']}: {sweep['evicted']} in {sweep['duration_seconds']:.1f} s", end="")
        print(f", {sweep['used_percent_after']:.1f} % used, ended by {sweep['stopped_because']}", end="")
    assert [s["trigger"] for s in (night, pressure, rest)] == ["nightly", "pressure", "nightly"]
    assert [s["stopped_because"] for s in (night, pressure, rest)] == ["pressure", "low_mark", "limit"]
    assert night["evicted"] + rest["evicted"] == PER_NIGHT
    assert pressure["used_percent_before"] >= MARKS["high"] > MARKS["low"] >= pressure["used_percent_after"]
    assert seconds_between(night["timestamp"], pressure["started_at"]) < CHECK_SECONDS / 2
    assert [line["trigger"] for line in evictions] == [
        *["nightly"] * night["evicted"], *["pressure"] * pressure["evicted"], *["nightly"] * rest["evicted"],
    ]  # fmt: skip
    parts = works_and_rests(lines)
    worked, rested = sum(work for work, _ in parts), sum(rest for _, rest in parts)
    removing = sum(line["duration_seconds"] for line in evictions if line["trigger"] == "nightly")
    print(f"\nat night {worked:.2f} s of work, {removing:.2f} s of it removals; {rested:.2f} s until the next", end="")
    assert len(parts) == PER_NIGHT - 1
    assert all(rest >= 4 * work for work, rest in parts)
    assert night["duration_seconds"] + rest["duration_seconds"] >= 5 * (removing - evictions[-1]["duration_seconds"])
    assert scrape.by_label("sweep_stops_total") == {"pressure": 1, "low_mark": 1, "limit": 1}
