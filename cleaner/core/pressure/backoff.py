"""When a pressure sweep that could not help is tried again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cleaner.core.disk_usage import Part, Usage, percents
from cleaner.core.pressure.watermarks import KubeletThreshold, in_danger

FIRST_BACKOFF_SECONDS = 60.0
LONGEST_BACKOFF_SECONDS = 600.0
DANGER_SHARE = 1 / 60
"""Of a wait, while the kubelet is about to act: one second at first, at most ten, the interval of its own checks."""
RISE_PERCENT = 1.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """A pressure sweep ended above its low watermark: the next one waits until it may do better."""

    fingerprint: int
    """Of the images, containers and candidates that it ended with."""
    usage: Usage
    """With the pulls in progress, as all that follows unless it says otherwise."""
    ended_at: float
    """Monotonic seconds."""
    wait_seconds: float = FIRST_BACKOFF_SECONDS
    measured: Usage | None = None
    """Without pulls; None where that is the same."""
    ahead: bool = False
    """Whether that sweep came before any measurement was at a high watermark: early, or for a pull."""
    lowest: Mapping[Part, float] = field(default_factory=dict)
    """Used percents that were lower since: a pull was given up, or others deleted files."""
    unfinished: frozenset[Part] = frozenset()
    """The parts that the sweep was to lower, where it ended with candidates that it had not tried; else none."""
    candidate_at: float = math.inf
    """Monotonic seconds: when the grace of the next image ends."""

    def may_retry(
        self, usage: Usage, fingerprint: int, now: float, kubelet: KubeletThreshold, measured: Usage | None = None
    ) -> bool:
        """At once where the kubelet is about to act, as it was not before; else never within the wait, short in danger.

        Then once images or containers changed, an image's grace ended, or usage rose by a point from its lowest since;
        and whatever the disk says where the sweep left candidates untried. The kubelet knows nothing of pulls: it acts
        on what is `measured`, which is `usage` where that is not given.
        """
        danger = in_danger(measured or usage, kubelet)
        if not danger <= in_danger(self.measured or self.usage, kubelet):
            return True
        if now - self.ended_at < self.wait_seconds * (DANGER_SHARE if danger else 1):
            return False
        if fingerprint != self.fingerprint or now >= self.candidate_at or self._rose(usage):
            return True
        # No shortened wait in danger: removals that free nothing would soon empty the node.
        return bool(self.unfinished) and now - self.ended_at >= self.wait_seconds

    def lowered(self, usage: Usage) -> "Backoff":
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


def next_backoff(previous: Backoff | None, ended: Backoff) -> Backoff:
    """The state after a sweep that ended above a low watermark again: the wait doubles, to ten minutes at most.

    A sweep that came ahead of a high watermark does not lengthen the wait of one that did not.
    """
    if previous is None or (previous.ahead and not ended.ahead):
        return ended
    return replace(ended, wait_seconds=next_wait(previous.wait_seconds))


def next_wait(seconds: float) -> float:
    """The wait after another sweep that could not help; 0: after the first."""
    return min(2 * seconds or FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
