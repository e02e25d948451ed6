"""Who holds the space of a filesystem, and why bytes are not known."""

from collections.abc import Mapping

from cleaner.core.disk_usage import Usage
from cleaner.core.model import Inspection, KeepReason, Plan
from cleaner.core.reclaim import Holder, Layers, bytes_by_holder


def reason_without_estimates(layers: Layers | None, error: str | None) -> str | None:
    """Why no bytes are estimated; None where they are."""
    if layers is None:
        return error or "the runtime has no containerd API, which alone tells what images share"
    return None if layers.complete else "a snapshotter is in use whose usage figures are not to be trusted"


def holders_of(inspection: Inspection, planned: Plan, usage: Usage) -> Mapping[Holder, int] | None:
    """Who holds what counts as used, by the plan's verdicts; None where the runtime cannot tell.

    The sum is that of `used_percent`, over all filesystems that the removal of an image can free.
    """
    if inspection.trusted_layers is None:
        return None
    in_use = [verdict.image.id for verdict in planned.kept if verdict.reason is KeepReason.IN_USE]
    evictable = [verdict.image.id for verdict in planned.candidates]
    used_bytes = sum(each.capacity_bytes - each.available_bytes for each in usage.freeable)
    reserved_bytes = sum(each.reserved_bytes for each in usage.freeable)
    return bytes_by_holder(inspection.trusted_layers, used_bytes, in_use, evictable, reserved_bytes)
