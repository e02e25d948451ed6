"""The article's policy, exactly: what its nightly sweep evicts from a node, and what its script would have removed.

Each image of the node is one line of CASES; `pytest -rP` prints what became of it, and why.
"""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cleaner.core.model import Container, Image
from lab import Lab, Pod
from support import lab_crio
from support.lab_cases import OWN_BYTES, Case, User, Way, make_cases
from support.lab_crio import crio_node
from support.lab_documents import PLAN, SWEEP, deviations
from support.lab_node import config_text, run_cleaner, run_cleaner_at, runtime_of

Document = dict[str, Any]
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
GITLAB = "registry.gitlab.com/golem-ai"
SCALEWAY = "rg.fr-par.scw.cloud/golem-ai-backup"
POLICY = {
    "protect": [f"{GITLAB}/base/**"],
    "rules": [{"name": "golem", "match": [f"{GITLAB}/**", "rg.fr-par.scw.cloud/**"], "max_age": "30d"}],
}

CASES = (
    Case("gitlab-1", f"{GITLAB}/inbox:d1", DAY, "unexpired", "Built yesterday."),
    Case("scaleway-10", f"{SCALEWAY}/inbox:d10", 10 * DAY, "unexpired", "Built 10 days ago."),
    Case("gitlab-29", f"{GITLAB}/inbox:d29", 29 * DAY, "unexpired", "A day short of 30 days."),
    Case("gitlab-30-less", f"{GITLAB}/inbox:d30less", 30 * DAY - HOUR, "unexpired", "An hour short of 30 days."),
    Case("gitlab-30", f"{GITLAB}/inbox:d30", 30 * DAY, "expired", "30 days old: max_age itself is enough."),
    Case("scaleway-31", f"{SCALEWAY}/inbox:d31", 31 * DAY, "expired", "Past 30 days, from the backup registry."),
    Case("gitlab-45", f"{GITLAB}/team/part/inbox:d45", 45 * DAY, "expired", "Past 30 days, however deep its path."),
    Case("scaleway-60", f"{SCALEWAY}/inbox:d60", 60 * DAY, "expired", "Past 30 days, from the backup registry."),
    Case("docker-hub", "docker.io/library/nginx:1.27", 60 * DAY, "unmatched", "No rule says that it may be evicted."),
    Case(
        "quay", "quay.io/prometheus/node-exporter:v1.9", 60 * DAY, "unmatched", "No rule says that it may be evicted."
    ),
    Case("neighbour", f"{GITLAB}-labs/tool:v1", 60 * DAY, "unmatched", "Another group, whose name begins the same."),
    Case("no-created", f"{GITLAB}/dated:never", None, "unexpired", "No build time: its age counts from its pull."),
    Case("1970", f"{GITLAB}/dated:1970", "1970-01-01T00:00:00Z", "unexpired", "1970 is no build time, pulled today."),
    Case("1980", f"{SCALEWAY}/dated:1980", "1980-01-01T00:00:00Z", "unexpired", "1980 is no build time, pulled today."),
    Case("future", f"{GITLAB}/dated:2999", "2999-01-01T00:00:00Z", "unexpired", "2999 is no build time, pulled today."),
    Case(
        "digest-only", f"{GITLAB}/pinned:d45", 45 * DAY, "expired", "Its digest names the registry too.", Way.BY_DIGEST
    ),
    Case(
        "foreign-tag",
        f"{GITLAB}/shared:d45",
        45 * DAY,
        "unmatched",
        "Somebody has it under a name that no rule covers.",
        also_tagged="quay.io/partner/shared:theirs",
    ),
    Case(
        "both-registries",
        f"{GITLAB}/mirrored:d45",
        45 * DAY,
        "expired",
        "Both of its names are covered.",
        also_pulled="rg.fr-par.scw.cloud/golem-ai/mirrored:d45",
    ),
    Case(
        "latest-old", f"{GITLAB}/moving:latest", 45 * DAY, "expired", "The tag moved on; its digest is left, and old."
    ),
    Case("latest-new", f"{GITLAB}/moving:latest", DAY, "unexpired", "Has the tag now, and is new."),
    Case("imported", f"{GITLAB}/built:here", 60 * DAY, "local", "No registry is known to have it.", Way.IMPORTED),
    Case("running", f"{GITLAB}/used:running", 60 * DAY, "in_use", "Its container runs.", user=User.RUNNING),
    Case("exited", f"{SCALEWAY}/used:exited", 60 * DAY, "in_use", "The kubelet may start it again.", user=User.EXITED),
    Case("created", f"{GITLAB}/used:created", 60 * DAY, "in_use", "Its container starts soon.", user=User.CREATED),
    Case("protected", f"{GITLAB}/base/python:3.12", 60 * DAY, "protected", "policy.protect names it."),
)
PAUSE = Case("pause", "registry.k8s.io/pause:3.9", "2022-06-22T22:26:44Z", "sandbox", "Without it no pod starts.")
NODE = (*CASES, PAUSE)


