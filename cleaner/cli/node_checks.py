"""What `cleaner check` finds out about a configuration and the node that it is for.

It must not change anything: it reads once what the daemon would read.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from cleaner.cli.read_checks import check_reads
from cleaner.cli.rule_checks import check_images
from cleaner.cli.space_checks import check_space
from cleaner.core.disk_usage import Filesystem, Part, Resource, Usage
from cleaner.core.findings import Finding, Grade
from cleaner.core.image_registries import registry_of
from cleaner.core.kubelet import KubeletRead, read_of
from cleaner.core.model import Inspection, Memory, Mode, Plan, Policy, Trigger
from cleaner.core.ports import Node, Registries
from cleaner.core.pressure import Watermarks, at_high, reserves_in_the_way
from cleaner.core.space import reason_without_estimates
from cleaner.core.triggers import Triggers
from cleaner.outlets.terminal import reserve_text
from cleaner.runtime import CRIO
from cleaner.sweep import SECONDS_TO_ASK, inspect_node, plan_as_known


def check_node(node: Node, policy: Policy, triggers: Triggers) -> Iterator[Finding]:
    """Runtime, filesystem, watermarks and images; raises CleanerError where the daemon would have to wait."""
    version = node.runtime.read_version()
    yield Finding("runtime", Grade.OK, f"{version.name} {version.version}")
    usage = node.disk.read_usage()
    for each in usage.all:
        yield _filesystem(each, measures=node.disk.measures_removals)
    for path in node.disk.unseen:
        detail = f"{path} is not seen here, so nothing is done about it: mount the host's {path} read-only"
        yield Finding("filesystem", Grade.NOTE, detail)
    yield from _watermarks(usage, triggers.watermarks)
    if node.kubelet is None:
        detail = "not read, as kubelet.config is null: whether the kubelet removes images first is not known"
        yield Finding("kubelet", Grade.NOTE, detail)
    else:
        yield from _kubelet(read_of(node.kubelet.read(), triggers.watermarks, usage))
    inspection = inspect_node(node)
    yield _pull_times(inspection)
    if version.name == CRIO:
        detail = "CRI-O gives no evidence of where an image comes from: only images in localhost/ count as local"
        yield Finding("local images", Grade.NOTE, detail)
    yield _bytes(inspection, node.runtime.layers_error)
    yield from check_reads(node.runtime)
    yield _sandbox(inspection)
    yield _memory(inspection.memory, node.ledger.error, policy.grace, node.timer.now())
    if node.registries is not None:
        yield from _registries(node.registries, policy)
    now = node.timer.now()
    nightly, pressure = (
        plan_as_known(inspection, policy, trigger, now, node.registries)
        for trigger in (Trigger.NIGHTLY, Trigger.PRESSURE)
    )
    suspended = _suspended(triggers.mode, inspection.memory, node.ledger.error, policy.grace, now)
    yield from check_images(inspection, policy, nightly, pressure, suspended)
    yield from check_space(inspection, pressure, usage, triggers.watermarks)
    yield from _reserves(usage, triggers.watermarks, pressure)


def check_rules(mode: Mode, policy: Policy, missing: tuple[str, ...]) -> Finding:
    """Whether the daemon would start with this configuration, and by which rules."""
    if missing:
        detail = f"{missing[0]}; without it `cleaner run` and `cleaner sweep` end with exit status 2"
        return Finding("configuration", Grade.WARNING, detail)
    names = ", ".join(rule.name for rule in policy.rules)
    observes = " (plans and reports, evicts nothing)" if mode is Mode.OBSERVE else ""
    return Finding("configuration", Grade.OK, f"mode {mode}{observes}, rules: {names}")


def check_schedule(triggers: Triggers, now: datetime) -> Finding:
    """When the next nightly sweep begins on this node."""
    start = triggers.next_nightly(now)
    if start is None:
        return Finding("nightly", Grade.NOTE, f"mode {triggers.mode} has no nightly sweep")
    return Finding("nightly", Grade.OK, f"next on this node at {start:%Y-%m-%dT%H:%M:%SZ}")


def _filesystem(usage: Usage, *, measures: bool) -> Finding:
    inodes = "no inode limit" if usage.inodes_used_percent is None else f"inodes {usage.inodes_used_percent:.1f} %"
    reserved = f" ({usage.reserved_percent:.1f} % reserved for root)" if usage.reserved_bytes else ""
    detail = f"{usage.path}: {usage.used_percent:.1f} % used{reserved}, {inodes}"
    if measures:
        return Finding(_about("filesystem", usage), Grade.OK, detail)
    return Finding(
        _about("filesystem", usage), Grade.NOTE, f"{detail}; it frees space late, so bytes per image are not known"
    )


def _watermarks(usage: Usage, watermarks: Watermarks) -> Iterator[Finding]:
    """For each filesystem, in percent of it, whichever way they are written."""
    reached = at_high(usage, watermarks)
    for each in usage.freeable:
        texts = []
        for resource in Resource:
            watermark, part = watermarks.pair_for(each, resource), Part(each.filesystem, resource)
            texts.append(
                f"{resource} {watermark.high:.4g} down to {watermark.low:.4g} %" + (", reached now" * (part in reached))
            )
        grade = Grade.NOTE if any(part.filesystem is each.filesystem for part in reached) else Grade.OK
        yield Finding(_about("watermarks", each), grade, "; ".join(texts))
        if watermarks.available and watermarks.available.pair_on(each.capacity_bytes) is None:
            detail = "pressure.bytes.low_available is more than half of this filesystem: the percents count instead"
            yield Finding(_about("watermarks", each), Grade.NOTE, detail)


def _reserves(usage: Usage, watermarks: Watermarks, pressure: Plan) -> Iterator[Finding]:
    """Reserves that put a low watermark out of reach, with all candidates evicted; a note while no sweep is due."""
    reached = {part.filesystem for part in at_high(usage, watermarks) if part.resource is Resource.BYTES}
    for reserve in reserves_in_the_way(usage, watermarks, pressure.most_reclaimable):
        is_due = reserve.is_above_low or reserve.usage.filesystem in reached
        grade = Grade.WARNING if is_due else Grade.NOTE
        yield Finding(_about("reserved blocks", reserve.usage), grade, reserve_text(reserve))


def _about(subject: str, usage: Usage) -> str:
    """The subject, with the filesystem's name where it is not that of the images."""
    return subject if usage.filesystem is Filesystem.IMAGES else f"{subject} ({usage.filesystem})"


