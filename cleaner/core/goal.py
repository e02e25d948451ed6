"""What a pressure sweep drives down, and how far: to the low marks, or as far as the kubelet need not act.

Refuses to take everything in vain: what cannot be reached is no reason to empty a node of its images.
"""

from collections.abc import Collection
from dataclasses import replace

from cleaner.core.foresight import excess_of, foresee, out_of_reach
from cleaner.core.model import Plan
from cleaner.core.pressure import KubeletMark, Marks, Targets, above, at_high, ceilings, low_targets
from cleaner.core.reclaim import NOTHING, Size
from cleaner.core.usage import Part, Usage


class Goal:
    """What one pressure sweep drives down; it grows while the sweep measures."""

    def __init__(self, marks: Marks, kubelet: KubeletMark, early: Targets) -> None:
        """`early`: parts to be driven though they have not reached their high mark, and how far."""
        self.targets: dict[Part, float] = dict(early)
        self.early = bool(early)
        """Whether nothing has reached its high mark yet."""
        self._early = early
        self._in_vain = False
        """Whether there is nothing that would help."""
        self._confined: frozenset[Part] = frozenset()
        """Parts whose low mark cannot be reached: only what keeps the kubelet from acting goes for them."""
        self._marks = marks
        self._kubelet = kubelet
        self._ceilings: dict[Part, float] = {}
        """Down to where a part is held that is confined, by the latest usage."""

    @property
    def confined(self) -> bool:
        """Whether the low mark of any part cannot be reached."""
        return bool(self._confined) or self._in_vain

    def note(self, usage: Usage) -> bool:
        """What reaches its high mark is driven from then on, also when it does so during the sweep; whether any did."""
        self._ceilings = ceilings(usage, self._marks, self._kubelet)
        reached = at_high(usage, self._marks)
        self.early = self.early and not reached
        grew = not reached <= self.targets.keys()
        self.targets |= low_targets(usage, self._marks, reached - self._confined)
        return grew

    def is_met(self, usage: Usage) -> bool:
        """Whether every part that is driven is at or below its target."""
        return not above(usage, self.targets)

    def is_low_met(self, usage: Usage) -> bool:
        """Whether the marks themselves are met; never where the goal is confined."""
        return not self.confined and self.is_met(usage)

    def restart(self, usage: Usage) -> None:
        """What had been noted is not so: pulls that have no room do not count. Where nothing is left, nothing goes."""
        self.targets, self.early, self._confined = dict(self._early), bool(self._early), frozenset()
        self.note(usage)
        self._in_vain = not self.targets

    def confine(self, parts: Collection[Part] | None = None) -> None:
        """Only what keeps the kubelet from acting goes for these parts: more would be in vain; for all without any."""
        self._confined |= frozenset(self.targets if parts is None else parts)
        self.targets |= self._confined_targets(self._confined)

    def confine_beyond(self, usage: Usage, left: Size) -> None:
        """Confined where not even all that is left to go would be enough for it."""
        self.confine(out_of_reach(usage, self.targets, left))

    def foresee(self, planned: Plan, usage: Usage) -> Plan:
        """The plan as far as the targets need it; confined where all of it would not be enough."""
        foreseen = foresee(planned, usage, self.targets)
        if foreseen.low_mark_reachable is False:
            self.confine(out_of_reach(usage, self.targets, planned.reclaimable or NOTHING))
        if not self.confined:
            return foreseen
        if excess_of(usage, self.targets):
            return replace(foresee(planned, usage, self.targets), low_mark_reachable=False)
        return replace(planned, evictions=(), not_reached=planned.evictions, low_mark_reachable=False)

    def _confined_targets(self, parts: Collection[Part]) -> dict[Part, float]:
        return {part: self._ceilings.get(part, self._kubelet.danger(part)) for part in parts}
