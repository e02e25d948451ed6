"""The plan of a sweep: every image exactly once, to evict in order or to keep with its reason.

If in doubt, it must keep an image: one that is unreadable, unmatched, in use or not understood.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cleaner.core.ages import Times, age, is_expired, is_recent, times_of
from cleaner.core.disk_usage import Filesystem
from cleaner.core.image_registries import is_any_down
from cleaner.core.image_users import ImageUsers, image_users
from cleaner.core.model import (
    Clock,
    EvictReason,
    Image,
    Inspection,
    KeepReason,
    Plan,
    Policy,
    Rule,
    Trigger,
    Verdict,
)
from cleaner.core.reclaim import NOTHING, Layers, Size, alone, gaining, marginal, reclaimable
from cleaner.core.regret import is_on_hold
from cleaner.core.removal_failures import kept_until
from cleaner.core.rule_matching import is_protected, repositories_of, rules_of

_UNBOUNDED = 1 << 62
"""Inodes that nothing bounds."""


@dataclass(frozen=True, slots=True)
class PressureContext:
    """What a plan under pressure depends on in addition to the policy."""

    danger_grace: timedelta | None = None
    """How long an image is kept while the kubelet is about to act, where that is less than `pressure_grace`; None while
    it is not. Past that age the kubelet removes the image itself, and all others with it."""
    lowered: frozenset[Filesystem] | None = None
    """The filesystems that are to be lowered: an image that frees nothing on them stays. None: any."""
    apart: frozenset[Filesystem] = frozenset()
    """Those of them that lie apart, see `Usage.apart`."""


def plan(
    inspection: Inspection,
    policy: Policy,
    trigger: Trigger,
    now: datetime,
    context: PressureContext = PressureContext(),
) -> Plan:
    """Judge every image of the node.

    Nightly and manual evictions are in order of age. Under pressure, images outside `pressure.grace` come first, then
    those outside the long grace, then expired ones, then older ones. Of equal ages the one that frees more comes first,
    then the lower id.
    """
    judge = _Judge(inspection, policy, trigger, now, context)
    verdicts = [judge.verdict(image) for image in inspection.images]
    next_candidate_in = judge.next_candidate_in(verdicts)
    layers = inspection.trusted_layers
    if layers is None:
        planned = _plan_of(verdicts, trigger, judge.order)
        bounds = [verdict.image.size_bytes for verdict in planned.evictions]
        # An image of 0 bytes is one whose size is not known.
        most = Size(sum(bounds), _UNBOUNDED) if inspection.sizes_are_bounds and all(bounds) else None
        return replace(planned, reclaimable_at_most=most, next_candidate_in=next_candidate_in)
    if trigger is Trigger.PRESSURE:
        verdicts = _without_gainless(verdicts, layers, context)
    sizes = alone(layers)

    def order(verdict: Verdict) -> tuple[object, ...]:
        *first, image_id = judge.order(verdict)
        return *first, -sizes.get(image_id, NOTHING).bytes, image_id

    planned = _with_sizes(_plan_of(verdicts, trigger, order), layers, sizes)
    return replace(planned, next_candidate_in=next_candidate_in)


def _plan_of(verdicts: Iterable[Verdict], trigger: Trigger, order: Callable[[Verdict], tuple[object, ...]]) -> Plan:
    evictions: list[Verdict] = []
    kept: list[Verdict] = []
    for verdict in verdicts:
        (evictions if verdict.evict else kept).append(verdict)
    rank = list(KeepReason).index
    return Plan(
        trigger=trigger,
        evictions=tuple(sorted(evictions, key=order)),
        kept=tuple(sorted(kept, key=lambda v: (rank(KeepReason(v.reason)), v.image.references, v.image.id))),
    )


def _without_gainless(verdicts: list[Verdict], layers: Layers, context: PressureContext) -> list[Verdict]:
    """Under pressure an image is evicted only if evicting every candidate would free a layer of it where it helps."""
    candidates = [verdict.image.id for verdict in verdicts if verdict.evict]
    gains = gaining(layers, candidates, context.lowered, context.apart)
    return [
        replace(verdict, reason=KeepReason.NO_GAIN) if verdict.evict and verdict.image.id not in gains else verdict
        for verdict in verdicts
    ]


def _with_sizes(planned: Plan, layers: Layers, sizes: Mapping[str, Size]) -> Plan:
    """The plan with what each image and all evictions together free."""
    ids = [verdict.image.id for verdict in planned.evictions]
    freed = marginal(layers, ids)
    return replace(
        planned,
        evictions=tuple(replace(verdict, reclaimable=freed[verdict.image.id]) for verdict in planned.evictions),
        kept=tuple(replace(verdict, reclaimable=sizes.get(verdict.image.id, NOTHING)) for verdict in planned.kept),
        reclaimable=reclaimable(layers, ids),
    )


class _Judge:
    """The verdicts of one plan; holds what all of them share."""

    def __init__(
        self, inspection: Inspection, policy: Policy, trigger: Trigger, now: datetime, context: PressureContext
    ) -> None:
        self._policy = policy
        self._trigger = trigger
        self._pressure = trigger is Trigger.PRESSURE
        self._grace = _grace_of(policy, trigger, context.danger_grace)
        self._memory = inspection.memory
        self._on_hold_until = inspection.memory.on_hold_until
        self._registries_down = inspection.registries_down
        self._now = now
        self._users: ImageUsers = image_users(inspection.containers, inspection.sandbox_images)
        self._times = {image.id: times_of(image, inspection.memory, now) for image in inspection.images}
        self._newest = _Newest(inspection.images, self._times)
        self._rules = {rule.name: rule for rule in policy.rules}

    def verdict(self, image: Image) -> Verdict:
        """One image's verdict."""
        reason = self._reason_before_rules(image)
        rules = None if reason else rules_of(image, self._policy)
        if rules is None:
            return self._verdict_of(image, reason or KeepReason.UNMATCHED, None)
        rule = self._longest_keeping(image, rules)
        by_rule = self._reason_by_rule(image, rule)
        if isinstance(by_rule, EvictReason) and is_any_down(image, self._registries_down):
            by_rule = KeepReason.REGISTRY_DOWN
        return self._verdict_of(image, by_rule, rule)

    def order(self, verdict: Verdict) -> tuple[bool, bool, bool, datetime, str]:
        """Sort key of an eviction; the first one is smallest."""
        times, rule = self._times[verdict.image.id], self._rules[verdict.rule or ""]
        just_active = self._pressure and is_recent(times, self._policy.pressure_grace, self._now)
        recently_active = self._pressure and is_recent(times, self._policy.grace, self._now)
        unexpired = verdict.reason is EvictReason.PRESSURE
        return just_active, recently_active, unexpired, times.aged_since(rule.age_from), verdict.image.id

    def next_candidate_in(self, verdicts: Iterable[Verdict]) -> timedelta | None:
        """How long until the grace of the first recent image ends."""
        recent = (verdict.image.id for verdict in verdicts if verdict.reason is KeepReason.RECENT)
        return min((self._grace - (self._now - self._times[i].active_at) for i in recent), default=None)

    def _reason_before_rules(self, image: Image) -> KeepReason | None:
        if not image.readable:
            return KeepReason.UNREADABLE
        if reason := self._users.reason_to_keep(image):
            return reason
        if is_protected(image, self._policy):
            return KeepReason.PROTECTED
        if image.stray_records or image.artifact:
            return KeepReason.UNREMOVABLE
        return KeepReason.REMOVAL_FAILED if self._kept_until(image) else None

    def _kept_until(self, image: Image) -> datetime | None:
        return kept_until(image, self._memory.removal_failures.get(image.id), self._now)

    def _longest_keeping(self, image: Image, rules: tuple[Rule, ...]) -> Rule:
        """Of several rules the one that keeps longest decides: for ever, as newest, by its expiry, or on hold."""
        times = self._times[image.id]

        def keeps(rule: Rule) -> tuple[bool, bool, timedelta, bool, timedelta]:
            remaining = rule.max_age - age(times, rule, self._now)
            unexpired = max(remaining, timedelta(0))
            return (
                self._is_local(image, rule),
                self._newest.keeps(image, rule),
                unexpired,
                self._is_on_hold(rule),
                remaining,
            )

        return max(rules, key=keeps)

    def _reason_by_rule(self, image: Image, rule: Rule) -> KeepReason | EvictReason:
        times = self._times[image.id]
        if self._is_local(image, rule):
            return KeepReason.LOCAL
        if is_recent(times, self._grace, self._now):
            return KeepReason.RECENT
        if self._newest.keeps(image, rule):
            return KeepReason.NEWEST
        if is_expired(times, rule, self._now):
            return KeepReason.RULE_ON_HOLD if self._is_on_hold(rule) else EvictReason.EXPIRED
        return EvictReason.PRESSURE if self._pressure else KeepReason.UNEXPIRED

    def _is_local(self, image: Image, rule: Rule) -> bool:
        """Whether it must stay because nothing shows that a registry has it.

        k3s puts source labels on content that it imports, and removes its mark at its next start: what was seen with
        the mark of an import stays local.
        """
        imported = image.imported or image.id in self._memory.imported
        return (image.local or imported or not image.digests) and not rule.local

    def _is_on_hold(self, rule: Rule) -> bool:
        return self._trigger is Trigger.NIGHTLY and is_on_hold(rule.name, self._on_hold_until, self._now)

    def _verdict_of(self, image: Image, reason: KeepReason | EvictReason, rule: Rule | None) -> Verdict:
        times = self._times[image.id]
        return Verdict(
            image=image,
            reason=reason,
            rule=rule.name if rule else None,
            created_at=times.created_at,
            pulled_at=times.pulled_at,
            last_used_at=times.last_used_at,
            age=age(times, rule, self._now) if rule else None,
            by_memory=rule is not None and _memory_keeps(reason, times, rule),
            detail=self._detail_of(image, reason),
        )

    def _detail_of(self, image: Image, reason: KeepReason | EvictReason) -> str | None:
        """What a person needs to know to change a verdict that the agent cannot change."""
        match reason:
            case KeepReason.REMOVAL_FAILED if until := self._kept_until(image):
                count = self._memory.removal_failures[image.id].count
                failed = "its last removal failed" if count == 1 else f"its last {count} removals failed"
                return f"{failed}; tried again from {until:%Y-%m-%dT%H:%M:%SZ} on"
            case KeepReason.UNREMOVABLE if image.artifact:
                return "an OCI artifact: RemoveImage by id does nothing"
            case KeepReason.UNREMOVABLE:
                return f"RemoveImage would leave behind: {', '.join(image.stray_records)}"
            case KeepReason.LOCAL:
                return self._why_local(image)
            case _:
                return None

    def _why_local(self, image: Image) -> str:
        if not image.digests:
            return "it has no digest reference, as an image that was built or imported here"
        if image.imported or image.id in self._memory.imported:
            return "a record of it carries the mark of an import, or did so before"
        return "nothing shows that a registry has it under each of its references"


