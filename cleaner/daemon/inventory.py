"""The inventory: which images are on the node and in use, and who holds the space, for metrics and the ledger.

It must not evict: it inspects the node, and reports what it found.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import CleanerError, StopRequestedError
from cleaner.core.events import (
    Event,
    ImagesInventoried,
    InventoryFailed,
    LedgerDown,
    LedgerUp,
    RuleOnHold,
    SpaceInventoried,
)
from cleaner.core.model import Inspection, Memory, Plan, Trigger
from cleaner.core.policy import PressureContext
from cleaner.core.ports import Ledger, Node, Timer
from cleaner.core.pressure import KubeletThreshold, above_low, danger_grace, limit_to_targets, low_targets
from cleaner.core.reclaim import Size
from cleaner.core.regret import to_hold
from cleaner.core.space import holders_of, reason_without_estimates
from cleaner.sweep import SweepSettings, inspect_images, plan_as_known, with_layers

SPACE_EVERY_SECONDS = 600.0
"""For what changes without an image or container: leases, other namespaces."""


class Inventory:
    """Takes inventory of a node's images once in `sample_seconds`, and of its space when it changed."""

    def __init__(  # noqa: PLR0913 - what it measures by, and what it reports to
        self,
        settings: SweepSettings,
        sample_seconds: float,
        timer: Timer,
        ledger: Ledger,
        emit: Callable[[Event], None],
        *,
        kubelet_threshold_at: Callable[[Usage], KubeletThreshold],
    ) -> None:
        self.watched_since: datetime | None = None
        """Since when the node is known without a gap; None where that is not known."""
        self.taken = False
        """Whether the ledger has given a `Memory` yet."""
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
        self._kubelet_threshold_at = kubelet_threshold_at
        self._due_at = 0.0
        self._contents = 0
        self._space_at = 0.0
        self._pressed = False
        """Whether usage was above a low watermark at the last inventory."""

    @property
    def due(self) -> bool:
        """Whether the next inventory is due."""
        return self._timer.monotonic() >= self._due_at

    def shift(self, correction: timedelta) -> None:
        """The time itself is corrected."""
        self.watched_since = self.watched_since and self.watched_since + correction

    def take_inventory(self, node: Node, usage: Usage) -> None:
        """Report the current nightly plan, and where the node changed, who holds the space; only a stop is raised."""
        self._due_at = self._timer.monotonic() + self._sample_seconds
        try:
            inspection = inspect_images(node)
            self._report_ledger(inspection.memory)
            nightly = plan_as_known(inspection, self._policy, Trigger.NIGHTLY, self._timer.now(), node.registries)
            self._emit(ImagesInventoried(nightly))
            contents = contents_of(inspection)
            if self._is_space_stale(contents, usage):
                self._contents = contents
                self._inspect_space(node, inspection, usage)
        except StopRequestedError:
            raise
        except CleanerError as error:
            self._emit(InventoryFailed(error))

    def _report_ledger(self, memory: Memory) -> None:
        """Report whether the ledger is on disk, its news, and which rules are put on hold."""
        self.watched_since, self.taken = memory.since, True
        failure, now = self._ledger.error, self._timer.now()
        self._emit(LedgerDown(failure) if failure else LedgerUp(memory.installed_at, self._ledger.aside))
        for news in self._ledger.news():
            self._emit(news)
        limit = self._policy.regret
        for rule in to_hold(memory.regrets, memory.on_hold_until, limit, now):
            self._emit(RuleOnHold(rule, memory.regrets[rule], now, now + limit.hold))

    def _is_space_stale(self, contents: int, usage: Usage) -> bool:
        """An unchanged node's layers are not read again, save now and then, under pressure, and once that is over."""
        pressed, self._pressed = self._pressed, bool(above_low(usage, self._settings.watermarks))
        return contents != self._contents or pressed or self._pressed or self._timer.monotonic() >= self._space_at

    def _inspect_space(self, node: Node, inspection: Inspection, usage: Usage) -> None:
        self._space_at = self._timer.monotonic() + SPACE_EVERY_SECONDS
        inspection = with_layers(node, inspection)
        now = self._timer.now()
        context = PressureContext(danger_grace(usage, self._kubelet_threshold_at(usage)))
        nightly, pressure = (
            plan_as_known(inspection, self._policy, trigger, now, node.registries, context=context)
            for trigger in (Trigger.NIGHTLY, Trigger.PRESSURE)
        )
        reachable = limit_to_targets(
            pressure, usage, low_targets(usage, self._settings.watermarks)
        ).low_watermark_reachable
        self.fingerprint = fingerprint(self._contents, pressure, reachable=reachable)
        self.evictable = pressure.reclaimable
        reason = reason_without_estimates(inspection.layers, node.runtime.layers_error)
        held = holders_of(inspection, pressure, usage)
        unmeasured = inspection.layers.unmeasured_snapshotters if inspection.layers else frozenset()
        self._emit(SpaceInventoried(nightly, pressure, held, reason, reachable, unmeasured))


def fingerprint(contents: int, pressure: Plan, *, reachable: bool | None) -> int:
    """Changes when a pressure sweep could do better than the last one.

    It covers what is there, and the candidates: an image whose grace ends is a new one. It also covers whether the low
    watermark is reachable, as it may be again once non-image data has left the disk.
    """
    return hash((contents, frozenset(verdict.image.id for verdict in pressure.evictions), reachable))


def contents_of(inspection: Inspection) -> int:
    """Changes when images or containers do."""
    return hash((inspection.images, frozenset(container.id for container in inspection.containers)))
