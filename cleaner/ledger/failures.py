"""What a failure of the ledger's file means: it is broken, its disk is full, or it passes; and what to do about it."""

import errno
import sqlite3

from cleaner.ledger.schema import BrokenLedgerError

_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_OUT_OF_SPACE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
"""A log's index that cannot grow on a full disk is an I/O error."""
_FREE_SPACE = "free some space on its disk"
_MAKE_WRITABLE = "give it a directory that can be written, or set state.path"
_ADVICE = {
    sqlite3.SQLITE_FULL: _FREE_SPACE,
    sqlite3.SQLITE_READONLY: _MAKE_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: _MAKE_WRITABLE,
    sqlite3.SQLITE_IOERR: "its disk is full or fails: see the kernel's log",
    sqlite3.SQLITE_BUSY: "another process has locked it",
}
_ADVICE_BY_ERRNO = {
    errno.ENOSPC: _FREE_SPACE,
    errno.ENOENT: "its path is a link that leads nowhere: correct it, or set state.path",
} | dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST), _MAKE_WRITABLE)


def is_broken(error: Exception) -> bool:
    """A disk that is full, locked, read-only or failing breaks no file."""
    return isinstance(error, BrokenLedgerError) or (isinstance(error, sqlite3.Error) and _code_of(error) in _BROKEN)


def is_out_of_space(error: Exception) -> bool:
    """Whether freeing some space may help."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC
    return isinstance(error, sqlite3.Error) and _code_of(error) in _OUT_OF_SPACE


def _code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where Python's own module raised it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def reason_of(error: Exception) -> str:
    """What the system says, and what to do about it."""
    reason, advice = str(error), None
    if isinstance(error, OSError):
        reason, advice = error.strerror or reason, _ADVICE_BY_ERRNO.get(error.errno or 0)
    elif isinstance(error, sqlite3.Error):
        advice = _ADVICE.get(_code_of(error))
    return f"{reason}; {advice}" if advice else reason
