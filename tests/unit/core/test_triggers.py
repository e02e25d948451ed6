"""Triggers: which sweep is due, and what the end of one means for the next."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from cleaner.core.clock_trust import CLOCK_JUMP
from cleaner.core.disk_usage import Usage
from cleaner.core.history import NightlyRun
from cleaner.core.model import Mode, StopReason, Trigger
from cleaner.core.nightly import Calendar
from cleaner.core.report import SweepReport
from cleaner.core.triggers import NodeState, Triggers
from support import nights
from support.nights import make_nightly
from support.values import DAY, HOUR, MICROSECOND, MINUTE, NOW, make_usage

MIDNIGHT = NOW.replace(hour=0)
NIGHT, NOON = MIDNIGHT + HOUR, NOW
LONG_AGO = NOW - 365 * DAY
LAST = NightlyRun(MIDNIGHT - DAY, MIDNIGHT - DAY + MINUTE)
THIS_RUN = NightlyRun(MIDNIGHT, NIGHT + MINUTE)
CALM, FULL = make_usage(50), make_usage(80)


def make_triggers(mode: Mode = Mode.FULL, nightly_run: NightlyRun | None = LAST, grace: timedelta = DAY) -> Triggers:
    return nights.make_triggers(Calendar(make_nightly(), timedelta(0)), grace, nightly_run, mode)


def make_moment(
    now: datetime = NOON,
    usage: Usage = CALM,
    *,
    monotonic: float = 10_000.0,
    fingerprint: int = 1,
    clock_sane: bool = True,
    watched_since: datetime | None = LONG_AGO,
) -> NodeState:
    return NodeState(now, monotonic, usage, fingerprint, clock_sane, watched_since)


def make_report(
    trigger: Trigger = Trigger.NIGHTLY,
    reason: StopReason = StopReason.DONE,
    *,
    low_watermark_met: bool = False,
    started_at: datetime = NIGHT,
) -> SweepReport:
    return nights.make_report(trigger, reason, low_watermark_met=low_watermark_met, started_at=started_at)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    ("now", "usage", "by_mode"),
    [
        (NOON, CALM, {}),
        (NIGHT, CALM, {Mode.OBSERVE: Trigger.NIGHTLY, Mode.FULL: Trigger.NIGHTLY}),
        (NOON, FULL, dict.fromkeys(Mode, Trigger.PRESSURE)),
        (NIGHT, FULL, dict.fromkeys(Mode, Trigger.PRESSURE)),
    ],
)
def test_what_is_due(mode: Mode, now: datetime, usage: Usage, by_mode: dict[Mode, Trigger]) -> None:
    """Pressure is due first in every mode; nightly runs are due in all modes but `pressure`."""
    assert make_triggers(mode=mode).due(make_moment(now, usage)) is by_mode.get(mode)


@pytest.mark.parametrize(("percent", "due"), [(74.99, None), (75, Trigger.PRESSURE), (75.01, Trigger.PRESSURE)])
def test_pressure_is_due_at_the_high_watermark_itself(percent: float, due: Trigger | None) -> None:
    """A pressure sweep is due from the high watermark itself on."""
    assert make_triggers().due(make_moment(usage=make_usage(percent))) is due


def test_inodes_alone_are_pressure() -> None:
    """Inodes at their high watermark are enough, and a filesystem without a limit of them is not."""
    assert make_triggers().due(make_moment(usage=make_usage(10, 80))) is Trigger.PRESSURE
    assert make_triggers().due(make_moment(usage=make_usage(10, None))) is None


def test_a_clock_that_jumped_suspends_nightly_runs_only() -> None:
    """With a clock that cannot be believed there is no nightly sweep; pressure sweeps continue."""
    assert make_triggers().due(make_moment(NIGHT, clock_sane=False)) is None
    assert make_triggers().due(make_moment(NIGHT, FULL, clock_sane=False)) is Trigger.PRESSURE


def test_next_nightly() -> None:
    """The next nightly run is the calendar's, and mode `pressure` has none."""
    assert make_triggers().next_nightly(NOON) == MIDNIGHT + DAY
    assert make_triggers(mode=Mode.OBSERVE).next_nightly(NOON) == MIDNIGHT + DAY
    assert make_triggers(mode=Mode.PRESSURE).next_nightly(NOON) is None


