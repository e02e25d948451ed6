"""The ledger's file: opened at first use, written in whole transactions, opened again after a failure.

`LedgerFile` does not raise. Statements that cannot be written wait in a backlog, and a broken file is set aside under
another name. `error` says in one line why nothing is stored.
"""

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from cleaner.core.paths import shown
from cleaner.core.ports import Timer
from cleaner.ledger.failures import is_broken, is_out_of_space, reason_of
from cleaner.ledger.place import no_file
from cleaner.ledger.queries import shift_times
from cleaner.ledger.rows import Shift, Statement, micros
from cleaner.ledger.schema import BrokenLedgerError, UnusableLedgerError, check, check_whole, prepare, require_own_file
from cleaner.ledger.setting_aside import set_aside
from cleaner.ledger.spare_space import SpareSpace

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
GIVES_SPACE_BACK = "PRAGMA auto_vacuum = INCREMENTAL"
"""Of effect before the first table only; in a file with tables it would be a write at each opening."""
_UNUSABLE = (sqlite3.Error, ArithmeticError, TypeError, ValueError)
"""Also a row that somebody wrote by hand, which cannot be understood."""


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
        self._spare = SpareSpace(path)

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
            self._connection = self._connect()
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
            result = self._commit(self._connection, lambda connection: self._carry_out_all(connection, work))
        except _UNUSABLE as error:
            self._fail(error)
            return None
        self._backlog.clear()
        return result

    def attempt(self, work: Callable[[sqlite3.Connection], _T], *, in_transaction: bool = True) -> _T | None:
        """`work` without the backlog, in a transaction of its own; None where it failed, which only it suffers from."""
        if self._connection is None:
            return None
        try:
            return self._commit(self._connection, work) if in_transaction else work(self._connection)
        except _UNUSABLE as error:
            if is_broken(error):
                self._fail(error)
            else:
                _roll_back(self._connection)
            return None

    def make_spare_space(self) -> None:
        """Hold space back for a full disk, where that is not so already."""
        if self._writable:
            self._spare.make()

    def _commit(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """`work` in one transaction; once more with the spare space where the disk is full."""
        try:
            return _in_transaction(connection, work)
        except sqlite3.Error as error:
            if not (is_out_of_space(error) and self._spare.give_up()):
                raise
        _roll_back(connection)
        return _in_transaction(connection, work)

    def _carry_out_all(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Carry out the backlog, then `work`."""
        for waits in self._backlog:
            self._carry_out(connection, waits)
        return work(connection)

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

    def _connect(self) -> sqlite3.Connection:
        """Connect; to write, once more with the spare space where the disk is full."""
        if not self._writable:
            return self._connect_to_read()
        try:
            return self._connect_to_write()
        except (sqlite3.Error, OSError) as error:
            if not (is_out_of_space(error) and self._spare.give_up()):
                raise
        return self._connect_to_write()

    def _connect_to_write(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        found = self._require_file()
        self._inode, is_new = found.st_ino, found.st_size == 0
        self._spare.require_room()
        connection = self._connect_by("mode=rw")
        try:
            require_own_file(connection)
            if is_new:
                connection.execute(GIVES_SPACE_BACK)
            for pragma in PRAGMAS:
                connection.execute(pragma)
            check_whole(connection)
            prepare(connection, micros(self._timer.now()))
            _fill_index(connection)
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
        connection = self._connect_by(mode)
        try:
            check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_by(self, mode: str) -> sqlite3.Connection:
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
            self.error = f"no ledger at {self._shown}: the daemon has not run here yet, or with another state.path"
        elif not is_broken(error):
            self.error = f"the ledger {self._shown} cannot be used: {reason_of(error)}"
        elif self._writable:
            self.error = self._set_aside(error)
        else:
            self.error = f"the ledger {self._shown} is broken ({error}); the daemon sets it aside"

    def _set_aside(self, error: Exception) -> str:
        try:
            aside = set_aside(self._path, self._inode, self._timer.now())
        except OSError as failure:
            return f"the ledger {self._shown} is broken ({error}) and cannot be moved aside: {reason_of(failure)}"
        self.aside = str(aside) if aside else self.aside
        return f"the ledger {self._shown} was broken ({error}) and is set aside; a new one begins"

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)


def _in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], _T]) -> _T:
    """Commit what `work` does, and return what it returns."""
    connection.execute("BEGIN IMMEDIATE")
    result = work(connection)
    connection.execute("COMMIT")
    return result


def _fill_index(connection: sqlite3.Connection) -> None:
    """Write the log's index now, while the disk has room for it (`spare_space.py`), with a transaction of no effect."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    try:
        _in_transaction(connection, lambda _: connection.execute(f"PRAGMA user_version = {version}"))
    except sqlite3.Error:
        # The file can still be read; the next write says why it fails.
        _roll_back(connection)


def _roll_back(connection: sqlite3.Connection) -> None:
    """Undo a transaction that failed; SQLite may have undone it already."""
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _text_of(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