def _kubelet(read: KubeletRead) -> Iterator[Finding]:
    """What the kubelet does by itself, then each high watermark that is above or close to its threshold."""
    config, age = read.config, read.config.settings.maximum_age
    said = f"{config.reason}; the kubelet's defaults are assumed" if config.reason else config.source
    said += f" ({config.caveat})" if config.caveat else ""
    acts = [_act(resource, read) for resource in Resource]
    acts += [f"also images that were unused for {age.total_seconds() / 3600:g} h"] if age else []
    grade = Grade.WARNING if config.broken else Grade.NOTE if config.reason or config.caveat else Grade.OK
    detail = f"{said}: it removes images by itself {', '.join(acts)}; flags of its command line are not seen"
    yield Finding("kubelet", grade, detail)
    for collision in read.collisions:
        yield Finding("kubelet", Grade.WARNING if collision.acts_first else Grade.NOTE, collision.text)


def _act(resource: Resource, read: KubeletRead) -> str:
    act = read.acts.get(resource)
    return f"never for {resource}" if act is None else f"above {act.above_percent:g} % of {resource} ({act.reason})"


def _pull_times(inspection: Inspection) -> Finding:
    unknown = sum(image.pulled_at is None for image in inspection.images)
    if not unknown:
        return Finding("pull times", Grade.OK, "known for every image")
    detail = f"not known for {unknown} of {len(inspection.images)} images; first seen stands in for them"
    return Finding("pull times", Grade.NOTE, detail)


def _bytes(inspection: Inspection, error: str | None) -> Finding:
    layers, reason = inspection.layers, reason_without_estimates(inspection.layers, error)
    if layers is None or reason:
        return Finding("reclaimable bytes", Grade.NOTE, f"not estimated: {reason}")
    detail = f"estimated from {len(layers.sizes)} blobs and snapshots"
    if names := ", ".join(sorted(layers.unmeasured_snapshotters)):
        detail += f", without the snapshots of {names}: containerd does not name the root, it is not seen here, or "
        detail += "another snapshotter already has a disk of its own"
        return Finding("reclaimable bytes", Grade.NOTE, detail)
    return Finding("reclaimable bytes", Grade.OK, detail)


def _sandbox(inspection: Inspection) -> Finding:
    pinned = sum(image.pinned for image in inspection.images)
    if inspection.sandbox_images or pinned:
        names = ", ".join(sorted(inspection.sandbox_images)) or "not named by the runtime"
        return Finding("sandbox image", Grade.OK, f"{names}; images pinned by the runtime: {pinned}")
    detail = "the runtime neither names nor pins it; add it to policy.protect if a rule matches it"
    return Finding("sandbox image", Grade.NOTE, detail)


def _memory(memory: Memory, error: str | None, grace: timedelta, now: datetime) -> Finding:
    if error:
        return Finding("memory", Grade.NOTE, f"{error}; no nightly sweep until that is mended")
    if memory.since is None:
        detail = "the daemon has not run on this node yet; its nightly sweep waits until it has for policy.grace"
        return Finding("memory", Grade.NOTE, detail)
    detail = f"watching since {memory.since:%Y-%m-%dT%H:%M:%SZ}, {len(memory.last_used_at)} images were seen in use"
    if now - memory.since >= grace:
        return Finding("memory", Grade.OK, detail)
    return Finding("memory", Grade.NOTE, f"{detail}; the nightly sweep waits until that is as long as policy.grace")


def _suspended(mode: Mode, memory: Memory, error: str | None, grace: timedelta, now: datetime) -> str | None:
    """Why the daemon would not do now what the plans say; None where it would."""
    if mode is Mode.OBSERVE:
        return "mode observe evicts none of them"
    if mode is Mode.PRESSURE:
        return "mode pressure has no nightly sweep"
    waits = error is not None or memory.since is None or now - memory.since < grace
    return "nightly sweeps are suspended: see memory" if waits else None


def _registries(registries: Registries, policy: Policy) -> Iterator[Finding]:
    """Those that rules name literally; others are asked when an image of theirs is to be evicted."""
    named = {registry for rule in policy.rules for pattern in rule.match if (registry := registry_of(pattern))}
    down = registries.find_down(frozenset(named), SECONDS_TO_ASK)
    for registry in sorted(named):
        if reason := down.get(registry):
            detail = f"{registry} does not answer ({reason}): the nightly sweep would keep its images"
            yield Finding("registry", Grade.NOTE, detail)
        else:
            yield Finding("registry", Grade.OK, f"{registry} answers, or a mirror of it does")
