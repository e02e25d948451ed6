"""Pressure on a real node: the daemon evicts in order, one by one, and stops at the low watermark."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab import ImageSpec, Lab, Layer
from support.daemon_process import DaemonProcess, Scrape, SweepTrace, trace_sweep, wait_for

MB = 1_000_000
COMPANY, OTHER = "registry.gitlab.com", "quay.io"
RULE = {"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}
PROTECTED = f"{COMPANY}/golem-ai/keep:*"
HIGH, LOW = 75, 57
TODAY = datetime.now(UTC)

DAYS: dict[str, int | None] = {
    "oldest": 90,
    "tied-a": 60,
    "tied-b": 60,
    "weeks": 20,
    "shared-a": 10,
    "shared-b": 5,
    "undated": None,
    "late-expired": 200,
    "late-a": 25,
    "late-b": 15,
    "late-c": 3,
    "late-d": 2,
    "running": 300,
    "exited": 300,
    "created": 300,
    "keep": 400,
    "foreign": 400,
    "two-names": 400,
}
"""Every image of the node, and how long ago it was built."""
EARLY = ("oldest", "tied-a", "tied-b", "weeks", "shared-a", "shared-b", "undated")
"""Pulled before the long grace: expired ones are evicted first; what has no date is as old as its pull."""
LATE = ("late-expired", "late-a", "late-b", "late-c", "late-d")
"""Pulled within the long grace: after all others, in the same order."""
KEPT = ("running", "exited", "created", "keep", "foreign", "two-names")

APARTS = [timedelta(seconds=seconds) for seconds in (12, 60, 240)]
"""Between the early pulls and the late ones: the long grace ends in between. A sweep has to begin within this time
after the last pull; a machine on which it does not gets another node, with more time."""


def name_of(image: str) -> str:
    return f"golem-ai/{image}"


def spec_of(image: str) -> ImageSpec:
    """Two images of the node share a layer besides the base that all have."""
    days = DAYS[image]
    created = None if days is None else f"{TODAY - timedelta(days=days):%Y-%m-%dT00:00:00Z}"
    shared = (Layer(4 * MB, 1000),) if image.startswith("shared") else ()
    return ImageSpec(name_of(image), "v1", (*shared, Layer(6 * MB, list(DAYS).index(image))), created)


@dataclass(frozen=True)
class FullNode:
    """A disk past its high watermark."""

    lab: Lab
    ids: dict[str, str]
    """By image."""
    grace: timedelta
    """The long grace that lies between the early pulls and the late ones."""
    late_at: datetime
    """When the late pulls began."""

    def is_late_recent(self, sweep: SweepTrace) -> bool:
        """Whether a sweep was planned while all the late pulls were within the long grace."""
        return datetime.fromisoformat(sweep.started["timestamp"]) < self.late_at + self.grace

    def order(self) -> list[str]:
        """All candidates, in the order of eviction."""
        tied = sorted(("tied-a", "tied-b"), key=lambda image: self.ids[image])
        return ["oldest", *tied, *EARLY[3:], *LATE]

    def present(self) -> set[str]:
        """What containerd itself has."""
        return {image for image, known in self.ids.items() if self.lab.find_image(known) == known}

    def count_images(self) -> int:
        """All images of the node by containerd's records, the sandboxes' one included: each has one named by its id."""
        return sum(line.startswith("sha256:") for line in self.lab.ctr("images", "ls", "-q").splitlines())


def fill_node(lab: Lab, apart: timedelta) -> FullNode:
    """Pull until the disk is past its high watermark; some early, some just now, some in use."""
    ids = {built.spec.repository.removeprefix("golem-ai/"): built.image_id for built in lab.push(*map(spec_of, DAYS))}
    lab.fill(40.0)
    pull(lab, COMPANY, EARLY)
    early_at = datetime.now(UTC)
    pull(lab, COMPANY, ("running", "exited", "created", "keep", "two-names"))
    pull(lab, OTHER, ("foreign", "two-names"))
    start_pods(lab)
    wait_for(lambda: datetime.now(UTC) - early_at >= apart, "the early pulls are a while ago")
    late_at = datetime.now(UTC)
    pull(lab, COMPANY, LATE)
    grace = datetime.now(UTC) - late_at + apart - timedelta(seconds=1)
    return FullNode(lab, ids, timedelta(seconds=int(grace.total_seconds())), late_at)


def pull(lab: Lab, registry: str, images: Sequence[str]) -> None:
    lab.pull_all(f"{registry}/{name_of(image)}:v1" for image in images)


def start_pods(lab: Lab) -> None:
    """A container in each state that counts as use."""
    lab.start_pod(f"{COMPANY}/{name_of('running')}:v1")
    lab.start_pod(f"{COMPANY}/{name_of('exited')}:v1").stop()
    lab.start_pod(f"{COMPANY}/{name_of('created')}:v1", run=False)


def daemon_of(folder: Path, node: FullNode) -> DaemonProcess:
    return DaemonProcess(
        folder,
        node.lab.endpoint,
        mode="pressure",
        policy={"grace": f"{node.grace.total_seconds():.0f}s", "protect": [PROTECTED], "rules": [RULE]},
        pressure={"check_every": "1s", "grace": "0s", "bytes": {"high": HIGH, "low": LOW}},
    )


def test_pressure(lab_version: str, tmp_path: Path) -> None:
    """A full disk is driven to its low watermark, oldest images first, and then left alone."""
    for apart in APARTS:
        with Lab(version=lab_version) as lab:
            node = fill_node(lab, apart)
            assert lab.usage().used_percent > HIGH
            with daemon_of(tmp_path, node) as daemon:
                sweep = trace_sweep(daemon)
                if node.is_late_recent(sweep):
                    assert_swept(daemon, node, sweep)
                    return
    pytest.fail(f"no sweep began within {APARTS[-1]} of the pulls before it")


def assert_swept(daemon: DaemonProcess, node: FullNode, sweep: SweepTrace) -> None:
    show(node.lab, sweep)
    assert_order(node, sweep)
    assert_stopped_at_low(node.lab, sweep, LOW)
    assert node.present() == set(DAYS) - {image.removesuffix(":v1") for image in sweep.names}
    scrape = daemon.wait_for(lambda: counted(daemon, node.count_images()), "the metrics count all images")
    assert_metrics(scrape, sweep, daemon.log_text())
    assert_nothing_more(daemon, node)


def show(lab: Lab, sweep: SweepTrace) -> None:
    print(f"\ncontainerd {lab.version}: {sweep.ended['used_percent_before']:.2f} % before")
    for line, name, used in zip(sweep.evictions, sweep.names, sweep.used_after_each(), strict=True):
        freed = line["reclaimed_bytes"]
        print(f"  {line['reason']:8} {name:16} {freed:>11,} bytes in {line['duration_seconds']:.3f} s -> {used:.2f} %")
    print(f"  {sweep.ended['used_percent_after']:.2f} % after, in {sweep.ended['duration_seconds']:.2f} s")
    print(f"  kept {sweep.ended['kept']}, not reached {sweep.ended['not_reached']}")


def assert_order(node: FullNode, sweep: SweepTrace) -> None:
    """The evicted images are the beginning of the order, which reaches into the late ones and not to their end."""
    order = [f"{image}:v1" for image in node.order()]
    assert sweep.names == order[: len(sweep.names)]
    assert len(EARLY) < len(sweep.names) < len(order)
    # Estimated before the first eviction: just as many as it then evicted.
    assert sweep.started["to_evict"] == len(sweep.names)
    assert sweep.started["not_reached"] == len(order) - len(sweep.names)
    assert sweep.started["low_watermark_reachable"] is True
    assert sweep.ended["not_reached"] == len(order) - len(sweep.names)
    assert {line["reason"] for line in sweep.evictions[:3]} == {"expired"}
    assert [line["reason"] for line in sweep.evictions[3:8]] == ["pressure"] * 4 + ["expired"]
    assert sweep.ended["kept"] == {"in_use": 3, "sandbox": 1, "protected": 1, "unmatched": 2}


def assert_stopped_at_low(lab: Lab, sweep: SweepTrace, low: float) -> None:
    """It continued above the low watermark, and ended with the first measurement that was not."""
    assert all(used > low for used in sweep.used_after_each()[:-1])
    assert sweep.used_before_last() > low
    assert sweep.ended["used_percent_after"] <= low
    assert lab.usage().used_percent <= low
    assert (sweep.ended["stop_reason"], sweep.ended["low_watermark_met"]) == ("low_watermark", True)
    assert sweep.ended["reclaimed_bytes"] == sum(line["reclaimed_bytes"] for line in sweep.evictions)


def counted(daemon: DaemonProcess, images: int) -> Scrape | None:
    scrape = daemon.scrape()
    return scrape if scrape.total("images") == images else None


def assert_metrics(scrape: Scrape, sweep: SweepTrace, log_text: str) -> None:
    """The counters say what the log says."""
    for reason in ("expired", "pressure"):
        assert scrape.value("evictions_total", reason=reason) == sweep.count_of(reason)
        assert scrape.value("reclaimed_bytes_total", reason=reason) == sweep.reclaimed_by(reason)
    assert scrape.by_label("sweeps_total") == {"pressure": 1}
    assert scrape.by_label("sweep_ends_total") == {"low_watermark": 1}
    assert scrape.total("sweep_failures_total") == 0
    assert scrape.value("eviction_failures_total") == 0
    assert scrape.value("evictions_spared_total") == 0
    # A machine that stopped for longer than a call may take is no fault of the agent.
    assert scrape.total("runtime_request_failures_total") == 0 or "DEADLINE_EXCEEDED" in log_text


def assert_nothing_more(daemon: DaemonProcess, node: FullNode) -> None:
    """Below the high watermark nothing is evicted, however often it checks."""
    before = (daemon.scrape().total("sweeps_total"), len(daemon.events("eviction")), node.present())
    daemon.wait_for_checks(3)
    assert (daemon.scrape().total("sweeps_total"), len(daemon.events("eviction")), node.present()) == before


@pytest.mark.parametrize("filesystem", ["xfs", "btrfs"])
def test_pressure_where_space_is_freed_later(tmp_path: Path, filesystem: str) -> None:
    """On a filesystem that frees late, it stops at the first settled measurement at or below the low watermark."""
    with Lab(version="2", filesystem=filesystem, size_mib=400) as lab:
        pull_aged(lab, 12)
        os.sync()  # btrfs counts what was written only once it is on the disk
        used = lab.usage().used_percent
        low = used - 15
        with DaemonProcess(
            tmp_path,
            lab.endpoint,
            mode="pressure",
            policy={"rules": [RULE]},
            pressure={"check_every": "1s", "grace": "0s", "bytes": {"high": used - 1, "low": low}},
        ) as daemon:
            sweep = trace_sweep(daemon)
            show(lab, sweep)
            assert sweep.names == [f"app:v{index:02}" for index in range(len(sweep.names))]
            assert_stopped_at_low(lab, sweep, low)
            os.sync()
            print(
                f"  {lab.usage().used_percent:.3f} % after a sync, {sweep.ended['used_percent_after']:.3f} % measured"
            )


def pull_aged(lab: Lab, number: int) -> None:
    """So many images of 6 MB, the oldest first."""
    for index in range(number):
        created = f"{TODAY - timedelta(days=20 - index):%Y-%m-%dT00:00:00Z}"
        [image] = lab.push(ImageSpec("golem-ai/app", f"v{index:02}", (Layer(6 * MB, 2000 + index),), created))
        lab.pull(image.reference(COMPANY))
