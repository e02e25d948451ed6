"""Triggers: which sweep is due, and what the end of one means for the next."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cleaner.core.events import SweepReport
from cleaner.core.model import Mode, StopReason, Trigger, Usage
from cleaner.core.pressure import Mark, Marks
from cleaner.core.triggers import Moment, Triggers
from cleaner.core.window import Calendar, Nightly
from support.values import DAY, HOUR, MINUTE, NOW, make_usage

MARKS = Marks(bytes=Mark(high=75, low=65), inodes=Mark(high=80, low=75))
NIGHTLY = Nightly("0 0 * * *", ZoneInfo("UTC"), 4 * HOUR, timedelta(0), evictions_per_night=200)
MIDNIGHT = NOW.replace(hour=0)
NIGHT, NOON = MIDNIGHT + HOUR, NOW
CALM, FULL = make_usage(50), make_usage(80)


def make_triggers(mode: Mode = Mode.FULL) -> Triggers:
    return Triggers(mode, MARKS, Calendar(NIGHTLY, timedelta(0)))


def make_moment(
    now: datetime = NOON,
    usage: Usage = CALM,
    *,
    monotonic: float = 10_000.0,
    fingerprint: int = 1,
    clock_sane: bool = True,
) -> Moment:
    return Moment(now, monotonic, usage, fingerprint, clock_sane)


def make_report(
    trigger: Trigger = Trigger.NIGHTLY,
    because: StopReason = StopReason.DONE,
    *,
    low_mark_met: bool = False,
    started_at: datetime = NIGHT,
) -> SweepReport:
    return SweepReport(
        trigger=trigger,
        dry_run=False,
        started_at=started_at,
        duration_seconds=1.0,
        filesystem_before=FULL,
        filesystem_after=CALM,
        stopped_because=because,
        evictions=(),
        plan=None,
        not_reached=0,
        low_mark_met=low_mark_met,
    )


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
    """Pressure goes first in every mode; the night comes in all modes but `pressure`."""
    assert make_triggers(mode).due(make_moment(now, usage)) is by_mode.get(mode)


@pytest.mark.parametrize(("percent", "due"), [(74.99, None), (75, Trigger.PRESSURE), (75.01, Trigger.PRESSURE)])
def test_pressure_is_due_at_the_high_mark_itself(percent: float, due: Trigger | None) -> None:
    """A pressure sweep is due from the high mark itself on."""
    assert make_triggers().due(make_moment(usage=make_usage(percent))) is due


def test_inodes_alone_are_pressure() -> None:
    """Inodes at their high mark are enough, and a filesystem without a limit of them is not."""
    assert make_triggers().due(make_moment(usage=make_usage(10, 80))) is Trigger.PRESSURE
    assert make_triggers().due(make_moment(usage=make_usage(10, None))) is None


def test_a_clock_that_jumped_holds_the_night_only() -> None:
    """With a clock that cannot be believed there is no nightly sweep; pressure goes on."""
    assert make_triggers().due(make_moment(NIGHT, clock_sane=False)) is None
    assert make_triggers().due(make_moment(NIGHT, FULL, clock_sane=False)) is Trigger.PRESSURE


def test_next_nightly() -> None:
    """The next night is the calendar's, and mode `pressure` has none."""
    assert make_triggers().next_nightly(NOON) == MIDNIGHT + DAY
    assert make_triggers(Mode.OBSERVE).next_nightly(NOON) == MIDNIGHT + DAY
    assert make_triggers(Mode.PRESSURE).next_nightly(NOON) is None


@pytest.mark.parametrize("because", [StopReason.DONE, StopReason.LIMIT, StopReason.FAILURES])
def test_a_night_is_done_once(because: StopReason) -> None:
    """A nightly sweep that was not stopped is done for tonight, even at its limit, and due tomorrow."""
    after = make_triggers().after(make_report(because=because), make_moment(NIGHT + MINUTE))
    assert after.done == MIDNIGHT
    assert after.due(make_moment(NIGHT + MINUTE)) is None
    assert after.due(make_moment(NIGHT + DAY)) is Trigger.NIGHTLY


def test_a_stopped_night_is_due_again() -> None:
    """A nightly sweep that was asked to stop is not done."""
    after = make_triggers().after(make_report(because=StopReason.STOP_REQUESTED), make_moment(NIGHT))
    assert after.done is None
    assert after.due(make_moment(NIGHT + MINUTE)) is Trigger.NIGHTLY


def test_a_night_that_outlasts_its_window_is_done() -> None:
    """What counts is when a sweep began: one that ends after its window was tonight's."""
    after = make_triggers().after(make_report(), make_moment(MIDNIGHT + 5 * HOUR))
    assert after.done == MIDNIGHT


def test_a_sweep_outside_every_window_takes_no_night() -> None:
    """A sweep that began outside a window leaves what was done as it is."""
    done = make_triggers().after(make_report(), make_moment(NIGHT))
    after = done.after(make_report(started_at=NOON), make_moment(NOON))
    assert after.done == MIDNIGHT
    assert make_triggers().after(make_report(started_at=NOON), make_moment(NOON)).done is None


