"""Space that the ledger holds back for a full disk: one file, given up when nothing else can be written.

With no byte free SQLite can neither begin a write-ahead log nor delete a row, so a full ledger could not even prune
itself. It is enough for a log and its index, and pruning then works inside the file.
"""

import os
from contextlib import suppress
from pathlib import Path

SPARE_BYTES = 2 * 1024 * 1024
"""A log of at most 1 MiB (`LARGEST_LOG_PAGES` in `pruning.py`), its index of 32 KiB, and some rows."""
SPARE_FACTOR = 8
"""It is made only where this many times as much is free: it must not take what others need."""


class SpareSpace:
    """The file beside a ledger; no call raises."""

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_name(ledger.name + "-spare")

    def make(self) -> None:
        """Make the file, where it is missing and its disk has plenty of space."""
        try:
            disk = os.statvfs(self._path.parent)
            if disk.f_bavail * disk.f_frsize < SPARE_FACTOR * SPARE_BYTES:
                return
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            os.posix_fallocate(file, 0, SPARE_BYTES)
        except OSError:
            self.give_up()
        finally:
            os.close(file)

    def give_up(self) -> bool:
        """Free its space; False where there was none."""
        with suppress(OSError):
            self._path.unlink()
            return True
        return False