@pytest.mark.parametrize("reason", [StopReason.DONE, StopReason.LIMIT, StopReason.WINDOW_CLOSED])
@pytest.mark.parametrize("nightly_run", [None, LAST])
def test_a_nightly_run_is_done_once(reason: StopReason, nightly_run: NightlyRun | None) -> None:
    """A nightly sweep that was not stopped is done, even at its limit or window's end, until the next occurrence."""
    after = make_triggers(nightly_run=nightly_run).after(make_report(reason=reason), make_moment(NIGHT + MINUTE))
    assert after.nightly_run == THIS_RUN
    assert after.due(make_moment(NIGHT + MINUTE)) is None
    assert after.due(make_moment(NIGHT + DAY)) is Trigger.NIGHTLY


@pytest.mark.parametrize("reason", [StopReason.STOP_REQUESTED, StopReason.YIELDED_TO_PRESSURE])
def test_a_stopped_nightly_run_is_due_again(reason: StopReason) -> None:
    """A nightly sweep that was asked to stop, or that yielded to pressure, is not done."""
    after = make_triggers().after(make_report(reason=reason), make_moment(NIGHT))
    assert after.nightly_run == LAST
    assert after.due(make_moment(NIGHT + MINUTE)) is Trigger.NIGHTLY


def test_a_nightly_run_that_outlasts_its_window_is_done() -> None:
    """What counts is when a sweep began: one that ends after its window belongs to its occurrence."""
    after = make_triggers().after(make_report(), make_moment(MIDNIGHT + 5 * HOUR))
    assert after.nightly_run == NightlyRun(MIDNIGHT, MIDNIGHT + 5 * HOUR)


def test_a_nightly_run_that_was_due_until_just_before_it_began_is_done() -> None:
    """A sweep that was due in the last moment of its window, and began after it, is not one to be caught up with."""
    assert make_triggers().due(make_moment(MIDNIGHT + 4 * HOUR - MICROSECOND)) is Trigger.NIGHTLY
    late = make_report(started_at=MIDNIGHT + 4 * HOUR)
    after = make_triggers().after(late, make_moment(MIDNIGHT + 4 * HOUR))
    assert after.nightly_run == NightlyRun(MIDNIGHT, MIDNIGHT + 4 * HOUR)


def test_a_sweep_for_what_is_done_changes_no_nightly_run() -> None:
    """A nightly run that is done keeps its end; so does one that a clock that was ahead has stored already."""
    for nightly_run in (THIS_RUN, NightlyRun(MIDNIGHT + DAY, MIDNIGHT + DAY)):
        assert make_triggers(nightly_run=nightly_run).after(make_report(), make_moment(NOON)).nightly_run == nightly_run


def test_without_an_occurrence_nothing_is_done() -> None:
    """A schedule that never comes has no nightly run."""
    never = replace(make_triggers(nightly_run=None), calendar=Calendar(make_nightly("0 0 */31 * 1#2"), timedelta(0)))
    assert never.after(make_report(), make_moment(NIGHT)).nightly_run is None


def test_a_sweep_by_hand_is_no_nightly_run() -> None:
    """A sweep by hand leaves the nightly run due."""
    assert make_triggers().after(make_report(Trigger.MANUAL), make_moment(NIGHT)).nightly_run == LAST


@pytest.mark.parametrize(
    ("known", "due"),
    [
        (None, None),
        (-DAY, None),
        (timedelta(0), None),
        (DAY - MICROSECOND, None),
        (DAY, Trigger.NIGHTLY),
        (DAY + MICROSECOND, Trigger.NIGHTLY),
    ],
)
@pytest.mark.parametrize("nightly_run", [None, LAST])
def test_a_nightly_run_needs_memory(
    known: timedelta | None, due: Trigger | None, nightly_run: NightlyRun | None
) -> None:
    """No nightly run is due until the node is known for as long as grace, from grace itself on; pressure is."""
    since = None if known is None else NIGHT - known
    moment = make_moment(NIGHT, watched_since=since)
    triggers = make_triggers(nightly_run=nightly_run)
    assert triggers.due(moment) is due
    assert triggers.occurrence_due(moment) == (MIDNIGHT if due else None)
    assert triggers.suspended_for_memory(moment) is (due is None)
    assert triggers.due(make_moment(NIGHT, FULL, watched_since=since)) is Trigger.PRESSURE


def test_memory_suspends_only_what_would_be_due() -> None:
    """By day, with a clock that is not sane, in mode pressure and after the nightly run, nothing is suspended."""
    assert make_triggers().suspended_for_memory(make_moment(NIGHT, watched_since=None))
    assert not make_triggers().suspended_for_memory(make_moment(NOON, watched_since=None))
    assert not make_triggers().suspended_for_memory(make_moment(NIGHT, watched_since=None, clock_sane=False))
    assert not make_triggers(Mode.PRESSURE).suspended_for_memory(make_moment(NIGHT, watched_since=None))
    assert not make_triggers(nightly_run=THIS_RUN).suspended_for_memory(make_moment(NIGHT, watched_since=None))


