"""When a filesystem is under pressure, when that is over, and when to try again.

Refuses to measure: usages come in as values. What is driven down is decided per resource, bytes and inodes.
"""

from dataclasses import dataclass, replace

from cleaner.core.model import Resource, Usage

FIRST_WAIT_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 600.0
RISE_PERCENT = 1.0


@dataclass(frozen=True, slots=True)
class Mark:
    """From where on a resource is driven down, and to where; used percent, low < high."""

    high: float
    low: float


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of every resource of a filesystem."""

    bytes: Mark
    inodes: Mark

    def of(self, resource: Resource) -> Mark:
        """The mark of one resource."""
        return self.bytes if resource is Resource.BYTES else self.inodes


def at_high(usage: Usage, marks: Marks) -> frozenset[Resource]:
    """The resources at or above their high mark; one without a limit never is."""
    return frozenset(
        resource
        for resource in Resource
        if (percent := usage.percent(resource)) is not None and percent >= marks.of(resource).high
    )


def above_low(usage: Usage, marks: Marks, driven: frozenset[Resource]) -> frozenset[Resource]:
    """Of the driven resources, those that are not yet at or below their low mark."""
    return frozenset(
        resource
        for resource in driven
        if (percent := usage.percent(resource)) is not None and percent > marks.of(resource).low
    )


@dataclass(frozen=True, slots=True)
class Standstill:
    """A pressure sweep ended above its low mark: the next one waits for a reason to do better."""

    fingerprint: int
    """Of the images, containers and candidates that it ended with."""
    usage: Usage
    ended_at: float
    """Monotonic seconds."""
    wait_seconds: float = FIRST_WAIT_SECONDS

    def may_repeat(self, usage: Usage, fingerprint: int, now: float) -> bool:
        """Never within the wait; then once images or containers changed, or usage rose by a point."""
        if now - self.ended_at < self.wait_seconds:
            return False
        return fingerprint != self.fingerprint or _rose(self.usage, usage)


def next_standstill(previous: Standstill | None, ended: Standstill) -> Standstill:
    """The state after a sweep that ended above low again: the wait doubles, to ten minutes at most."""
    if previous is None:
        return ended
    return replace(ended, wait_seconds=min(2 * previous.wait_seconds, LONGEST_WAIT_SECONDS))


def _rose(before: Usage, now: Usage) -> bool:
    return any(
        (was := before.percent(resource)) is not None
        and (percent := now.percent(resource)) is not None
        and percent >= was + RISE_PERCENT
        for resource in Resource
    )
