"""What `check` says of rules: how serious each line is, and what it advises."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from cleaner.cli.rule_checks import NO_IMAGES, check_images
from cleaner.core.findings import Finding, Grade
from cleaner.core.model import Container, Image, Inspection, Memory, Policy, Rule, Trigger
from cleaner.core.policy import plan
from cleaner.core.references import parse_pattern
from support.fakes import NOON
from support.graphs import make_layers

OLD = NOON - timedelta(days=60)
DIGEST = "sha256:" + "b" * 64


def image(name: str, *more: str, **changes: object) -> Image:
    """An old image of registry.corp."""
    tags, digests = (f"registry.corp/{name}:v1", *more), (f"registry.corp/{name}@{DIGEST}",)
    made = Image(name, tags, digests, size_bytes=1024, created_at=OLD, pulled_at=OLD)
    return replace(made, **changes)  # type: ignore[arg-type]


def found(*images: Image, used: str = "", suspended: str | None = None, **policy: object) -> list[Finding]:
    """All findings of a node whose policy has one rule, unless it says otherwise."""
    rule = Rule("corp", (parse_pattern("registry.corp/**"),), timedelta(days=30))
    whole = replace(Policy((rule,)), **policy)  # type: ignore[arg-type]
    containers = (Container("c", frozenset({used})),) if used else ()
    node = Inspection(images, containers, frozenset(), Memory(OLD))
    nightly, pressure = (plan(node, whole, trigger, NOON) for trigger in (Trigger.NIGHTLY, Trigger.PRESSURE))
    return list(check_images(node, whole, nightly, pressure, suspended))


def line(subject: str, *images: Image, **changes: object) -> tuple[Grade, str]:
    """The only finding about a subject."""
    (only,) = [one for one in found(*images, **changes) if one.subject == subject]  # type: ignore[arg-type]
    return only.grade, only.detail


LOST = Image("lost", size_bytes=1)
BUILT: Mapping[str, object] = {"digests": ()}
YOUNG: Mapping[str, object] = {"pulled_at": NOON}
LOCAL = "no registry is known to have them; only a rule with `local: true` evicts such images"


@pytest.mark.parametrize(
    ("images", "changes", "grade", "says"),
    [
        (
            [image("a"), image("b")],
            {},
            Grade.OK,
            "matches 2 images, none in use; nightly and pressure sweeps may evict 2 (bytes not known)",
        ),
        ([image("a")], {"used": "registry.corp/a:v1"}, Grade.OK, "matches 1 image, all in use: nothing to evict now"),
        (
            [image("a"), image("b", **YOUNG)],
            {},
            Grade.OK,
            (
                "matches 2 images, none in use; nightly and pressure sweeps may evict 1 (bytes not known) "
                "and keep 1 (recent)"
            ),
        ),
        (
            [image("a", **YOUNG)],
            {},
            Grade.NOTE,
            "matches 1 image, none in use; nightly and pressure sweeps may evict none and keep 1 (recent)",
        ),
        (
            [image("a", **BUILT), image("b", **BUILT), image("c", pinned=True)],
            {},
            Grade.WARNING,
            (
                "matches 3 images, none in use; nightly and pressure sweeps may evict none and keep 3 "
                f"(2 local, 1 pinned); {LOCAL}"
            ),
        ),
        (
            [image("a", **BUILT), image("b")],
            {"used": "registry.corp/b:v1"},
            Grade.NOTE,
            f"matches 2 images, 1 in use; nightly and pressure sweeps may evict none and keep 1 (local); {LOCAL}",
        ),
        (
            [image("a", **BUILT), image("b", **YOUNG)],
            {},
            Grade.NOTE,
            (
                "matches 2 images, none in use; nightly and pressure sweeps may evict none and keep 2 "
                f"(1 local, 1 recent); {LOCAL}"
            ),
        ),
        (
            [image("a"), image("b")],
            {"protect": (parse_pattern("registry.corp/**"),), "used": "registry.corp/b:v1"},
            Grade.WARNING,
            (
                "matches 2 images, 1 in use; nightly and pressure sweeps may evict none and keep 1 (protected); "
                "policy.protect covers every image that it matches, so it can never evict one"
            ),
        ),
        (
            [image("a")],
            {"protect": (parse_pattern("registry.corp/**"),), "used": "registry.corp/a:v1"},
            Grade.WARNING,
            (
                "matches 1 image, all in use: nothing to evict now; "
                "policy.protect covers every image that it matches, so it can never evict one"
            ),
        ),
        (
            [image("a", stray_records=("a:v1",))],
            {},
            Grade.WARNING,
            (
                "matches 1 image, none in use; nightly and pressure sweeps may evict none and keep 1 (unremovable); "
                "`cleaner plan` names what the runtime would leave behind"
            ),
        ),
        (
            [image("a"), image("b", "ghcr.io/acme/b:v1")],
            {},
            Grade.NOTE,
            (
                "matches 1 image, none in use; nightly and pressure sweeps may evict 1 (bytes not known); "
                "1 image more is kept as unmatched, since no rule matches another reference, such as ghcr.io/acme/b:v1"
            ),
        ),
        (
            [image("a", "ghcr.io/acme/a:v1"), image("b", "no\x1breference")],
            {},
            Grade.WARNING,
            (
                "matches no image in full, so it evicts nothing; 2 images are kept as unmatched, since no rule matches "
                "another reference, such as ghcr.io/acme/a:v1"
            ),
        ),
        (
            [image("b", "no\x1breference")],
            {},
            Grade.WARNING,
            (
                "matches no image in full, so it evicts nothing; 1 image is kept as unmatched, since no rule matches "
                "another reference, such as no\\x1breference"
            ),
        ),
        ([], {}, Grade.WARNING, "matches no image on this node, so it evicts nothing"),
        (
            [replace(image("a"), tags=("ghcr.io/acme/a:v1",), digests=())],
            {},
            Grade.WARNING,
            "matches no image on this node, so it evicts nothing; images on this node are from: ghcr.io (1)",
        ),
    ],
)
def test_the_line_of_a_rule(images: list[Image], changes: dict[str, object], grade: Grade, says: str) -> None:
    """Each rule has one line: what it matches and may evict; a warning where it does nothing."""
    assert line("rule", *images, **changes) == (grade, f"corp: {says}")


def test_keep_newest_that_keeps_everything_is_a_note() -> None:
    """A rule whose keep_newest is never exceeded evicts nothing on a full disk either, and says so."""
    rule = Rule("corp", (parse_pattern("registry.corp/**"),), timedelta(days=30), keep_newest=3)
    grade, detail = line("rule", image("a"), image("b"), rules=(rule,))
    assert grade is Grade.NOTE
    assert detail.endswith("may evict none and keep 2 (newest); the rule's keep_newest keeps them on a full disk too")


def test_both_triggers_are_told_apart_where_they_differ() -> None:
    """A nightly sweep keeps what is not expired; bytes stand where they are known."""
    node = Inspection(
        (image("a"), image("b", created_at=NOON - timedelta(days=9))),
        (),
        frozenset(),
        Memory(OLD),
        make_layers({"a": "x", "b": "y"}, {"x": 1024, "y": 2048}),
    )
    policy = Policy((Rule("corp", (parse_pattern("registry.corp/**"),), timedelta(days=30)),))
    nightly, pressure = (plan(node, policy, trigger, NOON) for trigger in (Trigger.NIGHTLY, Trigger.PRESSURE))
    first, *_ = check_images(node, policy, nightly, pressure, None)
    assert first.detail == (
        "corp: matches 2 images, none in use; nightly sweeps may evict 1 (1.0 KiB) and keep 1 (unexpired); "
        "pressure sweeps may evict 2 (3.0 KiB)"
    )


@pytest.mark.parametrize(("count", "says"), [(1, "1 image fits"), (2, "2 images fit")])
def test_a_tag_that_fits_nothing_is_told(count: int, says: str) -> None:
    """Where only the tag keeps a rule from matching, an image is named."""
    rule = Rule("ci", (parse_pattern("registry.corp/**:ci-*"),), timedelta(days=30))
    _, detail = line("rule", *[image(f"a{number}") for number in range(count)], rules=(rule,))
    assert detail.endswith(f"{says} but for the tag or digest, such as registry.corp/a0:v1")


def test_a_pattern_that_matches_nothing_is_a_note() -> None:
    """Only where its rule matches something else: otherwise the line of the rule says enough."""
    patterns = tuple(map(parse_pattern, ["registry.corp/**", "docker.io/acme/**"]))
    rules = (Rule("corp", patterns, timedelta(days=30)),)
    details = [(one.grade, one.detail) for one in found(image("a"), rules=rules) if one.subject == "rule"]
    assert details[1:] == [(Grade.NOTE, "corp: its pattern docker.io/acme/** matches no image on this node")]
    assert len([one for one in found(LOST, rules=rules) if one.subject == "rule"]) == 1


def test_a_rule_behind_another_is_a_warning() -> None:
    """Earlier rules are named."""
    late = Rule("late", (parse_pattern("registry.corp/a:*"),), timedelta(days=7))
    corp = Rule("corp", (parse_pattern("registry.corp/**"),), timedelta(days=30))
    _, second = [one for one in found(image("a"), rules=(corp, late)) if one.subject == "rule"]
    assert second.grade is Grade.WARNING
    assert second.detail == (
        "late: has no effect: each image that it matches falls under an earlier rule (corp); move it up, or remove it"
    )


def test_no_rules_is_a_warning() -> None:
    """It says that nothing may be evicted, and where the node's images are from."""
    grade, detail = line("rule", image("a"), rules=())
    assert grade is Grade.WARNING
    assert detail == "there is none, so no sweep may evict anything; images on this node are from: registry.corp (1)"


