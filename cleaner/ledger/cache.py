"""What a process has in memory of the ledger: loaded from the file, kept up to date, and used while the file fails.

It must not open or lock the file, see `file.py` and `locks.py`: it is handed a connection.
"""

import sqlite3
from datetime import datetime, timedelta

from cleaner.core.events import Checked, Event, EvictionEnded, NightlyRunEnded, RuleOnHold, SweepEnded
from cleaner.core.history import NightlyRun
from cleaner.core.model import EvictionOutcome, Image, Memory
from cleaner.core.regret import Regret
from cleaner.ledger.boot import Boot
from cleaner.ledger.eviction_rows import observed_eviction
from cleaner.ledger.image_facts import ImageFacts, is_failure_of_image
from cleaner.ledger.image_times import Changes, ImageTimes
from cleaner.ledger.pruning import Pruning
from cleaner.ledger.queries import holds_of, regrets_of
from cleaner.ledger.removed_externally import PeakUsage, is_unconfirmed, store_external_removals
from cleaner.ledger.repulls import list_observed, observed_regrets
from cleaner.ledger.rows import Statement, micros, time_of
from cleaner.ledger.watch_history import WatchHistory

REGRETS_EVERY_SECONDS = 600.0


class LedgerCache:
    """All of a node that is not read from the file each time."""

    def __init__(self, grace: timedelta, keep: timedelta, *, observes: bool, version: str) -> None:
        self.clocks = ImageTimes()
        self.facts = ImageFacts(version)
        self.watch = WatchHistory(grace)
        self.nightly_run: NightlyRun | None = None
        self.observed: dict[str, int] = {}
        """By image id: when mode observe would have evicted it; without images that were used or re-pulled since."""
        self.unconfirmed = False
        """Whether an image is missing that the next inspection may find again."""
        self.pruning = Pruning(keep)
        self.peak = PeakUsage()
        """Measured since the last sample."""
        self._observes = observes
        self._on_hold_until: dict[str, datetime] = {}
        self._regrets: dict[str, Regret] = {}
        self._regrets_at: float | None = None

    def load(self, connection: sqlite3.Connection, now: datetime, booted_at: datetime, *, opened: bool) -> bool:
        """Take over what is on disk: after opening the file, or because another process has written."""
        rows = connection.execute("SELECT key, value FROM meta WHERE key <> 'readable_from'")
        meta = {key: time_of(value) for key, value in rows}
        first_inspection = self.watch.first_inspection if opened and self.clocks.updated else None
        self.clocks.load(connection, meta.get("sampled_at"), first_inspection)
        self.facts.load(connection, opened=opened)
        self.watch.load(meta, now, booted_at)
        self.observed = list_observed(connection) if self._observes else {}
        self.pruning.load(meta.get("pruned_at"))
        self._on_hold_until = holds_of(connection)
        self.unconfirmed = is_unconfirmed(connection)
        self.invalidate_regrets()
        return True

    def write(self, connection: sqlite3.Connection, changes: Changes, now: datetime, boot: Boot) -> bool:
        """Write a sample: what changed, and the time of the inspection by both clocks."""
        self.unconfirmed = store_external_removals(connection, changes, self.peak.percent, now)
        for sql, parameters in changes.statements:
            connection.execute(sql, parameters)
        meta = {"sampled_at": now, "since": self.watch.since or now, "installed_at": self.watch.installed_at or now}
        connection.executemany(
            "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [*((key, micros(at)) for key, at in meta.items()), *boot.sample_meta(micros(now)).items()],
        )
        return True

    def apply_event(self, event: Event) -> list[Statement]:
        """What an event changes here, and of the images on disk."""
        match event:
            case Checked() if event.usage is not None:
                self.peak.add_measurement(event.usage.used_percent)
            case EvictionEnded() if event.eviction.outcome is EvictionOutcome.EVICTED:
                self.invalidate_regrets()
                image_id = event.eviction.verdict.image.id
                return [self.clocks.forget(image_id, event.at), *self.facts.forget(image_id)]
            case EvictionEnded() if is_failure_of_image(event):
                return [self.facts.record_failure(event)]
            case NightlyRunEnded():
                self.nightly_run = event.nightly_run
            case SweepEnded() if self._observes and event.report.dry_run:
                return self._observe(event)
            case RuleOnHold():
                self._on_hold_until = self._on_hold_until | {event.rule: event.until}
                self.invalidate_regrets()
            case _:
                pass
        return []

    def _observe(self, event: SweepEnded) -> list[Statement]:
        """Statements for the images that this dry run would have evicted for the first time."""
        report, at = event.report, event.ended_at
        planned = [e for e in report.evictions if e.outcome is EvictionOutcome.PLANNED]
        new = [e for e in planned if e.verdict.image.id not in self.observed]
        self.observed |= {eviction.verdict.image.id: micros(at) for eviction in new}
        return [observed_eviction(eviction, report.trigger, at) for eviction in new]

    def regretted(
        self, images: tuple[Image, ...], in_use: frozenset[str], appeared: frozenset[str], now: datetime
    ) -> list[Statement]:
        """Statements for the observed images that were used or re-pulled since; each image once."""
        regretted = observed_regrets(self.observed, images, in_use, appeared, now) if self.observed else {}
        self.observed = {image_id: at for image_id, at in self.observed.items() if image_id not in regretted}
        return list(regretted.values())

    def shift(self, offset: timedelta, latest: datetime) -> None:
        """Move what the wall clock said before it was set, nothing beyond `latest`."""
        self.clocks.shift(offset, latest)
        self.facts.shift(offset, latest)
        self.watch.shift(offset, latest)

    def invalidate_regrets(self) -> None:
        """Something happened that they depend on."""
        self._regrets_at = None

    def is_regret_stale(self, monotonic: float) -> bool:
        """Whether they are to be counted again: in any case every 10 minutes, since a week moves on."""
        return self._regrets_at is None or monotonic - self._regrets_at >= REGRETS_EVERY_SECONDS

    def load_regrets(self, connection: sqlite3.Connection, now: datetime, monotonic: float) -> None:
        """Count them again."""
        self._regrets = regrets_of(connection, now)
        self._regrets_at = monotonic

    def as_memory(self, *, up: bool) -> Memory:
        """All that is known, as a value that does not change any more; `up`: whether the file works."""
        return Memory(
            since=self.watch.since if up else None,
            first_seen_at=dict(self.clocks.first_seen),
            last_used_at=dict(self.clocks.last_used),
            installed_at=self.watch.installed_at,
            on_hold_until=self._on_hold_until,
            regrets=self._regrets,
            imported=self.facts.imported,
            removal_failures=self.facts.failures,
        )
