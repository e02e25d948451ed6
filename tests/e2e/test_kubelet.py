"""Beside a kubelet, on a real containerd: its thresholds are read and collide, and external removals are reported.

No kubelet runs here: its configuration is a file, and other clients of the same containerd make its removals.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import BuiltImage, ImageSpec, Lab, Layer
from support.daemon_process import NO_NIGHT, DaemonProcess
from support.lab_node import run_cleaner_at, runtime_of

COMPANY = "registry.gitlab.com"
RULE = {"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}
LAST_YEAR = "2025-06-01T00:00:00Z"
ONE_VERSION = pytest.mark.parametrize("lab_version", ["2"], indirect=True)
"""For what has nothing to do with containerd."""
KUBELET = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
imageGCHighThresholdPercent: 70
imageGCLowThresholdPercent: 60
evictionHard:
  imagefs.inodesFree: "18%"
"""


@dataclass
class Watched:
    """A node whose agent outlives itself by its ledger."""

    lab: Lab
    folder: Path

    def daemon(self, kubelet: str | None = "/nonexistent", drop_ins: str | None = None) -> DaemonProcess:
        state = {"path": str(self.folder / "state" / "ledger.db"), "sample_every": "1s"}
        return DaemonProcess(
            self.folder,
            self.lab.endpoint,
            policy={"grace": "0s", "rules": [RULE]},
            nightly=NO_NIGHT,
            state=state,
            pressure={"check_every": "1s"},
            kubelet={"config": kubelet, "config_dir": drop_ins},
        )

    def run(self, daemon: DaemonProcess, *words: str) -> dict[str, Any]:
        done = run_cleaner_at([*words, "-o", "json"], self.lab.endpoint, daemon.config)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document


def pull(lab: Lab, *names: str) -> list[BuiltImage]:
    """Small images that were built last year."""
    specs = [
        ImageSpec(f"golem-ai/{name}", "v1", (Layer(100_000, int.from_bytes(name.encode(), "big") % 10**9),), LAST_YEAR)
        for name in names
    ]
    images = lab.push(*specs)
    lab.pull_all(image.reference(COMPANY) for image in images)
    return images


def remove_by_cri(lab: Lab, image: BuiltImage) -> None:
    """As the kubelet does, and a person with crictl."""
    with runtime_of(lab) as runtime:
        runtime.remove_image(image.image_id)


def wait_until_seen(daemon: DaemonProcess, images: int) -> None:
    daemon.wait_for(lambda: sum(daemon.scrape().by_label("images").values()) >= images or None, f"{images} images")


def wait_until_counted(daemon: DaemonProcess) -> None:
    """An inspection is over, and the next one a second away: in the midst of a removal it would see some names only."""
    daemon.wait_for_event("images_inventoried", len(daemon.events("images_inventoried")) + 1)


def names_in(references: list[str]) -> set[str]:
    """The last part of each: `app:v1`."""
    return {reference.rpartition("/")[2] for reference in references}


@pytest.fixture
def watched(lab: Lab, tmp_path: Path) -> Iterator[Watched]:
    yield Watched(lab, tmp_path)
    with runtime_of(lab) as runtime:
        for image in runtime.list_images():
            if any("golem-ai" in reference for reference in image.references):
                runtime.remove_image(image.id)


@ONE_VERSION
def test_limits_that_collide_are_reported(watched: Watched) -> None:
    """A kubelet that collects at 70 % acts before our 75 %: a warning in the log, a metric, and a finding.

    Its threshold of 18 % of inodes is 2 points above our high watermark, and close.
    """
    file = watched.folder / "kubelet.yaml"
    file.write_text(KUBELET)
    with watched.daemon(str(file)) as daemon:
        line = daemon.wait_for_event("kubelet_read")
        found = [f for f in watched.run(daemon, "check")["findings"] if f["subject"] == "kubelet"]
        daemon.wait_for_checks(2)
        scrape = daemon.scrape()
        print("\n" + "\n".join(f"{f['grade']}: {f['detail']}" for f in found))
        assert (line["level"], line["bytes_percent"], line["inodes_percent"]) == ("warning", 69, 82)
        assert (line["bytes_by"], line["reason"]) == ("imageGCHighThresholdPercent 70", None)
        assert [f["detail"] for f in found[1:]] == line["collisions"]
        assert [f["grade"] for f in found] == ["ok", "warning", "note"]
        assert scrape.value("kubelet_threshold_ratio", filesystem="images", resource="bytes") == 0.69
        assert (scrape.value("kubelet_collision"), scrape.value("kubelet_config_read")) == (1, 1)
        assert len(daemon.events("kubelet_read")) == 1


