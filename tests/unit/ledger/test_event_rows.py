"""What the ledger keeps of events, and what it tells of those that no outlet saw."""

from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.core.clock_trust import StoredTimes
from cleaner.core.errors import RuntimeUnavailableError
from cleaner.core.events import (
    DaemonStopped,
    EvictionEnded,
    EvictionObserved,
    EvictionRegretted,
    EvictionStarted,
    ForeignEviction,
    ForeignSweep,
    NightlyRunEnded,
    RuleOnHold,
    SweepEnded,
    SweepFailed,
)
from cleaner.core.history import NightlyRun, PastSweep
from cleaner.core.model import EvictionOutcome, Image, StopReason, Trigger
from cleaner.core.regret import Regret
from cleaner.ledger.event_rows import EventRows
from cleaner.ledger.rows import micros
from support.fakes import NOON, FakeTimer
from support.ledgers import (
    A,
    B,
    C,
    end_sweep,
    evict,
    fail_sweep,
    inspect,
    make_eviction,
    make_ledger,
    make_report,
    make_verdict,
    observe_sweep,
    query,
    start_eviction,
    start_sweep,
    sweep_once,
)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def test_an_eviction_is_on_disk_before_the_runtime_is_asked(tmp_path: Path) -> None:
    """What is under way is pending, with its estimated bytes; it is no history yet."""
    ledger = make_ledger(tmp_path)
    start_sweep(ledger, NOON)
    start_eviction(ledger, A, NOON)
    rows = query(tmp_path, "SELECT outcome, estimated_bytes, reclaimed_bytes, began_at FROM eviction")
    assert rows == [("pending", 700, None, micros(NOON))]
    assert ledger.history() == ()
    ledger.close()


def test_an_evictions_end_is_history(tmp_path: Path) -> None:
    """All that is known of it can be read again."""
    ledger = make_ledger(tmp_path)
    evict(ledger, A, NOON, trigger=Trigger.PRESSURE)
    (past,) = ledger.history()
    ledger.close()
    assert (past.image_id, past.references, past.trigger) == (A.id, A.references, Trigger.PRESSURE)
    assert (past.reason, past.rule, past.outcome, past.error) == ("expired", "company", EvictionOutcome.EVICTED, None)
    assert (past.at, past.created_at, past.pulled_at, past.last_used_at) == (NOON, A.created_at, A.pulled_at, None)
    assert (past.estimated_bytes, past.reclaimed_bytes, past.regretted_at, past.regretted_by) == (700, 600, None, None)


@pytest.mark.parametrize("outcome", [EvictionOutcome.FAILED, EvictionOutcome.SPARED])
def test_what_was_not_evicted_keeps_its_row(tmp_path: Path, outcome: EvictionOutcome) -> None:
    """With its reason and its estimated bytes; the image is still there."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    timer.move(hours=1)
    evict(ledger, A, timer.now(), outcome)
    (past,) = ledger.history()
    assert (past.outcome, past.error, past.estimated_bytes, past.reclaimed_bytes) == (outcome, "why not", 700, None)
    assert inspect(ledger, timer, A).first_seen_at == {A.id: NOON}
    ledger.close()


def test_the_end_alone_is_enough(tmp_path: Path) -> None:
    """An end whose beginning was given up is a whole row."""
    ledger = make_ledger(tmp_path)
    ledger.record(EvictionEnded(Trigger.MANUAL, make_eviction(A), NOON))
    assert [past.image_id for past in ledger.history()] == [A.id]
    ledger.close()


def test_values_that_do_not_fit_are_cut(tmp_path: Path) -> None:
    """Sizes beyond 63 bits and text that is no UTF-8 do not stop what comes after them."""
    ledger = make_ledger(tmp_path)
    odd = Image("odd", (f"registry.io/{chr(0xD800)}",), size_bytes=2**64 - 1)
    ledger.record(EvictionStarted(Trigger.MANUAL, make_verdict(odd, rule=chr(0xDFFF), reclaimable=None), NOON))
    evict(ledger, odd, NOON)
    (past,) = ledger.history()
    ledger.close()
    assert (past.size_bytes, past.references, past.rule) == (2**63 - 1, odd.tags, "?")
    assert past.estimated_bytes == 700


def test_sweeps_are_kept(tmp_path: Path) -> None:
    """From their beginning; with their end once that is known."""
    ledger = make_ledger(tmp_path)
    start_sweep(ledger, NOON)
    assert query(tmp_path, "SELECT trigger, started_at, ended_at FROM sweep") == [("nightly", micros(NOON), None)]
    ledger.record(SweepEnded(make_report(NOON, make_eviction(A)), NOON + SECOND))
    rows = query(tmp_path, "SELECT ended_at, duration_seconds, stop_reason, reclaimed_bytes, told FROM sweep")
    assert rows == [(micros(NOON + SECOND), 2.5, "done", 600, 0)]
    ledger.close()


def test_what_did_nothing_is_not_kept(tmp_path: Path) -> None:
    """A dry run, a sweep that was not needed, and events that are no sweep's leave no row and make no file."""
    ledger = make_ledger(tmp_path)
    end_sweep(ledger, NOON, stop_reason=StopReason.NOT_NEEDED)
    observe_sweep(ledger, NOON, A)
    ledger.record(DaemonStopped())
    ledger.close()
    assert not (tmp_path / "ledger.db").exists()