def _grace_of(policy: Policy, trigger: Trigger, danger_grace: timedelta | None) -> timedelta:
    """How long an image is kept since it was pulled or used."""
    if trigger is not Trigger.PRESSURE:
        return policy.grace
    return policy.pressure_grace if danger_grace is None else min(policy.pressure_grace, danger_grace)


def _memory_keeps(reason: KeepReason | EvictReason, times: Times, rule: Rule) -> bool:
    """Whether an unknown time, for which first seen stands in, is what keeps the image."""
    if reason is KeepReason.RECENT:
        return times.pulled_at is None and times.active_at != times.last_used_at
    return reason is KeepReason.UNEXPIRED and times.relies_on_memory(rule.age_from)


class _Newest:
    """Which images are among the newest of a repository, by either clock.

    An image is kept while fewer than N images of a repository of its are newer: ties are kept together. Images that
    could not be read are not counted, since their times are not known.
    """

    def __init__(self, images: tuple[Image, ...], times: Mapping[str, Times]) -> None:
        self._times = times
        self._in_repository: dict[str, list[str]] = defaultdict(list)
        self._sorted: dict[tuple[str, Clock], list[datetime]] = {}
        for image in images:
            for repository in repositories_of(image) if image.readable else ():
                self._in_repository[repository].append(image.id)

    def keeps(self, image: Image, rule: Rule) -> bool:
        """Whether the rule's keep_newest covers the image in any of its repositories."""
        return rule.keep_newest > 0 and any(
            self._newer(image, repository, rule.age_from) < rule.keep_newest for repository in repositories_of(image)
        )

    def _newer(self, image: Image, repository: str, clock: Clock) -> int:
        times = self._sorted.get((repository, clock))
        if times is None:
            ids = self._in_repository[repository]
            times = sorted(self._times[image_id].aged_since(clock) for image_id in ids)
            self._sorted[repository, clock] = times
        return len(times) - bisect_right(times, self._times[image.id].aged_since(clock))
