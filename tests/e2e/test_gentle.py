"""A nightly sweep with pauses on a real containerd: it takes its time, and yields to pressure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cleaner.sweep.pacing import LONGEST_PAUSE_SECONDS
from lab import ImageSpec, Lab, Layer
from support.daemon_process import DaemonProcess, Line, Scrape

COMPANY = "registry.gitlab.com"
RULE = {"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}
IMAGES = 20
PER_RUN = 12
BEFORE_PRESSURE = 3
DUTY_PERCENT = 10
PAUSE_OF_WORK = (100 - DUTY_PERCENT) / DUTY_PERCENT
"""How many times as long as its work each pause is: longer on a slower machine, so it never outlasts a test's step."""
CHECK_SECONDS = 60
"""Long enough to tell what is done at once from what is done at the next check."""
ATTEMPTS = 5
CLOCK_SECONDS = 0.001
"""By which times in the log may be off."""
WATERMARKS = {"high": 75, "low": 70}
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
    """Its window has just begun, and there is no other occurrence today."""
    return DaemonProcess(
        folder,
        lab.endpoint,
        policy={"grace": "0s", "rules": [RULE]},
        nightly={
            "schedule": f"0 {datetime.now(UTC).hour} * * *",
            "splay": "0s",
            "evictions_per_night": PER_RUN,
            "duty_cycle": f"{DUTY_PERCENT}%",
        },
        pressure={"check_every": f"{CHECK_SECONDS}s", "grace": "0s", "bytes": WATERMARKS},
    )


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def works_and_pauses(lines: list[Line]) -> list[tuple[float, float]]:
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


@dataclass(frozen=True)
class NightlyRun:
    """What the log and the metrics say of one nightly run."""

    lines: list[Line]
    scrape: Scrape
    full_at: datetime
    """When the disk was full."""

    def events(self, name: str) -> list[Line]:
        return [line for line in self.lines if line["event"] == name]

    @property
    def sweeps(self) -> list[Line]:
        return self.events("sweep_ended")


def live_through(version: str, folder: Path) -> NightlyRun:
    """A nightly run in which the disk fills after the first evictions."""
    with Lab(version=version, size_mib=300) as lab:
        pull_aged(lab)
        lab.fill(WATERMARKS["high"] - 2)
        with daemon_of(lab, folder) as daemon:
            daemon.wait_for(
                lambda: len(daemon.events("eviction")) >= BEFORE_PRESSURE or None, "the nightly run is under way"
            )
            lab.fill(WATERMARKS["high"] + 0.5)
            full_at = datetime.now(UTC)
            daemon.wait_for_event("nightly_done")
            return NightlyRun(daemon.lines(), daemon.scrape(), full_at)


@pytest.fixture(params=["1.7", "2"])
def nightly_run(request: pytest.FixtureRequest, tmp_path: Path) -> NightlyRun:
    """One whose disk was full before its sweep was over: a machine that stopped meanwhile gets another one."""
    for attempt in range(ATTEMPTS):
        nightly_run = live_through(str(request.param), tmp_path / str(attempt))
        last = [line for line in nightly_run.events("eviction_started") if line["trigger"] == "nightly"][-1]
        if datetime.fromisoformat(last["timestamp"]) > nightly_run.full_at:
            return nightly_run
    pytest.fail(f"in {ATTEMPTS} nightly runs the sweep was over before the disk was full")


def test_a_nightly_run_pauses_and_yields_to_pressure(nightly_run: NightlyRun) -> None:
    """Each pause is in proportion to its work; a disk that fills in one is driven down at once, without any.

    Then the nightly run continues: both of its parts together evict what one run may evict.
    """
    first, pressure, second = nightly_run.sweeps
    for sweep in nightly_run.sweeps:
        print(f"\n{sweep['trigger']}: {sweep['evicted']} in {sweep['duration_seconds']:.1f} s", end="")
        print(f", {sweep['used_percent_after']:.1f} % used, ended by {sweep['stop_reason']}", end="")
    assert [s["trigger"] for s in nightly_run.sweeps] == ["nightly", "pressure", "nightly"]
    assert [s["stop_reason"] for s in nightly_run.sweeps] == ["yielded_to_pressure", "low_watermark", "limit"]
    assert first["evicted"] + second["evicted"] == PER_RUN
    assert pressure["used_percent_before"] >= WATERMARKS["high"] > WATERMARKS["low"] >= pressure["used_percent_after"]
    assert_at_once(nightly_run, first, pressure)
    assert [line["trigger"] for line in nightly_run.events("eviction")] == [
        *["nightly"] * first["evicted"], *["pressure"] * pressure["evicted"], *["nightly"] * second["evicted"],
    ]  # fmt: skip
    assert_pauses(nightly_run)
    assert nightly_run.scrape.by_label("sweep_ends_total") == {"yielded_to_pressure": 1, "low_watermark": 1, "limit": 1}


def assert_at_once(nightly_run: NightlyRun, first: Line, pressure: Line) -> None:
    """Between both sweeps there is no wait: before it waits for its next check it counts the images."""
    between = nightly_run.lines[nightly_run.lines.index(first) + 1 : nightly_run.lines.index(pressure)]
    events = [line["event"] for line in between]
    assert events[0] == "sweep_started", events
    assert "images_inventoried" in {line["event"] for line in nightly_run.lines}
    assert seconds_between(first["timestamp"], pressure["started_at"]) < CHECK_SECONDS / 2


def assert_pauses(nightly_run: NightlyRun) -> None:
    """After every eviction but the last of each part: pressure cuts one pause short, and the limit leaves none."""
    first, _, second = nightly_run.sweeps
    cut_short = first["evicted"] - 1
    parts = [part for number, part in enumerate(works_and_pauses(nightly_run.lines)) if number != cut_short]
    assert len(parts) == PER_RUN - 2
    print(f"\nnightly {sum(work for work, _ in parts):.2f} s of work,", end=" ")
    print(f"{sum(pause for _, pause in parts):.2f} s of pauses", end="")
    assert all(pause + CLOCK_SECONDS >= pause_after(work) for work, pause in parts)
    removals = [line["duration_seconds"] for line in nightly_run.events("eviction") if line["trigger"] == "nightly"]
    paused = [seconds for number, seconds in enumerate(removals[:-1]) if number != cut_short]
    least = sum(seconds + pause_after(seconds) for seconds in paused)
    assert first["duration_seconds"] + second["duration_seconds"] + CLOCK_SECONDS >= least


def pause_after(work_seconds: float) -> float:
    return min(PAUSE_OF_WORK * work_seconds, LONGEST_PAUSE_SECONDS)