def test_a_failed_sweep_is_kept(tmp_path: Path) -> None:
    """It has no reason to stop; one that failed before it began has a row only where the daemon is to be told."""
    manual, daemon = make_ledger(tmp_path), make_ledger(tmp_path, tells=True)
    fail_sweep(manual, NOON)
    fail_sweep(daemon, NOON)
    start_sweep(daemon, NOON)
    fail_sweep(daemon, NOON + 3 * SECOND)
    rows = query(tmp_path, "SELECT started_at, ended_at, duration_seconds, stop_reason, told FROM sweep ORDER BY 2")
    assert rows == [
        (micros(NOON), micros(NOON), 0.0, None, 0),
        (micros(NOON), micros(NOON + 3 * SECOND), 3.0, None, 1),
    ]
    manual.close()
    daemon.close()


def test_sweeps_never_share_a_row(tmp_path: Path) -> None:
    """Two that begin in the same microsecond, in one process or two, are two; their evictions too."""
    one, two = make_ledger(tmp_path), make_ledger(tmp_path)
    for ledger in (one, one, two):
        sweep_once(ledger, NOON, A)
    assert query(tmp_path, "SELECT count(*) FROM sweep") == [(3,)]
    assert query(tmp_path, "SELECT count(*) FROM eviction") == [(3,)]
    one.close()
    two.close()


def dump(folder: Path) -> list[list[tuple[object, ...]]]:
    tables = ("sweep", "eviction", "nightly_run", "hold", "observed", "image")
    return [query(folder, f"SELECT * FROM {table}") for table in tables]  # noqa: S608 - names of this list


