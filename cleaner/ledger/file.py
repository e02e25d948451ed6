"""The ledger's file: opened at first use, written in whole transactions, opened again after a failure.

`LedgerFile` does not raise. Statements that cannot be written wait in a backlog, and a broken file is set aside under
another name. `error` says in one line why nothing is stored.
"""

import errno
import fcntl
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import TypeVar

from cleaner.core.paths import shown
from cleaner.core.ports import Timer
from cleaner.ledger.place import no_file
from cleaner.ledger.queries import shift_times
from cleaner.ledger.rows import Shift, Statement, micros
from cleaner.ledger.schema import BrokenLedgerError, UnusableLedgerError, check, check_whole, prepare, require_own_file

_T = TypeVar("_T")

BUSY_SECONDS = 3.0
"""How long to wait for a lock of another process: the daemon's loop must not hang."""
BACKLOG = 5000
"""Statements that wait at most; beyond, the oldest are given up, but no correction of the clock."""
PRAGMAS: tuple[str, ...] = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -256",
    "PRAGMA wal_autocheckpoint = 100",
    "PRAGMA journal_size_limit = 1048576",
    "PRAGMA temp_store = MEMORY",
)
_UNUSABLE = (sqlite3.Error, ArithmeticError, TypeError, ValueError)
"""Also a row that somebody wrote by hand, which cannot be understood."""
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
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


class LedgerFile:
    """One SQLite file. Not opened before it is used."""

    def __init__(self, path: Path, timer: Timer, *, writable: bool) -> None:
        """`writable`: whether it may be made, changed and set aside; else it is only read."""
        self.error: str | None = None
        self.aside: str | None = None
        self.openings = 0
        self._path = path
        self._shown = shown(str(path))
        self._timer = timer
        self._writable = writable
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._data_version = 0
        self._backlog: deque[Statement | Shift] = deque()

    @property
    def waiting(self) -> int:
        """How many statements are not on disk yet."""
        return len(self._backlog)

    def open(self, *, again: bool = False) -> bool:
        """Whether the file can be used; one that failed before, or was moved meanwhile, is only opened `again`."""
        if again and self._connection is not None and self._writable and self._is_moved():
            self._disconnect()
        elif self._connection is None and (again or self.error is None):
            pass
        else:
            return self._connection is not None
        try:
            self._connection = self._connect_to_write() if self._writable else self._connect_to_read()
        except (sqlite3.Error, OSError, BrokenLedgerError, UnusableLedgerError) as error:
            self._fail(error)
            return False
        self.error = None
        self.openings += 1
        return True

    def is_written_by_others(self) -> bool:
        """Whether another process has written since this was last asked."""
        version = self.read(lambda connection: int(connection.execute("PRAGMA data_version").fetchone()[0]))
        before, self._data_version = self._data_version, version or 0
        return version is not None and version != before

    def add(self, statements: Iterable[Statement | Shift]) -> None:
        """Keep statements until the next write that works, in order: a shift moves what stands before it only."""
        self._backlog.extend(statements)
        while len(self._backlog) > BACKLOG:
            oldest = (position for position, waits in enumerate(self._backlog) if not isinstance(waits, Shift))
            del self._backlog[next(oldest, 0)]

    def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T | None:
        """The backlog, then `work`, in one transaction; None where it failed, and then all of it is undone."""
        if self._connection is None:
            return None
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for waits in self._backlog:
                self._carry_out(self._connection, waits)
            result = work(self._connection)
            self._connection.execute("COMMIT")
        except _UNUSABLE as error:
            self._fail(error)
            return None
        self._backlog.clear()
        return result

    def _carry_out(self, connection: sqlite3.Connection, waits: Statement | Shift) -> None:
        """Execute a statement; a shift moves times up to now, since other processes may have stored some meanwhile."""
        if isinstance(waits, Shift):
            shift_times(connection, waits, self._timer.now())
        else:
            connection.execute(*waits)

    def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T | None:
        """What `work` finds; None where it failed."""
        if self._connection is None:
            return None
        try:
            return work(self._connection)
        except _UNUSABLE as error:
            self._fail(error)
            return None

    def close(self) -> None:
        """Write what waits, if that works now, and let go of the file."""
        if self._backlog and self.open(again=True):
            self.write(lambda _: None)
        self._disconnect()

    def _disconnect(self) -> None:
        """What was not committed is undone."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _is_moved(self) -> bool:
        """Whether another file, or none, lies where it was opened: what is written to it would be lost."""
        try:
            return self._path.stat().st_ino != self._inode
        except OSError:
            return True

    def _connect_to_write(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        self._inode = self._require_file().st_ino
        connection = self._connect("mode=rw")
        try:
            require_own_file(connection)
            for pragma in PRAGMAS:
                connection.execute(pragma)
            check_whole(connection)
            prepare(connection, micros(self._timer.now()))
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_to_read(self) -> sqlite3.Connection:
        """Without a write-ahead log nobody has it open: as immutable then, so that not even a -shm is made."""
        self._require_file()
        if not self._beside("-wal").exists():
            return self._connect_unchanged("immutable=1")
        try:
            return self._connect_unchanged("mode=ro")
        except sqlite3.OperationalError:
            return self._connect_unchanged("immutable=1")

    def _require_file(self) -> os.stat_result:
        """UnusableLedgerError for a directory, and for a device or pipe, which must not be read or moved aside."""
        found = self._path.stat()
        if problem := no_file(found.st_mode):
            raise UnusableLedgerError(f"it {problem}; set another state.path")
        return found

    def _connect_unchanged(self, mode: str) -> sqlite3.Connection:
        connection = self._connect(mode)
        try:
            check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?{mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        connection.text_factory = _text_of
        return connection

    def _fail(self, error: Exception) -> None:
        """Say why, once disconnected; a broken file makes room for a new one."""
        self._disconnect()
        if isinstance(error, UnusableLedgerError):
            self.error = f"the ledger {self._shown} is not used: {error}"
        elif isinstance(error, FileNotFoundError) and not self._writable:
            self.error = f"no ledger at {self._shown}: the daemon writes it; see state.path"
        elif not _is_broken(error):
            self.error = f"the ledger {self._shown} cannot be used: {_reason_of(error)}"
        elif self._writable:
            self.error = self._set_aside(error)
        else:
            self.error = f"the ledger {self._shown} is broken ({error}); the daemon sets it aside"

    def _set_aside(self, error: Exception) -> str:
        try:
            aside = set_aside(self._path, self._inode, self._timer.now())
        except OSError as failure:
            return f"the ledger {self._shown} is broken ({error}) and cannot be moved aside: {_reason_of(failure)}"
        self.aside = str(aside) if aside else self.aside
        return f"the ledger {self._shown} was broken ({error}) and is set aside; a new one begins"

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)


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


def _is_broken(error: Exception) -> bool:
    """A disk that is full, locked, read-only or failing breaks no file."""
    return isinstance(error, BrokenLedgerError) or (isinstance(error, sqlite3.Error) and _code_of(error) in _BROKEN)


def _code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where Python's own module raised it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _reason_of(error: Exception) -> str:
    """What the system says, and what to do about it."""
    reason, advice = str(error), None
    if isinstance(error, OSError):
        reason, advice = error.strerror or reason, _ADVICE_BY_ERRNO.get(error.errno or 0)
    elif isinstance(error, sqlite3.Error):
        advice = _ADVICE.get(_code_of(error))
    return f"{reason}; {advice}" if advice else reason


def _text_of(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
