"""The JSON of `plan`, `sweep` and `check`: every key of the contract, and null for what is not known."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.findings import Finding, Grade
from cleaner.core.model import EvictReason, Image, KeepReason, Plan, StopReason, Trigger, Verdict
from cleaner.core.reclaim import Size
from cleaner.core.rule_coverage import Evictable, RuleCoverage
from cleaner.outlets.terminal.json_documents import check_document, plan_document, sweep_document
from unit.outlets.happenings import BYTES_ONLY, EVICTED, FULL, HELD, NIGHT, SEVERAL, candidate, report

FILESYSTEM_KEYS = [
    "path",
    "capacity_bytes",
    "available_bytes",
    "reserved_bytes",
    "used_percent",
    "inodes_used_percent",
    "name",
]

verdicts = st.lists(
    st.builds(
        Verdict,
        st.builds(Image, st.uuids().map(str)),
        st.sampled_from([*EvictReason, *KeepReason]),
    ),
    max_size=30,
)


def _plan(all_verdicts: list[Verdict]) -> Plan:
    evictions = tuple(verdict for verdict in all_verdicts if verdict.evict)
    return Plan(Trigger.NIGHTLY, evictions, tuple(verdict for verdict in all_verdicts if not verdict.evict))


def test_a_plan_has_all_keys_of_the_contract() -> None:
    """Every key is there, in the contract's order; what cannot be known is null."""
    document = plan_document(NIGHT, FULL, None, ["said beforehand"])
    assert list(document) == [
        "trigger",
        "filesystem",
        "filesystems",
        "reclaimable_bytes",
        "low_watermark_reachable",
        "held_bytes",
        "images",
        "notices",
    ]
    assert document["filesystems"] == [document["filesystem"]]
    assert [document[key] for key in ("reclaimable_bytes", "low_watermark_reachable", "held_bytes")] == [None] * 3
    assert document["notices"] == ["said beforehand"]


def test_a_plan_lists_every_filesystem() -> None:
    """Each has its name and its own figures; that of the images is the first, and has its own key too."""
    document = plan_document(NIGHT, SEVERAL, None)
    filesystems = document["filesystems"]
    assert isinstance(filesystems, list)
    assert [each["name"] for each in filesystems] == ["images", "content", "snapshots", "containers"]
    assert [each["path"] for each in filesystems] == [FULL.path, "/content", "/snapshots", "/containers"]
    assert document["filesystem"] == filesystems[0]
    assert plan_document(NIGHT, None, None)["filesystems"] == []


def test_a_plan_has_reclaimable_bytes_and_bytes_by_holder() -> None:
    """Where the runtime tells what images share, bytes and holders are figures, and what is not needed is kept."""
    size = Size(5000, 3)
    (first, *others) = NIGHT.evictions
    plan = Plan(
        Trigger.PRESSURE,
        (replace(first, reclaimable=size),),
        NIGHT.kept,
        size,
        not_reached=tuple(others),
        low_watermark_reachable=True,
    )
    document = plan_document(plan, FULL, HELD)
    assert (document["reclaimable_bytes"], document["low_watermark_reachable"]) == (5000, True)
    assert document["held_bytes"] == {holder.value: held_bytes for holder, held_bytes in HELD.items()}
    images = document["images"]
    assert isinstance(images, list)
    assert [(i["verdict"], i["reason"], i["estimated_bytes"]) for i in images[:2]] == [
        ("evict", "expired", 5000),
        ("keep", "not_reached", None),
    ]
    assert len(images) == len(NIGHT.evictions) + len(NIGHT.kept)


def test_a_filesystem_has_all_keys_of_the_contract() -> None:
    """A filesystem says what is used as the kubelet does, and null where inodes have no limit."""
    filesystem = plan_document(NIGHT, BYTES_ONLY, None)["filesystem"]
    assert isinstance(filesystem, dict)
    assert list(filesystem) == FILESYSTEM_KEYS
    assert filesystem["used_percent"] == 80
    assert filesystem["inodes_used_percent"] is None


def test_a_plan_without_a_filesystem_says_null() -> None:
    """A filesystem that could not be read is null, and none is listed."""
    document = plan_document(NIGHT, None, None)
    assert (document["filesystem"], document["filesystems"]) == (None, [])


def test_an_image_of_a_plan_has_all_keys_of_the_contract() -> None:
    """An image to evict says why, by which rule, and every time that is known."""
    images = plan_document(NIGHT, FULL, None)["images"]
    assert isinstance(images, list)
    assert images[0] == {
        "id": candidate(1).image.id,
        "references": list(candidate(1).image.references),
        "verdict": "evict",
        "reason": "expired",
        "detail": None,
        "rule": "company",
        "created_at": "2026-05-01T00:00:00Z",
        "pulled_at": "2026-05-06T00:00:00Z",
        "last_used_at": "2026-05-11T00:00:00Z",
        "size_bytes": 1024**3,
        "estimated_bytes": None,
    }
    assert [image["verdict"] for image in images] == ["evict"] * 4 + ["keep"] * 3


