"""When a filesystem is under pressure, where that is driven down to, and when to try again.

Refuses to measure: usages come in as values. All is decided for each part, bytes and inodes of each filesystem.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from cleaner.core.usage import Part, Resource, Usage, percents

FIRST_WAIT_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 600.0
DANGER_SHARE = 1 / 60
"""Of a wait, while the kubelet is about to act: one second at first, and at most ten, as often as it looks itself."""
RISE_PERCENT = 1.0
SAFETY_PERCENT = 1.0
"""So far below the kubelet's own mark a disk is held at least that is full of something else."""
MOST_OF_A_DISK = 0.5
"""Marks that want more than this share of a filesystem available were written for a larger one."""

Targets = Mapping[Part, float]
"""Down to which used percent each part is driven."""


@dataclass(frozen=True, slots=True)
class Mark:
    """From where on a resource is driven down, and to where; used percent, low < high."""

    high: float
    low: float


@dataclass(frozen=True, slots=True)
class AvailableMark:
    """The same in bytes that must stay available; the low mark is where more of them are."""

    high_bytes: int
    low_bytes: int

    def on(self, capacity_bytes: int) -> Mark | None:
        """In percent of one filesystem; None where that is too small for it."""
        if not 0 < self.low_bytes <= capacity_bytes * MOST_OF_A_DISK:
            return None
        high, low = (100 * (capacity_bytes - size) / capacity_bytes for size in (self.high_bytes, self.low_bytes))
        return Mark(high, low)


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of every filesystem's resources."""

    bytes: Mark
    inodes: Mark
    available: AvailableMark | None = None
    """In place of `bytes`, where the filesystem is large enough."""

    def of(self, usage: Usage, resource: Resource) -> Mark:
        """The mark of one resource of one filesystem, in percent."""
        if resource is Resource.INODES:
            return self.inodes
        return (self.available and self.available.on(usage.capacity_bytes)) or self.bytes


@dataclass(frozen=True, slots=True)
class KubeletMark:
    """From which used percent on the kubelet acts by itself: it removes every unused image, or evicts pods."""

    bytes: float = 84.0
    """Its defaults: it counts in whole percents, so imageGCHighThresholdPercent of 85 is reached above 84."""
    inodes: float = 95.0
    """100 less evictionHard's inodesFree."""
    safety: Mapping[Part, float] = field(default_factory=dict)
    """So far below them danger begins where a part fills fast: as far as it gets until something is done."""

    def of(self, resource: Resource) -> float:
        """The mark of one resource."""
        return self.bytes if resource is Resource.BYTES else self.inodes

    def danger(self, part: Part) -> float:
        """Down to here a part is held whose low mark cannot be reached."""
        return self.of(part.resource) - self.safety.get(part, SAFETY_PERCENT)


def at_high(usage: Usage, marks: Marks) -> frozenset[Part]:
    """The parts at or above their high mark; one without a limit never is."""
    used, mark = percents(usage), _marks_of(usage, marks)
    return frozenset(part for part, percent in used.items() if percent >= mark[part].high)


def low_targets(usage: Usage, marks: Marks, parts: Collection[Part] | None = None) -> dict[Part, float]:
    """The low marks of some parts; of all where none are given."""
    return {part: mark.low for part, mark in _marks_of(usage, marks).items() if parts is None or part in parts}


def above(usage: Usage, targets: Targets) -> frozenset[Part]:
    """The parts that are not yet at or below their target."""
    used = percents(usage)
    return frozenset(part for part, target in targets.items() if part in used and used[part] > target)


def above_low(usage: Usage, marks: Marks) -> frozenset[Part]:
    """The parts that are above their low mark."""
    return above(usage, low_targets(usage, marks))


def ceilings(usage: Usage, marks: Marks, kubelet: KubeletMark) -> dict[Part, float]:
    """Down to where each part is held whose low mark cannot be reached: below the kubelet's own mark.

    At our high mark where that danger begins at our low mark or below: it is as much out of reach, so that everything
    would go in vain, and a kubelet that had really acted there would have left nothing to take.
    """
    return {part: _ceiling(mark, kubelet.danger(part)) for part, mark in _marks_of(usage, marks).items()}


def _ceiling(mark: Mark, danger: float) -> float:
    return danger if danger > mark.low else mark.high


def in_danger(usage: Usage, kubelet: KubeletMark) -> frozenset[Part]:
    """The parts that are so full that the kubelet is about to act."""
    return frozenset(part for part, percent in percents(usage).items() if percent > kubelet.danger(part))


def _marks_of(usage: Usage, marks: Marks) -> dict[Part, Mark]:
    return {
        Part(each.filesystem, resource): marks.of(each, resource) for each in usage.freeable for resource in Resource
    }


@dataclass(frozen=True, slots=True)
class Standstill:
    """A pressure sweep ended above its low mark: the next one waits for a reason to do better."""

    fingerprint: int
    """Of the images, containers and candidates that it ended with."""
    usage: Usage
    """With the pulls in progress, as all that follows unless it says otherwise."""
    ended_at: float
    """Monotonic seconds."""
    wait_seconds: float = FIRST_WAIT_SECONDS
    measured: Usage | None = None
    """Without pulls; None where that is the same."""
    ahead: bool = False
    """Whether that sweep came before any measurement was at a high mark: early, or for a pull."""
    lowest: Mapping[Part, float] = field(default_factory=dict)
    """Used percents that were lower since; a pull that was given up, and files of others that are gone."""

    def may_repeat(
        self, usage: Usage, fingerprint: int, now: float, kubelet: KubeletMark, measured: Usage | None = None
    ) -> bool:
        """At once where the kubelet is about to act, as it was not before; else never within the wait, short in danger.

        Then once images or containers changed, or usage rose by a point from its lowest since. The kubelet knows
        nothing of pulls: it acts on what is `measured`, which is `usage` where that is not given.
        """
        danger = in_danger(measured or usage, kubelet)
        if not danger <= in_danger(self.measured or self.usage, kubelet):
            return True
        if now - self.ended_at < self.wait_seconds * (DANGER_SHARE if danger else 1):
            return False
        return fingerprint != self.fingerprint or self._rose(usage)

    def lowered(self, usage: Usage) -> "Standstill":
        """The same once a lower usage is seen."""
        floor = self._floor
        lower = {part: percent for part, percent in percents(usage).items() if part in floor and percent < floor[part]}
        return replace(self, lowest={**self.lowest, **lower}) if lower else self

    @property
    def _floor(self) -> Mapping[Part, float]:
        return {**percents(self.usage), **self.lowest}

    def _rose(self, usage: Usage) -> bool:
        was = self._floor
        return any(part in was and percent >= was[part] + RISE_PERCENT for part, percent in percents(usage).items())


def next_standstill(previous: Standstill | None, ended: Standstill) -> Standstill:
    """The state after a sweep that ended above low again: the wait doubles, to ten minutes at most.

    One that came ahead of a high mark does not lengthen the wait of one that did not.
    """
    if previous is None or (previous.ahead and not ended.ahead):
        return ended
    return replace(ended, wait_seconds=min(2 * previous.wait_seconds, LONGEST_WAIT_SECONDS))
