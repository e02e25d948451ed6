"""Moves a broken ledger out of the way, so that a new one can begin and the old one can be looked at."""

import fcntl
from contextlib import suppress
from datetime import datetime
from itertools import chain, count
from pathlib import Path


def set_aside(path: Path, inode: int, now: datetime) -> Path | None:
    """Rename a broken file, its log first, to a name that nothing has; None where another process just did.

    Two processes that find it broken are kept apart by a lock on the file itself and by its inode, so that neither
    moves the new file that the other has begun. OSError where it cannot be renamed.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino != inode:
            return None
        aside = _free_name(path, f"{path.name}.broken-{now:%Y%m%dT%H%M%SZ}")
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _free_name(path: Path, name: str) -> Path:
    """The name beside `path`, with a number behind it where something has it."""
    names = chain((name,), (f"{name}-{number}" for number in count(2)))
    return next(free for free in map(path.with_name, names) if not free.exists())
