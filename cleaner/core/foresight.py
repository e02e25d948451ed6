"""What a plan is foretold to do to a filesystem: how much of it the low mark needs, and who holds the rest.

Refuses figures where the runtime cannot tell what images share: None then, never a guess.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate

from cleaner.core.model import KeepReason, Observation, Plan
from cleaner.core.pressure import Marks, Targets, above, at_high, low_targets
from cleaner.core.reclaim import NOTHING, Holder, Layers, Size, held
from cleaner.core.usage import Part, Resource, Usage


def targets_now(usage: Usage, marks: Marks) -> Targets:
    """What a pressure sweep would drive down now; where nothing is at its high mark, everything, as if one came."""
    return low_targets(usage, marks, at_high(usage, marks) or None)


def excess_of(usage: Usage, targets: Targets) -> Mapping[Part, int]:
    """How many bytes or inodes have to be freed of the parts that are above their target; no other parts."""
    by_filesystem = {each.filesystem: each for each in usage.all}
    return {
        part: _missing(by_filesystem[part.filesystem], part.resource, targets[part]) for part in above(usage, targets)
    }


def foresee(planned: Plan, usage: Usage, targets: Targets) -> Plan:
    """A pressure plan that ends where what it is foretold to free reaches the targets.

    The whole order where nothing is to be freed, where all of it is not enough, or where nothing is foretold.
    """
    if planned.reclaimable is None:
        return planned
    excess, apart = excess_of(usage, targets), usage.content_apart
    if not excess:
        return replace(planned, low_mark_reachable=True)
    freed = accumulate(verdict.reclaimable or NOTHING for verdict in planned.evictions)
    covering = (number for number, size in enumerate(freed, 1) if _covers(size, excess, apart=apart))
    needed = next(covering, len(planned.evictions))
    return replace(
        planned,
        evictions=planned.evictions[:needed],
        not_reached=planned.evictions[needed:],
        low_mark_reachable=_covers(planned.reclaimable, excess, apart=apart),
    )


def out_of_reach(usage: Usage, targets: Targets, freed: Size) -> frozenset[Part]:
    """The parts that are still above their target when so much more is freed; each is judged by itself."""
    excess, apart = excess_of(usage, targets), usage.content_apart
    return frozenset(part for part, missing in excess.items() if freed.of(part, content_apart=apart) < missing)


def left_after(planned: Plan, done: int) -> Size | None:
    """What the candidates after the first `done` are foretold to free; None where nothing is."""
    if planned.reclaimable is None:
        return None
    candidates = planned.evictions + planned.not_reached
    return sum((verdict.reclaimable or NOTHING for verdict in candidates[done:]), NOTHING)


def reason_unknown(layers: Layers | None, refusal: str | None) -> str | None:
    """Why no bytes are foretold; None where they are."""
    if layers is None:
        return refusal or "the runtime has no containerd API, which alone tells what images share"
    return None if layers.complete else "a snapshotter is in use whose usage figures are not to be trusted"


def holders_of(observation: Observation, planned: Plan, usage: Usage) -> Mapping[Holder, int] | None:
    """Who holds what is used, by the plan's verdicts; None where the runtime cannot tell."""
    if observation.trusted_layers is None:
        return None
    in_use = [verdict.image.id for verdict in planned.kept if verdict.reason is KeepReason.IN_USE]
    evictable = [verdict.image.id for verdict in planned.evictions + planned.not_reached]
    used_bytes = sum(each.capacity_bytes - each.free_bytes for each in usage.freeable)
    return held(observation.trusted_layers, used_bytes, in_use, evictable)


def _missing(usage: Usage, resource: Resource, target: float) -> int:
    return max(0, math.ceil(usage.capacity(resource) * (100 - target) / 100) - usage.available(resource))


def _covers(freed: Size, excess: Mapping[Part, int], *, apart: bool) -> bool:
    return all(freed.of(part, content_apart=apart) >= missing for part, missing in excess.items())
