"""Sentences that `plan` and `sweep` add where a figure alone would mislead.

Refuses what the tables say already.
"""

from cleaner.core.model import Mode, Plan, Trigger


def memory_notices(plan: Plan | None) -> tuple[str, ...]:
    """Says where a missing pull time decides, for which first seen by this process stands in."""
    kept = sum(verdict.by_memory for verdict in plan.kept) if plan else 0
    if not kept:
        return ()
    notice = (
        f"{kept} of the kept images have no known pull time: their age or grace counts from when this process first "
        "saw them, which is now. The daemon sees them earlier; `sweep --grace 0s` sets their grace aside."
    )
    return (notice,)


def mode_notices(mode: Mode, trigger: Trigger) -> tuple[str, ...]:
    """Says where the daemon would not do what the plan shows."""
    if mode is Mode.OBSERVE:
        return ("The mode is observe: the daemon plans and reports this, and evicts nothing.",)
    if mode is Mode.PRESSURE and trigger is not Trigger.PRESSURE:
        return ("The mode is pressure: the daemon has no nightly sweep.",)
    return ()
