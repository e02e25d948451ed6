"""Whether there can ever be a ledger at a path; what only fails today is reported by `file.py`, and may pass."""

import errno
import os
import stat
from pathlib import Path

from cleaner.core.errors import EnvironmentUnusableError
from cleaner.core.paths import impossible_in_database, shown

_PERMANENT = frozenset({errno.ENAMETOOLONG, errno.ELOOP})
_ADVICE = "set another state.path"


def require_place(path: Path) -> None:
    """EnvironmentUnusableError where no ledger can be at a path, whatever becomes of permissions, mounts and space.

    Something there that is no file counts: as a broken ledger, a device or pipe would be read and moved aside.
    """
    problem = _problem_of(path)
    if problem:
        raise EnvironmentUnusableError(f"state.path: {shown(str(path))} {problem}; {_ADVICE}")


def no_file(mode: int) -> str | None:
    """What is there in place of a file, in words that continue its path; None for a file."""
    if stat.S_ISREG(mode):
        return None
    return "is a directory" if stat.S_ISDIR(mode) else "is no file, but a device, pipe or socket"


def _problem_of(path: Path) -> str | None:
    try:
        problem = no_file(path.stat().st_mode)
    except OSError as error:
        problem = f"cannot be used ({error.strerror})" if error.errno in _PERMANENT else None
    if problem:
        return problem
    # SQLite follows links before it opens a file, and its limit holds for what they lead to.
    real = os.path.realpath(path)
    impossible = impossible_in_database(real)
    return f"leads to {shown(real)}, which {impossible}" if impossible else None
