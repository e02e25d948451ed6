"""During a sweep: what the next removal is foretold to free, and whether removals still free anything.

Refuses to measure; the sweep tells what it measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cleaner.core.model import EvictionOutcome, Plan, Verdict
from cleaner.core.reclaim import Layers, Size, marginal
from cleaner.core.report import Eviction

WORTH_BYTES = 1 << 20
"""From here on a removal is foretold enough to be judged by what it frees."""
FRUITLESS_SHARE = 0.1
MOST_FRUITLESS = 3
QUIET_BYTES = 64 << 10
"""Between two removals nobody else wrote, if the free space moved by no more than this (metadata)."""


class RemovalEstimates:
    """What each removal frees given what has really gone; made anew where an image of the plan stayed."""

    def __init__(self, layers: Layers | None, planned: Plan | None) -> None:
        self._layers = layers
        self._left = [v.image.id for v in planned.evictions + planned.not_reached] if planned else []
        self._gone: list[str] = []
        self._sizes: Mapping[str, Size] = self._estimate()

    def bytes_of(self, verdict: Verdict) -> int | None:
        """Foretold for the image if it goes next; None where nothing is foretold."""
        size = self._sizes.get(verdict.image.id)
        return None if size is None else size.bytes

    def record_outcome(self, eviction: Eviction) -> None:
        """Note how one eviction ended; those after an image that stayed free less."""
        image_id = eviction.verdict.image.id
        self._left.remove(image_id)
        if eviction.outcome is EvictionOutcome.EVICTED:
            self._gone.append(image_id)
        else:
            self._sizes = self._estimate()

    def _estimate(self) -> Mapping[str, Size]:
        return marginal(self._layers, self._gone + self._left) if self._layers else {}


@dataclass(slots=True)
class RemovalProgress:
    """Counts removals in a row that were foretold to free something and freed next to nothing."""

    fruitless: int = 0
    free_bytes: int | None = None
    """After the last removal, settled; None where it could not be read."""

    @property
    def is_stuck(self) -> bool:
        """Whether three in a row freed less than a tenth of 1 MiB or more each, with nobody else writing."""
        return self.fruitless >= MOST_FRUITLESS

    def record_removal(
        self, before: int, freed: int | None, estimated: int | None, *, pulls_move: bool = False
    ) -> None:
        """One removal: free bytes right before it, by how much they rose (or fell: below 0), and foretold ones.

        What cannot be judged (nothing foretold, nothing measured, somebody else writing) begins the count anew. A pull
        that gets on may have hidden a removal that moved anything, and each one on a disk without a free byte.
        """
        moved = freed or 0
        hidden = moved < -QUIET_BYTES or (pulls_move and (before <= QUIET_BYTES or moved > QUIET_BYTES))
        quiet = not hidden and (self.free_bytes is None or abs(before - self.free_bytes) <= QUIET_BYTES)
        judged = quiet and freed is not None and estimated is not None and estimated >= WORTH_BYTES
        fruitless = judged and (freed or 0) < FRUITLESS_SHARE * (estimated or 0)
        self.fruitless = self.fruitless + 1 if fruitless else 0
        self.free_bytes = None if freed is None else before + freed
