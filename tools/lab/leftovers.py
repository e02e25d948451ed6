"""Removes labs, at once or later, and says what is left of which lab and why.

A disk cannot be detached while a process that is not the lab's has it. The mount namespace of a process that was
started meanwhile holds a copy of every mount, and an open file or a shell's folder keeps one busy. Whoever ends the lab
can do nothing about that. So what cannot be removed yet is reported and left in its folder; the next lab, the end of a
test run or `python -m lab reap` removes it.
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
    why: str
    """At the last attempt."""
    removed_after_seconds: float | None = None
    """None while it is left."""


class Leftovers:
    """The labs that this process could not remove at once."""

    def __init__(self, patience_seconds: float = 10.0) -> None:
        """Wait so long for what lets go by itself: the files of a killed process close a moment after it is gone."""
        self.patience_seconds = patience_seconds
        self._late: dict[Path, tuple[float, Late]] = {}

    def remove(self, folders: Folders) -> None:
        """Remove a lab that ends; what cannot be removed yet is said on stderr, and no error."""
        self._attempt(folders, self.patience_seconds)

    def reap(self) -> list[Late]:
        """Remove the labs that nobody owns any more; return those that are still left.

        A lab that was waited for in vain before is tried once, without waiting. Another run may be at one, or have
        removed it: all runs on a machine reap the same labs.
        """
        for base in list_abandoned():
            self._attempt(Folders(base), self._seconds_for(base))
        for base in list(self._late):
            if not base.exists():
                self._note_removed(base)
        return [late for late in self if late.removed_after_seconds is None]

    def reap_with_patience(self, seconds: float) -> list[Late]:
        """The same, again and again until none is left or the time is over: for the end of a run."""
        deadline = time.monotonic() + seconds
        while (left := self.reap()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def __iter__(self) -> Iterator[Late]:
        """Yield every lab that was late, also those that are removed by now."""
        return iter([late for _, late in self._late.values()])

    def _seconds_for(self, base: Path) -> float:
        return 0.0 if base in self._late else self.patience_seconds

    def _attempt(self, folders: Folders, seconds: float) -> None:
        try:
            clean_up(folders, seconds)
        except LabError as error:
            self._note_left(folders.base, str(error))
        else:
            self._note_removed(folders.base)

    def _note_left(self, base: Path, why: str) -> None:
        if base not in self._late:
            sys.stderr.write(f"lab: {base} is left for later: {why}\n")
            self._late[base] = time.monotonic(), Late(base, why)
        self._late[base][1].why = why

    def _note_removed(self, base: Path) -> None:
        since, late = self._late.get(base, (0.0, None))
        if late is not None and late.removed_after_seconds is None:
            late.removed_after_seconds = time.monotonic() - since


LEFTOVERS = Leftovers()
