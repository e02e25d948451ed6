"""Since when the agent has watched a node without a gap: earlier uses of images are not known.

After a gap longer than the grace period the watch begins anew, since images may have been used in it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from cleaner.ledger.rows import moved


class WatchHistory:
    """The watch of one node, over the processes that kept it."""

    def __init__(self, grace: timedelta) -> None:
        self.since: datetime | None = None
        """None before anything was loaded."""
        self.installed_at: datetime | None = None
        self.first_inspection: datetime | None = None
        """Since when this process has watched without a gap."""
        self._grace = grace
        self._inspected_at = 0.0

    def record_inspection(self, now: datetime, monotonic: float) -> None:
        """Record an inspection. Gaps are measured by the monotonic clock: a wall clock that jumps leaves none."""
        gap = timedelta(seconds=monotonic - self._inspected_at)
        if self.first_inspection is None or gap > self._grace:
            self.first_inspection = now
            self.since = now if self.since is not None else None
        self._inspected_at = monotonic

    def load(self, meta: Mapping[str, datetime], now: datetime, booted_at: datetime) -> None:
        """Load what is on disk, unless images may have been used between its last sample and the first inspection.

        No image is used while the node is down, so only the time since it booted counts. A file without a sample knows
        of no inspection: an image that is there at the first one may have been pulled at any time before.
        """
        first_inspection = self.first_inspection or now
        since, sampled_at = meta.get("since", now), meta.get("sampled_at")
        gap = first_inspection - max(sampled_at or first_inspection, booted_at)
        self.since = first_inspection if gap > self._grace else since if sampled_at else max(since, first_inspection)
        installed_at = meta.get("installed_at", now)
        self.installed_at = min(installed_at, self.installed_at or installed_at)

    def shift(self, offset: timedelta, latest: datetime) -> None:
        """Move what the wall clock said before it was set."""
        self.since = None if self.since is None else moved(self.since, offset, latest)
        self.first_inspection = None if self.first_inspection is None else moved(self.first_inspection, offset, latest)
