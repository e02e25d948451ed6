"""What `cleaner check` finds out about a configuration and the node that it is for.

Refuses to change anything: it reads once what the daemon would read.
"""

from collections.abc import Iterator
from datetime import datetime

from cleaner.core.findings import Finding, Grade
from cleaner.core.foresight import reason_unknown
from cleaner.core.model import Mode, Observation, Policy, Trigger, Usage
from cleaner.core.policy import plan
from cleaner.core.pressure import Marks, at_high
from cleaner.core.triggers import Triggers
from cleaner.sweep import Node, observe


def check_node(node: Node, policy: Policy, triggers: Triggers) -> Iterator[Finding]:
    """Runtime, filesystem, marks and images; raises CleanerError where the daemon would have to wait."""
    version = node.runtime.read_version()
    yield Finding("runtime", Grade.OK, f"{version.name} {version.version}")
    usage = node.disk.read_usage()
    yield _filesystem(usage, measures=node.disk.measures_removals)
    yield _marks(usage, triggers.marks)
    observation = observe(node)
    yield _pull_times(observation)
    yield _bytes(observation, node.runtime.layers_refusal)
    yield _sandbox(observation)
    yield _images(observation, policy, node.timer.now())


def check_rules(mode: Mode, policy: Policy, missing: tuple[str, ...]) -> Finding:
    """Whether the daemon would start with this configuration, and by which rules."""
    if missing:
        return Finding("configuration", Grade.NOTE, missing[0])
    names = ", ".join(rule.name for rule in policy.rules)
    return Finding("configuration", Grade.OK, f"mode {mode}, rules: {names}")


def check_schedule(triggers: Triggers, now: datetime) -> Finding:
    """When the next nightly sweep begins on this node."""
    start = triggers.next_nightly(now)
    if start is None:
        return Finding("nightly", Grade.NOTE, f"mode {triggers.mode} has no nightly sweep")
    return Finding("nightly", Grade.OK, f"next on this node at {start:%Y-%m-%dT%H:%M:%SZ}")


def _filesystem(usage: Usage, *, measures: bool) -> Finding:
    inodes = "no inode limit" if usage.inodes_used_percent is None else f"inodes {usage.inodes_used_percent:.1f} %"
    detail = f"{usage.path}: {usage.used_percent:.1f} % used, {inodes}"
    if measures:
        return Finding("filesystem", Grade.OK, detail)
    return Finding("filesystem", Grade.NOTE, f"{detail}; it frees space late, so bytes per image are not known")


def _marks(usage: Usage, marks: Marks) -> Finding:
    detail = f"bytes {marks.bytes.high:g} down to {marks.bytes.low:g} %, "
    detail += f"inodes {marks.inodes.high:g} down to {marks.inodes.low:g} %"
    reached = at_high(usage, marks)
    if not reached:
        return Finding("marks", Grade.OK, detail)
    return Finding("marks", Grade.NOTE, f"{detail}; reached now: {', '.join(sorted(reached))}")


def _pull_times(observation: Observation) -> Finding:
    unknown = sum(image.pulled_at is None for image in observation.images)
    if not unknown:
        return Finding("pull times", Grade.OK, "known for every image")
    detail = f"not known for {unknown} of {len(observation.images)} images; first seen stands in for them"
    return Finding("pull times", Grade.NOTE, detail)


def _bytes(observation: Observation, refusal: str | None) -> Finding:
    if because := reason_unknown(observation.layers, refusal):
        return Finding("reclaimable bytes", Grade.NOTE, f"not foretold: {because}")
    count = len(observation.layers.sizes) if observation.layers else 0
    return Finding("reclaimable bytes", Grade.OK, f"foretold from {count} blobs and snapshots")


def _sandbox(observation: Observation) -> Finding:
    pinned = sum(image.pinned for image in observation.images)
    if observation.sandbox_images or pinned:
        names = ", ".join(sorted(observation.sandbox_images)) or "no name"
        return Finding("sandbox image", Grade.OK, f"{names}; {pinned} pinned by the runtime")
    detail = "the runtime neither names nor pins it; add it to policy.protect if a rule matches it"
    return Finding("sandbox image", Grade.NOTE, detail)


def _images(observation: Observation, policy: Policy, now: datetime) -> Finding:
    nightly = plan(observation, policy, Trigger.NIGHTLY, now)
    pressure = plan(observation, policy, Trigger.PRESSURE, now)
    detail = f"{len(observation.images)}: {len(nightly.evictions)} would go at night, "
    detail += f"{len(pressure.evictions)} under pressure"
    grade = Grade.OK if pressure.evictions or not observation.images else Grade.NOTE
    return Finding("images", grade, detail)
