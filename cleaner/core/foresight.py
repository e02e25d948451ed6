"""What a plan is foretold to do to a filesystem: how much of it the low mark needs, and who holds the rest.

Refuses figures where the runtime cannot tell what images share: None then, never a guess.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate

from cleaner.core.model import KeepReason, Observation, Plan, Resource, Usage
from cleaner.core.pressure import Marks, above_low, at_high
from cleaner.core.reclaim import NOTHING, Holder, Layers, Size, held


def excess_of(usage: Usage, marks: Marks) -> Size:
    """What has to be freed until every driven resource is at or below its low mark; nothing of those that are.

    Driven are those at their high mark, as a sweep has it; where none is, all of them, as if the sweep came now.
    """
    above = above_low(usage, marks, at_high(usage, marks) or frozenset(Resource))
    return Size(
        bytes=_missing(usage.capacity_bytes, usage.available_bytes, marks.bytes.low) if Resource.BYTES in above else 0,
        inodes=_missing(usage.inodes, usage.inodes_available, marks.inodes.low) if Resource.INODES in above else 0,
    )


def foresee(planned: Plan, usage: Usage, marks: Marks) -> Plan:
    """A pressure plan that ends where its foretold bytes and inodes reach the low mark.

    The whole order where nothing is to be freed, where all of it is not enough, or where nothing is foretold.
    """
    if planned.reclaimable is None:
        return planned
    excess = excess_of(usage, marks)
    freed = accumulate(verdict.reclaimable or NOTHING for verdict in planned.evictions)
    needed = next((number for number, size in enumerate(freed, 1) if _covers(size, excess)), len(planned.evictions))
    if excess == NOTHING:
        return replace(planned, low_mark_reachable=True)
    return replace(
        planned,
        evictions=planned.evictions[:needed],
        not_reached=planned.evictions[needed:],
        low_mark_reachable=_covers(planned.reclaimable, excess),
    )


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
    return held(observation.trusted_layers, usage.capacity_bytes - usage.free_bytes, in_use, evictable)


def _missing(capacity: int, available: int, low_percent: float) -> int:
    return max(0, math.ceil(capacity * (100 - low_percent) / 100) - available)


def _covers(freed: Size, excess: Size) -> bool:
    return freed.bytes >= excess.bytes and freed.inodes >= excess.inodes