@pytest.mark.parametrize("because", list(StopReason))
def test_pressure_does_not_take_the_night(because: StopReason) -> None:
    """A pressure sweep inside the window leaves the night to come."""
    after = make_triggers().after(make_report(Trigger.PRESSURE, because), make_moment(NIGHT))
    assert after.due(make_moment(NIGHT)) is Trigger.NIGHTLY


def test_a_sweep_that_was_not_needed_leaves_a_standstill_alone() -> None:
    """What was not needed says nothing about what a sweep could reach."""
    waiting = make_triggers().after(make_report(Trigger.PRESSURE, low_mark_met=False), make_moment(usage=FULL))
    after = waiting.after(make_report(Trigger.PRESSURE, StopReason.NOT_NEEDED), make_moment(usage=FULL))
    assert after.standstill == waiting.standstill


@pytest.mark.parametrize("because", list(StopReason))
@pytest.mark.parametrize("low_mark_met", [False, True])
def test_a_sweep_that_ends_above_low_stands_still(because: StopReason, low_mark_met: bool) -> None:
    """Above low, and neither stopped nor unneeded, pressure waits for a change; else it does not."""
    report = make_report(Trigger.PRESSURE, because, low_mark_met=low_mark_met)
    after = make_triggers().after(report, make_moment(usage=FULL))
    waits = not low_mark_met and because not in (StopReason.NOT_NEEDED, StopReason.STOP_REQUESTED)
    assert (after.standstill is not None) is waits
    assert after.due(make_moment(usage=FULL, monotonic=99_999.0)) is (None if waits else Trigger.PRESSURE)


@pytest.mark.parametrize(
    ("seconds", "fingerprint", "percent", "due"),
    [
        (59.9, 2, 90, None),
        (60, 1, 80, None),
        (60, 1, 80.99, None),
        (60, 1, 81, Trigger.PRESSURE),
        (60, 2, 80, Trigger.PRESSURE),
        (60, 2, 74, None),
    ],
)
def test_standing_still_ends(seconds: float, fingerprint: int, percent: float, due: Trigger | None) -> None:
    """After a minute, a changed node or a point more makes pressure due again, at the high mark only."""
    after = make_triggers().after(make_report(Trigger.PRESSURE), make_moment(usage=FULL))
    moment = make_moment(usage=make_usage(percent), monotonic=10_000 + seconds, fingerprint=fingerprint)
    assert after.due(moment) is due


def test_standing_still_lets_the_night_pass() -> None:
    """While pressure waits, the nightly sweep is due as ever, and does not end the wait."""
    after = make_triggers().after(make_report(Trigger.PRESSURE), make_moment(NIGHT, FULL))
    assert after.due(make_moment(NIGHT, FULL)) is Trigger.NIGHTLY
    assert after.after(make_report(), make_moment(NIGHT, FULL)).standstill == after.standstill


def test_standing_still_again_waits_longer_until_low_is_met() -> None:
    """The wait doubles from sweep to sweep, and starts anew once a sweep met its low mark."""
    triggers, waits = make_triggers(), []
    for low_mark_met in (False, False, False, True, False):
        report = make_report(Trigger.PRESSURE, low_mark_met=low_mark_met)
        triggers = triggers.after(report, make_moment(usage=FULL))
        waits.append(triggers.standstill.wait_seconds if triggers.standstill else None)
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
    """Until the wait is over, and not at its end itself, neither pressure nor night is due."""
    failed = make_triggers().after_failure(10_000.0, 5.0)
    assert failed.due(make_moment(NIGHT, FULL, monotonic=10_000 + seconds)) is due


def test_a_failed_night_is_tried_again_inside_its_window() -> None:
    """A nightly sweep that failed is due again after the wait, and no more once the window is over."""
    failed = make_triggers().after_failure(10_000.0, 5.0)
    assert failed.due(make_moment(NIGHT, monotonic=10_005.0)) is Trigger.NIGHTLY
    assert failed.due(make_moment(MIDNIGHT + 4 * HOUR, monotonic=10_005.0)) is None


@pytest.mark.parametrize("trigger", list(Trigger))
@pytest.mark.parametrize("because", [StopReason.DONE, StopReason.STOP_REQUESTED])
def test_a_sweep_that_ends_forgets_failures(trigger: Trigger, because: StopReason) -> None:
    """After a sweep that got to its end the next failure waits for one check again."""
    failed = make_triggers().after_failure(10_000.0, 5.0).after_failure(10_000.0, 5.0)
    after = failed.after(make_report(trigger, because), make_moment(NIGHT))
    assert (after.retry_at, after.retry_seconds) == (0, 0)


@pytest.mark.parametrize(("used_percent", "over"), [(64, True), (65, True), (66, False)])
def test_a_standstill_is_over_at_the_low_mark(used_percent: int, over: bool) -> None:
    """A usage seen at or below low ends a standstill; above low it goes on."""
    waiting = make_triggers().after(make_report(Trigger.PRESSURE, low_mark_met=False), make_moment(usage=FULL))
    usage = make_usage(used_percent)
    assert (waiting.relaxed(usage).standstill is None) is over


def test_without_a_standstill_nothing_relaxes() -> None:
    """A node that waits for nothing stays as it is."""
    triggers = make_triggers()
    assert triggers.relaxed(FULL) is triggers