def test_references_are_tags_then_digests_each_sorted() -> None:
    """References come sorted even from a runtime that does not sort them."""
    verdict = replace(candidate(1), image=Image("i", ("z:1", "b:1"), ("y@sha256:2", "a@sha256:1")))
    images = plan_document(Plan(Trigger.MANUAL, (verdict,), ()), FULL, None)["images"]
    assert isinstance(images, list)
    assert images[0]["references"] == ["b:1", "z:1", "a@sha256:1", "y@sha256:2"]


def test_a_sweep_has_all_keys_of_the_contract() -> None:
    """Every key is there, and kept has a count per reason that occurs and the ones not reached."""
    document = sweep_document(report())
    assert list(document) == [
        "trigger",
        "dry_run",
        "started_at",
        "duration_seconds",
        "filesystem_before",
        "filesystem_after",
        "reclaimed_bytes",
        "stop_reason",
        "evictions",
        "kept",
        "notices",
    ]
    assert document["kept"] == {"in_use": 2, "recent": 1, "not_reached": 1}
    assert (document["started_at"], document["stop_reason"]) == ("2026-06-15T00:00:00Z", "limit")


def test_an_eviction_has_all_keys_of_the_contract() -> None:
    """An eviction says its outcome, its estimated and its measured bytes."""
    evictions = sweep_document(report())["evictions"]
    assert isinstance(evictions, list)
    assert evictions[0] == {
        "id": candidate(1).image.id,
        "references": list(candidate(1).image.references),
        "reason": "expired",
        "rule": "company",
        "outcome": "evicted",
        "error": None,
        "fault": None,
        "estimated_bytes": 7 * 1024**3,
        "reclaimed_bytes": 6 * 1024**3,
    }
    assert [eviction["outcome"] for eviction in evictions] == ["evicted", "failed", "spared"]


def test_a_sweep_that_was_not_needed_lists_nothing() -> None:
    """Where nothing was listed nothing is kept, and not_reached is 0."""
    document = sweep_document(report(plan=None, evictions=(), not_reached=0, stop_reason=StopReason.NOT_NEEDED))
    assert (document["evictions"], document["kept"]) == ([], {"not_reached": 0})


def test_unmeasured_bytes_are_null() -> None:
    """A filesystem that cannot say what an image freed makes the sum null as well."""
    unmeasured = report(evictions=(replace(EVICTED, reclaimed_bytes=None),))
    assert sweep_document(unmeasured)["reclaimed_bytes"] is None


def test_a_check_has_all_keys_of_the_contract() -> None:
    """Every finding has its rule's counts, or null; bytes that cannot be known are null."""
    nightly = Evictable(1, None, 7, {KeepReason.UNEXPIRED: 2, KeepReason.LOCAL: 1})
    pressure = Evictable(3, 5000, None, {KeepReason.LOCAL: 1})
    coverage = RuleCoverage("company", 5, 1, 0, 2, "ghcr.io/a/b:v1", nightly, pressure, (), (), None)
    findings = [Finding("runtime", Grade.OK, "containerd 2"), Finding("rule", Grade.WARNING, "company: ...", coverage)]
    assert check_document(findings, {"mode": "full"}, "0123") == {
        "findings": [
            {"subject": "runtime", "grade": "ok", "detail": "containerd 2", "rule": None},
            {
                "subject": "rule",
                "grade": "warning",
                "detail": "company: ...",
                "rule": {
                    "name": "company",
                    "matched": 5,
                    "matched_in_part": 2,
                    "in_use": 1,
                    "evictable_nightly": 1,
                    "evictable_pressure": 3,
                    "estimated_bytes_nightly": None,
                    "estimated_bytes_pressure": 5000,
                    "kept_nightly": {"unexpired": 2, "local": 1},
                    "kept_pressure": {"local": 1},
                },
            },
        ],
        "config_hash": "0123",
        "settings": {"mode": "full"},
    }


@given(verdicts)
def test_a_plan_names_every_image_once(all_verdicts: list[Verdict]) -> None:
    """Each image is in the plan's document exactly once, and the document is JSON."""
    document = json.loads(json.dumps(plan_document(_plan(all_verdicts), FULL, None)))
    assert sorted(image["id"] for image in document["images"]) == sorted(v.image.id for v in all_verdicts)


@given(verdicts, st.integers(min_value=0))
def test_evictions_and_kept_are_all_images(all_verdicts: list[Verdict], reached: int) -> None:
    """However early a sweep ends, its evictions and its kept counts add up to all images."""
    plan = _plan(all_verdicts)
    done = plan.evictions[:reached]
    evictions = tuple(replace(EVICTED, verdict=verdict) for verdict in done)
    ended = report(plan=plan, evictions=evictions, not_reached=len(plan.evictions) - len(done))
    document = json.loads(json.dumps(sweep_document(ended)))
    assert len(document["evictions"]) + sum(document["kept"].values()) == len(all_verdicts)
