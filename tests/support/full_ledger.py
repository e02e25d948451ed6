"""A ledger with much to prune on a disk with hardly a byte free: how pruning and other writes fare there."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cleaner.ledger.file import PRAGMAS
from cleaner.ledger.ledger import SqliteLedger
from lab.disk import Ballast
from support.ledgers import A, fill_history, inspect, make_ledger, query, sweep_once
from support.values import make_image

BYTES_PER_ROW = 500
"""More than a row of `fill_history` takes, its index included."""
OLD = timedelta(days=200)
LOWERED_KEEP = timedelta(days=7)
MOST_INSPECTIONS = 2000


class MovedTimer:
    """The clocks of the machine, moved ahead by hand."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """Wall clock."""
        return datetime.now(UTC) + self._ahead

    def monotonic(self) -> float:
        """Seconds since boot."""
        return time.monotonic() + self._ahead.total_seconds()

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self._ahead += by


@dataclass
class Course:
    """What happened, inspection by inspection."""

    inspections: int = 0
    failed: int = 0
    """Inspections after which the ledger was not in use."""
    swept: list[str] = field(default_factory=list)
    """Image ids of the evictions that were stored meanwhile."""
    largest_log_bytes: int = 0
    slowest_seconds: float = 0.0
    seconds: float = 0.0


class FullLedger:
    """One on a disk of its own; `state.keep` was long, so there are `rows` old evictions."""

    def __init__(self, disk: Path, rows: int) -> None:
        self.disk, self.timer = disk, MovedTimer()
        ledger = make_ledger(disk, self.timer)
        inspect(ledger, self.timer, A)
        fill_history(disk, rows, self.timer.now() - OLD)
        ledger.close()
        self.timer.move(timedelta(days=1))

    @staticmethod
    def disk_mib(rows: int) -> int:
        """Room for them, and for a log of the same size until the disk is filled."""
        return 96 + rows * BYTES_PER_ROW // 1_000_000

    @property
    def rows(self) -> int:
        """Evictions that are stored."""
        return int(query(self.disk, "SELECT count(*) FROM eviction")[0][0])

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file of the ledger."""
        return {path.name: path.stat().st_size for path in sorted(self.disk.glob("ledger*"))}

    @contextmanager
    def lowered_keep(self, free_bytes: int, *, running: bool) -> Iterator[SqliteLedger]:
        """The ledger with a short `state.keep`; the disk is filled while it runs, or before it starts."""
        ledger = make_ledger(self.disk, self.timer, keep=LOWERED_KEEP)
        with closing(ledger):
            if running:
                ledger.open()
            fill(self.disk, free_bytes)
            yield ledger

    def prune(self, ledger: SqliteLedger) -> Course:
        """Inspect each minute, and evict one image, until all is pruned."""
        course, began = Course(), time.monotonic()
        # Nothing can be asked before the first one: on a full disk a reader cannot open the file either.
        while course.inspections == 0 or (course.inspections < MOST_INSPECTIONS and not self._is_done()):
            self.timer.move(timedelta(minutes=1))
            course.inspections += 1
            image, at = make_image(1000 + course.inspections), time.monotonic()
            inspect(ledger, self.timer, A)
            course.slowest_seconds = max(course.slowest_seconds, time.monotonic() - at)
            sweep_once(ledger, self.timer.now(), image)
            course.swept.append(image.id)
            course.failed += ledger.error is not None
            course.largest_log_bytes = max(course.largest_log_bytes, self.sizes.get("ledger.db-wal", 0))
        course.seconds = time.monotonic() - began
        return course

    def _is_done(self) -> bool:
        """Whether the day's pruning was stored as done since the begin."""
        day_ago = self.timer.now() - timedelta(hours=12)
        return bool(
            query(self.disk, "SELECT value FROM meta WHERE key = 'pruned_at'")[0][0] > day_ago.timestamp() * 1e6
        )

    def prune_at_once(self) -> tuple[int, str | None]:
        """As it was done before: one transaction. The size of the log, and what went wrong."""
        with closing(sqlite3.connect(self.disk / "ledger.db", isolation_level=None)) as connection:
            try:
                for pragma in PRAGMAS:
                    connection.execute(pragma)
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("DELETE FROM eviction WHERE at < ?", (int(self.timer.now().timestamp() * 1e6),))
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                return self.sizes.get("ledger.db-wal", 0), str(error)
            return self.sizes["ledger.db-wal"], None


def fill(disk: Path, free_bytes: int) -> None:
    """Take all but so many bytes, root's reserve included; with 0 not one block is left."""
    ballast = Ballast(disk)
    ballast.fill_completely()
    if free_bytes:
        ballast.give_back(free_bytes)
        return
    # Allocating stops at the blocks that ext4 keeps for its own needs; writing gets some of them.
    with suppress(OSError), (disk / "dregs").open("ab", buffering=0) as file:
        while True:
            file.write(bytes(1024))
