"""Sentences that `plan` and `sweep` add where a figure alone would mislead.

They must not repeat what the tables say.
"""

from datetime import datetime, timedelta

from cleaner.core.events import RegistriesProbed
from cleaner.core.model import Memory, Mode, Plan, Trigger
from cleaner.outlets.units import human_age


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
