"""What `cleaner check` says about space: who holds it, and where evicting every candidate would not be enough.

It must not estimate; see `core/space.py` and `core/pressure/targets.py`.
"""

from collections.abc import Iterator, Mapping

from cleaner.core.disk_usage import Part, Resource, Usage
from cleaner.core.findings import Finding, Grade
from cleaner.core.model import Inspection, Plan
from cleaner.core.pressure import Watermarks, at_high, excess_of, low_targets, out_of_reach
from cleaner.core.reclaim import NOTHING, Holder, Size
from cleaner.core.space import holders_of
from cleaner.outlets.terminal import holders_line
from cleaner.outlets.units import human_bytes

_LOOK_AT = {
    Holder.IN_USE: "images in use, which no sweep evicts: the node may be too small for its pods",
    Holder.KEPT: "images that are kept: `cleaner plan` says why",
    Holder.OTHER_NAMESPACES: "other namespaces of containerd, such as moby: clean them with their own tools",
    Holder.UNLISTED: "content that no listed image has, such as pulls in progress or `ctr` imports",
    Holder.NON_IMAGE: "non-image data, which no eviction frees: look for logs, volumes and files that containers wrote",
    Holder.RESERVED: "blocks that are reserved for root (ext4: tune2fs -m)",
}
"""Who holds most, and what to do about it."""


def check_space(inspection: Inspection, pressure: Plan, usage: Usage, watermarks: Watermarks) -> Iterator[Finding]:
    """Who holds what is used, then each low watermark that is out of reach, by the plan of a pressure sweep."""
    held = holders_of(inspection, pressure, usage)
    if held is not None:
        yield Finding("space", Grade.OK, f"held by {holders_line(held).removeprefix('Held by: ').removesuffix('.')}")
    freed = pressure.most_reclaimable if pressure.candidates else NOTHING
    if freed is None:
        return
    targets, reached = low_targets(usage, watermarks), at_high(usage, watermarks)
    missing = excess_of(usage, targets)
    for part in sorted(out_of_reach(usage, targets, freed)):
        detail = f"{_missing(part, usage, targets[part], missing[part])}, and {_frees(part, usage, pressure, freed)}"
        if part in reached:
            detail += ": out of reach; pressure sweeps evict only to stay below the kubelet's threshold"
            yield Finding("low watermark", Grade.WARNING, detail + _most(held))
        else:
            yield Finding("low watermark", Grade.NOTE, f"{detail}: a pressure sweep would not reach it{_most(held)}")


def _missing(part: Part, usage: Usage, low: float, missing: int) -> str:
    (filesystem,) = (each for each in usage.all if each.filesystem is part.filesystem)
    percent = filesystem.percent(part.resource)
    return f"{part.resource} of {filesystem.path}: {percent:.1f} % used, {_amount(part, missing)} above {low:.4g} %"


def _frees(part: Part, usage: Usage, pressure: Plan, freed: Size) -> str:
    count = len(pressure.candidates)
    if not count:
        return "no image may be evicted under pressure"
    most = "" if pressure.reclaimable is not None else "at most "
    amount = _amount(part, freed.amount_of(part, apart=usage.apart))
    return (
        f"the {count} images that may be evicted free {most}{amount}"
        if count > 1
        else (f"the only image that may be evicted frees {most}{amount}")
    )


def _amount(part: Part, amount: int) -> str:
    return human_bytes(amount) if part.resource is Resource.BYTES else f"{amount} inodes"


def _most(held: Mapping[Holder, int] | None) -> str:
    """Who holds most of what is used, and where to look."""
    if held is None:
        return ""
    most = max(held, key=lambda holder: held[holder])
    return f"; most is held by {_LOOK_AT[most]}" if most in _LOOK_AT else ""
