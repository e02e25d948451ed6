"""The two locks of a node: one that the daemon holds for its life, and one for each sweep.

Both are locks of flock(2), which the kernel releases when a process dies; no lock file holds a process id.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cleaner.core.errors import EnvironmentUnusableError
from cleaner.core.paths import shown

SWEEP_LOCK = "sweep.lock"


@contextmanager
def take_sweep_turn(directory: Path) -> Iterator[bool]:
    """A sweep's turn: False at once where another process has it; it ends with the block, or with the process.

    True also where no lock can be made (read-only, no directory, no inode left): a sweep must not depend on it, since
    every removal has its own final check.
    """
    try:
        lock = os.open(directory / SWEEP_LOCK, os.O_RDONLY | os.O_CREAT, 0o600)
    except OSError:
        yield True
        return
    try:
        yield _lock(lock)
    finally:
        os.close(lock)


def hold_for_life(directory: Path) -> int | None:
    """Lock the state directory itself, which also works on a read-only one; gives what to close to let go of it.

    EnvironmentUnusableError where another process holds it. None where there is nothing to lock.
    """
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    if _lock(lock):
        return lock
    os.close(lock)
    raise EnvironmentUnusableError(
        f"another cleaner runs on this node with the state in {shown(str(directory))}; end it, or give this one a "
        f"state.path of its own"
    )


def _lock(descriptor: int) -> bool:
    """False where another process holds it; a filesystem without flock holds nobody back."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
