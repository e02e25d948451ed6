"""What Prometheus reads of the ledger, of regret, and of what other processes did."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cleaner.core.events import (
    Event,
    EvictionObserved,
    EvictionRegretted,
    ForeignEviction,
    ForeignSweep,
    ImagesInventoried,
    LedgerUp,
    SweepEnded,
)
from cleaner.core.history import PastSweep
from cleaner.core.model import EvictionOutcome, KeepReason, StopReason, Trigger
from cleaner.outlets.metrics.outlet import Metrics
from unit.outlets.happenings import (
    FOREIGN,
    INSTALLED,
    IS_DOWN,
    IS_UP,
    MIDNIGHT,
    NIGHT,
    OBSERVED,
    OBSERVED_USED,
    REPULLED,
    SWEPT,
    SWEPT_IN_VAIN,
    past,
    report,
    staying,
)
from unit.outlets.written import metrics_after, value


def _moved(metrics: Metrics) -> dict[str, float]:
    """The counters that differ from those of an agent that did nothing, without their prefix."""
    quiet = metrics_after()
    moved: dict[str, float] = {}
    for family in metrics.registry.collect():
        for sample in family.samples if family.type in {"counter", "histogram"} else ():
            before = quiet.registry.get_sample_value(sample.name, sample.labels)
            own = sample.name.startswith("image_cleaner_") and "_bucket" not in sample.name
            if own and before is not None and sample.value != before:
                moved[sample.name.removeprefix("image_cleaner_")] = sample.value - before
    return moved


def test_an_eviction_of_another_process_counts_as_our_own() -> None:
    """The ledger's news of an eviction of another process moves the same counters by the same figures."""
    metrics = metrics_after([ForeignEviction(FOREIGN)])
    assert value(metrics, "evictions_total", reason="expired") == 1
    assert _moved(metrics) == {
        "evictions_total": 1,
        "reclaimed_bytes_total": FOREIGN.reclaimed_bytes,
        "estimated_bytes_total": FOREIGN.estimated_bytes,
    }


@pytest.mark.parametrize(
    ("outcome", "moved"),
    [
        (EvictionOutcome.FAILED, {"eviction_failures_total": 1}),
        (EvictionOutcome.SPARED, {"evictions_spared_total": 1}),
        (EvictionOutcome.PLANNED, {}),
    ],
)
def test_a_foreign_eviction_that_evicted_nothing_frees_nothing(
    outcome: EvictionOutcome, moved: dict[str, float]
) -> None:
    """A failure or a spared image of another process is one here, and no bytes are."""
    assert _moved(metrics_after([ForeignEviction(past(6, outcome=outcome))])) == moved


def test_an_eviction_whose_bytes_were_not_measured_counts() -> None:
    """One that was under way when its process died is evicted, and adds no unknown bytes."""
    metrics = metrics_after([ForeignEviction(past(6, estimated_bytes=None, reclaimed_bytes=None))])
    assert _moved(metrics) == {"evictions_total": 1}


def test_a_sweep_of_another_process_counts_as_our_own() -> None:
    """A sweep by hand counts with its trigger, its end and its duration, as of when it ended."""
    metrics = metrics_after([ForeignSweep(SWEPT)])
    assert value(metrics, "sweeps_total", trigger="manual") == 1
    assert value(metrics, "sweep_ends_total", reason="done") == 1
    assert value(metrics, "sweep_duration_seconds_sum") == SWEPT.duration_seconds
    assert value(metrics, "sweep_failures_total", trigger="manual") == 0
    ended = SWEPT.ended_at.timestamp()
    assert value(metrics, "last_sweep_timestamp_seconds") == ended
    assert value(metrics, "last_sweep_success_timestamp_seconds") == ended


