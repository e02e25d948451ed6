"""The census: what is on the node, who needs it and who holds the space, counted now and then for metrics and memory.

Refuses to evict: it looks, and tells what it saw.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import CleanerError
from cleaner.core.events import Event, ImagesCounted, LedgerDown, LedgerUp, ObservationFailed, RuleHeld, SpaceCounted
from cleaner.core.model import Memory, Observation, Plan, Trigger
from cleaner.core.ports import Ledger, Node, Timer
from cleaner.core.pressure import above_low, foresee, low_targets
from cleaner.core.reclaim import Size
from cleaner.core.regret import to_hold
from cleaner.core.space import holders_of, reason_unknown
from cleaner.sweep import SweepSettings, look, plan_as_known

SPACE_EVERY_SECONDS = 600.0
"""For what changes without an image or container: leases, other namespaces."""


class Census:
    """Counts a node's images once in `sample_seconds`, and its space when it changed."""

    def __init__(
        self,
        settings: SweepSettings,
        sample_seconds: float,
        timer: Timer,
        ledger: Ledger,
        emit: Callable[[Event], None],
    ) -> None:
        self.watched_since: datetime | None = None
        """Since when the node is known without a gap; None where that is not known."""
        self.looked = False
        """Whether memory has told anything yet."""
        self.fingerprint = 0
        """Changes when a pressure sweep could do better than the last one."""
        self.evictable: Size | None = None
        """What a pressure sweep could free at most; None where that is not known."""
        self._settings = settings
        self._policy = settings.policy
        self._sample_seconds = sample_seconds
        self._timer = timer
        self._ledger = ledger
        self._emit = emit
        self._due_at = 0.0
        self._contents = 0
        self._space_at = 0.0
        self._pressed = False
        """Whether usage was above a low mark at the last count."""

    @property
    def due(self) -> bool:
        """Whether the next count's time has come."""
        return self._timer.monotonic() >= self._due_at

    def shift(self, correction: timedelta) -> None:
        """The time itself is corrected."""
        self.watched_since = self.watched_since and self.watched_since + correction

    def count(self, node: Node, usage: Usage) -> None:
        """What the nightly plan says now, for the metrics; and what a changed node is told by."""
        self._due_at = self._timer.monotonic() + self._sample_seconds
        try:
            observation = look(node)
            self._tell_memory(observation.memory)
            nightly = plan_as_known(observation, self._policy, Trigger.NIGHTLY, self._timer.now(), node.registries)
            self._emit(ImagesCounted(nightly))
            contents = contents_of(observation)
            if self._is_space_stale(contents, usage):
                self._contents = contents
                self._count_space(node, observation, usage)
        except CleanerError as error:
            self._emit(ObservationFailed(error))

    def _tell_memory(self, memory: Memory) -> None:
        """Whether it lasts, what the ledger has learned from others, and which rules it puts on hold."""
        self.watched_since, self.looked = memory.since, True
        refusal, now = self._ledger.refusal, self._timer.now()
        self._emit(LedgerDown(refusal) if refusal else LedgerUp(memory.installed_at, self._ledger.aside))
        for news in self._ledger.news():
            self._emit(news)
        limit = self._policy.regret
        for rule in to_hold(memory.regrets, memory.held_until, limit, now):
            self._emit(RuleHeld(rule, memory.regrets[rule], now, now + limit.hold))

    def _is_space_stale(self, contents: int, usage: Usage) -> bool:
        """An unchanged node's layers are not read again, save now and then, under pressure, and once that is over."""
        pressed, self._pressed = self._pressed, bool(above_low(usage, self._settings.marks))
        return contents != self._contents or pressed or self._pressed or self._timer.monotonic() >= self._space_at

    def _count_space(self, node: Node, observation: Observation, usage: Usage) -> None:
        self._space_at = self._timer.monotonic() + SPACE_EVERY_SECONDS
        observation = replace(observation, layers=node.runtime.read_layers(observation.images))
        now = self._timer.now()
        nightly, pressure = (
            plan_as_known(observation, self._policy, trigger, now, node.registries)
            for trigger in (Trigger.NIGHTLY, Trigger.PRESSURE)
        )
        reachable = foresee(pressure, usage, low_targets(usage, self._settings.marks)).low_mark_reachable
        self.fingerprint = fingerprint(self._contents, pressure, reachable=reachable)
        self.evictable = pressure.reclaimable
        because = reason_unknown(observation.layers, node.runtime.layers_refusal)
        self._emit(SpaceCounted(nightly, pressure, holders_of(observation, pressure, usage), because, reachable))


def fingerprint(contents: int, pressure: Plan, *, reachable: bool | None) -> int:
    """Changes when a pressure sweep could do better than the last one.

    Of what is there, the candidates, as an image whose grace ends is a new one, and whether the low mark is within
    reach, as it is again once something else has left the disk.
    """
    return hash((contents, frozenset(verdict.image.id for verdict in pressure.evictions), reachable))


def contents_of(observation: Observation) -> int:
    """Changes when images or containers do."""
    return hash((observation.images, frozenset(container.id for container in observation.containers)))
