"""Real registries that are stopped and started: their images stay meanwhile, others go, and they go the next night."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import ImageSpec, Lab, Layer
from lab.registry import Registry
from lab.toolbox import fetch_toolbox
from support.daemon_process import DaemonProcess
from support.lab_node import config_text, run_cleaner

MB = 1_000_000
LAST_YEAR = "2025-06-01T00:00:00Z"
UNREACHABLE = "localhost:1"
"""Nobody listens there; its images are pulled through containerd's hosts."""
EACH_MINUTE = {"schedule": "* * * * *", "splay": "0s", "window": "1m"}

FULL_PERCENT = 93
"""Above the kubelet's mark whatever goes, so that all that may go does."""


@dataclass
class Town:
    """A node that pulls from two registries, and knows a third by its mirror only."""

    lab: Lab
    other: Registry

    def __post_init__(self) -> None:
        self.home, self.away = self.lab.registry.address, self.other.address

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

    def run(self, *words: str, **sections: object) -> dict[str, object]:
        done = run_cleaner([*words, "-o", "json"], self.lab, config_text(**self.sections | sections))
        assert done.returncode == 0, done.stderr
        document: dict[str, object] = json.loads(done.stdout)
        return document

    def present(self, references: set[str]) -> set[str]:
        return {reference for reference in references if self.lab.find_image(reference)}


def hash_of(name: str) -> int:
    return int.from_bytes(name.encode(), "big") % 10**9


def verdicts(document: dict[str, object], references: set[str]) -> set[tuple[str, str]]:
    images = [image for image in document["images"] if references & set(image["references"])]  # type: ignore[attr-defined]
    return {(image["verdict"], image["reason"]) for image in images}


def evicted(document: dict[str, object]) -> set[str]:
    return {eviction["references"][0] for eviction in document["evictions"]}  # type: ignore[attr-defined]


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
    town.other.stop()
    town.other.start()


pytestmark = [
    pytest.mark.usefixtures("_restored"),
    pytest.mark.parametrize("lab_version", ["2"], indirect=True, scope="module"),
]
"""Registries are asked without the runtime: one version of it is enough."""


def test_by_hand(town: Town) -> None:
    """`plan`, `check` and `sweep` say who is down; its images stay, also those with a mirror there, and others go."""
    here, there = town.pull("hand")
    town.other.stop()
    plan = town.run("plan")
    assert verdicts(plan, here) == {("evict", "expired")}
    assert verdicts(plan, there) == {("keep", "registry_down")}
    notices = [notice for notice in plan["notices"] if notice.startswith("The registry ")]  # type: ignore[attr-defined]
    print("", *notices, sep="\n")
    assert len(notices) == 2
    findings = [f for f in town.run("check")["findings"] if f["subject"] == "registry"]  # type: ignore[attr-defined]
    assert {(f["detail"].partition(" ")[0], f["grade"]) for f in findings} == {
        (town.home, "ok"),
        (town.away, "note"),
        (UNREACHABLE, "note"),
    }
    first = town.run("sweep")
    assert evicted(first) == here
    assert first["kept"]["registry_down"] == len(there)  # type: ignore[index]
    assert town.present(here | there) == there
    town.other.start()
    assert evicted(town.run("sweep")) == there
    assert town.present(there) == set()


def test_night_by_night(town: Town, tmp_path: Path) -> None:
    """The daemon keeps at night what hangs on the registry that is down, shows it, and takes it once it is up again."""
    here, there = town.pull("night")
    town.other.stop()
    with DaemonProcess(tmp_path, town.lab.endpoint, None, nightly=EACH_MINUTE, **town.sections) as daemon:
        daemon.wait_for_event("nightly_done")
        lines = daemon.events("registry_down")
        print("", *(f"{line['registry']}: {line['because']}" for line in lines), sep="\n")
        assert {line["registry"] for line in lines} == {town.away, UNREACHABLE}
        assert town.present(here | there) == there
        daemon.wait_for_value(len(there), "images", state="registry_down")
        daemon.wait_for_event("nightly_done", 2)
        assert len(daemon.events("registry_down")) == len(lines)
        assert town.present(there) == there
    town.other.start()
    with DaemonProcess(tmp_path, town.lab.endpoint, None, nightly=EACH_MINUTE, **town.sections) as daemon:
        daemon.wait_for_event("nightly_done")
        assert town.present(there) == set()
        daemon.wait_for_value(0, "images", state="registry_down")
        assert daemon.scrape().value("evictions_total", reason="expired") == len(there)


@pytest.mark.parametrize("ignores", [True, False])
def test_under_pressure(town: Town, ignores: bool) -> None:
    """Pressure takes images of a registry that is down, unless pressure.ignore_registries is false."""
    _, there = town.pull("pressure")
    town.other.stop()
    town.lab.fill(FULL_PERCENT)
    pressure = {"grace": "0s", "ignore_registries": ignores}
    document = town.run("sweep", "--trigger", "pressure", pressure=pressure)
    print(f"\n{len(document['evictions'])} evicted, kept {document['kept']}")  # type: ignore[arg-type]
    assert town.present(there) == (set() if ignores else there)
    assert document["kept"].get("registry_down", 0) == (0 if ignores else len(there))  # type: ignore[attr-defined]