def test_a_failed_sweep_of_another_process_is_a_failure() -> None:
    """It is an attempt and a failure, has no end and no duration, and is the last sweep but not the last success."""
    metrics = metrics_after([ForeignSweep(SWEPT), ForeignSweep(SWEPT_IN_VAIN)])
    assert value(metrics, "sweeps_total", trigger="manual") == 2
    assert value(metrics, "sweep_failures_total", trigger="manual") == 1
    assert sum(value(metrics, "sweep_ends_total", reason=reason) or 0 for reason in StopReason) == 1
    assert value(metrics, "sweep_duration_seconds_count") == 1
    assert value(metrics, "last_sweep_timestamp_seconds") == SWEPT_IN_VAIN.ended_at.timestamp()
    assert value(metrics, "last_sweep_success_timestamp_seconds") == SWEPT.ended_at.timestamp()


@pytest.mark.parametrize(("seconds", "last"), [(-1, 0), (0, 0), (1, 1)])
def test_a_foreign_sweep_that_is_read_late_is_not_the_last(seconds: int, last: int) -> None:
    """The last sweep is the one that ended last, whichever was heard of first."""
    other = PastSweep(Trigger.MANUAL, MIDNIGHT + timedelta(seconds=seconds), 1.0, "done")
    metrics = metrics_after([SweepEnded(report(), MIDNIGHT), ForeignSweep(other)])
    assert value(metrics, "last_sweep_timestamp_seconds") == MIDNIGHT.timestamp() + last
    assert value(metrics, "last_sweep_success_timestamp_seconds") == MIDNIGHT.timestamp() + last


def test_our_own_sweep_is_the_last_one_even_after_a_clock_that_was_ahead() -> None:
    """A sweep that ended by a clock that was a day ahead does not hide those after it."""
    ahead = SweepEnded(report(), MIDNIGHT + timedelta(days=1))
    metrics = metrics_after([ahead, SweepEnded(report(), MIDNIGHT)])
    assert value(metrics, "last_sweep_timestamp_seconds") == MIDNIGHT.timestamp()


@pytest.mark.parametrize(
    ("events", "up"), [((), 0), ((IS_UP,), 1), ((IS_UP, IS_DOWN), 0), ((IS_DOWN,), 0), ((IS_DOWN, IS_UP), 1)]
)
def test_the_ledger_is_up_or_down(events: tuple[Event, ...], up: int) -> None:
    """ledger_up is 0 before it is known and while memory does not last, and 1 while it does."""
    assert value(metrics_after(events), "ledger_up") == up


@pytest.mark.parametrize(
    ("events", "installed"),
    [
        ((IS_UP,), INSTALLED.timestamp()),
        ((IS_UP, IS_DOWN), INSTALLED.timestamp()),
        ((IS_DOWN,), None),
        ((LedgerUp(None, None),), None),
    ],
)
def test_the_first_run_outlives_a_broken_ledger(events: tuple[Event, ...], installed: float | None) -> None:
    """The first run on this node is what the ledger says, and stays while that is down."""
    assert value(metrics_after(events), "installed_timestamp_seconds") == installed


def test_an_image_that_was_pulled_again_is_a_regret() -> None:
    """It counts once, with its size as the runtime gives it, and is no eviction."""
    assert _moved(metrics_after([EvictionRegretted(REPULLED)])) == {
        "repulls_total": 1,
        "repulled_bytes_total": REPULLED.size_bytes,
    }


def test_what_would_have_been_evicted_is_counted_apart() -> None:
    """In mode observe an image that would have been evicted, and its later use, move only counters of their own."""
    assert _moved(metrics_after([EvictionObserved(OBSERVED)])) == {"observed_evictions_total": 1}
    assert _moved(metrics_after([EvictionRegretted(OBSERVED_USED)])) == {"observed_regrets_total": 1}


def test_images_of_a_rule_on_hold_are_a_state() -> None:
    """While a rule is on hold its images are `rule_on_hold`, and not evictable."""
    metrics = metrics_after(
        [ImagesInventoried(replace(NIGHT, evictions=(), kept=(staying(1, KeepReason.RULE_ON_HOLD),)))]
    )
    assert (value(metrics, "images", state="rule_on_hold"), value(metrics, "images", state="evictable")) == (1, 0)