@ONE_VERSION
def test_a_kubelet_with_drop_ins_only_is_read(watched: Watched) -> None:
    """As on RKE2: no file, a folder with its defaults, and what the operator adds to them."""
    folder = watched.folder / "kubelet.conf.d"
    folder.mkdir()
    kind = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
    defaults, added = folder / "00-rke2-defaults.conf", folder / "50-images.conf"
    defaults.write_text(f"{kind}evictionHard:\n  imagefs.available: 5%\n  nodefs.available: 5%\n")
    added.write_text(f"{kind}imageGCHighThresholdPercent: 70\n")
    with watched.daemon(None, str(folder)) as daemon:
        line = daemon.wait_for_event("kubelet_read")
        found = [f for f in watched.run(daemon, "check")["findings"] if f["subject"] == "kubelet"]
        daemon.wait_for_checks(2)
        print("\n" + "\n".join(f"{f['grade']}: {f['detail']}" for f in found))
        assert (line["config"], line["files"]) == (str(folder), [str(defaults), str(added)])
        assert (line["bytes_percent"], line["inodes_percent"], line["reason"]) == (69, None, None)
        assert found[0]["detail"].startswith(f"{defaults}, {added}: it removes images by itself above 69 %")
        assert daemon.scrape().value("kubelet_config_read") == 1


@ONE_VERSION
@pytest.mark.parametrize("content", [None, "kind: [", "kind: ServiceAccount\n"])
def test_a_file_that_cannot_be_read_stops_nothing(watched: Watched, content: str | None) -> None:
    """Missing, invalid, or no file: the defaults are assumed, said once, and the agent runs on."""
    file = watched.folder / "kubelet.yaml"
    if content is not None:
        file.write_text(content)
    with watched.daemon(str(file)) as daemon:
        line = daemon.wait_for_event("kubelet_read")
        (finding,) = [f for f in watched.run(daemon, "check")["findings"] if f["subject"] == "kubelet"]
        daemon.wait_for_checks(2)
        print(f"\n{line['reason']}")
        assert (line["level"], finding["grade"]) == (("info", "note") if content is None else ("warning", "warning"))
        assert line["reason"] in finding["detail"]
        assert line["bytes_percent"] == 84
        assert daemon.scrape().value("kubelet_config_read") == 0
        assert len(daemon.events("kubelet_read")) == 1


def test_external_removals_are_reported(watched: Watched) -> None:
    """By containerd's own API and by CRI, while the agent runs and while it does not; what a sweep evicts is ours."""
    lab = watched.lab
    by_ctr, by_cri, away, ours, stays = pull(lab, "by-ctr", "by-cri", "away", "ours", "stays")
    with watched.daemon() as first:
        wait_until_seen(first, 5)
        wait_until_counted(first)
        remove_by_cri(lab, by_cri)
        # Its tag is removed last: an inspection in between sees that name of it.
        others = [name for name in lab.list_references(by_ctr.reference(COMPANY)) if name != by_ctr.reference(COMPANY)]
        lab.ctr("images", "rm", "--sync", *others, by_ctr.image_id, by_ctr.reference(COMPANY))
        first.wait_for_value(2, "images_removed_externally_total")
        lines = first.events("images_removed_externally")
        assert names_in([name for line in lines for name in line["references"]]) == {"by-ctr:v1", "by-cri:v1"}
        assert all(line["last_seen_at"] <= line["gone_at"] and line["used_percent"] > 0 for line in lines)
    remove_by_cri(lab, away)
    with watched.daemon() as second:
        line = second.wait_for_event("images_removed_externally")
        assert names_in(line["references"]) == {"away:v1"}
        assert second.wait_for_value(1, "images_removed_externally_total")
        lab.start_pod(stays.reference(COMPANY))
        swept = watched.run(second, "sweep")
        assert [e["id"] for e in swept["evictions"] if e["outcome"] == "evicted"] == [ours.image_id]
        second.wait_for_event("foreign_sweep")
        second.wait_for_checks(4)
        assert second.scrape().value("images_removed_externally_total") == 1
        history = watched.run(second, "history")
        (asked,) = watched.run(second, "history", "--image", f"{COMPANY}/golem-ai/away")["removed_externally"]
    print(f"\n{asked['references'][0]}: there at {asked['last_seen_at']}, gone at {asked['gone_at']}")
    assert {image["id"] for image in history["removed_externally"]} == {by_ctr.image_id, by_cri.image_id, away.image_id}
    assert [eviction["id"] for eviction in history["evictions"]] == [ours.image_id]
    assert asked["id"] == away.image_id
    assert asked["last_seen_at"] < asked["gone_at"]
