"""A backoff beside pulls, and after a sweep ahead of a watermark: when the next one may come."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cleaner.core.disk_usage import Filesystem, Part, Resource, Usage
from cleaner.core.model import EvictionOutcome, EvictReason, Fault, Plan, StopReason, Trigger, Verdict
from cleaner.core.nightly import Calendar
from cleaner.core.pressure.backoff import Backoff, next_backoff
from cleaner.core.pressure.watermarks import KubeletThreshold
from cleaner.core.report import Eviction, SweepReport
from cleaner.core.triggers import NodeState, Triggers
from support import nights
from support.nights import make_nightly
from support.values import DAY, NOW, make_image, make_usage

KUBELET = KubeletThreshold()
LATER = 10_000.0
FULL_WITH_PULL = make_usage(150)
ENDED = Backoff(fingerprint=1, usage=FULL_WITH_PULL, ended_at=0.0, measured=make_usage(76))


def make_triggers() -> Triggers:
    return nights.make_triggers(Calendar(make_nightly(), timedelta(0)), DAY, None)


def make_moment(usage: Usage, measured: Usage | None = None, *, monotonic: float = 1.0) -> NodeState:
    return NodeState(NOW, monotonic, usage, 1, clock_sane=True, watched_since=None, measured=measured)


def make_report(before: float) -> SweepReport:
    report = nights.make_report(Trigger.PRESSURE, StopReason.KUBELET_THRESHOLD, started_at=NOW)
    return replace(report, filesystem_before=make_usage(before))


@pytest.mark.parametrize(("measured", "may"), [(83, False), (83.0001, True), (84, True)])
def test_the_kubelet_acts_on_what_is_measured(measured: float, may: bool) -> None:
    """With a pull that is too large for the disk in progress, what is really used still counts, at once."""
    assert ENDED.may_retry(FULL_WITH_PULL, 1, 1.0, KUBELET, make_usage(measured)) is may


def test_danger_that_was_measured_before_is_no_news() -> None:
    """Where the sweep ended in danger itself, nothing is repeated at once."""
    ended = replace(ENDED, measured=make_usage(84))
    assert not ended.may_retry(FULL_WITH_PULL, 1, 1.0, KUBELET, make_usage(85))


@pytest.mark.parametrize(("percent", "may"), [(76.99, False), (77, True), (78, True)])
def test_a_rise_counts_from_the_lowest_usage_since(percent: float, may: bool) -> None:
    """After a pull that failed, usage need not rise above what it would have been with it."""
    lowered = ENDED.lowered(make_usage(76)).lowered(make_usage(80))
    assert lowered.may_retry(make_usage(percent), 1, LATER, KUBELET, make_usage(76)) is may


def test_a_rise_from_the_lowest_keeps_the_wait() -> None:
    """Usage that goes up and down repeats no sweep within the wait."""
    assert not ENDED.lowered(make_usage(70)).may_retry(make_usage(80), 1, 59.9, KUBELET, make_usage(80))


def test_what_is_no_lower_changes_nothing() -> None:
    """A backoff stays as it is while usage does."""
    assert ENDED.lowered(FULL_WITH_PULL) is ENDED


def test_triggers_keep_the_lowest_usage() -> None:
    """The daemon tells each usage that it sees, and the backoff keeps the lowest."""
    triggers = replace(make_triggers(), backoff=ENDED).with_usage(make_usage(76))
    assert triggers.due(make_moment(make_usage(76.5), monotonic=LATER)) is None
    assert triggers.due(make_moment(make_usage(77), monotonic=LATER)) is Trigger.PRESSURE


@pytest.mark.parametrize(("measured", "due"), [(74.99, None), (75, Trigger.PRESSURE), (75.01, Trigger.PRESSURE)])
def test_a_sweep_ahead_of_the_watermark_does_not_delay_the_one_at_it(measured: float, due: Trigger | None) -> None:
    """An early sweep in vain at 70 % delays no sweep once the high watermark itself is measured."""
    triggers = make_triggers().after(make_report(70), make_moment(make_usage(80), make_usage(70), monotonic=0.0))
    assert triggers.due(make_moment(make_usage(80), make_usage(measured))) is due


@pytest.mark.parametrize(("before", "after"), [(75, 70), (70, 75)])
def test_a_sweep_at_the_watermark_delays_the_next(before: float, after: float) -> None:
    """A sweep that saw the high watermark, at its start or on its way, is not repeated within the wait."""
    triggers = make_triggers().after(make_report(before), make_moment(make_usage(after), monotonic=0.0))
    assert triggers.due(make_moment(make_usage(75))) is None


def helped(reason: StopReason, *, reachable: bool | None = True, evicted: int = 1) -> SweepReport:
    """A sweep that evicted images, by the way it ended and what its plan had said of the low watermark."""
    eviction = Eviction(Verdict(make_image(), EvictReason.PRESSURE), EvictionOutcome.EVICTED, reclaimed_bytes=0)
    report = nights.make_report(Trigger.PRESSURE, reason, started_at=NOW)
    planned = Plan(Trigger.PRESSURE, (), (), low_watermark_reachable=reachable)
    return replace(report, evictions=(eviction,) * evicted, plan=planned, filesystem_before=make_usage(80))


def with_another(outcome: EvictionOutcome, fault: Fault | None = None) -> SweepReport:
    """One that evicted an image, and another that was not measured."""
    report = helped(StopReason.DONE)
    other = Eviction(Verdict(make_image(2), EvictReason.PRESSURE), outcome, fault=fault)
    return replace(report, evictions=(*report.evictions, other))


@pytest.mark.parametrize(
    ("report", "at_once"),
    [
        (helped(StopReason.DONE), True),
        (helped(StopReason.DONE, reachable=False), True),
        (helped(StopReason.DONE, reachable=None), True),
        (helped(StopReason.KUBELET_THRESHOLD), True),
        (helped(StopReason.KUBELET_THRESHOLD, reachable=False), False),
        (helped(StopReason.DONE, evicted=0), False),
        (helped(StopReason.NO_PROGRESS), False),
        (with_another(EvictionOutcome.FAILED, Fault.RUNTIME), False),
        (with_another(EvictionOutcome.FAILED, Fault.IMAGE), True),
        (with_another(EvictionOutcome.SPARED), True),
        (with_another(EvictionOutcome.EVICTED), False),
        (replace(helped(StopReason.DONE), plan=None), True),
        (replace(helped(StopReason.DONE), trigger=Trigger.NIGHTLY), False),
    ],
)
def test_a_sweep_that_helped_is_followed_at_once(report: SweepReport, at_once: bool) -> None:
    """Not one that evicted nothing, failed, freed nothing, was not measured, or reached its initial target."""
    triggers, moment = make_triggers(), make_moment(make_usage(80), monotonic=0.0)
    assert triggers.continues_at_once(report, make_usage(80)) is at_once
    if report.trigger is Trigger.PRESSURE:
        after = triggers.after(report, moment)
        assert (after.backoff is None) is at_once
        assert (after.due(moment) is Trigger.PRESSURE) is at_once


@pytest.mark.parametrize(("percent", "at_once"), [(74.99, False), (75, True)])
def test_below_the_high_watermark_nothing_is_to_follow(percent: float, at_once: bool) -> None:
    """It ended below the high watermark: the next sweep begins there again, without a wait."""
    triggers, usage = make_triggers(), make_usage(percent)
    assert triggers.continues_at_once(helped(StopReason.DONE), usage) is at_once
    assert triggers.after(helped(StopReason.DONE), make_moment(usage)).backoff is None


def test_pulls_alone_shorten_no_wait() -> None:
    """If only projected usage reaches the high watermark, a sweep that ends above low starts a backoff as ever."""
    triggers, moment = make_triggers(), make_moment(make_usage(80), make_usage(70))
    assert not triggers.continues_at_once(helped(StopReason.DONE), make_usage(70))
    assert triggers.after(helped(StopReason.DONE), moment).backoff is not None


def test_waits_of_early_sweeps_are_their_own() -> None:
    """However often early sweeps were in vain, the first one at the high watermark waits a minute for the next."""
    early = replace(ENDED, ahead=True, wait_seconds=600.0)
    assert next_backoff(early, ENDED).wait_seconds == 60
    assert next_backoff(early, replace(ENDED, ahead=True)).wait_seconds == 600
    assert next_backoff(replace(ENDED, ahead=False), replace(ENDED, ahead=True)).wait_seconds == 120


# ---- sweeps that left candidates untried

BYTES = Part(Filesystem.IMAGES, Resource.BYTES)


def unfinished(reason: StopReason, *, not_reached: int = 3) -> SweepReport:
    """A pressure sweep that ended early, at 78 %."""
    report = nights.make_report(Trigger.PRESSURE, reason, started_at=NOW)
    return replace(report, filesystem_before=make_usage(80), lowered=frozenset({BYTES}), not_reached=not_reached)


@pytest.mark.parametrize("usage", [66, 74, 78, 82])
@pytest.mark.parametrize(
    ("report", "retried"),
    [
        (unfinished(StopReason.FAILURES), True),
        (unfinished(StopReason.FAILURES, not_reached=0), True),
        (unfinished(StopReason.NO_PROGRESS), True),
        (unfinished(StopReason.NO_PROGRESS, not_reached=0), False),
        (unfinished(StopReason.DONE), False),
    ],
)
def test_an_unfinished_sweep_is_retried_after_a_minute(report: SweepReport, usage: int, *, retried: bool) -> None:
    """Whatever the disk says, down to the low watermark; then after two minutes, and so on to ten."""
    triggers, at = make_triggers(), 0.0
    for wait in (60, 120, 240, 480, 600, 600):
        moment = make_moment(make_usage(usage), monotonic=at)
        triggers = triggers.after(report, moment)
        assert triggers.due(replace(moment, monotonic=at + wait - 0.1)) is None
        due = triggers.due(replace(moment, monotonic=at + wait))
        assert (due is Trigger.PRESSURE) is (retried and usage > 65)
        if not retried:
            return
        targets = triggers.targets_below_high(moment)
        assert targets == {BYTES: 65}
        at += wait


def test_an_unfinished_sweep_needs_no_retry_at_the_low_watermark() -> None:
    """Once the low watermark is met by other means, nothing is to be lowered."""
    triggers = make_triggers().after(unfinished(StopReason.FAILURES), make_moment(make_usage(78), monotonic=0.0))
    moment = make_moment(make_usage(65), monotonic=LATER)
    assert triggers.targets_below_high(moment) == {}
    assert triggers.due(moment) is None
    assert triggers.with_usage(make_usage(65)).backoff is None


def test_danger_does_not_hurry_removals_that_free_nothing() -> None:
    """At 90 % too an unfinished sweep waits its minute, or three images would go each second, in vain."""
    triggers = make_triggers().after(unfinished(StopReason.NO_PROGRESS), make_moment(make_usage(90), monotonic=0.0))
    assert triggers.due(make_moment(make_usage(90), monotonic=59.9)) is None
    assert triggers.due(make_moment(make_usage(90), monotonic=60)) is Trigger.PRESSURE


@pytest.mark.parametrize(("at", "due"), [(29.9, None), (30.0, Trigger.PRESSURE)])
def test_in_danger_a_sweep_follows_the_end_of_a_grace(at: float, due: Trigger | None) -> None:
    """Where all images were young, the next sweep comes once the first is old enough."""
    report = nights.make_report(Trigger.PRESSURE, StopReason.DONE, started_at=NOW)
    planned = Plan(Trigger.PRESSURE, (), (), next_candidate_in=timedelta(seconds=30))
    triggers = make_triggers().after(replace(report, plan=planned), make_moment(make_usage(90), monotonic=0.0))
    assert triggers.due(make_moment(make_usage(90), monotonic=at)) is due


def test_a_nightly_run_with_failures_is_retried() -> None:
    """Its wait doubles to ten minutes, delays no pressure sweep, and ends with a run that is done."""
    triggers = replace(make_triggers(), nightly_run=None)
    failed = nights.make_report(Trigger.NIGHTLY, StopReason.FAILURES, started_at=NOW)
    calm, at = make_usage(10), 0.0
    night = make_moment(calm, monotonic=at)
    night = replace(night, watched_since=NOW - 100 * DAY, now=NOW.replace(hour=1))
    failed = replace(failed, started_at=night.now)
    for wait in (60, 120, 240, 480, 600, 600):
        triggers = triggers.after(failed, replace(night, monotonic=at))
        assert triggers.nightly_run is None
        assert triggers.due(replace(night, monotonic=at + wait - 0.1)) is None
        assert triggers.due(replace(night, monotonic=at + wait)) is Trigger.NIGHTLY
        assert triggers.due(replace(night, monotonic=at, usage=make_usage(80))) is Trigger.PRESSURE
        at += wait
    done = triggers.after(replace(failed, stop_reason=StopReason.DONE), replace(night, monotonic=at))
    assert done.nightly_run is not None
    assert (done.nightly_at, done.nightly_wait) == (0.0, 0.0)
