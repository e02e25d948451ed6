"""Sentences that `plan`, `sweep` and `check` add where a figure alone would mislead.

They must not repeat what the tables say.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cleaner.core.disk_usage import Resource, Usage
from cleaner.core.events import RegistriesProbed
from cleaner.core.model import Memory, Mode, Plan, Policy, Trigger
from cleaner.core.pressure import Reserve
from cleaner.core.triggers import Triggers
from cleaner.outlets.units import human_age, human_bytes, human_percent, rfc3339


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


def ledger_notices(error: str | None, mode: Mode, trigger: Trigger) -> tuple[str, ...]:
    """Says that nightly sweeps are suspended since the ledger cannot be read."""
    if error is None or mode is Mode.PRESSURE or trigger is Trigger.PRESSURE:
        return ()
    return (f"Nightly sweeps are suspended: {error}.",)


def watch_notices(memory: Memory, mode: Mode, trigger: Trigger, grace: timedelta, now: datetime) -> tuple[str, ...]:
    """Says that the daemon's nightly sweeps are suspended until it knows the node."""
    if mode is Mode.PRESSURE or trigger is Trigger.PRESSURE:
        return ()
    if memory.since is None:
        return ("Nightly sweeps are suspended: nothing is stored about this node, so last uses are not known.",)
    known = now - memory.since
    if known >= grace:
        return ()
    wait = f"the agent has watched this node for {human_age(known)} only, and waits until that is {human_age(grace)}"
    return (f"Nightly sweeps are suspended: {wait}.",)


def reach_notices(planned: Plan) -> tuple[str, ...]:
    """Says what a sweep does where all candidates together do not reach the low watermark."""
    if planned.low_watermark_reachable is not False:
        return ()
    if not planned.candidates:
        return ("There is no candidate, so the low watermark is out of reach.",)
    if planned.reclaimable is not None and planned.evictions and not planned.not_reached:
        then = "evicts them all, and usage may stay above the kubelet's threshold"
    else:
        then = "evicts only until usage is below the kubelet's threshold"
    count = len(planned.candidates)
    whole = "the only candidate" if count == 1 else f"all {count} candidates"
    return (f"Even {whole} would not reach the low watermark, so a sweep {then}.",)


def reserve_notices(reserves: Sequence[Reserve]) -> tuple[str, ...]:
    """Says where blocks reserved for root are what puts the low watermark out of reach, and what to do about it."""
    return tuple(f"{reserve_text(reserve)}." for reserve in reserves)


def reserve_text(reserve: Reserve) -> str:
    """The reserve in bytes and percent, what it prevents, and what to do; without a full stop."""
    usage, low, high = reserve.usage, reserve.watermarks.low, reserve.watermarks.high
    if reserve.is_at_high:
        prevents = f"that alone is at the high watermark of {high:.4g} %, so pressure never ends"
    elif reserve.is_above_low:
        prevents = f"that alone is above the low watermark of {low:.4g} %, which no eviction reaches"
    else:
        prevents = f"without it, the low watermark of {low:.4g} % would be in reach"
    either = "high{0} and low{0}" if reserve.is_at_high else "low{0}"
    change = "lower pressure.bytes." if reserve.available else "raise pressure.bytes."
    change += either.format("_available" if reserve.available else "")
    share, size = human_percent(usage.reserved_percent), human_bytes(usage.reserved_bytes)
    counts = f"{share} of {usage.path} ({size}) is reserved for root and counts as used"
    return f"{counts}: {prevents}; reserve less (ext4: tune2fs -m), or {change}"


def start_notices(
    triggers: Triggers, trigger: Trigger, usage: Usage, now: datetime, *, needed: bool
) -> tuple[str, ...]:
    """Says when a sweep of this trigger starts; `needed`: whether a pressure sweep would evict anything now."""
    if trigger is Trigger.MANUAL:
        return ()
    if trigger is Trigger.NIGHTLY:
        start = triggers.next_nightly(now)
        return (f"The next nightly sweep of this node is due at {rfc3339(start)}.",) if start else ()
    highs = []
    for each in usage.freeable:
        where = "" if each is usage else f" of the {each.filesystem} filesystem"
        pairs = ((resource, triggers.watermarks.pair_for(each, resource)) for resource in Resource)
        highs += [f"{pair.high:.4g} % of its {resource}{where}" for resource, pair in pairs]
    when = "is due now: it starts" if needed else "starts"
    so = "" if needed else ", so none is needed now"
    return (f"A pressure sweep {when} once the disk has used {' or '.join(highs)}{so}.",)


def limit_notices(planned: Plan, trigger: Trigger, evictions_per_night: int) -> tuple[str, ...]:
    """Says that candidates of a nightly sweep wait for another night."""
    if trigger is not Trigger.NIGHTLY or not planned.not_reached:
        return ()
    spent = evictions_per_night - len(planned.evictions)
    used = f", of which {spent} are spent for the latest nightly run" if spent > 0 else ""
    waiting = len(planned.not_reached)
    wait = "1 candidate waits" if waiting == 1 else f"{waiting} candidates wait"
    return (f"nightly.evictions_per_night is {evictions_per_night}{used}: {wait} for the next run.",)


def grace_notices(danger_grace: timedelta | None, policy: Policy, trigger: Trigger) -> tuple[str, ...]:
    """Says that grace is shorter while the kubelet is about to act."""
    if trigger is not Trigger.PRESSURE or danger_grace is None or danger_grace >= policy.pressure_grace:
        return ()
    stays = f"an image stays for {human_age(danger_grace)} only"
    configured = f"pressure.grace ({human_age(policy.pressure_grace)})"
    return (f"Usage is close to the kubelet's threshold: {stays}, instead of {configured}.",)


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