@dataclass(frozen=True)
class NightlyRun:
    """One nightly run on one node: before, what was said and done, and after."""

    lab: Lab
    ids: dict[str, str]
    """Image id by the name of the case."""
    pods: dict[str, Pod]
    before: dict[str, Image]
    containers: tuple[Container, ...]
    plan_with_grace: Document
    plan: Document
    plan_pressure: Document
    rehearsal: Document
    """Of `--dry-run --limit 2`."""
    sweep: Document
    after: dict[str, Image]

    def verdict(self, name: str) -> Document:
        (verdict,) = [image for image in self.plan["images"] if image["id"] == self.ids[name]]
        return dict(verdict)

    def names_of(self, image_ids: set[str]) -> set[str]:
        """Names of the cases; an id that is none of theirs is given as it is."""
        names = {image_id: name for name, image_id in self.ids.items()}
        return {names.get(image_id, image_id) for image_id in image_ids}

    def evicted(self) -> set[str]:
        """Names of those that the sweep says it has evicted."""
        return self.names_of({e["id"] for e in self.sweep["evictions"] if e["outcome"] == "evicted"})


@pytest.fixture(scope="module")
def nightly_run(lab: Lab) -> NightlyRun:
    made = make_cases(lab, CASES, datetime.now(UTC))
    ids = {**made.ids, "pause": lab.find_image(lab.pause_reference) or "no pause image"}
    config = config_text(policy=POLICY)
    graceless = config_text(policy={**POLICY, "grace": "0s"})
    before, containers = inspect(lab)
    return NightlyRun(
        lab=lab,
        ids=ids,
        pods=made.pods,
        before=before,
        containers=containers,
        plan_with_grace=document_of(lab, config, "plan"),
        plan=document_of(lab, graceless, "plan"),
        plan_pressure=document_of(lab, graceless, "plan", "--trigger", "pressure"),
        rehearsal=document_of(lab, config, "sweep", "--grace", "0s", "--dry-run", "--limit", "2"),
        sweep=document_of(lab, config, "sweep", "--grace", "0s"),
        after=inspect(lab)[0],
    )


def inspect(lab: Lab) -> tuple[dict[str, Image], tuple[Container, ...]]:
    with runtime_of(lab) as runtime:
        return {image.id: image for image in runtime.list_images()}, runtime.list_containers()


def document_of(lab: Lab, config: str, *arguments: str) -> Document:
    """What a command prints as JSON, once it ended well."""
    return parsed(run_cleaner([*arguments, "-o", "json"], lab, config))


def parsed(run: subprocess.CompletedProcess[str]) -> Document:
    assert run.returncode == 0, run.stderr
    document: Document = json.loads(run.stdout)
    return document


