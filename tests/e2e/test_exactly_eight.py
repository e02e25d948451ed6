"""One nightly sweep evicts exactly the eight expired images, beside images of every kind that no registry gives back.

All images of the node are matched by the rule and past its max_age, but for two: the sandboxes' image, and the young
one that has the tag of an image that a container outside CRI runs.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab import BuiltImage, ImageSpec, Lab, LabError, Layer, Pod
from lab.waiting import wait_until
from support.containerd_ctr import create_container
from support.daemon_process import DaemonProcess, Line
from support.lab_node import config_text, run_cleaner

Document = dict[str, Any]
COMPANY = "registry.gitlab.com"
OLD = "2025-01-01T00:00:00Z"
POLICY = {
    "grace": "0s",
    "rules": [{"name": "all", "match": [f"{COMPANY}/**", "docker.io/**", "quay.io/**"], "max_age": "30d"}],
}
EIGHT = 8


@dataclass(frozen=True)
class Kept:
    """An image that stays, and why."""

    name: str
    image_id: str
    reason: str
    record: str | None = None
    """The record that its removal would leave behind."""


@dataclass(frozen=True)
class Expired:
    """An image that is evicted, and the reference that brings it back."""

    image_id: str
    reference: str


@dataclass(frozen=True)
class Crowd:
    """All images of a node, and the pod in which containers of them are tried."""

    lab: Lab
    pod: Pod
    kept: list[Kept]
    expired: list[Expired]

    def records_of(self, image_id: str) -> set[str]:
        """Names of the records that point to where the image's own record points."""
        rows = [line.split() for line in self.lab.ctr("images", "ls").splitlines()[1:]]
        targets = {row[0]: next(word for word in row[1:] if word.startswith("sha256:")) for row in rows}
        return {name for name, target in targets.items() if target == targets[image_id]}

    def starts(self, name: str) -> str | None:
        """The id of the image from which a container of this name starts; None where it does not start."""
        image_id = self.lab.find_image(name)
        try:
            container = self.pod.create_container(name)
            self.pod.start_container(container)
        except LabError:
            return None
        self.pod.remove_containers([container])
        return image_id

    def names_of_kept(self) -> set[str]:
        """Every name of the images that are to stay: what CRI lists, and their records as they are spelled."""
        lists = [(self.records_of(kept.image_id), self.lab.list_references(kept.image_id)) for kept in self.kept]
        return {name for records, references in lists for name in (*records, *references)}

    def startable(self, names: Iterable[str]) -> dict[str, str]:
        """Those of these names by which a container starts, with the id of its image."""
        return {name: image_id for name in sorted(names) if (image_id := self.starts(name)) is not None}


def spec_of(name: str, seed: int, created: str = OLD, tag: str = "v1") -> ImageSpec:
    return ImageSpec(f"golem-ai/{name}", tag, (Layer(50_000, seed),), created)


def pull(lab: Lab, spec: ImageSpec, registry: str = COMPANY) -> BuiltImage:
    [image] = lab.push(spec)
    lab.pull(image.reference(registry))
    return image


def bring_expired(lab: Lab) -> list[Expired]:
    """Eight pulled ones: by tag, by digest, with a second tag, of another registry, and both builds of a moved tag."""
    images = [(pull(lab, spec_of(f"app-{number}", number)), COMPANY) for number in range(3)]
    images.append((pull(lab, spec_of("other", 3), "quay.io"), "quay.io"))
    twice = pull(lab, spec_of("twice", 4))
    lab.pull(twice.reference("quay.io"))
    images.append((twice, "quay.io"))
    expired = [Expired(image.image_id, image.reference(registry)) for image, registry in images]
    [by_digest] = lab.push(spec_of("by-digest", 5))
    lab.pull(by_digest.digest_reference(COMPANY))
    before, after = pull(lab, spec_of("moving", 6)), pull(lab, spec_of("moving", 7))
    expired += [Expired(image.image_id, image.digest_reference(COMPANY)) for image in (by_digest, before)]
    return [*expired, Expired(after.image_id, after.reference(COMPANY))]