@pytest.mark.parametrize(("since", "due"), [(2 * DAY, None), (3 * DAY - MICROSECOND, None), (3 * DAY, Trigger.NIGHTLY)])
def test_overdue_counts_from_when_a_nightly_run_was_possible(since: timedelta, due: Trigger | None) -> None:
    """While the memory is too young no sweep is missed: `overdue` begins when it is as old as grace."""
    assert make_triggers(nightly_run=None).due(make_moment(NOON, watched_since=NOON - since)) is due


@pytest.mark.parametrize(
    ("ahead", "corrected"),
    [(-DAY, False), (timedelta(0), False), (CLOCK_JUMP, False), (CLOCK_JUMP + MICROSECOND, True), (365 * DAY, True)],
)
def test_a_nightly_run_in_the_future_is_corrected(ahead: timedelta, corrected: bool) -> None:
    """A nightly run stored far ahead becomes the latest that has begun; one a few minutes ahead is done, and stays."""
    nightly_run = NightlyRun(NOON + ahead, NOON + ahead)
    triggers = make_triggers(nightly_run=nightly_run)
    after = triggers.corrected(NOON)
    assert after.nightly_run == (NightlyRun(MIDNIGHT, NOON) if corrected else nightly_run)
    assert (after is triggers) is not corrected
    assert after.corrected(NOON) is after
    if corrected:
        assert after.due(make_moment(NOON)) is None
        assert after.due(make_moment(MIDNIGHT + DAY)) is Trigger.NIGHTLY


def test_a_correction_without_a_nightly_run_or_an_occurrence() -> None:
    """Without a nightly run there is nothing to correct, and without any occurrence until now, now stands for it."""
    assert make_triggers(nightly_run=None).corrected(NOON).nightly_run is None
    never = replace(make_triggers(), calendar=Calendar(make_nightly("0 0 */31 * 1#2"), timedelta(0)))
    assert replace(never, nightly_run=NightlyRun(NOON + DAY, NOON)).corrected(NOON).nightly_run == NightlyRun(
        NOON, NOON
    )


@pytest.mark.parametrize("correction", [-HOUR, timedelta(0), 365 * DAY])
def test_a_correction_of_time_makes_no_nightly_run_overdue(correction: timedelta) -> None:
    """If the time itself moves, the end of the last nightly run moves along, and its occurrence stays what it was."""
    shifted = make_triggers(nightly_run=THIS_RUN).shifted(correction)
    assert shifted.nightly_run == NightlyRun(MIDNIGHT, NIGHT + MINUTE + correction)
    assert make_triggers(nightly_run=None).shifted(correction).nightly_run is None


@pytest.mark.parametrize("reason", list(StopReason))
def test_a_pressure_sweep_is_no_nightly_run(reason: StopReason) -> None:
    """A pressure sweep inside the window leaves the nightly run due."""
    after = make_triggers().after(make_report(Trigger.PRESSURE, reason), make_moment(NIGHT))
    assert after.due(make_moment(NIGHT)) is Trigger.NIGHTLY


def test_a_sweep_that_was_not_needed_leaves_a_backoff_alone() -> None:
    """What was not needed says nothing about what a sweep could reach."""
    waiting = make_triggers().after(make_report(Trigger.PRESSURE, low_watermark_met=False), make_moment(usage=FULL))
    after = waiting.after(make_report(Trigger.PRESSURE, StopReason.NOT_NEEDED), make_moment(usage=FULL))
    assert after.backoff == waiting.backoff


@pytest.mark.parametrize("reason", list(StopReason))
@pytest.mark.parametrize("low_watermark_met", [False, True])
def test_a_sweep_that_ends_above_low_starts_a_backoff(reason: StopReason, low_watermark_met: bool) -> None:
    """Above low, and neither stopped nor unneeded, pressure waits for a change; else it does not."""
    report = make_report(Trigger.PRESSURE, reason, low_watermark_met=low_watermark_met)
    after = make_triggers().after(report, make_moment(usage=FULL))
    waits = not low_watermark_met and reason not in (StopReason.NOT_NEEDED, StopReason.STOP_REQUESTED)
    assert (after.backoff is not None) is waits
    assert after.due(make_moment(usage=FULL, monotonic=99_999.0)) is (None if waits else Trigger.PRESSURE)


