"""Space that the ledger holds back for a full disk: one file, given up when nothing else can be written.

With no byte free SQLite can neither begin a write-ahead log nor delete a row, so a full ledger could not even prune
itself. It is enough for a log and its index, and pruning then works inside the file.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

SPARE_BYTES = 2 * 1024 * 1024
"""A log of at most 1 MiB (`LARGEST_LOG_PAGES` in `pruning.py`), its index of 32 KiB, and some rows."""
INDEX_BYTES = 64 * 1024
"""The log's index has 32 KiB, in blocks of any size."""
SPARE_FACTOR = 8
"""It is made only where this many times as much is free: it must not take what others need."""


class SpareSpace:
    """The file beside a ledger; no call raises."""

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_name(ledger.name + "-spare")
        self._probe = ledger.with_name(ledger.name + "-probe")
        self._index = ledger.with_name(ledger.name + "-shm")

    @property
    def is_there(self) -> bool:
        """Whether all of it is held back."""
        try:
            return self._path.stat().st_blocks * 512 >= SPARE_BYTES
        except OSError:
            return False

    def make(self) -> None:
        """Make the file, where it is missing or a killed process left it short, and its disk has plenty of space."""
        try:
            if self.is_there:
                return
            disk = os.statvfs(self._path.parent)
            if disk.f_bavail * disk.f_frsize < SPARE_FACTOR * SPARE_BYTES:
                return
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            os.posix_fallocate(file, 0, SPARE_BYTES)
        except OSError:
            self.give_up()
        finally:
            os.close(file)

    def require_room(self) -> None:
        """OSError where the disk has no room for the log's index, even without the spare space.

        SQLite maps the index into memory. On a filesystem with blocks of 1 KiB it has holes at first, and writing to
        one on a full disk ends the process (SIGBUS). An index that is there has been written already.
        """
        if self._index.exists():
            return
        try:
            self._take_room()
        except OSError as error:
            if error.errno != errno.ENOSPC or not self.give_up():
                raise
            self._take_room()

    def _take_room(self) -> None:
        """Write the bytes of an index for a moment; allocated space may not be there when it is written."""
        try:
            self._probe.write_bytes(bytes(INDEX_BYTES))
        finally:
            self._probe.unlink(missing_ok=True)

    def give_up(self) -> bool:
        """Free its space; False where there was none."""
        with suppress(OSError):
            self._path.unlink()
            return True
        return False


def lacks_space(ledger: Path) -> bool:
    """Whether a write to this ledger may fail: its disk has less than the spare space free, and none is held back."""
    try:
        disk = os.statvfs(ledger.parent)
        # Not what root may use beyond that: ext4 keeps some of it for itself, and counts it as free.
        return disk.f_bavail * disk.f_frsize < SPARE_BYTES and not SpareSpace(ledger).is_there
    except (OSError, ValueError):
        return False