def bring_imported(lab: Lab) -> list[Kept]:
    """Five imported ones: each has a digest reference, as if a registry had it."""
    # Without it, ctr 2.1 makes no digest reference of an archive that has a name.
    local = () if lab.version.startswith("1.") else ("--local",)
    based, saved, marked = (f"{COMPANY}/golem-ai/{name}" for name in ("based", "saved", "marked"))
    images = {
        "unnamed": lab.import_built(spec_of("unnamed", 10), "--digests"),
        "named": lab.import_built(spec_of("named", 11), "--digests", *local, name=f"{COMPANY}/golem-ai/named:v1"),
        "based": lab.import_built(spec_of("based", 12), "--digests", "--base-name", based),
        # As `kind load` imports what `docker save` wrote.
        "saved": lab.import_built(
            spec_of("saved", 13),
            *("--digests", "--all-platforms", *local, "--base-name", saved),
            name=f"{saved}:v1",
            docker=True,
        ),
        "marked": lab.import_built(
            spec_of("marked", 14), "--digests", *local, "--base-name", marked, name=f"{marked}:v1"
        ),
    }
    mark_as_k3s(lab, images["marked"], f"{marked}:v1")
    # A record `import-2026-11-30@sha256:...` is left behind by a removal: CRI lists it under another name.
    left = {record.partition("@")[2]: record for record in records_of(lab) if record.startswith("import-")}
    return [imported(lab, name, image, left.get(image.manifest_digest)) for name, image in images.items()]


def imported(lab: Lab, name: str, image: BuiltImage, record: str | None) -> Kept:
    assert any("@sha256:" in reference for reference in lab.list_references(image.image_id))
    return Kept(name, image.image_id, "local" if record is None else "unremovable", record)


def records_of(lab: Lab) -> set[str]:
    """Names of all of containerd's image records."""
    return set(lab.ctr("images", "ls", "-q").split())


def mark_as_k3s(lab: Lab, image: BuiltImage, name: str) -> None:
    """Label an imported image as k3s does: its record as an import, its content as if it came from a registry."""
    lab.ctr("images", "label", name, "io.cattle.k3s.pinned=pinned")
    for digest in (image.manifest_digest, image.image_id):
        lab.ctr("content", "label", digest, f"containerd.io/distribution.source.{COMPANY}=golem-ai/marked")


def bring_tagged(lab: Lab) -> Kept:
    """A pulled one with a second record, whose name CRI spells otherwise."""
    [image] = lab.push(ImageSpec("acme/app", "v1", (Layer(50_000, 20),), OLD))
    reference = image.reference("docker.io")
    lab.pull(reference)
    lab.ctr("images", "tag", reference, "app:v1")
    wait_until(lambda: "docker.io/library/app:v1" in lab.list_references(reference), "CRI lists the second record")
    return Kept("tagged", image.image_id, "unremovable", "app:v1")


def bring_pinned(lab: Lab) -> Kept:
    image = pull(lab, spec_of("pinned", 21))
    lab.ctr("images", "label", image.reference(COMPANY), "io.cri-containerd.pinned=pinned")
    return Kept("pinned", image.image_id, "pinned")


def bring_outside(lab: Lab) -> list[Kept]:
    """One that a container outside CRI runs, and the young one that has its tag today."""
    image = pull(lab, spec_of("outside", 22))
    create_container(lab, image.reference(COMPANY), "outside-cri")
    young = pull(lab, spec_of("outside", 23, created=datetime.now(UTC).isoformat()))
    return [Kept("outside", image.image_id, "in_use"), Kept("outside-today", young.image_id, "unexpired")]


@dataclass(frozen=True)
class NightlyRun:
    """One nightly sweep on one node: before, what was said and done, and after."""

    crowd: Crowd
    plan: Document
    records_before: set[str]
    records_of_expired: set[str]
    startable_before: dict[str, str]
    tried: set[str]
    """Ids of the images that the sweep tried to evict, by the daemon's log."""
    evicted: set[str]
    ended: Line
    records_after: set[str]
    startable_after: dict[str, str]

    def verdict(self, image_id: str) -> Document:
        (verdict,) = [image for image in self.plan["images"] if image["id"] == image_id]
        return dict(verdict)


