"""During a sweep: what the next removal is estimated to free, and whether removals still free anything.

It must not measure: the sweep passes what it measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cleaner.core.model import EvictionOutcome, Plan, Verdict
from cleaner.core.reclaim import Layers, Size, marginal
from cleaner.core.report import Eviction

WORTH_BYTES = 1 << 20
"""A removal is judged by what it frees if it is estimated to free at least this."""
FRUITLESS_SHARE = 0.1
"""Of the estimate. Without one, of `WORTH_BYTES`, for images of at least that size: how much of an image is shared with
others is not known then, so that a removal is fruitless only if it frees next to nothing."""
MOST_FRUITLESS = 3
QUIET_BYTES = 64 << 10
"""If the free space moves by no more than this between two removals (metadata), no other process wrote."""


class RemovalEstimates:
    """What each removal is estimated to free after those that succeeded; made anew where a planned image stayed."""

    def __init__(self, layers: Layers | None, planned: Plan | None) -> None:
        self._layers = layers
        self._left = [v.image.id for v in planned.candidates] if planned else []
        self._gone: list[str] = []
        self._sizes: Mapping[str, Size] | None = None
        """None where they are to be made anew, once one is asked for: a whole walk through the graph."""

    def bytes_of(self, verdict: Verdict) -> int | None:
        """The estimate for the image if it is evicted next; None where there is none."""
        if self._sizes is None:
            self._sizes = marginal(self._layers, self._gone + self._left) if self._layers else {}
        size = self._sizes.get(verdict.image.id)
        return None if size is None else size.bytes

    def record_outcome(self, eviction: Eviction) -> None:
        """Record how one eviction ended; those after an image that stayed free less."""
        image_id = eviction.verdict.image.id
        self._left.remove(image_id)
        if eviction.outcome is EvictionOutcome.EVICTED:
            self._gone.append(image_id)
        else:
            self._sizes = None


@dataclass(slots=True)
class RemovalProgress:
    """Counts removals in a row that were estimated to free something and freed next to nothing."""

    fruitless: int = 0
    free_bytes: int | None = None
    """After the last removal, settled; None where it could not be read."""

    @property
    def is_stuck(self) -> bool:
        """Whether three in a row freed less than a tenth of an estimate of 1 MiB or more, with no other writer."""
        return self.fruitless >= MOST_FRUITLESS

    def record_removal(
        self, before: int, freed: int | None, estimated: int | None, *, at_most: int = 0, pulls_move: bool = False
    ) -> None:
        """One removal: free bytes right before it, by how much they rose (or fell: below 0), and the estimate.

        `at_most`: without an estimate, what it frees at most; 0 where that is not known either.

        A removal that cannot be judged (no estimate, no measurement, another process writing) begins the count anew. A
        pull that proceeds may have hidden a removal that moved anything, and each one on a disk without a free byte.
        """
        moved = freed or 0
        hidden = moved < -QUIET_BYTES or (pulls_move and (before <= QUIET_BYTES or moved > QUIET_BYTES))
        quiet = not hidden and (self.free_bytes is None or abs(before - self.free_bytes) <= QUIET_BYTES)
        worth = (at_most >= WORTH_BYTES) * WORTH_BYTES if estimated is None else estimated
        judged = quiet and freed is not None and worth >= WORTH_BYTES
        fruitless = judged and (freed or 0) < FRUITLESS_SHARE * worth
        self.fruitless = self.fruitless + 1 if fruitless else 0
        self.free_bytes = None if freed is None else before + freed
