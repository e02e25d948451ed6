"""Real registries that are stopped and started: their images stay until the next nightly run, others are evicted."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import ImageSpec, Lab, Layer
from lab.ports import reserve_port
from lab.registry import Registry
from lab.toolbox import fetch_toolbox
from support.daemon_process import DaemonProcess
from support.lab_node import config_text, run_cleaner

MB = 1_000_000
LAST_YEAR = "2025-06-01T00:00:00Z"
UNREACHABLE = f"127.0.0.1:{reserve_port()}"
"""No server ever listens there; its images are pulled through containerd's hosts."""
LATE = "no answer in time"
"""What is said of a registry that answers after more than 2 or 3 s, as one that is up may on a busy machine."""
TRIES = 10
"""Of what is void where a registry that is up was late."""
EACH_MINUTE = {"schedule": "* * * * *", "splay": "0s", "window": "1h"}

FULL_PERCENT = 93
"""Above the kubelet's threshold whatever is evicted, so that all candidates are."""


@dataclass
class Town:
    """A node that pulls from two registries, and knows a third by its mirror only."""

    lab: Lab
    other: Registry
    other_is_up: bool = True

    def __post_init__(self) -> None:
        self.home, self.away = self.lab.registry.address, self.other.address

    def stop_other(self) -> None:
        self.other.stop()
        self.other_is_up = False

    def start_other(self) -> None:
        self.other.start()
        self.other_is_up = True

    @property
    def sections(self) -> dict[str, object]:
        match = [f"{registry}/golem-ai/**" for registry in (self.home, self.away, UNREACHABLE)]
        return {
            "policy": {"grace": "0s", "rules": [{"name": "company", "match": match, "max_age": "7d"}]},
            "registries": {
                "check": True,
                "plain_http": [self.home, self.away, UNREACHABLE],
                "also": {UNREACHABLE: [self.away]},
            },
        }

    def pull(self, test: str) -> tuple[set[str], set[str]]:
        """Two images of each registry: those of the first one, and those that hang on the second one."""
        names = [f"golem-ai/{test}-{number}" for number in range(6)]
        specs = [ImageSpec(name, "v1", (Layer(MB, hash_of(name)),), LAST_YEAR) for name in names]
        registries = [self.home] * 2 + [self.away] * 2 + [UNREACHABLE] * 2
        built = self.lab.push(*specs)
        references = [image.reference(registry) for image, registry in zip(built, registries, strict=True)]
        self.lab.pull_all(references)
        return set(references[:2]), set(references[2:])

    def run(self, *words: str, **sections: object) -> dict[str, Any]:
        """What a command says, once no registry that is up was late for it: it keeps the images of one that was."""
        for _ in range(TRIES):
            done = run_cleaner([*words, "-o", "json"], self.lab, config_text(**self.sections | sections))
            assert done.returncode == 0, done.stderr
            document: dict[str, Any] = json.loads(done.stdout)
            details = [finding["detail"] for finding in document.get("findings", ())]
            logged = [line for line in done.stderr.splitlines() if "registry_down" in line]
            if not any(map(self._is_late, [*document.get("notices", ()), *details, *logged])):
                return document
        pytest.fail(f"a registry that is up was late {TRIES} times")

    @contextmanager
    def nightly_daemon(self, folder: Path) -> Iterator[DaemonProcess]:
        """A daemon after its first nightly run, in which no registry that is up was late: that would last for minutes.

        Each one has a ledger of its own, so it sweeps at once.
        """
        for _ in range(TRIES):
            with DaemonProcess(folder, self.lab.endpoint, None, nightly=EACH_MINUTE, **self.sections) as daemon:
                daemon.wait_for_event("nightly_done")
                down = [f"{line['registry']} {line['reason']}" for line in daemon.events("registry_down")]
                if not any(map(self._is_late, down)):
                    yield daemon
                    return
        pytest.fail(f"a registry that is up was late in {TRIES} nightly runs")

    def _is_late(self, said: str) -> bool:
        """Whether this is said of a registry that is up, or has a mirror that is: its name is the first in it."""
        up = {self.home, self.away, UNREACHABLE} if self.other_is_up else {self.home}
        first = min(filter(said.count, (self.home, self.away, UNREACHABLE)), key=said.index, default="none")
        return first in up and LATE in said

    def present(self, references: set[str]) -> set[str]:
        return {reference for reference in references if self.lab.find_image(reference)}


