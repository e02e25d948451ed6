"""The targets of a pressure sweep, and how much of a plan it needs to reach them.

It must not guess: a figure is None where the runtime cannot tell what images share.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import accumulate

from cleaner.core.disk_usage import Filesystem, Part, Resource, Usage
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


def excess_of(usage: Usage, targets: Targets) -> Mapping[Part, int]:
    """How many bytes or inodes have to be freed of the parts that are above their target; no other parts."""
    by_filesystem = {each.filesystem: each for each in usage.all}
    return {
        part: _missing(by_filesystem[part.filesystem], part.resource, targets[part]) for part in above(usage, targets)
    }


def limit_to_targets(planned: Plan, usage: Usage, targets: Targets) -> Plan:
    """A pressure plan that ends where what it is estimated to free reaches the targets.

    All candidates if nothing is to be freed, if all of them are not enough, or without estimates. Without
    estimates, an upper bound of what images free may still show that all of them are not enough.
    """
    excess, apart = excess_of(usage, targets), usage.apart
    if planned.reclaimable is None:
        most = planned.reclaimable_at_most
        out = most is not None and not _covers(most, excess, apart=apart)
        return replace(planned, low_watermark_reachable=False) if out else planned
    if not excess:
        return replace(planned, low_watermark_reachable=True)
    freed = accumulate(verdict.reclaimable or NOTHING for verdict in planned.evictions)
    covering = (number for number, size in enumerate(freed, 1) if _covers(size, excess, apart=apart))
    count = next(covering, len(planned.evictions))
    return replace(
        planned,
        evictions=planned.evictions[:count],
        not_reached=planned.evictions[count:],
        low_watermark_reachable=_covers(planned.reclaimable, excess, apart=apart),
    )


def out_of_reach(usage: Usage, targets: Targets, freed: Size) -> frozenset[Part]:
    """The parts that are still above their target when so much more is freed; each is judged by itself."""
    excess, apart = excess_of(usage, targets), usage.apart
    return frozenset(part for part, missing in excess.items() if freed.amount_of(part, apart=apart) < missing)


def left_after(planned: Plan, done: int) -> Size | None:
    """What the candidates after the first `done` are estimated to free, or free at most; None where it is not known."""
    left = planned.candidates[done:]
    if planned.reclaimable is not None:
        return sum((verdict.reclaimable or NOTHING for verdict in left), NOTHING)
    most = planned.reclaimable_at_most
    return most and replace(most, bytes=sum(verdict.image.size_bytes for verdict in left))


def bytes_above(usage: Usage, target: float) -> int:
    """How many bytes of one filesystem have to be freed until it is at a used percent; 0 where it is."""
    return _missing(usage, Resource.BYTES, target)


def _missing(usage: Usage, resource: Resource, target: float) -> int:
    return max(0, math.ceil(usage.capacity(resource) * (100 - target) / 100) - usage.available(resource))


def _covers(freed: Size, excess: Mapping[Part, int], *, apart: frozenset[Filesystem]) -> bool:
    return all(freed.amount_of(part, apart=apart) >= missing for part, missing in excess.items())


class SweepTargets:
    """The targets of one pressure sweep; they grow while the sweep measures."""

    def __init__(self, watermarks: Watermarks, kubelet: KubeletThreshold, early: Targets) -> None:
        """`early`: targets of parts that are to be lowered though they have not reached their high watermark."""
        self.by_part: dict[Part, float] = dict(early)
        self.early = bool(early)
        """Whether no part has reached its high watermark yet."""
        self._early = early
        self._in_vain = False
        """Whether there is nothing that would help."""
        self._confined: frozenset[Part] = frozenset()
        """Parts whose low watermark is not reachable: only what keeps the kubelet from acting is evicted for them."""
        self._watermarks = watermarks
        self._kubelet = kubelet
        self._fallback_targets: dict[Part, float] = {}
        """The targets of parts that are confined, by the latest usage."""

    @property
    def confined(self) -> bool:
        """Whether the low watermark of any part is not reachable."""
        return bool(self._confined) or self._in_vain

    def add_measurement(self, usage: Usage) -> bool:
        """Add a measurement; whether any part has newly reached its high watermark.

        The sweep lowers such a part from then on, also where it got there during the sweep.
        """
        self._fallback_targets = fallback_targets(usage, self._watermarks, self._kubelet)
        reached = at_high(usage, self._watermarks)
        self.early = self.early and not reached
        grew = not reached <= self.by_part.keys()
        self.by_part |= low_targets(usage, self._watermarks, reached - self._confined)
        return grew

    def is_met(self, usage: Usage) -> bool:
        """Whether every part that has a target is at or below it."""
        return not above(usage, self.by_part)

    def is_low_watermark_met(self, usage: Usage) -> bool:
        """Whether the low watermarks themselves are met; never where a target is confined."""
        return not self.confined and self.is_met(usage)

    def restart(self, usage: Usage) -> None:
        """Begin again, without pulls that have no room. Where no target is left, the sweep evicts nothing."""
        self.by_part, self.early, self._confined = dict(self._early), bool(self._early), frozenset()
        self.add_measurement(usage)
        self._in_vain = not self.by_part

    def confine(self, parts: Collection[Part] | None = None) -> None:
        """Evict for these parts, or for all, only what keeps the kubelet from acting: more would be in vain."""
        self._confined |= frozenset(self.by_part if parts is None else parts)
        self.by_part |= self._confined_targets(self._confined)

    def confine_beyond(self, usage: Usage, left: Size) -> None:
        """Confine the parts for which not even all that is left to evict would be enough."""
        self.confine(out_of_reach(usage, self.by_part, left))

    def limit_plan(self, planned: Plan, usage: Usage) -> Plan:
        """The plan as far as the targets need it; confined where all of it would not be enough.

        Without a target nothing is needed: no part is at its high watermark.
        """
        if not (self.by_part or self._in_vain):
            return replace(planned, evictions=(), not_reached=planned.candidates)
        limited = limit_to_targets(planned, usage, self.by_part)
        if limited.low_watermark_reachable is False:
            self.confine(out_of_reach(usage, self.by_part, planned.most_reclaimable or NOTHING))
        if not self.confined:
            return limited
        if excess_of(usage, self.by_part):
            return replace(limit_to_targets(planned, usage, self.by_part), low_watermark_reachable=False)
        return replace(planned, evictions=(), not_reached=planned.evictions, low_watermark_reachable=False)

    def _confined_targets(self, parts: Collection[Part]) -> dict[Part, float]:
        return {part: self._fallback_targets.get(part, self._kubelet.danger(part)) for part in parts}
