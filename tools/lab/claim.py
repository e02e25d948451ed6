"""Gives each lab a folder of its own, and finds the folders whose owners are dead.

A process id is no proof of life, since ids are used again. So an owner holds a lock, which ends with its process.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "image-cleaner-lab-"
OWNER = "owner.pid"


@contextmanager
def claim_folder() -> Iterator[Path]:
    """Make a folder that counts as alive until the block ends."""
    # The kernel lists mounts by their real path, so a symbolic link in it must be resolved.
    base = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
    with (base / f"{OWNER}.new").open("w", encoding="utf-8") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        owner.write(f"{os.getpid()}\n")
        owner.flush()
        # Locked before it has its name: no reaper ever sees it without an owner.
        (base / f"{OWNER}.new").rename(base / OWNER)
        yield base


def list_abandoned() -> Iterator[Path]:
    """Yield the folders whose owner is dead, each locked while the caller works on it.

    The lab's own tests put labs in a claimed folder. It is yielded only once those labs are removed.
    """
    yield from _list_abandoned(Path(tempfile.gettempdir()).resolve())


def _list_abandoned(parent: Path) -> Iterator[Path]:
    for path in parent.glob(f"{_PREFIX}*/{OWNER}"):
        try:
            owner = path.open("r+", encoding="utf-8")
        except OSError:
            continue
        with owner:
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            if path.exists():
                yield from _list_abandoned(path.parent)
                if not any(path.parent.glob(f"{_PREFIX}*")):
                    yield path.parent