@pytest.fixture(scope="module")
def nightly_run(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> NightlyRun:
    crowd = bring_all(lab)
    records_before, startable_before = records_of(lab), crowd.startable(crowd.names_of_kept())
    records_of_expired = {name for image in crowd.expired for name in crowd.records_of(image.image_id)}
    plan = plan_of(lab)
    with nightly_daemon(tmp_path_factory.mktemp("daemon"), lab) as daemon:
        daemon.wait_for_event("nightly_done")
        evictions = daemon.events("eviction")
        [ended] = daemon.events("sweep_ended")
    return NightlyRun(
        crowd=crowd,
        plan=plan,
        records_before=records_before,
        records_of_expired=records_of_expired,
        startable_before=startable_before,
        tried={line["image_id"] for line in evictions},
        evicted={line["image_id"] for line in evictions if line["outcome"] == "evicted"},
        ended=ended,
        records_after=records_of(lab),
        startable_after=crowd.startable(startable_before),
    )


def bring_all(lab: Lab) -> Crowd:
    used = pull(lab, spec_of("used", 30))
    pod = lab.start_pod(used.reference(COMPANY))
    kept = [*bring_imported(lab), bring_tagged(lab), bring_pinned(lab), *bring_outside(lab)]
    return Crowd(lab, pod, [*kept, Kept("used", used.image_id, "in_use")], bring_expired(lab))


def plan_of(lab: Lab) -> Document:
    run = run_cleaner(["plan", "-o", "json"], lab, config_text(policy=POLICY))
    assert run.returncode == 0, run.stderr
    document: Document = json.loads(run.stdout)
    return document


def nightly_daemon(folder: Path, lab: Lab) -> DaemonProcess:
    """Its window has just begun, and there is no other occurrence today."""
    schedule = f"0 {datetime.now(UTC).hour} * * *"
    return DaemonProcess(
        folder, lab.endpoint, policy=POLICY, nightly={"schedule": schedule, "splay": "0s", "duty_cycle": "100%"}
    )


def test_exactly_the_eight_are_evicted(nightly_run: NightlyRun) -> None:
    """The nightly sweep evicts the eight expired images, and tries no other."""
    lab, crowd = nightly_run.crowd.lab, nightly_run.crowd
    assert {kept.name for kept in crowd.kept if kept.image_id in nightly_run.tried} == set()
    assert nightly_run.evicted == {image.image_id for image in crowd.expired}
    assert len(nightly_run.evicted) == EIGHT
    assert nightly_run.ended["stop_reason"] == "done"
    assert {kept.name for kept in crowd.kept if lab.find_image(kept.image_id) is None} == set()


def test_no_record_is_left_behind(nightly_run: NightlyRun) -> None:
    """Of containerd's records exactly the names and ids of the eight are gone, and none is new."""
    assert nightly_run.records_before - nightly_run.records_after == nightly_run.records_of_expired
    assert nightly_run.records_after - nightly_run.records_before == set()


def test_plan_says_why_the_others_stay(nightly_run: NightlyRun) -> None:
    """The plan has the eight as expired, and for each other image its reason, with the record that would be left."""
    crowd = nightly_run.crowd
    assert {kept.name: nightly_run.verdict(kept.image_id)["reason"] for kept in crowd.kept} == {
        kept.name: kept.reason for kept in crowd.kept
    }
    assert [nightly_run.verdict(image.image_id)["reason"] for image in crowd.expired] == ["expired"] * EIGHT
    for kept in crowd.kept:
        if kept.record is not None:
            told = {key: value for key, value in nightly_run.verdict(kept.image_id).items() if key != "references"}
            assert kept.record in json.dumps(told)


def test_what_could_start_can_start(nightly_run: NightlyRun) -> None:
    """By every name by which a container of a kept image could start before it can start after, from the same image."""
    # CRI knows the unnamed one by a name only that no record has: it cannot start even before.
    kept = {kept.image_id for kept in nightly_run.crowd.kept if kept.name != "unnamed"}
    assert set(nightly_run.startable_before.values()) == kept
    assert nightly_run.startable_after == nightly_run.startable_before


def test_evicted_images_come_back(nightly_run: NightlyRun) -> None:
    """A pull brings each of the eight back under its id, and a container of it starts."""
    crowd = nightly_run.crowd
    for image in crowd.expired:
        assert crowd.lab.pull(image.reference) == image.image_id
        assert crowd.starts(image.reference) == image.image_id