def test_protection_without_an_image_is_a_note() -> None:
    """Not on a node without images, where every pattern is idle."""
    protect = (parse_pattern("registry.corp/base:*"),)
    assert line("policy.protect", image("a"), protect=protect) == (
        Grade.NOTE,
        "registry.corp/base:* protects no image on this node",
    )
    assert "policy.protect" not in {one.subject for one in found(protect=protect)}


@pytest.mark.parametrize(
    ("images", "grade", "says"),
    [
        ([image("a"), LOST], Grade.NOTE, "of 2 images, without a reference: 1 (only the pattern <none> matches them)"),
        (
            [LOST, image("a", "registry.corp:?@x")],
            Grade.WARNING,
            ", with a reference that no pattern can match: 1 (kept as unmatched)",
        ),
    ],
)
def test_images_without_names_are_told(images: list[Image], grade: Grade, says: str) -> None:
    """A warning where no image of the node has names that rules understand."""
    told, detail = line("references", *images)
    assert told is grade
    assert says in detail


@pytest.mark.parametrize(
    ("images", "suspended", "expected"),
    [
        ([], "mode observe", (Grade.WARNING, NO_IMAGES)),
        ([image("a")], None, (Grade.OK, "1 on this node: nightly sweeps may evict 1, pressure sweeps 1")),
        (
            [image("a")],
            "for a reason",
            (Grade.OK, "1 on this node: nightly sweeps may evict 1, pressure sweeps 1; for a reason"),
        ),
        (
            [image("a", **BUILT)],
            "for a reason",
            (Grade.NOTE, "1 on this node: nightly sweeps may evict 0, pressure sweeps 0"),
        ),
    ],
)
def test_the_line_of_all_images(images: list[Image], suspended: str | None, expected: tuple[Grade, str]) -> None:
    """A runtime without images is the wrong one; why sweeps do not run is said where there is something to evict."""
    assert line("images", *images, suspended=suspended) == expected