def test_the_sweep_evicts_exactly_what_the_table_says(nightly_run: NightlyRun) -> None:
    """Of images of every kind, the sweep evicts those that the table says, each as expired, and nothing else."""
    print_run(nightly_run)
    assert nightly_run.evicted() == {case.name for case in NODE if case.is_evicted}
    assert {(e["outcome"], e["reason"], e["rule"], e["error"]) for e in nightly_run.sweep["evictions"]} == {
        ("evicted", "expired", "golem", None)
    }
    assert nightly_run.sweep["stop_reason"] == "done"


def test_every_image_stays_for_the_reason_in_the_table(nightly_run: NightlyRun) -> None:
    """The plan gives every image the reason that the table has for it, and the sweep counts the same reasons."""
    assert {case.name: nightly_run.verdict(case.name)["reason"] for case in NODE} == {c.name: c.expected for c in NODE}
    assert {case.name: nightly_run.verdict(case.name)["verdict"] == "evict" for case in NODE} == {
        case.name: case.is_evicted for case in NODE
    }
    kept = Counter(case.expected for case in NODE if not case.is_evicted)
    assert nightly_run.sweep["kept"] == {**kept, "not_reached": 0}


def test_the_sweep_does_what_the_plan_said(nightly_run: NightlyRun) -> None:
    """The sweep makes the plan's evictions in the plan's order, which is the oldest build first."""
    planned = [image for image in nightly_run.plan["images"] if image["verdict"] == "evict"]
    assert [eviction["id"] for eviction in nightly_run.sweep["evictions"]] == [image["id"] for image in planned]
    assert nightly_run.plan["images"][: len(planned)] == planned
    assert sorted(planned, key=lambda image: (image["created_at"], image["id"])) == planned


def test_the_node_has_exactly_what_should_stay(nightly_run: NightlyRun) -> None:
    """Asked again, the runtime has what stays, as it was, and nothing of what was evicted."""
    assert nightly_run.names_of(set(nightly_run.before)) == {case.name for case in NODE}
    stays = {nightly_run.ids[case.name] for case in NODE if not case.is_evicted}
    assert nightly_run.after == {image_id: image for image_id, image in nightly_run.before.items() if image_id in stays}
    for case in NODE:
        assert (nightly_run.lab.find_image(nightly_run.ids[case.name]) is None) == case.is_evicted


def test_containers_run_on(nightly_run: NightlyRun) -> None:
    """The container that ran still runs, and those that had exited or not yet started are still there."""
    running = {line.split()[0] for line in nightly_run.lab.ctr("tasks", "ls").splitlines() if line.endswith("RUNNING")}
    there = nightly_run.lab.ctr("containers", "ls", "-q").split()
    for name, pod in nightly_run.pods.items():
        assert pod.container_id in there
        assert (pod.container_id in running) == (name == "running")


def test_each_eviction_says_what_it_freed(nightly_run: NightlyRun) -> None:
    """Each eviction has measured at least what its image had for itself, and the report has their sum."""
    freed = [eviction["reclaimed_bytes"] for eviction in nightly_run.sweep["evictions"]]
    assert min(freed) >= OWN_BYTES
    assert nightly_run.sweep["reclaimed_bytes"] == sum(freed)
    before, after = nightly_run.sweep["filesystem_before"], nightly_run.sweep["filesystem_after"]
    assert after["available_bytes"] - before["available_bytes"] >= len(freed) * OWN_BYTES


def test_what_was_pulled_today_survives_midnight(nightly_run: NightlyRun) -> None:
    """With the default grace of a day nothing is evicted: an old release that was pulled just now is recent."""
    reasons = {image["id"]: image["reason"] for image in nightly_run.plan_with_grace["images"]}
    matched = {case.name for case in NODE if case.expected in {"expired", "unexpired"}}
    assert nightly_run.names_of({image_id for image_id, reason in reasons.items() if reason == "recent"}) == matched
    assert all(image["verdict"] == "keep" for image in nightly_run.plan_with_grace["images"])