@pytest.mark.parametrize(
    ("seconds", "fingerprint", "percent", "due"),
    [
        (59.9, 2, 83, None),
        (1, 1, 83.01, Trigger.PRESSURE),
        (60, 1, 80, None),
        (60, 1, 80.99, None),
        (60, 1, 81, Trigger.PRESSURE),
        (60, 2, 80, Trigger.PRESSURE),
        (60, 2, 74, None),
    ],
)
def test_a_backoff_ends(seconds: float, fingerprint: int, percent: float, due: Trigger | None) -> None:
    """After a minute, a changed node or a point more makes pressure due again, at the high watermark only."""
    after = make_triggers().after(make_report(Trigger.PRESSURE), make_moment(usage=FULL))
    moment = make_moment(usage=make_usage(percent), monotonic=10_000 + seconds, fingerprint=fingerprint)
    assert after.due(moment) is due


def test_a_backoff_does_not_delay_a_nightly_run() -> None:
    """While pressure waits, the nightly sweep is due as ever, and does not end the wait."""
    after = make_triggers().after(make_report(Trigger.PRESSURE), make_moment(NIGHT, FULL))
    assert after.due(make_moment(NIGHT, FULL)) is Trigger.NIGHTLY
    assert after.after(make_report(), make_moment(NIGHT, FULL)).backoff == after.backoff


def test_the_next_backoff_is_longer_until_low_is_met() -> None:
    """The wait doubles from sweep to sweep, and starts anew once a sweep met its low watermark."""
    triggers, waits = make_triggers(), []
    for low_watermark_met in (False, False, False, True, False):
        report = make_report(Trigger.PRESSURE, low_watermark_met=low_watermark_met)
        triggers = triggers.after(report, make_moment(usage=FULL))
        waits.append(triggers.backoff.wait_seconds if triggers.backoff else None)
    assert waits == [60, 120, 240, None, 60]


@pytest.mark.parametrize(
    ("check_seconds", "waits"),
    [
        (5, [5, 10, 20, 40, 60, 60]),
        (60, [60, 60, 60]),
        (59, [59, 60, 60]),
        (120, [120, 120, 120]),
        (0.5, [0.5, 1, 2, 4]),
    ],
)
def test_a_failure_is_tried_again_later_and_later(check_seconds: float, waits: list[float]) -> None:
    """After a failure the wait begins at one check and doubles to a minute, or stays one check if that is longer."""
    triggers, seen = make_triggers(), []
    for _ in waits:
        triggers = triggers.after_failure(1000.0, check_seconds)
        seen.append(triggers.retry_seconds)
        assert triggers.retry_at == 1000 + triggers.retry_seconds
    assert seen == waits


@pytest.mark.parametrize(("seconds", "due"), [(4.999, None), (5, Trigger.PRESSURE), (5.001, Trigger.PRESSURE)])
def test_nothing_is_due_while_a_failure_is_fresh(seconds: float, due: Trigger | None) -> None:
    """Until the wait is over, and not at its end itself, neither a pressure nor a nightly sweep is due."""
    failed = make_triggers().after_failure(10_000.0, 5.0)
    assert failed.due(make_moment(NIGHT, FULL, monotonic=10_000 + seconds)) is due


def test_a_failed_nightly_run_is_tried_again_inside_its_window() -> None:
    """A nightly sweep that failed is due again after the wait, and no more once the window is over."""
    failed = make_triggers().after_failure(10_000.0, 5.0)
    assert failed.due(make_moment(NIGHT, monotonic=10_005.0)) is Trigger.NIGHTLY
    assert failed.due(make_moment(MIDNIGHT + 4 * HOUR, monotonic=10_005.0)) is None


@pytest.mark.parametrize("trigger", list(Trigger))
@pytest.mark.parametrize("reason", [StopReason.DONE, StopReason.STOP_REQUESTED])
def test_a_sweep_that_ends_forgets_failures(trigger: Trigger, reason: StopReason) -> None:
    """After a sweep that got to its end the next failure waits for one check again."""
    failed = make_triggers().after_failure(10_000.0, 5.0).after_failure(10_000.0, 5.0)
    after = failed.after(make_report(trigger, reason), make_moment(NIGHT))
    assert (after.retry_at, after.retry_seconds) == (0, 0)


@pytest.mark.parametrize(("used_percent", "over"), [(64, True), (65, True), (66, False)])
def test_a_backoff_is_over_at_the_low_watermark(used_percent: int, over: bool) -> None:
    """A usage seen at or below low ends a backoff; above low it continues."""
    waiting = make_triggers().after(make_report(Trigger.PRESSURE, low_watermark_met=False), make_moment(usage=FULL))
    usage = make_usage(used_percent)
    assert (waiting.with_usage(usage).backoff is None) is over


def test_without_a_backoff_nothing_changes() -> None:
    """A node that waits for nothing stays as it is."""
    triggers = make_triggers()
    assert triggers.with_usage(FULL) is triggers