def hash_of(name: str) -> int:
    return int.from_bytes(name.encode(), "big") % 10**9


def verdicts(document: dict[str, Any], references: set[str]) -> set[tuple[str, str]]:
    images = [image for image in document["images"] if references & set(image["references"])]
    return {(image["verdict"], image["reason"]) for image in images}


def evicted(document: dict[str, Any]) -> set[str]:
    return {eviction["references"][0] for eviction in document["evictions"]}


@pytest.fixture(scope="module")
def town(lab: Lab, lab_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The second registry serves the same storage at a port of its own, from which containerd really pulls."""
    other = Registry(fetch_toolbox(lab_version).registry, tmp_path_factory.mktemp("town") / "other")
    storage = other.blobs.parents[3]
    storage.symlink_to(lab.registry.blobs.parents[3])
    hosts = lab.folder / "hosts" / other.address
    hosts.mkdir()
    url = f"http://{other.address}"
    (hosts / "hosts.toml").write_text(f'server = "{url}"\n\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n')
    other.start()
    try:
        yield Town(lab, other)
    finally:
        other.stop()


@pytest.fixture
def _restored(town: Town) -> Iterator[None]:
    """Whatever a test left, the second registry is up for the next one, and the disk has room."""
    yield
    town.lab.drop_ballast()
    town.stop_other()
    town.start_other()


pytestmark = [
    pytest.mark.usefixtures("_restored"),
    pytest.mark.parametrize("lab_version", ["2"], indirect=True, scope="module"),
]
"""Registries are asked without the runtime: one version of it is enough."""


def test_by_hand(town: Town) -> None:
    """`plan`, `check` and `sweep` say which registry is down; its images stay, also with a mirror; others do not."""
    here, there = town.pull("hand")
    town.stop_other()
    plan = town.run("plan")
    assert verdicts(plan, here) == {("evict", "expired")}
    assert verdicts(plan, there) == {("keep", "registry_down")}
    notices = [notice for notice in plan["notices"] if notice.startswith("The registry ")]
    print("", *notices, sep="\n")
    assert len(notices) == 2
    findings = [f for f in town.run("check")["findings"] if f["subject"] == "registry"]
    assert {(f["detail"].partition(" ")[0], f["grade"]) for f in findings} == {
        (town.home, "ok"),
        (town.away, "note"),
        (UNREACHABLE, "note"),
    }
    first = town.run("sweep")
    assert evicted(first) == here
    assert first["kept"]["registry_down"] == len(there)
    assert town.present(here | there) == there
    town.start_other()
    assert evicted(town.run("sweep")) == there
    assert town.present(there) == set()


def test_nightly_runs(town: Town, tmp_path: Path) -> None:
    """A nightly run keeps the images of a registry that is down, shows them, and evicts them once it is up again."""
    here, there = town.pull("night")
    town.stop_other()
    with town.nightly_daemon(tmp_path) as daemon:
        lines = daemon.events("registry_down")
        print("", *(f"{line['registry']}: {line['reason']}" for line in lines), sep="\n")
        assert {line["registry"] for line in lines} == {town.away, UNREACHABLE}
        assert town.present(here | there) == there
        daemon.wait_for_value(len(there), "images", state="registry_down")
        daemon.wait_for_event("nightly_done", 2)
        assert len(daemon.events("registry_down")) == len(lines)
        assert town.present(there) == there
    town.start_other()
    with town.nightly_daemon(tmp_path) as daemon:
        assert town.present(there) == set()
        daemon.wait_for_value(0, "images", state="registry_down")
        assert daemon.scrape().value("evictions_total", reason="expired") == len(there)


@pytest.mark.parametrize("ignores", [True, False])
def test_under_pressure(town: Town, ignores: bool) -> None:
    """Pressure evicts images of a registry that is down, unless pressure.ignore_registries is false."""
    _, there = town.pull("pressure")
    town.stop_other()
    town.lab.fill(FULL_PERCENT)
    pressure = {"grace": "0s", "ignore_registries": ignores}
    document = town.run("sweep", "--trigger", "pressure", pressure=pressure)
    print(f"\n{len(document['evictions'])} evicted, kept {document['kept']}")
    assert town.present(there) == (set() if ignores else there)
    assert document["kept"].get("registry_down", 0) == (0 if ignores else len(there))