def test_unbelievable_build_times_are_not_known(nightly_run: NightlyRun) -> None:
    """A build time that is missing, 1970, 1980 or in the future is null in the plan; the pull time stands beside it."""
    for name in ("no-created", "1970", "1980", "future"):
        verdict = nightly_run.verdict(name)
        assert verdict["created_at"] is None
        assert verdict["pulled_at"] is not None


def test_a_second_sweep_has_nothing_to_do(nightly_run: NightlyRun) -> None:
    """A sweep after the sweep evicts nothing and keeps the same images."""
    again = document_of(nightly_run.lab, config_text(policy=POLICY), "sweep", "--grace", "0s")
    assert (again["evictions"], again["kept"]) == ([], nightly_run.sweep["kept"])


def test_documents_have_the_keys_of_the_design(nightly_run: NightlyRun) -> None:
    """The JSON of plan and sweep, also of a rehearsal and of a sweep that is not needed, is what the design lists."""
    not_needed = document_of(nightly_run.lab, config_text(policy=POLICY), "sweep", "--trigger", "pressure")
    assert not_needed["stop_reason"] == "not_needed"
    for document in (nightly_run.plan, nightly_run.plan_with_grace, nightly_run.plan_pressure):
        assert deviations(document, PLAN) == []
    for document in (nightly_run.sweep, nightly_run.rehearsal, not_needed):
        assert deviations(document, SWEEP) == []


def test_every_image_ends_exactly_once(nightly_run: NightlyRun) -> None:
    """Evictions, kept and not reached add up to all images, and a plan has each of them once."""
    for document in (nightly_run.plan, nightly_run.plan_with_grace, nightly_run.plan_pressure):
        assert sorted(image["id"] for image in document["images"]) == sorted(nightly_run.before)
    for document in (nightly_run.sweep, nightly_run.rehearsal):
        assert len(document["evictions"]) + sum(document["kept"].values()) == len(nightly_run.before)
        assert len({eviction["id"] for eviction in document["evictions"]}) == len(document["evictions"])


def test_a_rehearsal_lists_and_removes_nothing(nightly_run: NightlyRun) -> None:
    """`--dry-run --limit 2` names the first two of the real sweep as planned, and counts the others as not reached."""
    listed, done = nightly_run.rehearsal["evictions"], nightly_run.sweep["evictions"]
    assert [eviction["id"] for eviction in listed] == [eviction["id"] for eviction in done[:2]]
    assert {(eviction["outcome"], eviction["reclaimed_bytes"]) for eviction in listed} == {("planned", None)}
    assert (nightly_run.rehearsal["dry_run"], nightly_run.rehearsal["stop_reason"]) == (True, "limit")
    assert nightly_run.rehearsal["kept"]["not_reached"] == len(done) - 2


SCRIPT_REMOVES = {
    "1970": "believes any build time, also of an image that was pulled a moment ago",
    "1980": "believes any build time, also of an image that was pulled a moment ago",
    "foreign-tag": "is content with one tag of many, and removes the image under all of its names",
    "neighbour": "searches for a text anywhere in a tag, and finds a group whose name begins the same",
    "imported": "does not ask whether the image can be had again",
    "protected": "has no list of what must stay",
}
SCRIPT_LEAVES = {
    "digest-only": "looks at tags only, and this image never had one",
    "latest-old": "looks at tags only, and this image has lost its tag: every build of a moving tag stays for ever",
    "gitlab-30": "counts whole days, and waits for more than 30 of them: 31",
}


def test_the_script_would_remove_other_images(nightly_run: NightlyRun) -> None:
    """By the script's rules a 1970 date and a foreign tag are no reason to keep, and only tags make an image found."""
    script, swept = script_removes(nightly_run), nightly_run.evicted()
    for title, faults in ("takes, and must not", SCRIPT_REMOVES), ("does not find, and should", SCRIPT_LEAVES):
        say(f"What the article's script {title}:", *(f"  {name}: it {why}." for name, why in faults.items()))
    assert script - swept == SCRIPT_REMOVES.keys()
    assert swept - script == SCRIPT_LEAVES.keys()