def test_a_transaction_that_is_replayed_changes_nothing(tmp_path: Path) -> None:
    """Everything that is recorded may be written twice."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer, observes=True)
    inspect(ledger, timer, A, B, C)
    rows = EventRows(told=False)
    start = NOON + SECOND
    statements = [
        *rows.statements_for(EvictionStarted(Trigger.NIGHTLY, make_verdict(A), start)),
        *rows.statements_for(EvictionEnded(Trigger.NIGHTLY, make_eviction(A), start)),
        *rows.statements_for(EvictionStarted(Trigger.NIGHTLY, make_verdict(B), start)),
        *rows.statements_for(EvictionEnded(Trigger.NIGHTLY, make_eviction(B, EvictionOutcome.FAILED), start)),
        *rows.statements_for(SweepEnded(make_report(start), start)),
        *rows.statements_for(SweepFailed(Trigger.MANUAL, RuntimeUnavailableError("away"), 5.0, start)),
        *rows.statements_for(NightlyRunEnded(NightlyRun(NOON, start))),
        *rows.statements_for(RuleOnHold("company", Regret(20, 2), start, start + DAY)),
        *ledger._cache.apply_event(
            SweepEnded(make_report(start, make_eviction(C, EvictionOutcome.PLANNED), dry_run=True), start)
        ),
        *ledger._cache.apply_event(EvictionEnded(Trigger.NIGHTLY, make_eviction(A), start)),
    ]
    ledger._file.add(statements)
    ledger._file.write(lambda _: True)
    once = dump(tmp_path)
    assert all(once)
    ledger._file.add(statements)
    ledger._file.write(lambda _: True)
    assert dump(tmp_path) == once
    ledger.close()


def test_a_nightly_run_beyond_the_last_is_forgotten(tmp_path: Path) -> None:
    """A nightly run that was stored by a clock a year ahead does not reappear once the clock is right."""
    ledger = make_ledger(tmp_path)
    ledger.record(NightlyRunEnded(NightlyRun(NOON + 365 * DAY, NOON + 365 * DAY)))
    ledger.record(NightlyRunEnded(NightlyRun(NOON, NOON + HOUR)))
    ledger.close()
    assert make_ledger(tmp_path).last_nightly_run() == NightlyRun(NOON, NOON + HOUR)


def test_a_corrected_clock_moves_the_nightly_run(tmp_path: Path) -> None:
    """Since the last nightly run no more time passed than before; nothing that was stored lies in the future."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    ledger.store_images((), frozenset(), timer.now())
    ledger.record(NightlyRunEnded(NightlyRun(NOON - DAY, NOON - DAY)))
    ledger.shift(HOUR)
    assert ledger.last_nightly_run() == NightlyRun(NOON - DAY, NOON - DAY + HOUR)
    ledger.shift(5 * DAY)
    assert ledger.stored_times() == StoredTimes(timer.now())
    ledger.close()


def test_the_nightly_run_is_stored(tmp_path: Path) -> None:
    """The latest occurrence counts, over restarts; before the first there is none."""
    ledger = make_ledger(tmp_path)
    assert ledger.last_nightly_run() is None
    ledger.record(NightlyRunEnded(NightlyRun(NOON - DAY, NOON)))
    ledger.record(NightlyRunEnded(NightlyRun(NOON, NOON + HOUR)))
    ledger.close()
    other = make_ledger(tmp_path)
    assert other.last_nightly_run() == NightlyRun(NOON, NOON + HOUR)
    assert other.stored_times() == StoredTimes(NOON + HOUR)
    other.close()


def test_what_an_occurrence_evicted_is_counted(tmp_path: Path) -> None:
    """Evictions of nightly sweeps that began at the occurrence or later; of no other trigger, and no failures."""
    ledger = make_ledger(tmp_path)
    sweep_once(ledger, NOON - SECOND, A)
    sweep_once(ledger, NOON, A, B)
    sweep_once(ledger, NOON + HOUR, C)
    sweep_once(ledger, NOON, A, trigger=Trigger.PRESSURE)
    start_sweep(ledger, NOON)
    evict(ledger, B, NOON, EvictionOutcome.FAILED)
    end_sweep(ledger, NOON)
    assert ledger.evicted_since(NOON) == 3
    ledger.close()


