"""What the agent stores about its node, on disk: images, sweeps, evictions, nightly runs and holds.

A failing file does not stop a sweep. The ledger continues with what it has in memory, and writes events once the file
works again. Until then it does not report since when the node is watched, so nightly sweeps are suspended.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from cleaner.core.clock_trust import StoredTimes
from cleaner.core.errors import EnvironmentUnusableError
from cleaner.core.events import Event
from cleaner.core.history import ExternallyRemovedImage, NightlyRun, PastEviction
from cleaner.core.model import Image, Memory
from cleaner.core.ports import News, Timer
from cleaner.ledger.boot import Boot
from cleaner.ledger.cache import LedgerCache
from cleaner.ledger.event_rows import EventRows
from cleaner.ledger.file import LedgerFile
from cleaner.ledger.locks import RUNTIME_TAKEN, STATE_TAKEN, DaemonLocks, take_sweep_turn
from cleaner.ledger.queries import (
    evicted_in_nightly_run,
    evictions_since,
    has_news,
    last_nightly_run_of,
    observed_since,
    report_news,
)
from cleaner.ledger.removed_externally import external_removals_since
from cleaner.ledger.repulls import list_unfinished, repulls_of
from cleaner.ledger.rows import Shift, Statement, time_of

_T = TypeVar("_T")
SAMPLE_EVERY = timedelta(minutes=1)
"""How often a sample is written while nothing changes: times on disk are at most this old."""


class SqliteLedger:
    """The ledger of one node. It is an outlet too: put it before all others."""

    def __init__(  # noqa: PLR0913 - keywords, each of which says what it means
        self,
        path: Path,
        *,
        keep: timedelta,
        grace: timedelta,
        timer: Timer,
        boot: int | None = None,
        observes: bool = False,
        writable: bool = True,
        tells: bool = False,
        version: str = "",
    ) -> None:
        """Nothing is opened yet.

        `boot`: which boot of the machine this is, where that is known: seconds of `timer` are compared within it.
        `observes`: dry runs of this process are what mode observe would have done. `writable`: False for a command
        that only reads: the ledger creates and changes nothing. `tells`: whether this process reports news, which its
        own events are not; True for the daemon only. `version`: of this agent; removals that failed in another one
        do not count.
        """
        self._file = LedgerFile(path, timer, writable=writable)
        self._directory = path.parent
        self._timer = timer
        self._writable = writable
        self._tells = tells
        self._events = EventRows(told=tells)
        self._boot = Boot(timer, boot)
        self._cache = LedgerCache(grace, keep, observes=observes, version=version)
        self._clocks = self._cache.clocks
        self._loaded = 0
        """Which opening of the file was loaded last."""
        self._check_all = False
        """Whether any image may have been re-pulled while no process inspected the node."""
        self._written_at: datetime | None = None
        self._in_turn = False
        self._locks = DaemonLocks()

    @property
    def error(self) -> str | None:
        """Why nothing is kept on disk at this time; None where it is."""
        return self._file.error

    @property
    def aside(self) -> str | None:
        """Where the broken file lies that was set aside; None where none was."""
        return self._file.aside

    def open(self) -> None:
        """Open the file now rather than at first use; `error` says whether that worked."""
        self._file.open(again=True)

    def close(self) -> None:
        """Write what waits, if that works, and let go of the file and of the locks."""
        self._file.close()
        self._locks.release()

    def hold_for_life(self) -> None:
        """Lock the state directory until `close`; EnvironmentUnusableError where another daemon has it."""
        self._make_directory()
        self._locks.hold(self._directory, STATE_TAKEN)

    def hold_runtime_for_life(self, images: Path) -> None:
        """Lock the directory of the runtime's images until `close`; EnvironmentUnusableError as above.

        Two daemons with a ledger each would count each other's removals as external.
        """
        self._locks.hold(images, RUNTIME_TAKEN)

    def store_images(self, images: tuple[Image, ...], in_use: frozenset[str], now: datetime) -> Memory:
        """Store which images are there, in use, re-pulled or gone; return all that is known."""
        self._cache.watch.record_inspection(now, self._timer.monotonic())
        self._catch_up(now)
        if self._writable:
            self._file.add(self._settle(images, now))
        appeared = self._clocks.update(images, in_use, now)
        facts = self._cache.facts.update(images)
        self._recall(appeared)
        if self._writable:
            self._file.add([*facts, *self._returns(images, in_use, appeared, now)])
            self._save(images, now)
            self._prune(now)
        return self._known(now)

    def stored_times(self) -> StoredTimes | None:
        """What tells whether the wall clock is right; None where it holds no time, or cannot be read."""
        return self._read(self._boot.stored_times)

    def shift(self, offset: timedelta) -> None:
        """Apply a correction of the wall clock to all times of images, and of the watch.

        A correction that cannot be written waits in the backlog, in its place among the other statements. Until it is
        on disk the file is not used, so the ledger does not report since when the node is watched.
        """
        self._cache.shift(offset, self._timer.now())
        if not self._writable:
            return
        self._file.add([Shift.new(offset)])
        if self._file.open() and self._file.write(lambda _: True) and self._loaded == self._file.openings:
            self._load(self._timer.now())

    def last_nightly_run(self) -> NightlyRun | None:
        """The latest nightly occurrence that was dealt with."""
        self._cache.nightly_run = self._read(last_nightly_run_of) or self._cache.nightly_run
        return self._cache.nightly_run

    def evicted_since(self, occurrence: datetime) -> int | None:
        """How many images nightly sweeps evicted for an occurrence; None while it cannot be read."""
        return self._read(lambda connection: evicted_in_nightly_run(connection, occurrence))

    def news(self) -> tuple[News, ...]:
        """What happened and was not reported to the outlets yet, oldest first; each is returned once."""
        if not self._tells or not self._read(has_news):
            return ()
        return self._file.write(report_news) or ()

    @contextmanager
    def sweep_turn(self) -> Iterator[bool]:
        """A sweep's turn; False at once where another process has it. A ledger that is only read takes none."""
        if not self._writable:
            yield True
            return
        self._make_directory()
        with take_sweep_turn(self._directory) as mine:
            self._in_turn = mine
            try:
                yield mine
            finally:
                self._in_turn = False
                self._events.sweep = None

    def record(self, event: Event) -> None:
        """Store an event; it is on disk when this returns, unless the file fails."""
        statements = self._events.statements_for(event) + self._cache.apply_event(event) if self._writable else []
        if not statements:
            return
        self._file.add(statements)
        if self._file.open():
            self._file.write(lambda _: True)

    def history(self, since: datetime | None = None) -> tuple[PastEviction, ...]:
        """Evictions, newest first; EnvironmentUnusableError where they cannot be read."""
        return self._past(lambda connection: evictions_since(connection, since))

    def observed_history(self, since: datetime | None = None) -> tuple[PastEviction, ...]:
        """What mode observe would have evicted, newest first; raises as `history` does."""
        return self._past(lambda connection: observed_since(connection, since))

    def external_removal_history(self, since: datetime | None = None) -> tuple[ExternallyRemovedImage, ...]:
        """Images that were removed externally, newest first; raises as `history` does."""
        return self._past(lambda connection: external_removals_since(connection, since))

    def _past(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        past = self._file.read(work) if self._file.open(again=True) else None
        if past is None:
            raise EnvironmentUnusableError(self.error)
        return past

    def _read(self, work: Callable[[sqlite3.Connection], _T]) -> _T | None:
        return self._file.read(work) if self._file.open() else None

    def _catch_up(self, now: datetime) -> None:
        """Open what can be opened again, write what waited for that, and load what another process has written."""
        if not self._file.open(again=True):
            return
        if self._file.waiting and not self._file.write(lambda _: True):
            return
        written = self._file.is_written_by_others()
        if written or self._loaded != self._file.openings:
            self._load(now)

    def _load(self, now: datetime) -> None:
        opened = self._loaded != self._file.openings
        booted_at = self._timer.now() - timedelta(seconds=self._timer.monotonic())
        if self._read(lambda connection: self._cache.load(connection, now, booted_at, opened=opened)):
            self._loaded = self._file.openings
            self._check_all = self._check_all or opened
            self._written_at = None if opened else self._written_at

    def _settle(self, images: tuple[Image, ...], now: datetime) -> list[Statement]:
        """What a process left unfinished, unless one sweeps at this time."""
        unfinished = self._read(lambda connection: list_unfinished(connection, self._events.sweep))
        if not unfinished or not self._is_nobody_else_sweeping():
            return []
        by_id = {image.id: image for image in images}
        statements: list[Statement] = []
        for eviction in unfinished:
            image = by_id.get(eviction.image_id)
            settled = eviction.settled(image, now)
            statements += [settled] if settled else []
            if image is not None and eviction.is_pulled_again(image):
                statements.append(self._clocks.forget(image.id, now))
        if statements:
            self._cache.invalidate_regrets()
        return statements

    def _is_nobody_else_sweeping(self) -> bool:
        if self._in_turn:
            return True
        with take_sweep_turn(self._directory) as free:
            return free

    def _recall(self, appeared: frozenset[str]) -> None:
        """Restore the last use of images that are back, from before they were removed."""

        def last_uses(connection: sqlite3.Connection) -> dict[str, datetime]:
            sql = "SELECT last_used FROM image WHERE id = ? AND last_used IS NOT NULL"
            rows = ((i, connection.execute(sql, (i,)).fetchone()) for i in appeared)
            return {i: time_of(row[0]) for i, row in rows if row}

        self._clocks.merge_uses(self._read(last_uses) or {})

    def _returns(
        self, images: tuple[Image, ...], in_use: frozenset[str], appeared: frozenset[str], now: datetime
    ) -> list[Statement]:
        """Statements for re-pulled images: only for those that were not there before; after opening, for any."""
        there = frozenset(image.id for image in images) if self._check_all else appeared
        found = self._read(lambda connection: repulls_of(connection, there, now)) if there else []
        self._check_all = self._check_all and found is None
        if found:
            self._cache.invalidate_regrets()
        return [*(found or []), *self._cache.regretted(images, in_use, appeared, now)]

    def _save(self, images: tuple[Image, ...], now: datetime) -> None:
        """At once what changed, else once a minute that nothing did; a clock set back counts as a minute."""
        changes = self._clocks.changes(images)
        due = self._written_at is None or not timedelta(0) <= now - self._written_at < SAMPLE_EVERY
        due = due or self._cache.unconfirmed
        if not (due or changes.statements or self._file.waiting) or not self._file.open():
            return
        if self._file.write(lambda connection: self._cache.write(connection, changes, now, self._boot)):
            self._clocks.confirm(changes)
            self._cache.peak.reset()
            self._written_at = now
            self._file.make_spare_space()

    def _prune(self, now: datetime) -> None:
        """Delete some of the rows that are too old; not in a sweep, which a full disk waits for."""
        if not self._in_turn and self._file.open():
            self._cache.pruning.take_turn(self._file, now, self._timer.monotonic)

    def _known(self, now: datetime) -> Memory:
        monotonic = self._timer.monotonic()
        if self._cache.is_regret_stale(monotonic):
            self._read(lambda connection: self._cache.load_regrets(connection, now, monotonic))
        return self._cache.as_memory(up=self._file.open())

    def _make_directory(self) -> None:
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
