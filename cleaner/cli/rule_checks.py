"""What `cleaner check` says about rules: a line for each, and whatever of the policy has no effect on this node.

It must not count; see `core/rule_coverage.py`.
"""

from collections.abc import Iterator, Mapping

from cleaner.core.findings import Finding, Grade
from cleaner.core.model import Inspection, KeepReason, Plan, Policy
from cleaner.core.rule_coverage import (
    Evictable,
    ImageNames,
    Near,
    Places,
    RuleCoverage,
    count_names,
    cover,
    idle_protection,
    registries_on,
)
from cleaner.outlets.units import human_bytes, one_line, short_reference

_LASTING = frozenset(
    {KeepReason.SANDBOX, KeepReason.PINNED, KeepReason.PROTECTED, KeepReason.UNREMOVABLE, KeepReason.LOCAL}
)
"""Reasons that do not end by themselves."""
_ADVICE = {
    KeepReason.PINNED: "the runtime has pinned them, and no sweep evicts such an image",
    KeepReason.PROTECTED: "policy.protect covers them",
    KeepReason.UNREMOVABLE: "`cleaner plan` names what the runtime would leave behind",
    KeepReason.LOCAL: "no registry is known to have them; only a rule with `local: true` evicts such images",
    KeepReason.NEWEST: "the rule's keep_newest keeps them on a full disk too",
}
"""What to know of the most frequent reason where a rule can evict nothing."""
NO_IMAGES = (
    "the runtime lists none, not even one for sandboxes: pods of this node may run in another runtime; set "
    "runtime.endpoint to its socket (k3s and RKE2: unix:///run/k3s/containerd/containerd.sock, "
    "CRI-O: unix:///var/run/crio/crio.sock)"
)


def check_images(
    inspection: Inspection, policy: Policy, nightly: Plan, pressure: Plan, suspended: str | None
) -> Iterator[Finding]:
    """The rules, then what is protected, then all images together, by the plans of this inspection.

    `suspended`: why sweeps do not do what the plans say, None where they do.
    """
    images = inspection.images
    if not policy.rules:
        detail = f"there is none, so no sweep may evict anything{_from(registries_on(images))}"
        yield Finding("rule", Grade.WARNING, detail)
    for coverage in cover(inspection, policy, nightly, pressure):
        yield from _rule(coverage)
    for pattern in idle_protection(images, policy) if images else ():
        detail = f"{pattern} protects no image on this node"
        yield Finding("policy.protect", Grade.NOTE, detail)
    names = count_names(images)
    if names.without_reference or names.not_understood:
        yield _references(names)
    yield _images(len(images), nightly, pressure, suspended)


def _rule(coverage: RuleCoverage) -> Iterator[Finding]:
    grade, detail = _judged(coverage)
    yield Finding("rule", grade, f"{coverage.rule}: {detail}", coverage)
    for pattern in coverage.idle_patterns if coverage.near is None else ():
        yield Finding("rule", Grade.NOTE, f"{coverage.rule}: its pattern {pattern} matches no image on this node")


def _judged(coverage: RuleCoverage) -> tuple[Grade, str]:
    """How serious the line of a rule is, and the line."""
    if coverage.matched:
        return _grade(coverage), f"{_effect(coverage)}{_in_part(coverage)}{_advice(coverage)}"
    if coverage.in_part:
        detail = f"matches no image in full, so it evicts nothing{_in_part(coverage)}"
        return Grade.WARNING, detail
    if coverage.near is None:
        rules = ", ".join(coverage.earlier)
        detail = (
            f"has no effect: each image that it matches falls under an earlier rule ({rules}); move it up, or remove it"
        )
        return Grade.WARNING, detail
    return Grade.WARNING, f"matches no image on this node, so it evicts nothing{_nearest(coverage.near)}"


def _grade(coverage: RuleCoverage) -> Grade:
    kept = coverage.pressure.kept
    lasting = bool(kept) and not coverage.in_use and kept.keys() <= _LASTING
    if coverage.protected == coverage.matched or (lasting and not coverage.pressure.count):
        return Grade.WARNING
    return Grade.NOTE if coverage.in_part or (kept and not coverage.pressure.count) else Grade.OK


