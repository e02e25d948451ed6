"""The plan of a sweep: every image exactly once, to evict in order or to keep with its reason.

If in doubt, it must keep an image: one that is unreadable, unmatched, in use or not understood.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from cleaner.core.ages import Times, age, is_expired, is_recent, times_of
from cleaner.core.disk_usage import Filesystem
from cleaner.core.image_registries import is_any_down
from cleaner.core.image_users import ImageUsers, image_users
from cleaner.core.model import Clock, EvictReason, Image, Inspection, KeepReason, Plan, Policy, Rule, Trigger, Verdict
from cleaner.core.reclaim import NOTHING, Layers, Size, alone, gaining, marginal, reclaimable
from cleaner.core.references import Name, names_of, parse_reference
from cleaner.core.regret import is_on_hold


def plan(  # noqa: PLR0913 - the two about filesystems matter under pressure only
    inspection: Inspection,
    policy: Policy,
    trigger: Trigger,
    now: datetime,
    *,
    lowered: frozenset[Filesystem] | None = None,
    apart: frozenset[Filesystem] = frozenset(),
) -> Plan:
    """Judge every image of the node.

    Nightly and manual evictions are in order of age. Under pressure, images outside the long grace come first, then
    expired ones, then older ones. Of equal ages the one that frees more comes first, then the lower id.

    `lowered`: under pressure, the filesystems that are to be lowered, where some lie `apart` (`Usage.apart`); an image
    that frees nothing on them stays. None: any.
    """
    judge = _Judge(inspection, policy, trigger, now)
    verdicts = [judge.verdict(image) for image in inspection.images]
    layers = inspection.trusted_layers
    if layers is None:
        return _plan_of(verdicts, trigger, judge.order)
    if trigger is Trigger.PRESSURE:
        verdicts = _without_gainless(verdicts, layers, lowered, apart)
    sizes = alone(layers)

    def order(verdict: Verdict) -> tuple[object, ...]:
        *first, image_id = judge.order(verdict)
        return *first, -sizes.get(image_id, NOTHING).bytes, image_id

    return _with_sizes(_plan_of(verdicts, trigger, order), layers, sizes)


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


def _without_gainless(
    verdicts: list[Verdict], layers: Layers, lowered: frozenset[Filesystem] | None, apart: frozenset[Filesystem]
) -> list[Verdict]:
    """Under pressure an image is evicted only if evicting every candidate would free a layer of it."""
    gains = gaining(layers, [verdict.image.id for verdict in verdicts if verdict.evict], lowered, apart)
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

    def __init__(self, inspection: Inspection, policy: Policy, trigger: Trigger, now: datetime) -> None:
        self._policy = policy
        self._trigger = trigger
        self._pressure = trigger is Trigger.PRESSURE
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
        rules = None if reason else _rules_of(image, self._policy)
        if rules is None:
            return self._verdict_of(image, reason or KeepReason.UNMATCHED, None)
        rule = self._longest_keeping(image, rules)
        by_rule = self._reason_by_rule(image, rule)
        if isinstance(by_rule, EvictReason) and is_any_down(image, self._registries_down):
            by_rule = KeepReason.REGISTRY_DOWN
        return self._verdict_of(image, by_rule, rule)

    def order(self, verdict: Verdict) -> tuple[bool, bool, datetime, str]:
        """Sort key of an eviction; the first one is smallest."""
        times, rule = self._times[verdict.image.id], self._rules[verdict.rule or ""]
        recently_active = self._pressure and is_recent(times, self._policy.grace, self._now)
        unexpired = verdict.reason is EvictReason.PRESSURE
        return recently_active, unexpired, times.aged_since(rule.age_from), verdict.image.id

    def _reason_before_rules(self, image: Image) -> KeepReason | None:
        if not image.readable:
            return KeepReason.UNREADABLE
        if reason := self._users.reason_to_keep(image):
            return reason
        return KeepReason.PROTECTED if _is_protected(image, self._policy) else None

    def _longest_keeping(self, image: Image, rules: tuple[Rule, ...]) -> Rule:
        """Of several rules the one that keeps longest decides: for ever, as newest, by its expiry, or on hold."""
        times = self._times[image.id]

        def keeps(rule: Rule) -> tuple[bool, bool, timedelta, bool, timedelta]:
            remaining = rule.max_age - age(times, rule, self._now)
            unexpired = max(remaining, timedelta(0))
            return _is_local(image, rule), self._newest.keeps(image, rule), unexpired, self._is_on_hold(rule), remaining

        return max(rules, key=keeps)

    def _reason_by_rule(self, image: Image, rule: Rule) -> KeepReason | EvictReason:
        times = self._times[image.id]
        grace = self._policy.pressure_grace if self._pressure else self._policy.grace
        if _is_local(image, rule):
            return KeepReason.LOCAL
        if is_recent(times, grace, self._now):
            return KeepReason.RECENT
        if self._newest.keeps(image, rule):
            return KeepReason.NEWEST
        if is_expired(times, rule, self._now):
            return KeepReason.RULE_ON_HOLD if self._is_on_hold(rule) else EvictReason.EXPIRED
        return EvictReason.PRESSURE if self._pressure else KeepReason.UNEXPIRED

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
        )


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
            for repository in _repositories(image) if image.readable else ():
                self._in_repository[repository].append(image.id)

    def keeps(self, image: Image, rule: Rule) -> bool:
        """Whether the rule's keep_newest covers the image in any of its repositories."""
        return rule.keep_newest > 0 and any(
            self._newer(image, repository, rule.age_from) < rule.keep_newest for repository in _repositories(image)
        )

    def _newer(self, image: Image, repository: str, clock: Clock) -> int:
        times = self._sorted.get((repository, clock))
        if times is None:
            ids = self._in_repository[repository]
            times = sorted(self._times[image_id].aged_since(clock) for image_id in ids)
            self._sorted[repository, clock] = times
        return len(times) - bisect_right(times, self._times[image.id].aged_since(clock))


def _repositories(image: Image) -> frozenset[str]:
    return frozenset(name.full_repository for name in names_of(image.references) or ())


def _is_protected(image: Image, policy: Policy) -> bool:
    if not policy.protect:
        return False
    if not image.references:
        return any(pattern.matches_no_reference for pattern in policy.protect)
    names = names_of(image.references)
    if names is None:  # one that makes no sense must not hide another that is protected
        names = names_of(tuple(text for text in image.references if parse_reference(text))) or ()
    return any(pattern.matches(name, without_tag=True) for pattern in policy.protect for name in names)


def _rules_of(image: Image, policy: Policy) -> tuple[Rule, ...] | None:
    """The first rule for each of the image's names; None where a name has none or makes no sense."""
    names = names_of(image.references)
    if names is None:
        return None
    if not names:
        rules = [next((r for r in policy.rules if any(p.matches_no_reference for p in r.match)), None)]
    else:
        rules = [_first_rule(name, policy) for name in names]
    found = tuple(rule for rule in rules if rule is not None)
    return found if len(found) == len(rules) else None


def _first_rule(name: Name, policy: Policy) -> Rule | None:
    return next((rule for rule in policy.rules if any(p.matches(name) for p in rule.match)), None)


def _is_local(image: Image, rule: Rule) -> bool:
    """Whether it must stay because no registry is known to have it."""
    return not image.digests and not rule.local
