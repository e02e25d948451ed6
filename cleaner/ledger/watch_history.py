"""Since when a node is watched without a gap: only so old is what is known of its habits.

Refuses to bridge what nobody saw: after a gap longer than the grace period the watch begins anew.
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
        self.first_look: datetime | None = None
        """Since when this process has watched without a gap."""
        self._grace = grace
        self._looked_at = 0.0

    def record_inspection(self, now: datetime, monotonic: float) -> None:
        """Somebody looks now. By the monotonic clock: a wall clock that jumps leaves no gap."""
        gap = timedelta(seconds=monotonic - self._looked_at)
        if self.first_look is None or gap > self._grace:
            self.first_look = now
            self.since = now if self.since is not None else None
        self._looked_at = monotonic

    def load(self, meta: Mapping[str, datetime], now: datetime, booted_at: datetime) -> None:
        """Take over what is on disk, unless images may have been used between its last sample and the first look.

        None are while the node is down: what counts is the time since it booted. A file without a sample knows of no
        look at all: an image that is there at the first one may have come at any time before.
        """
        first_look = self.first_look or now
        since, sampled_at = meta.get("since", now), meta.get("sampled_at")
        gap = first_look - max(sampled_at or first_look, booted_at)
        self.since = first_look if gap > self._grace else since if sampled_at else max(since, first_look)
        installed_at = meta.get("installed_at", now)
        self.installed_at = min(installed_at, self.installed_at or installed_at)

    def shift(self, offset: timedelta, latest: datetime) -> None:
        """Move what the wall clock said before it was set."""
        self.since = None if self.since is None else moved(self.since, offset, latest)
        self.first_look = None if self.first_look is None else moved(self.first_look, offset, latest)