def _effect(coverage: RuleCoverage) -> str:
    if coverage.in_use == coverage.matched:
        return f"matches {_images_of(coverage.matched)}, all in use: nothing to evict now"
    matches = f"matches {_images_of(coverage.matched)}, {coverage.in_use or 'none'} in use"
    if coverage.nightly == coverage.pressure:
        return f"{matches}; {_sweep('nightly and pressure', coverage.pressure)}"
    return f"{matches}; {_sweep('nightly', coverage.nightly)}; {_sweep('pressure', coverage.pressure)}"


def _sweep(trigger: str, evictable: Evictable) -> str:
    """What sweeps of a trigger may evict, what that frees, and what they keep and why."""
    may = f"{trigger} sweeps may evict {evictable.count or 'none'}"
    may += f" ({_bytes(evictable)})" if evictable.count else ""
    kept = sum(evictable.kept.values())
    return f"{may} and keep {kept} ({_reasons(evictable.kept)})" if kept else may


def _bytes(evictable: Evictable) -> str:
    if evictable.estimated_bytes is not None:
        return human_bytes(evictable.estimated_bytes)
    at_most = evictable.bytes_at_most
    return "bytes not known" if at_most is None else f"at most {human_bytes(at_most)}"


def _reasons(kept: Mapping[KeepReason, int]) -> str:
    if len(kept) == 1:
        return next(iter(kept)).value
    return ", ".join(f"{count} {reason.value}" for reason, count in kept.items())


def _in_part(coverage: RuleCoverage) -> str:
    if not coverage.in_part:
        return ""
    images, verb = _images_of(coverage.in_part), "is" if coverage.in_part == 1 else "are"
    example = one_line(short_reference(coverage.unmatched_reference or ""))
    more = " more" if coverage.matched else ""
    return f"; {images}{more} {verb} kept as unmatched, since no rule matches another reference, such as {example}"


def _advice(coverage: RuleCoverage) -> str:
    """What keeps everything, where a rule can evict nothing."""
    if coverage.protected == coverage.matched:
        return "; policy.protect covers every image that it matches, so it can never evict one"
    reason = next(iter(coverage.pressure.kept), None)
    if coverage.pressure.count or reason not in _ADVICE:
        return ""
    return f"; {_ADVICE[reason]}"


def _nearest(near: Near) -> str:
    if near.without_tag:
        fit = "fits" if near.without_tag == 1 else "fit"
        example = one_line(short_reference(near.example or ""))
        return f"; {_images_of(near.without_tag)} {fit} but for the tag or digest, such as {example}"
    return _from(near.places)


def _from(places: Places) -> str:
    return f"; images on this node are from: {', '.join(f'{p} ({n})' for p, n in places)}" if places else ""


def _references(names: ImageNames) -> Finding:
    odd = names.without_reference + names.not_understood
    parts = []
    if names.without_reference:
        parts.append(f"without a reference: {names.without_reference} (only the pattern <none> matches them)")
    if names.not_understood:
        parts.append(f"with a reference that no pattern can match: {names.not_understood} (kept as unmatched)")
    detail = f"of {_images_of(names.images)}, {', '.join(parts)}"
    return Finding("references", Grade.WARNING if odd == names.images else Grade.NOTE, detail)


def _images(count: int, nightly: Plan, pressure: Plan, suspended: str | None) -> Finding:
    if not count:
        return Finding("images", Grade.WARNING, NO_IMAGES)
    detail = f"{count} on this node: nightly sweeps may evict {len(nightly.evictions)}, pressure sweeps "
    detail += f"{len(pressure.evictions)}"
    if suspended and (nightly.evictions or pressure.evictions):
        detail += f"; {suspended}"
    return Finding("images", Grade.OK if pressure.evictions else Grade.NOTE, detail)


def _images_of(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