def script_removes(nightly_run: NightlyRun) -> set[str]:
    """What the article's script would remove from this node, by its rules in our words.

    It removes an image that no container of any state names, if one of its tags has one of two texts in it, and its
    `created`, whatever it is, lies more than 30 whole days back.
    """
    now, used = datetime.now(UTC), {name for container in nightly_run.containers for name in container.image_names}

    def removes(image: Image) -> bool:
        texts = ("registry.gitlab.com/golem-ai", "rg.fr-par.scw.cloud")
        found = any(text in tag for tag in image.tags for text in texts)
        return found and image.id not in used and image.created_at is not None and (now - image.created_at).days > 30

    return nightly_run.names_of({image.id for image in nightly_run.before.values() if removes(image)})


def print_run(nightly_run: NightlyRun) -> None:
    """Each image: what was expected, what the plan said, what became of it, what the script would do, and why."""
    script = script_removes(nightly_run)
    row = "{:16} {:10} {:10} {:8} {:7} {}".format
    say(f"containerd {nightly_run.lab.version}: {len(NODE)} images, sweep --grace 0s, 30 days since created")
    say(row("image", "expected", "plan", "sweep", "script", "why"))
    for case in NODE:
        became = "stays" if nightly_run.ids[case.name] in nightly_run.after else "evicted"
        removes = "takes" if case.name in script else "leaves"
        say(row(case.name, case.expected, nightly_run.verdict(case.name)["reason"], became, removes, case.why))
        say(f"{'':16} {case.reference}: {case.made}")


def say(*lines: str) -> None:
    """Into pytest's report of a test; `-rP` shows it for those that pass."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def test_cri_o_with_an_image_volume(tmp_path: Path) -> None:
    """On a CRI-O, an image mounted as a volume is in use, a rejected removal spares, other old images are evicted."""
    config = tmp_path / "cleaner.yaml"
    # Any filesystem does, but a root that is a container's own.
    state = {"path": str(tmp_path / "ledger.db")}
    config.write_text(config_text(policy=POLICY, filesystem={"path": "/dev/shm"}, state=state))  # noqa: S108
    with crio_node(tmp_path / "crio.sock") as server:
        endpoint = f"unix://{server.socket}"
        plan = parsed(run_cleaner_at(["plan", "-o", "json"], endpoint, config))
        sweep = parsed(run_cleaner_at(["sweep", "-o", "json", "--grace", "0s"], endpoint, config))
    assert deviations(plan, PLAN) == deviations(sweep, SWEEP) == []
    check_crio_plan(plan)
    outcomes = {eviction["id"]: (eviction["outcome"], eviction["error"]) for eviction in sweep["evictions"]}
    rejection = f"RemoveImage: UNKNOWN: {lab_crio.REFUSAL}"
    images = lab_crio.IMAGES
    assert outcomes == {images["old"].id: ("evicted", None), images["refused"].id: ("spared", rejection)}
    assert sweep["kept"] == {"in_use": 2, "pinned": 1, "unexpired": 1, "not_reached": 0}
    assert "1 of the kept images have no known pull time" in sweep["notices"][0]
    assert set(server.images) == {image.id for name, image in images.items() if name != "old"}


def check_crio_plan(plan: Document) -> None:
    """Pull times are not known, so all that matches is recent, and the plan says why."""
    reasons = {image["id"]: image["reason"] for image in plan["images"]}
    expected = {"mounted": "in_use", "running": "in_use", "pause": "pinned"}
    assert reasons == {image.id: expected.get(name, "recent") for name, image in lab_crio.IMAGES.items()}
    assert {image["pulled_at"] for image in plan["images"]} == {None}
    assert "3 of the kept images have no known pull time" in plan["notices"][-1]
