"""Remove labs, retry those still in use, and report why they remain.

A disk cannot be detached while a foreign process uses it: an open file or a working directory keeps it busy, also in a
mount namespace of its own. The lab cannot end such processes. So it reports what it cannot remove yet and leaves it in
its folder. The next lab, the end of a test run or `make reap` removes it.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.claim import list_abandoned
from lab.cleanup import clean_up
from lab.config import Folders
from lab.errors import LabError


@dataclass
class Late:
    """A lab that could not be removed when it ended."""

    folder: Path
    reason: str
    """Why the last attempt failed."""
    removed_after_seconds: float | None = None
    """None until it is removed."""


class Leftovers:
    """The labs that this process could not remove at once."""

    def __init__(self, patience_seconds: float = 10.0) -> None:
        """Set how long to wait for what is released by itself: a killed process's files close after it exits."""
        self.patience_seconds = patience_seconds
        self._late: dict[Path, tuple[float, Late]] = {}
        self.reaped: list[Path] = []
        """The folders that `reap` removed."""

    def remove(self, folders: Folders) -> None:
        """Remove a lab; if it is still in use, report that on stderr instead of raising."""
        self._attempt(folders, self.patience_seconds)

    def reap(self) -> list[Late]:
        """Remove labs whose process has ended; return the late ones that remain.

        A lab that already timed out gets one attempt, without waiting. All runs on a machine reap the same labs, so
        another run may hold a late one, or have removed it.
        """
        for base in list_abandoned():
            self._attempt(Folders(base), 0.0 if base in self._late else self.patience_seconds)
            if not base.exists():
                self.reaped.append(base)
        for base in list(self._late):
            if not base.exists():
                self._record_removed(base)
        return [late for late in self.late() if late.removed_after_seconds is None]

    def reap_until(self, seconds: float) -> list[Late]:
        """Reap repeatedly until nothing is left or the time is up."""
        deadline = time.monotonic() + seconds
        while (left := self.reap()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def late(self) -> Iterator[Late]:
        """Yield every lab whose removal was late, including those removed since."""
        return iter([late for _, late in self._late.values()])

    def _attempt(self, folders: Folders, seconds: float) -> None:
        try:
            clean_up(folders, seconds)
        except LabError as error:
            self._record_left(folders.base, str(error))
        else:
            self._record_removed(folders.base)

    def _record_left(self, base: Path, reason: str) -> None:
        if base not in self._late:
            sys.stderr.write(f"lab: cannot remove {base} yet, will retry: {reason}\n")
            self._late[base] = time.monotonic(), Late(base, reason)
        self._late[base][1].reason = reason

    def _record_removed(self, base: Path) -> None:
        since, late = self._late.get(base, (0.0, None))
        if late is not None and late.removed_after_seconds is None:
            late.removed_after_seconds = time.monotonic() - since


LEFTOVERS = Leftovers()
