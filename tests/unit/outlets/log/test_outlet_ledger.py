"""The lines about the ledger, about what waits or is suspended, and about what other processes did."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cleaner.core.events import (
    Checked,
    EvictionObserved,
    EvictionRegretted,
    ForeignEviction,
    ForeignSweep,
    LedgerDown,
    LedgerUp,
    NightlyRunEnded,
    NightlySuspended,
    SweepWaits,
)
from cleaner.core.history import NightlyRun
from cleaner.core.model import EvictionOutcome, Trigger
from unit.outlets.happenings import (
    FOREIGN,
    FULL,
    GIB,
    HOLD,
    INSTALLED,
    IS_DOWN,
    IS_UP,
    MIDNIGHT,
    OBSERVED,
    OBSERVED_USED,
    REPULLED,
    SWEPT,
    SWEPT_IN_VAIN,
    candidate,
    past,
)
from unit.outlets.written import lines_of, names_of

ROUND = Checked(FULL, None)
WAITS = SweepWaits(Trigger.PRESSURE)
NIGHTLY_RUN_ENDED = NightlyRunEnded(NightlyRun(MIDNIGHT, MIDNIGHT))


def test_a_ledger_is_logged_when_it_changes() -> None:
    """A ledger that stays down is one error, and one that stays up one line."""
    lines = lines_of(IS_UP, IS_UP, IS_DOWN, IS_DOWN, replace(IS_DOWN, reason="another"), IS_UP, IS_UP, IS_DOWN)
    assert [(line["event"], line["level"]) for line in lines] == [
        ("ledger_up", "info"),
        ("ledger_down", "error"),
        ("ledger_up", "info"),
        ("ledger_down", "error"),
    ]
    assert (lines[0]["installed_at"], lines[0]["set_aside"]) == ("2026-03-07T00:00:00Z", None)
    assert lines[1]["reason"] == IS_DOWN.reason


def test_a_ledger_that_is_down_from_the_start_is_an_error() -> None:
    """Nothing needs to have been up before."""
    assert names_of(IS_DOWN, IS_DOWN) == ["ledger_down"]


def test_a_broken_ledger_that_was_set_aside_is_a_warning() -> None:
    """Where it lies is said once, also where a new one was begun before anybody saw it down."""
    aside = LedgerUp(INSTALLED, "/var/lib/cleaner/ledger.db.broken-20260615T000000Z")
    for before in ((), (IS_UP,), (IS_UP, IS_DOWN)):
        lines = lines_of(*before, aside, aside)[len(before) :]
        assert [(line["event"], line["level"]) for line in lines] == [("ledger_up", "warning")]
        assert lines[0]["set_aside"] == aside.aside
    assert [line["level"] for line in lines_of(aside, IS_DOWN, aside)] == ["warning", "error", "info"]


def test_a_second_broken_ledger_is_another_line() -> None:
    """Each file that is set aside is said."""
    assert names_of(LedgerUp(INSTALLED, "a"), LedgerUp(INSTALLED, "b")) == ["ledger_up", "ledger_up"]


def test_a_first_run_that_is_not_known_is_null() -> None:
    """A ledger that cannot say when it began says null."""
    (line,) = lines_of(LedgerUp(None, None))
    assert line["installed_at"] is None


def test_a_suspended_nightly_run_is_logged_once() -> None:
    """What the nightly sweep waits for is one line, and another where that changes."""
    lines = lines_of(
        NightlySuspended(None), NightlySuspended(None), NightlySuspended(INSTALLED), NightlySuspended(INSTALLED)
    )
    assert [(line["event"], line["level"], line["watched_since"]) for line in lines] == [
        ("nightly_suspended", "info", None),
        ("nightly_suspended", "info", "2026-03-07T00:00:00Z"),
    ]


@pytest.mark.parametrize("between", [(NIGHTLY_RUN_ENDED,), (IS_DOWN,), (IS_UP,)])
def test_a_nightly_run_that_is_suspended_anew_is_logged_anew(
    between: tuple[NightlyRunEnded | LedgerDown | LedgerUp, ...],
) -> None:
    """After a nightly run, or a ledger that was up or down in between, the same reason is another line."""
    assert names_of(NightlySuspended(None), *between, NightlySuspended(None)).count("nightly_suspended") == 2


def test_a_nightly_run_that_is_done_says_which() -> None:
    """Each occurrence that was dealt with is a line."""
    (line,) = lines_of(NIGHTLY_RUN_ENDED)
    assert (line["event"], line["level"], line["occurrence"]) == ("nightly_done", "info", "2026-06-15T00:00:00Z")


def test_a_sweep_that_waits_for_another_is_logged_once() -> None:
    """However many rounds another sweep lasts, it is one line; a round without waiting ends that."""
    assert names_of(ROUND, WAITS, ROUND, WAITS, ROUND, WAITS) == ["sweep_waits"]
    assert names_of(ROUND, WAITS, ROUND, ROUND, WAITS) == ["sweep_waits", "sweep_waits"]


def test_another_trigger_that_waits_is_another_line() -> None:
    """Pressure that comes while a nightly sweep waits is said."""
    lines = lines_of(ROUND, SweepWaits(Trigger.NIGHTLY), ROUND, WAITS, ROUND, WAITS)
    assert [(line["trigger"], line["level"]) for line in lines] == [("nightly", "info"), ("pressure", "info")]


def test_a_sweep_of_another_process_is_a_line() -> None:
    """It says when it ended and why; one that failed is a warning and has no reason."""
    done, failed = lines_of(ForeignSweep(SWEPT), ForeignSweep(SWEPT_IN_VAIN))
    assert (done["event"], done["level"], done["trigger"]) == ("foreign_sweep", "info", "manual")
    assert (done["stop_reason"], done["ended_at"]) == ("done", "2026-06-14T23:40:00Z")
    assert (failed["level"], failed["stop_reason"]) == ("warning", None)


def test_an_eviction_of_another_process_says_what_evicted_the_image_and_why() -> None:
    """One line answers the question as that of our own evictions does."""
    (line,) = lines_of(ForeignEviction(FOREIGN))
    expected = {"event": "foreign_eviction", "outcome": "evicted", "reason": "expired", "rule": "company"}
    assert line.items() >= (expected | {"trigger": "manual", "evicted_at": "2026-06-14T23:30:00Z"}).items()
    assert line["references"] == list(candidate(6).image.references)
    assert (line["estimated_bytes"], line["reclaimed_bytes"]) == (3 * GIB, 2 * GIB)


@pytest.mark.parametrize(
    ("outcome", "level"),
    [(EvictionOutcome.EVICTED, "info"), (EvictionOutcome.SPARED, "info"), (EvictionOutcome.FAILED, "warning")],
)
def test_a_failed_eviction_of_another_process_is_a_warning(outcome: EvictionOutcome, level: str) -> None:
    """The level is that of our own evictions."""
    (line,) = lines_of(ForeignEviction(past(6, outcome=outcome, error="x")))
    assert (line["level"], line["error"]) == (level, "x")


def test_what_mode_observe_stores_is_for_debugging() -> None:
    """The dry run has its own line for it."""
    (line,) = lines_of(EvictionObserved(OBSERVED), level="debug")
    assert (line["event"], line["level"], line["outcome"]) == ("eviction_observed", "debug", "planned")


def test_a_regret_says_how_long_the_image_was_gone() -> None:
    """Both kinds are warnings: re-pulled after its eviction, and used or pulled after it would have been evicted."""
    again, observed = lines_of(EvictionRegretted(REPULLED), EvictionRegretted(OBSERVED_USED))
    assert (again["event"], again["level"]) == ("eviction_regretted", "warning")
    assert (again["outcome"], again["regretted_by"], again["regretted_after_seconds"]) == (
        "evicted",
        "pulled",
        3.5 * 3600,
    )
    assert (observed["outcome"], observed["regretted_by"], observed["regretted_after_seconds"]) == (
        "planned",
        "used",
        1800,
    )


def test_an_image_that_was_re_pulled_before_its_eviction_was_over_was_gone_for_no_time() -> None:
    """Times of two clocks never make a negative duration."""
    (line,) = lines_of(EvictionRegretted(replace(REPULLED, regretted_at=REPULLED.at - timedelta(seconds=1))))
    assert line["regretted_after_seconds"] == 0


def test_a_rule_on_hold_says_why_and_until_when() -> None:
    """It is a warning with the figures that decided."""
    (line,) = lines_of(HOLD)
    assert (line["event"], line["level"], line["rule"]) == ("rule_on_hold", "warning", "company")
    assert (line["evicted"], line["repulled"], line["until"]) == (20, 2, "2026-06-18T00:00:00Z")
