"""What each rule matches and may evict: counts that add up, and what has no effect."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.model import Container, Image, Inspection, KeepReason, Memory, Policy, Rule, Trigger
from cleaner.core.policy import plan
from cleaner.core.references import parse_pattern
from cleaner.core.rule_coverage import (
    MOST_PLACES,
    Evictable,
    ImageNames,
    Near,
    RuleCoverage,
    count_names,
    cover,
    idle_protection,
    registries_on,
)
from cleaner.core.rule_matching import rules_of
from support.fakes import NOON
from support.graphs import make_layers

DIGEST = "sha256:" + "a" * 64
OLD = NOON - timedelta(days=60)


def image(name: str, *tags: str, **changes: object) -> Image:
    """An old image of registry.corp by its name, or with these tags."""
    known = tags or (f"registry.corp/{name}:v1",)
    digests = (f"registry.corp/{name}@{DIGEST}",) if not tags else (f"{tags[0].rpartition(':')[0]}@{DIGEST}",)
    made = Image(name, known, digests, size_bytes=1000, created_at=OLD, pulled_at=OLD)
    return replace(made, **changes)  # type: ignore[arg-type]


def rule(name: str, *patterns: str, **changes: object) -> Rule:
    made = Rule(name, tuple(map(parse_pattern, patterns)), timedelta(days=30))
    return replace(made, **changes)  # type: ignore[arg-type]


CORP = rule("corp", "registry.corp/**")


def covered(inspection: Inspection, policy: Policy) -> tuple[RuleCoverage, ...]:
    nightly, pressure = (plan(inspection, policy, trigger, NOON) for trigger in (Trigger.NIGHTLY, Trigger.PRESSURE))
    return cover(inspection, policy, nightly, pressure)


def inspection(*images: Image, used: str = "", **changes: object) -> Inspection:
    """A node that has been known for ever; `used` is the id of an image that a container has."""
    containers = (Container("c", frozenset({f"registry.corp/{used}:v1"})),) if used else ()
    made = Inspection(images, containers, frozenset(), Memory(OLD))
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_rule_says_what_it_matches_and_what_each_trigger_may_evict() -> None:
    """In use, evictable and kept ones are the matched ones; the nightly trigger keeps what is not expired."""
    young = NOON - timedelta(days=2)
    node = inspection(
        image("used"),
        image("old"),
        image("young", created_at=young, pulled_at=young),
        image("built", digests=()),
        image("elsewhere", "ghcr.io/acme/app:v1"),
        used="used",
    )
    (found,) = covered(node, Policy((CORP,)))
    unknown = Evictable(1, None, None, {KeepReason.UNEXPIRED: 1, KeepReason.LOCAL: 1})
    assert found.rule == "corp"
    assert (found.matched, found.in_use, found.in_part, found.protected) == (4, 1, 0, 0)
    assert (found.nightly, found.pressure) == (unknown, Evictable(2, None, None, {KeepReason.LOCAL: 1}))
    assert (found.idle_patterns, found.earlier, found.near) == ((), (), None)


def test_keep_reasons_come_the_most_frequent_first() -> None:
    """Reasons that more images have are before those that fewer have, whatever the order of verdicts."""
    built = [image(f"built{number}", digests=()) for number in range(2)]
    node = inspection(image("pinned", pinned=True), *built)
    (found,) = covered(node, Policy((CORP,)))
    assert list(found.pressure.kept.items()) == [(KeepReason.LOCAL, 2), (KeepReason.PINNED, 1)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # Both hold the base layer, which another rule's image holds too.
        (
            {"layers": make_layers({"a": "base a", "b": "base b", "c": "base"}, {"base": 100, "a": 10, "b": 1})},
            (11, None),
        ),
        (
            {
                "layers": replace(make_layers({"a": "a"}, {"a": 10}), complete=False),
                "sizes_are_bounds": True,
            },
            (None, 2000),
        ),
        ({"sizes_are_bounds": True}, (None, 2000)),
        ({}, (None, None)),
    ],
)
def test_bytes_are_what_evicting_just_its_images_frees(
    changes: dict[str, object], expected: tuple[int | None, int | None]
) -> None:
    """Shared layers stay; without layers sizes bound it, where the runtime's sizes are bounds."""
    node = inspection(image("a"), image("b"), image("c", "ghcr.io/acme/c:v1"))
    node = replace(node, **changes)  # type: ignore[arg-type]
    (found,) = covered(node, Policy((CORP,)))
    assert (found.pressure.count, found.pressure.estimated_bytes, found.pressure.bytes_at_most) == (2, *expected)


