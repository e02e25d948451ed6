"""What a plan is foretold to do to a filesystem: how much of it the low mark needs, and who holds the rest.

Refuses figures where the runtime cannot tell what images share: None then, never a guess.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import accumulate

from cleaner.core.disk_usage import Part, Resource, Usage
from cleaner.core.model import Plan
from cleaner.core.pressure.watermarks import (
    KubeletThreshold,
    Targets,
    Watermarks,
    above,
    at_high,
    fallback_targets,
    low_targets,
)
from cleaner.core.reclaim import NOTHING, Size


def targets_now(usage: Usage, watermarks: Watermarks) -> Targets:
    """What a pressure sweep would drive down now; where nothing is at its high mark, everything, as if one came."""
    return low_targets(usage, watermarks, at_high(usage, watermarks) or None)


def excess_of(usage: Usage, targets: Targets) -> Mapping[Part, int]:
    """How many bytes or inodes have to be freed of the parts that are above their target; no other parts."""
    by_filesystem = {each.filesystem: each for each in usage.all}
    return {
        part: _missing(by_filesystem[part.filesystem], part.resource, targets[part]) for part in above(usage, targets)
    }


def limit_to_targets(planned: Plan, usage: Usage, targets: Targets) -> Plan:
    """A pressure plan that ends where what it is foretold to free reaches the targets.

    The whole order where nothing is to be freed, where all of it is not enough, or where nothing is foretold.
    """
    if planned.reclaimable is None:
        return planned
    excess, apart = excess_of(usage, targets), usage.content_apart
    if not excess:
        return replace(planned, low_watermark_reachable=True)
    freed = accumulate(verdict.reclaimable or NOTHING for verdict in planned.evictions)
    covering = (number for number, size in enumerate(freed, 1) if _covers(size, excess, apart=apart))
    needed = next(covering, len(planned.evictions))
    return replace(
        planned,
        evictions=planned.evictions[:needed],
        not_reached=planned.evictions[needed:],
        low_watermark_reachable=_covers(planned.reclaimable, excess, apart=apart),
    )


def out_of_reach(usage: Usage, targets: Targets, freed: Size) -> frozenset[Part]:
    """The parts that are still above their target when so much more is freed; each is judged by itself."""
    excess, apart = excess_of(usage, targets), usage.content_apart
    return frozenset(part for part, missing in excess.items() if freed.amount_of(part, content_apart=apart) < missing)


def left_after(planned: Plan, done: int) -> Size | None:
    """What the candidates after the first `done` are foretold to free; None where nothing is."""
    if planned.reclaimable is None:
        return None
    candidates = planned.evictions + planned.not_reached
    return sum((verdict.reclaimable or NOTHING for verdict in candidates[done:]), NOTHING)


def _missing(usage: Usage, resource: Resource, target: float) -> int:
    return max(0, math.ceil(usage.capacity(resource) * (100 - target) / 100) - usage.available(resource))


def _covers(freed: Size, excess: Mapping[Part, int], *, apart: bool) -> bool:
    return all(freed.amount_of(part, content_apart=apart) >= missing for part, missing in excess.items())


class SweepTargets:
    """What one pressure sweep drives down; it grows while the sweep measures."""

    def __init__(self, watermarks: Watermarks, kubelet: KubeletThreshold, early: Targets) -> None:
        """`early`: parts to be driven though they have not reached their high mark, and how far."""
        self.targets: dict[Part, float] = dict(early)
        self.early = bool(early)
        """Whether nothing has reached its high mark yet."""
        self._early = early
        self._in_vain = False
        """Whether there is nothing that would help."""
        self._confined: frozenset[Part] = frozenset()
        """Parts whose low mark cannot be reached: only what keeps the kubelet from acting goes for them."""
        self._watermarks = watermarks
        self._kubelet = kubelet
        self._fallback_targets: dict[Part, float] = {}
        """Down to where a part is held that is confined, by the latest usage."""

    @property
    def confined(self) -> bool:
        """Whether the low mark of any part cannot be reached."""
        return bool(self._confined) or self._in_vain

    def add_measurement(self, usage: Usage) -> bool:
        """What reaches its high mark is driven from then on, also when it does so during the sweep; whether any did."""
        self._fallback_targets = fallback_targets(usage, self._watermarks, self._kubelet)
        reached = at_high(usage, self._watermarks)
        self.early = self.early and not reached
        grew = not reached <= self.targets.keys()
        self.targets |= low_targets(usage, self._watermarks, reached - self._confined)
        return grew

    def is_met(self, usage: Usage) -> bool:
        """Whether every part that is driven is at or below its target."""
        return not above(usage, self.targets)

    def is_low_watermark_met(self, usage: Usage) -> bool:
        """Whether the marks themselves are met; never where the goal is confined."""
        return not self.confined and self.is_met(usage)

    def restart(self, usage: Usage) -> None:
        """What had been noted is not so: pulls that have no room do not count. Where nothing is left, nothing goes."""
        self.targets, self.early, self._confined = dict(self._early), bool(self._early), frozenset()
        self.add_measurement(usage)
        self._in_vain = not self.targets

    def confine(self, parts: Collection[Part] | None = None) -> None:
        """Only what keeps the kubelet from acting goes for these parts: more would be in vain; for all without any."""
        self._confined |= frozenset(self.targets if parts is None else parts)
        self.targets |= self._confined_targets(self._confined)

    def confine_beyond(self, usage: Usage, left: Size) -> None:
        """Confined where not even all that is left to go would be enough for it."""
        self.confine(out_of_reach(usage, self.targets, left))

    def limit_plan(self, planned: Plan, usage: Usage) -> Plan:
        """The plan as far as the targets need it; confined where all of it would not be enough."""
        foreseen = limit_to_targets(planned, usage, self.targets)
        if foreseen.low_watermark_reachable is False:
            self.confine(out_of_reach(usage, self.targets, planned.reclaimable or NOTHING))
        if not self.confined:
            return foreseen
        if excess_of(usage, self.targets):
            return replace(limit_to_targets(planned, usage, self.targets), low_watermark_reachable=False)
        return replace(planned, evictions=(), not_reached=planned.evictions, low_watermark_reachable=False)

    def _confined_targets(self, parts: Collection[Part]) -> dict[Part, float]:
        return {part: self._fallback_targets.get(part, self._kubelet.danger(part)) for part in parts}