def test_the_daemon_is_told_what_another_process_did(tmp_path: Path) -> None:
    """Oldest first, each once; what the daemon did itself is no news, and other processes get none."""
    timer = FakeTimer()
    daemon, manual = make_ledger(tmp_path, timer, tells=True), make_ledger(tmp_path, timer)
    sweep_once(daemon, NOON, A)
    start_sweep(manual, NOON + HOUR, Trigger.MANUAL)
    evict(manual, B, NOON + HOUR, trigger=Trigger.MANUAL)
    evict(manual, C, NOON + 2 * HOUR, EvictionOutcome.SPARED, trigger=Trigger.MANUAL)
    start_eviction(manual, A, NOON + 2 * HOUR, Trigger.MANUAL)
    assert manual.news() == ()
    first = daemon.news()
    end_sweep(manual, NOON + 3 * HOUR, Trigger.MANUAL)
    second = daemon.news()
    assert [type(event) for event in (*first, *second)] == [ForeignEviction, ForeignEviction, ForeignSweep]
    foreign = [event.eviction for event in first if isinstance(event, ForeignEviction)]
    assert [(past.image_id, past.outcome) for past in foreign] == [
        (B.id, EvictionOutcome.EVICTED),
        (C.id, EvictionOutcome.SPARED),
    ]
    assert second == (ForeignSweep(PastSweep(Trigger.MANUAL, NOON + 3 * HOUR, 2.5, "done")),)
    assert daemon.news() == ()
    daemon.close()
    manual.close()


def test_a_sweep_that_failed_elsewhere_is_news(tmp_path: Path) -> None:
    """It has no reason to stop."""
    manual, daemon = make_ledger(tmp_path), make_ledger(tmp_path, tells=True)
    fail_sweep(manual, NOON, Trigger.MANUAL)
    assert daemon.news() == (ForeignSweep(PastSweep(Trigger.MANUAL, NOON, 0.0, None)),)
    manual.close()
    daemon.close()


def test_words_of_a_later_version_are_left_out(tmp_path: Path) -> None:
    """A trigger, an outcome or a way to return that this version does not know hides its row or is not said."""
    timer = FakeTimer()
    manual, daemon = make_ledger(tmp_path, timer), make_ledger(tmp_path, timer, tells=True)
    for image in (A, B, C):
        sweep_once(manual, NOON, image, trigger=Trigger.MANUAL)
    query(tmp_path, "UPDATE eviction SET outcome = 'moved' WHERE image_id = ?", A.id)
    query(tmp_path, "UPDATE eviction SET trigger = 'advised' WHERE image_id = ?", B.id)
    query(tmp_path, "UPDATE eviction SET regretted_at = at, regretted_by = 'advised' WHERE image_id = ?", C.id)
    query(tmp_path, "UPDATE sweep SET trigger = 'advised'")
    (past,) = daemon.history()
    assert (past.image_id, past.regretted_at, past.regretted_by) == (C.id, NOON, None)
    assert daemon.news() == (ForeignEviction(past),)
    assert daemon.news() == ()
    manual.close()
    daemon.close()


def test_what_would_be_evicted_is_reported_once(tmp_path: Path) -> None:
    """In mode observe each image is stored when it would have been evicted for the first time, over restarts."""
    for at in (NOON, NOON + HOUR):
        ledger = make_ledger(tmp_path, observes=True, tells=True)
        observe_sweep(ledger, at, A, B)
        observe_sweep(ledger, at + SECOND, A, B)
        told = ledger.news()
        assert all(isinstance(event, EvictionObserved) for event in told)
        assert len(told) == (2 if at == NOON else 0)
        ledger.close()
    reader = make_ledger(tmp_path, writable=False)
    assert [(past.image_id, past.at, past.outcome) for past in reader.observed_history()] == [
        (A.id, NOON, EvictionOutcome.PLANNED),
        (B.id, NOON, EvictionOutcome.PLANNED),
    ]
    assert reader.history() == ()
    assert reader.observed_history(NOON + SECOND) == ()
    reader.close()


def test_news_waits_for_the_daemon(tmp_path: Path) -> None:
    """What a process saw re-pulled, whose sweep it was not, is reported by the daemon."""
    timer = FakeTimer()
    manual = make_ledger(tmp_path, timer)
    inspect(manual, timer, A)
    sweep_once(manual, NOON, A, trigger=Trigger.MANUAL)
    timer.move(hours=1)
    inspect(manual, timer, A)
    manual.close()
    daemon = make_ledger(tmp_path, timer, tells=True)
    told = daemon.news()
    assert [type(event) for event in told] == [ForeignSweep, ForeignEviction, EvictionRegretted]
    daemon.close()