def test_an_image_without_a_size_bounds_nothing() -> None:
    """One image of 0 bytes has a size that is not known; where nothing may be evicted, nothing is freed."""
    node = inspection(image("a"), image("b", size_bytes=0), sizes_are_bounds=True)
    (found,) = covered(node, Policy((CORP,)))
    assert (found.pressure.estimated_bytes, found.pressure.bytes_at_most) == (None, None)
    (found,) = covered(inspection(image("a", digests=())), Policy((CORP,)))
    assert (found.pressure.count, found.pressure.estimated_bytes, found.pressure.bytes_at_most) == (0, 0, None)


@pytest.mark.parametrize("other", ["ghcr.io/acme/app:v1", "registry.corp:?@sha256:1", "Not A Reference"])
def test_an_image_that_is_matched_in_part_counts_for_itself(other: str) -> None:
    """A reference without a rule, or one that makes no sense, keeps an image, and is named."""
    node = inspection(image("whole"), image("part", "registry.corp/part:v1", other))
    (found,) = covered(node, Policy((CORP,)))
    assert (found.matched, found.in_part, found.unmatched_reference) == (1, 1, other)
    assert found.pressure.count == 1
    assert found.near is None


def test_a_digest_reference_without_a_rule_is_named_with_its_digest() -> None:
    """An image may have a repository by digest only, or by nothing but its name."""
    part = image("part", digests=(f"ghcr.io/acme/part@{DIGEST}",))
    (found,) = covered(inspection(part), Policy((CORP,)))
    assert found.unmatched_reference == f"ghcr.io/acme/part@{DIGEST}"
    bare = image("part", "registry.corp/part:v1", "ghcr.io/acme/bare")
    assert covered(inspection(bare), Policy((CORP,)))[0].unmatched_reference == "ghcr.io/acme/bare"


def test_an_image_without_references_is_matched_by_none_only() -> None:
    """`<none>` matches it, and no other pattern does."""
    policy = Policy((CORP, rule("untagged", "<none>", local=True)))
    corp, untagged = covered(inspection(image("lost", tags=(), digests=())), policy)
    assert (corp.matched, untagged.matched) == (0, 1)
    assert (corp.idle_patterns, untagged.idle_patterns) == (("registry.corp/**",), ())


def test_patterns_that_fit_nothing_are_idle() -> None:
    """A pattern is idle by itself, also where another one of its rule fits."""
    policy = Policy((rule("corp", "registry.corp/**", "docker.io/acme/**"),))
    (found,) = covered(inspection(image("a")), policy)
    assert (found.matched, found.idle_patterns, found.near) == (1, ("docker.io/acme/**",), None)


def test_a_rule_behind_another_names_it() -> None:
    """Where earlier rules get every image that it matches it has no effect; not where it matches one of two names."""
    policy = Policy((rule("app", "registry.corp/app:*"), rule("web", "registry.corp/web:*"), CORP))
    only = covered(inspection(image("app"), image("web")), policy)[2]
    assert (only.matched, only.earlier, only.near) == (0, ("app", "web"), None)
    both = image("app", "registry.corp/app:v1", "registry.corp/tool:v1")
    also = covered(inspection(both), policy)[2]
    assert (also.matched, also.earlier) == (1, ())


def test_an_image_counts_for_each_of_its_rules() -> None:
    """Two references under two rules: both match it, and both may evict it."""
    policy = Policy((rule("app", "registry.corp/app:*"), CORP))
    found = covered(inspection(image("app", "registry.corp/app:v1", "registry.corp/tool:v1")), policy)
    assert [(one.matched, one.pressure.count) for one in found] == [(1, 1), (1, 1)]


def test_protected_images_count_in_use_or_not() -> None:
    """Protection covers images that a container has, too; what no rule matches is not counted."""
    protect = (parse_pattern("registry.corp/base:*"), parse_pattern("registry.corp/tool:*"))
    node = inspection(image("base"), image("tool"), image("app"), image("x", "ghcr.io/a/b:v1"), used="base")
    (found,) = covered(node, Policy((CORP,), protect))
    assert (found.matched, found.in_use, found.protected) == (3, 1, 2)


