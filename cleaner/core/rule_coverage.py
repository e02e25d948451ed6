"""What each rule matches on a node, what of it may be evicted now, and what of the policy has no effect there.

It must not judge an image: it counts the verdicts of two plans, one per trigger. Example: a rule `registry.corp/**` on
a node with the images `registry.corp/a:1` (in use), `registry.corp/b:1` and `registry.corp/c:1` + `docker.io/c:1`. It
matches two images, one in use and one evictable. It matches the third only in part, since no rule matches
`docker.io/c:1`: such an image is kept, and counts for itself.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from cleaner.core.image_registries import registry_of
from cleaner.core.model import Image, Inspection, KeepReason, Plan, Policy, Rule
from cleaner.core.reclaim import reclaimable
from cleaner.core.references import Name, Pattern, names_of, parse_reference
from cleaner.core.rule_matching import is_protected

MOST_PLACES = 4
"""How many registries or repositories are named where a rule matches nothing."""

Places = tuple[tuple[str, int], ...]
"""Registries or repositories, each with its images."""


@dataclass(frozen=True, slots=True)
class Evictable:
    """What sweeps of one trigger may evict now of the images that a rule matches."""

    count: int
    estimated_bytes: int | None
    """What the eviction of just these frees; None where that cannot be known."""
    bytes_at_most: int | None
    """Where that is not known: what it frees at most; None if there is no upper bound."""
    kept: Mapping[KeepReason, int]
    """The other images but for those in use, by reason, the most frequent first."""


@dataclass(frozen=True, slots=True)
class Near:
    """What a node has in place of what a rule names."""

    without_tag: int
    """Images that the rule's patterns would match if they named no tag and no digest."""
    example: str | None
    """A reference of one of them."""
    places: Places
    """Repositories in the registries that the rule names; where the node has nothing of these, its registries. Those
    that begin as the rule's patterns do come first, then those with more images."""


@dataclass(frozen=True, slots=True)
class RuleCoverage:
    """What one rule does on a node. An image with references under several rules counts for each of them."""

    rule: str
    matched: int
    """Images that have a rule for every reference, this one among them: in use, evictable and kept ones together."""
    in_use: int
    protected: int
    """Those of the matched that `policy.protect` covers, in use or not."""
    in_part: int
    """Further images of which another reference has no rule: they are kept."""
    unmatched_reference: str | None
    """Such a reference of one of them."""
    nightly: Evictable
    pressure: Evictable
    idle_patterns: tuple[str, ...]
    """Patterns of its `match` that fit no reference on the node."""
    earlier: tuple[str, ...]
    """Rules before it that get every image that its patterns fit; none where it matches anything, also in part."""
    near: Near | None
    """None where its patterns fit anything."""


@dataclass(frozen=True, slots=True)
class ImageNames:
    """How many images rules can hardly match, since their names say nothing."""

    images: int
    without_reference: int
    """Only the pattern `<none>` matches them."""
    not_understood: int
    """A reference of them is none by the grammar, and no pattern matches it."""


def cover(inspection: Inspection, policy: Policy, nightly: Plan, pressure: Plan) -> tuple[RuleCoverage, ...]:
    """What each rule does, in the order of the policy; the plans are those of this inspection and policy."""
    matches = [_match(image, policy) for image in inspection.images]
    return tuple(_coverage(rule, matches, inspection, policy, (nightly, pressure)) for rule in policy.rules)


def idle_protection(images: Iterable[Image], policy: Policy) -> tuple[str, ...]:
    """Patterns of `policy.protect` that protect no image on the node."""
    known = tuple(images)
    alone = [(pattern.text, replace(policy, protect=(pattern,))) for pattern in policy.protect]
    return tuple(text for text, only in alone if not any(is_protected(image, only) for image in known))


def registries_on(images: Iterable[Image], beginnings: Sequence[str] = ()) -> Places:
    """The registries of the node's images, the nearest to these beginnings first, then those with more images."""
    found = Counter(registry for image in images for registry in {_registry(name) for name in _names(image)})
    return _nearest(found, beginnings)


def count_names(images: Iterable[Image]) -> ImageNames:
    """How many images have no reference, or one that makes no sense."""
    known = tuple(images)
    without = sum(not image.references for image in known)
    return ImageNames(len(known), without, sum(names_of(image.references) is None for image in known))


@dataclass(frozen=True, slots=True)
class _Match:
    """What the rules make of one image."""

    image: Image
    names: tuple[Name | None, ...]
    """None for an image without references."""
    first: frozenset[str]
    """The first rule that fits, for each of its names."""
    fitting: frozenset[str]
    """Every rule that fits one of its names."""
    unmatched: str | None
    """A reference of it that no rule fits."""


