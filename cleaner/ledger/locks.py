"""The locks of a node: two that the daemon holds for its life, and one for each sweep.

All are locks of flock(2), which the kernel releases when a process dies; no lock file holds a process id. A second
daemon with the same state directory would spoil the ledger; one with another state directory, on the same container
runtime, would count each removal as external.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cleaner.core.errors import EnvironmentUnusableError
from cleaner.core.paths import shown

SWEEP_LOCK = "sweep.lock"
STATE_TAKEN = (
    "another cleaner runs on this node with the state in {directory}; end it (only an agent of another container "
    "runtime needs a state.path of its own)"
)
RUNTIME_TAKEN = (
    "another cleaner runs on this container runtime and holds the lock of {directory}; end it: the two would count "
    "each removal twice, and both would sweep"
)


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


class DaemonLocks:
    """The directories that a daemon locks for its life, so that a second daemon ends.

    The directories themselves are locked, which works on a read-only mount too and leaves no file. All mounts of a
    directory are one to the kernel, so two pods see each other's locks.
    """

    def __init__(self) -> None:
        self._held: list[int] = []

    def hold(self, directory: Path, problem: str) -> None:
        """Lock one directory more; EnvironmentUnusableError with this problem where another process has the lock.

        Nothing happens where the directory cannot be opened: it may not be mounted here. `{directory}` in the problem
        stands for its path.
        """
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except (OSError, ValueError):  # ValueError: a path with a null character
            return
        # To flock(2) each opening of a directory is another holder, so this process would lock itself out.
        if any(os.path.sameopenfile(descriptor, held) for held in self._held):
            os.close(descriptor)
        elif _lock(descriptor):
            self._held.append(descriptor)
        else:
            os.close(descriptor)
            raise EnvironmentUnusableError(problem.format(directory=shown(str(directory))))

    def release(self) -> None:
        """Let other processes have them."""
        while self._held:
            os.close(self._held.pop())


def _lock(descriptor: int) -> bool:
    """False where another process holds it; a filesystem without flock holds nobody back."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