@pytest.mark.parametrize(
    ("patterns", "near"),
    [
        # Another registry: the one that begins alike is first, then those with more images.
        (
            ["registry.corq/**"],
            Near(0, None, (("registry.corp", 2), ("docker.io", 2), ("ghcr.io", 1))),
        ),
        (["*.example.com/**"], Near(0, None, (("docker.io", 2), ("registry.corp", 2), ("ghcr.io", 1)))),
        # Its registry is there: the repositories are named.
        (["registry.corp/wab/**"], Near(0, None, (("registry.corp/web", 1), ("registry.corp/app", 1)))),
        # Everything fits but for tag or digest.
        (
            ["registry.corp/**:ci-*"],
            Near(2, "registry.corp/app:v1", (("registry.corp/app", 1), ("registry.corp/web", 1))),
        ),
        (
            ["ghcr.io/acme/tool@sha256:0*"],
            Near(1, "ghcr.io/acme/tool:v1", (("ghcr.io/acme/tool", 1),)),
        ),
        (["<none>"], Near(0, None, (("docker.io", 2), ("registry.corp", 2), ("ghcr.io", 1)))),
    ],
)
def test_a_rule_that_matches_nothing_says_what_is_near(patterns: list[str], near: Near) -> None:
    """The nearest registries or repositories, and whether only the tag does not fit."""
    node = inspection(
        image("app"),
        image("web"),
        image("x", "docker.io/library/x:v1"),
        image("y", "docker.io/library/y:v1", "not a reference"),
        image("tool", "ghcr.io/acme/tool:v1"),
    )
    (found,) = covered(node, Policy((rule("none", *patterns),)))
    assert (found.matched, found.near) == (0, near)


def test_few_places_are_named() -> None:
    """A node with many registries names some; one without images none."""
    images = [image(f"i{number}", f"r{number}.corp/app:v1") for number in range(MOST_PLACES + 1)]
    assert len(registries_on(images)) == MOST_PLACES
    assert registries_on([]) == ()
    (found,) = covered(inspection(), Policy((CORP,)))
    assert found.near == Near(0, None, ())


def test_protection_that_covers_nothing_is_idle() -> None:
    """Each pattern is judged by itself; `<none>` protects images without references."""
    protect = tuple(map(parse_pattern, ["registry.corp/app:*", "registry.corp/base:*", "<none>"]))
    images = [image("app"), image("lost", tags=(), digests=())]
    assert idle_protection(images, Policy((), protect)) == ("registry.corp/base:*",)
    assert idle_protection(images[:1], Policy((), protect)) == ("registry.corp/base:*", "<none>")
    assert idle_protection(images, Policy(())) == ()


def test_names_that_say_nothing_are_counted() -> None:
    """Images without references, and those with one that is none by the grammar."""
    lost = image("lost", tags=(), digests=())
    assert count_names([image("app"), lost, image("odd", "registry.corp:?@x")]) == ImageNames(3, 1, 1)


names = st.sampled_from(
    ["registry.corp/app:v1", "registry.corp/web:ci-1", "docker.io/library/x:v1", "ghcr.io/a/b:v2", "no reference"]
)
images = st.lists(
    st.builds(
        lambda tags, pinned, digest, days: Image(
            "",
            tuple(sorted(tags)),
            (f"registry.corp/app@{DIGEST}",) if digest else (),
            pinned=pinned,
            created_at=NOON - timedelta(days=days),
            pulled_at=NOON - timedelta(days=days),
        ),
        st.frozensets(names),
        st.booleans(),
        st.booleans(),
        st.integers(0, 60),
    ),
    max_size=6,
)
patterns = st.sampled_from(["registry.corp/**", "registry.corp/**:ci-*", "docker.io/**", "**", "<none>"])


@given(images, st.lists(st.lists(patterns, min_size=1, max_size=2), max_size=3), st.lists(patterns, max_size=1))
def test_counts_add_up_and_agree_with_the_verdicts(
    found: list[Image], rules: list[list[str]], protect: list[str]
) -> None:
    """Matched is what `rules_of` says, and in use, evictable and kept ones together, for each trigger."""
    node = inspection(*(replace(one, id=f"id{number}") for number, one in enumerate(found)))
    policy = Policy(
        tuple(rule(f"r{number}", *texts) for number, texts in enumerate(rules)), tuple(map(parse_pattern, protect))
    )
    for one in covered(node, policy):
        ruled = [rules_of(image, policy) for image in node.images]
        assert one.matched == sum(one.rule in {each.name for each in known} for known in ruled if known)
        for evictable in (one.nightly, one.pressure):
            assert one.matched == one.in_use + evictable.count + sum(evictable.kept.values())
            assert not {KeepReason.UNMATCHED, KeepReason.IN_USE} & evictable.kept.keys()
        assert (one.near is None) == bool(one.matched or one.in_part or one.earlier)