def _match(image: Image, policy: Policy) -> _Match:
    names: tuple[Name | None, ...] = _names(image) if image.references else (None,)
    fitting = [[rule.name for rule in policy.rules if _fits_any(rule.match, name)] for name in names]
    odd = [text for text in image.references if parse_reference(text) is None]
    odd += [_text(name) for name, rules in zip(names, fitting, strict=True) if not rules]
    return _Match(
        image=image,
        names=names,
        first=frozenset(rules[0] for rules in fitting if rules),
        fitting=frozenset(rule for rules in fitting for rule in rules),
        unmatched=odd[0] if odd else None,
    )


def _coverage(
    rule: Rule, matches: Sequence[_Match], inspection: Inspection, policy: Policy, plans: tuple[Plan, Plan]
) -> RuleCoverage:
    mine = [match for match in matches if rule.name in match.first]
    matched = {match.image.id for match in mine if match.unmatched is None}
    in_part = [match.unmatched for match in mine if match.unmatched is not None]
    nightly, pressure = (_evictable(plan, matched, inspection) for plan in plans)
    earlier = {first for match in matches if not mine and rule.name in match.fitting for first in match.first}
    names = [name for match in matches for name in match.names]
    idle = tuple(pattern.text for pattern in rule.match if not any(_fits(pattern, name) for name in names))
    return RuleCoverage(
        rule=rule.name,
        matched=len(matched),
        in_use=sum(verdict.image.id in matched for verdict in plans[1].kept if verdict.reason is KeepReason.IN_USE),
        protected=sum(match.image.id in matched and is_protected(match.image, policy) for match in mine),
        in_part=len(in_part),
        unmatched_reference=in_part[0] if in_part else None,
        nightly=nightly,
        pressure=pressure,
        idle_patterns=idle,
        earlier=tuple(other.name for other in policy.rules if other.name in earlier),
        near=_near(rule, matches) if len(idle) == len(rule.match) else None,
    )


def _evictable(planned: Plan, ids: set[str], inspection: Inspection) -> Evictable:
    candidates = [verdict.image for verdict in planned.candidates if verdict.image.id in ids]
    kept = Counter(KeepReason(verdict.reason) for verdict in planned.kept if verdict.image.id in ids)
    del kept[KeepReason.IN_USE]
    layers, estimated, at_most = inspection.trusted_layers, None, None
    if layers is not None or not candidates:
        estimated = 0 if layers is None else reclaimable(layers, [image.id for image in candidates]).bytes
    elif inspection.sizes_are_bounds and all(image.size_bytes for image in candidates):
        # An image of 0 bytes is one whose size is not known.
        at_most = sum(image.size_bytes for image in candidates)
    return Evictable(len(candidates), estimated, at_most, dict(kept.most_common()))


def _near(rule: Rule, matches: Sequence[_Match]) -> Near:
    bare = [replace(pattern, tag=None, digest=None) for pattern in rule.match]
    fitting = [_text(name) for match in matches for name in [_first_fitting(bare, match.names)] if name]
    images = [match.image for match in matches]
    named = {registry for pattern in rule.match if (registry := registry_of(pattern))}
    there = Counter(
        repository
        for image in images
        for repository in {name.full_repository for name in _names(image) if _registry(name) in named}
    )
    beginnings = [pattern.text for pattern in rule.match]
    places = _nearest(there, beginnings) if there else registries_on(images, beginnings)
    return Near(len(fitting), fitting[0] if fitting else None, places)


def _first_fitting(patterns: Sequence[Pattern], names: Iterable[Name | None]) -> Name | None:
    return next((name for name in names if name is not None and _fits_any(patterns, name)), None)


def _nearest(counts: Counter[str], beginnings: Sequence[str]) -> Places:
    def rank(place: tuple[str, int]) -> tuple[int, int, str]:
        return -max((_same(place[0], text) for text in beginnings), default=0), -place[1], place[0]

    return tuple(sorted(counts.items(), key=rank)[:MOST_PLACES])


def _same(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _fits_any(patterns: Iterable[Pattern], name: Name | None) -> bool:
    return any(_fits(pattern, name) for pattern in patterns)


def _fits(pattern: Pattern, name: Name | None) -> bool:
    return pattern.matches_no_reference if name is None else pattern.matches(name)


def _names(image: Image) -> tuple[Name, ...]:
    """Those of its references that make sense."""
    return names_of(tuple(text for text in image.references if parse_reference(text))) or ()


def _registry(name: Name) -> str:
    return name.full_repository.partition("/")[0]


def _text(name: Name | None) -> str:
    """A name as a person writes it."""
    if name is None:
        return "<none>"
    suffix = f":{name.tag}" if name.tag else "".join(f"@{digest}" for digest in sorted(name.digests)[:1])
    return f"{name.full_repository}{suffix}"
