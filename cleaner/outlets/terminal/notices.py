"""Sentences that `plan` and `sweep` add where a figure alone would mislead.

They must not repeat what the tables say.
"""

from datetime import datetime, timedelta

from cleaner.core.disk_usage import Resource, Usage
from cleaner.core.events import RegistriesProbed
from cleaner.core.model import Memory, Mode, Plan, Trigger
from cleaner.core.triggers import Triggers
from cleaner.outlets.units import human_age, rfc3339


def memory_notices(plan: Plan | None) -> tuple[str, ...]:
    """Says where first seen stands in for a time that is not known, and keeps the image."""
    kept = sum(verdict.by_memory for verdict in plan.kept) if plan else 0
    if not kept:
        return ()
    notice = (
        f"{kept} of the kept images have no known pull time or use: their age or grace counts from when the agent "
        "first saw them; where it has no memory yet, that is now. `sweep --grace 0s` sets their grace aside."
    )
    return (notice,)


def watch_notices(memory: Memory, mode: Mode, trigger: Trigger, grace: timedelta, now: datetime) -> tuple[str, ...]:
    """Says that the daemon's nightly sweeps are suspended until it knows the node."""
    if mode is Mode.PRESSURE or trigger is Trigger.PRESSURE:
        return ()
    if memory.since is None:
        return ("Nothing is stored about this node, so last uses are not known: the daemon's nightly sweep waits.",)
    known = now - memory.since
    if known >= grace:
        return ()
    wait = f"its nightly sweep waits until that is {human_age(grace)}"
    return (f"The agent has watched this node for {human_age(known)} only: {wait}.",)


def start_notices(
    triggers: Triggers, trigger: Trigger, usage: Usage, now: datetime, *, needed: bool
) -> tuple[str, ...]:
    """Says when a sweep of this trigger starts; `needed`: whether a pressure sweep would evict anything now."""
    if trigger is not Trigger.PRESSURE:
        start = triggers.next_nightly(now)
        return (f"The next nightly sweep of this node starts at {rfc3339(start)}.",) if start else ()
    highs = []
    for each in usage.freeable:
        where = "" if each is usage else f" of the {each.filesystem} filesystem"
        pairs = ((resource, triggers.watermarks.pair_for(each, resource)) for resource in Resource)
        highs += [f"{pair.high:.4g} % of its {resource}{where}" for resource, pair in pairs]
    so = "" if needed else ", so none is needed now"
    return (f"A pressure sweep starts once the disk has used {' or '.join(highs)}{so}.",)


def mode_notices(mode: Mode, trigger: Trigger) -> tuple[str, ...]:
    """Says where the daemon would not do what the plan shows."""
    if mode is Mode.OBSERVE:
        return ("The mode is observe: this is planned and reported, and nothing is evicted.",)
    if mode is Mode.PRESSURE and trigger is not Trigger.PRESSURE:
        return ("The mode is pressure: the daemon has no nightly sweep.",)
    return ()


def registry_notices(asked: RegistriesProbed | None) -> tuple[str, ...]:
    """Says which registries do not answer, so that their images stay."""
    down = asked.down if asked else {}
    return tuple(
        f"The registry {registry} is down ({reason}): its images stay, since it could not give them again."
        for registry, reason in down.items()
    )
