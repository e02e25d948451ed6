"""Ledgers in a folder of the test, and the events that fill them."""

import hashlib
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import RuntimeUnavailableError
from cleaner.core.events import EvictionEnded, EvictionStarted, SweepEnded, SweepFailed, SweepStarted
from cleaner.core.model import EvictionOutcome, EvictReason, Fault, Image, Memory, Plan, StopReason, Trigger, Verdict
from cleaner.core.ports import Timer
from cleaner.core.reclaim import Size
from cleaner.core.report import Eviction, SweepReport
from cleaner.ledger.in_memory import InMemoryLedger
from cleaner.ledger.ledger import SqliteLedger
from cleaner.ledger.rows import micros
from support.fakes import FakeTimer
from support.values import make_image

KEEP = timedelta(days=90)
GRACE = timedelta(hours=24)
USAGE = Usage("/images", 1000, 500, 0, 0, 500)
AnyLedger = SqliteLedger | InMemoryLedger
A, B, C = make_image(1), make_image(2), make_image(3)


def make_ledger(
    folder: Path,
    timer: Timer | None = None,
    *,
    keep: timedelta = KEEP,
    boot: int | None = None,
    observes: bool = False,
    writable: bool = True,
    tells: bool = False,
    version: str = "1.0.0",
) -> SqliteLedger:
    """A ledger of a file `ledger.db`; a clock that no test moves stands at NOON."""
    return SqliteLedger(
        folder / "ledger.db",
        keep=keep,
        grace=GRACE,
        timer=timer or FakeTimer(),
        boot=boot,
        observes=observes,
        writable=writable,
        tells=tells,
        version=version,
    )


def inspect(ledger: AnyLedger, timer: Timer, *images: Image, used: Iterable[Image] = ()) -> Memory:
    """Store one inspection of a node at this time."""
    return ledger.store_images(images, frozenset(image.id for image in used), timer.now())


def query(folder: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What the file holds, by a connection of its own; a change is committed."""
    connection = sqlite3.connect(folder / "ledger.db")
    try:
        with connection:
            return connection.execute(sql, parameters).fetchall()
    finally:
        connection.close()


def fill_history(folder: Path, rows: int, at: datetime) -> None:
    """Evictions of that time as an agent stores them, 200 in each sweep; other processes may have the file open."""
    begin, sql = (
        micros(at),
        """INSERT INTO eviction (sweep, image_id, refs, trigger, reason, outcome, began_at, at)
        VALUES (?, ?, ?, 'nightly', 'expired', 'evicted', ?, ?)""",
    )
    connection = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    for first in range(0, rows, 5000):
        connection.execute("BEGIN")
        connection.executemany(sql, (_eviction_row(n, begin) for n in range(first, min(first + 5000, rows))))
        connection.execute("COMMIT")
    connection.close()


def _eviction_row(number: int, at: int) -> tuple[str, str, str, int, int]:
    """Ids as random as real ones."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    reference = f'["registry.example.com/team/app:v{number}"]'
    return f"{number // 200:08}-nightly", f"sha256:{digest}", reference, at + number, at + number


def make_verdict(image: Image, *, rule: str | None = "company", reclaimable: int | None = 700) -> Verdict:
    return Verdict(
        image,
        EvictReason.EXPIRED,
        rule,
        created_at=image.created_at,
        pulled_at=image.pulled_at,
        reclaimable=None if reclaimable is None else Size(reclaimable, 1),
    )


def start_sweep(
    ledger: SqliteLedger, at: datetime, trigger: Trigger = Trigger.NIGHTLY, *, dry_run: bool = False
) -> None:
    ledger.record(SweepStarted(Plan(trigger, (), ()), USAGE, at, dry_run))


def make_eviction(image: Image, outcome: EvictionOutcome = EvictionOutcome.EVICTED, rule: str = "company") -> Eviction:
    evicted = outcome is EvictionOutcome.EVICTED
    return Eviction(
        make_verdict(image, rule=rule),
        outcome,
        error=None if evicted or outcome is EvictionOutcome.PLANNED else "why not",
        estimated_bytes=None if outcome in (EvictionOutcome.FAILED, EvictionOutcome.SPARED) else 700,
        reclaimed_bytes=600 if evicted else None,
    )


def start_eviction(
    ledger: AnyLedger, image: Image, at: datetime, trigger: Trigger = Trigger.NIGHTLY, rule: str = "company"
) -> None:
    ledger.record(EvictionStarted(trigger, make_verdict(image, rule=rule), at))


def evict(
    ledger: AnyLedger,
    image: Image,
    at: datetime,
    outcome: EvictionOutcome = EvictionOutcome.EVICTED,
    *,
    rule: str = "company",
    trigger: Trigger = Trigger.NIGHTLY,
) -> None:
    """From its start to its end."""
    start_eviction(ledger, image, at, trigger, rule)
    ledger.record(EvictionEnded(trigger, make_eviction(image, outcome, rule), at))


def fail_removal(
    ledger: AnyLedger,
    image: Image,
    at: datetime,
    *,
    fault: Fault | None = Fault.IMAGE,
    outcome: EvictionOutcome = EvictionOutcome.FAILED,
) -> None:
    """An eviction that fails, by default through a fault of the image."""
    start_eviction(ledger, image, at)
    ledger.record(EvictionEnded(Trigger.NIGHTLY, replace(make_eviction(image, outcome), fault=fault), at))


def make_report(
    at: datetime,
    *evictions: Eviction,
    dry_run: bool = False,
    trigger: Trigger = Trigger.NIGHTLY,
    stop_reason: StopReason = StopReason.DONE,
) -> SweepReport:
    return SweepReport(
        trigger=trigger,
        dry_run=dry_run,
        started_at=at,
        duration_seconds=2.5,
        filesystem_before=USAGE,
        filesystem_after=USAGE,
        stop_reason=stop_reason,
        evictions=evictions,
        plan=None,
        not_reached=0,
        low_watermark_met=False,
    )


def end_sweep(
    ledger: SqliteLedger, at: datetime, trigger: Trigger = Trigger.NIGHTLY, stop_reason: StopReason = StopReason.DONE
) -> None:
    ledger.record(SweepEnded(make_report(at, trigger=trigger, stop_reason=stop_reason), at))


def fail_sweep(ledger: SqliteLedger, at: datetime, trigger: Trigger = Trigger.NIGHTLY) -> None:
    ledger.record(SweepFailed(trigger, RuntimeUnavailableError("away"), 5.0, at))


def sweep_once(ledger: SqliteLedger, at: datetime, *images: Image, trigger: Trigger = Trigger.NIGHTLY) -> None:
    """A whole sweep that evicts these images."""
    start_sweep(ledger, at, trigger)
    for image in images:
        evict(ledger, image, at, trigger=trigger)
    end_sweep(ledger, at, trigger)


def observe_sweep(ledger: SqliteLedger, at: datetime, *images: Image) -> None:
    """A sweep of mode observe that would have evicted these images."""
    start_sweep(ledger, at, dry_run=True)
    planned = [make_eviction(image, EvictionOutcome.PLANNED) for image in images]
    ledger.record(SweepEnded(make_report(at, *planned, dry_run=True), at))


def pulled_at(image: Image, at: datetime) -> Image:
    """The same image, pulled again."""
    return Image(image.id, image.tags, image.digests, image.size_bytes, created_at=image.created_at, pulled_at=at)
