"""The samples of one boot: when the latest was taken, by the monotonic clock.

The stored seconds count only for the latest sample. They do not count after a reboot, nor where an older version of
the agent, which does not write them, has stored a newer sample.
"""

import sqlite3

from cleaner.core.clock_trust import StoredTimes
from cleaner.core.ports import Timer
from cleaner.ledger.queries import newest_of
from cleaner.ledger.rows import time_of

SECOND = 1_000_000
"""In microseconds."""


class Boot:
    """The present boot of the machine, as the ledger's samples know it."""

    def __init__(self, timer: Timer, boot: int | None) -> None:
        """`boot`: which one it is; None where that is not known, and then no sample counts as one of this boot."""
        self._timer = timer
        self._boot = boot

    def sample_meta(self, sampled_at: int) -> dict[str, int]:
        """What a sample that is taken now has in `meta` besides its time."""
        if self._boot is None:
            return {}
        return {"boot": self._boot, "boot_seconds": self._seconds(), "boot_sampled_at": sampled_at}

    def stored_times(self, connection: sqlite3.Connection) -> StoredTimes | None:
        """The newest time, and the latest sample if it was taken in this boot."""
        newest = newest_of(connection)
        if newest is None:
            return None
        rows = connection.execute("SELECT key, value FROM meta WHERE key = 'sampled_at' OR key LIKE 'boot%'")
        meta: dict[str, int] = dict(rows.fetchall())
        sampled_at, seconds = meta.get("sampled_at"), meta.get("boot_seconds", 0)
        known = self._boot is not None and meta.get("boot") == self._boot and meta.get("boot_sampled_at") == sampled_at
        if sampled_at is None or not known or not 0 <= seconds <= self._seconds():
            return StoredTimes(newest)
        return StoredTimes(newest, time_of(sampled_at), seconds / SECOND)

    def _seconds(self) -> int:
        return int(self._timer.monotonic() * SECOND)
