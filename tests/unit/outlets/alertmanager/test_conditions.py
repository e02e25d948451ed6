"""Which alerts are active after which events, on a clock that tests move."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import RuntimeUnavailableError
from cleaner.core.events import Checked, Event, NightlyRunEnded, RuntimeDown, SweepEnded, SweepFailed, SweepStarted
from cleaner.core.history import NightlyRun
from cleaner.core.model import StopReason, Trigger
from cleaner.outlets.alertmanager.conditions import (
    CALM_SECONDS,
    FAILING_SECONDS,
    FAILURES,
    LONGEST_ERROR,
    Alert,
    AlertName,
    Alerts,
)
from support.fakes import NOON, FakeTimer
from unit.outlets.happenings import (
    BURST_REPORT,
    CONTAINERD,
    DRY_REPORT,
    EVERYTHING,
    FULL,
    MIDNIGHT,
    NIGHT,
    PRESSURE,
    UNAVAILABLE,
    WATERMARKS,
    report,
)

ABOVE_LOW = replace(BURST_REPORT, low_watermark_met=False, stop_reason=StopReason.DONE)
DOWN_FOR = timedelta(minutes=2)


def used(percent: float, inodes_percent: float = 0) -> Usage:
    """Usage of a filesystem by so many percent."""
    return Usage("/images", 100_000, round(100_000 - 1000 * percent), 1000, round(1000 - 10 * inodes_percent), 0)


def checked(percent: float, inodes_percent: float = 0) -> Checked:
    return Checked(used(percent, inodes_percent), None)


class Watch:
    """Alerts and their clock."""

    def __init__(self) -> None:
        self.timer = FakeTimer()
        self.alerts = Alerts(self.timer, WATERMARKS, DOWN_FOR)

    def after(self, *events: Event, seconds: float = 0) -> list[AlertName]:
        """Let time pass, then these events; the alerts that are active then."""
        self.timer.move(seconds=seconds)
        for event in events:
            self.alerts.record(event)
        return [alert.name for alert in self.alerts.active]

    @property
    def only(self) -> Alert:
        (alert,) = self.alerts.active
        return alert


@pytest.fixture
def watch() -> Watch:
    return Watch()


def failed(trigger: Trigger = Trigger.PRESSURE) -> SweepFailed:
    return SweepFailed(trigger, UNAVAILABLE, 60.0, MIDNIGHT)


def test_nothing_is_active_at_first(watch: Watch) -> None:
    """A daemon that has seen nothing tells nothing, nor does a node that is well."""
    assert watch.after() == []
    assert watch.after(CONTAINERD, checked(50), SweepStarted(PRESSURE, FULL, MIDNIGHT, dry_run=False)) == []
    assert watch.after(SweepEnded(BURST_REPORT, MIDNIGHT)) == []


def test_every_event_is_accepted(watch: Watch) -> None:
    """No event is one that breaks it."""
    watch.after(*EVERYTHING)


def test_a_sweep_above_its_low_watermark_is_an_alert(watch: Watch) -> None:
    """A pressure sweep that ends above its low watermark is an alert with counts of what is used, done and kept."""
    assert watch.after(SweepEnded(ABOVE_LOW, MIDNIGHT)) == [AlertName.CANNOT_RECLAIM]
    assert watch.only.since == NOON
    assert watch.only.description == (
        "/var/lib/containerd: 70.0 % of bytes and 50.0 % of inodes used after 1 evictions (done); "
        "kept: in_use 2, recent 1"
    )
    assert "low watermark" in watch.only.summary


def test_a_sweep_that_kept_nothing_says_so(watch: Watch) -> None:
    """Without a plan, and without an inode limit, the text is still whole."""
    watch.after(SweepEnded(replace(ABOVE_LOW, plan=None, filesystem_after=replace(FULL, inodes=0)), MIDNIGHT))
    assert watch.only.description == "/var/lib/containerd: 80.0 % of bytes used after 1 evictions (done); kept: none"


@pytest.mark.parametrize(
    "other",
    [
        BURST_REPORT,
        replace(ABOVE_LOW, trigger=Trigger.NIGHTLY),
        replace(ABOVE_LOW, trigger=Trigger.MANUAL),
        replace(ABOVE_LOW, dry_run=True),
        replace(ABOVE_LOW, stop_reason=StopReason.STOP_REQUESTED),
    ],
)
def test_other_sweeps_are_not(watch: Watch, other: object) -> None:
    """One that met its low watermark, was stopped, evicts nothing or has no watermark is none."""
    assert watch.after(SweepEnded(other, MIDNIGHT)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plan", "dry_run", "active"),
    [
        (replace(PRESSURE, low_watermark_reachable=False), False, True),
        (replace(PRESSURE, evictions=(), not_reached=PRESSURE.evictions, low_watermark_reachable=False), False, True),
        (replace(PRESSURE, low_watermark_reachable=False), True, False),
        (replace(PRESSURE, low_watermark_reachable=True), False, False),
        (PRESSURE, False, False),
        (replace(NIGHT, low_watermark_reachable=False), False, False),
    ],
)
def test_an_estimate_that_is_too_low_is_an_alert_before(
    watch: Watch, plan: object, dry_run: bool, active: bool
) -> None:
    """A pressure sweep with too low an estimate is an alert at its start; without an estimate there is none."""
    started = SweepStarted(plan, FULL, MIDNIGHT, dry_run=dry_run)  # type: ignore[arg-type]
    assert watch.after(started) == [AlertName.CANNOT_RECLAIM] * active
    if active:
        assert watch.only.description.endswith("used before; all 1 candidates are not enough")


def test_it_keeps_its_begin(watch: Watch) -> None:
    """What a later sweep finds is a new text of the same alert, which began when it did."""
    watch.after(SweepStarted(replace(PRESSURE, low_watermark_reachable=False), FULL, MIDNIGHT, dry_run=False))
    assert watch.after(SweepEnded(ABOVE_LOW, MIDNIGHT), seconds=60) == [AlertName.CANNOT_RECLAIM]
    assert watch.only.since == NOON
    assert "after 1 evictions" in watch.only.description


@pytest.mark.parametrize("reason", [StopReason.LOW_WATERMARK, StopReason.NOT_NEEDED])
def test_a_sweep_that_meets_its_watermark_ends_it(watch: Watch, reason: StopReason) -> None:
    """The estimate was wrong, or another program freed space."""
    watch.after(SweepEnded(ABOVE_LOW, MIDNIGHT))
    assert watch.after(SweepEnded(replace(BURST_REPORT, stop_reason=reason), MIDNIGHT)) == []


def test_a_sweep_that_proves_nothing_leaves_it(watch: Watch) -> None:
    """A stopped sweep, a dry one, a failed one and another trigger's say nothing about the mark."""
    watch.after(SweepEnded(ABOVE_LOW, MIDNIGHT))
    stopped = replace(ABOVE_LOW, stop_reason=StopReason.STOP_REQUESTED)
    events = [SweepEnded(other, MIDNIGHT) for other in (stopped, DRY_REPORT, report())]
    assert watch.after(*events, failed(), Checked(None, None)) == [AlertName.CANNOT_RECLAIM]


@pytest.mark.parametrize(
    ("bytes_percent", "inodes_percent", "active"),
    [(65, 75, False), (65.001, 75, True), (65, 75.1, True), (64.999, 74.9, False)],
)
def test_usage_at_every_low_watermark_ends_it_at_once(
    watch: Watch, bytes_percent: float, inodes_percent: float, active: bool
) -> None:
    """At or below the low watermark of both resources there is no pressure left."""
    watch.after(SweepEnded(ABOVE_LOW, MIDNIGHT))
    assert watch.after(checked(bytes_percent, inodes_percent)) == [AlertName.CANNOT_RECLAIM] * active


@pytest.mark.parametrize(
    ("percent", "seconds", "active"),
    [
        (74.999, CALM_SECONDS - 0.001, True),
        (74.999, CALM_SECONDS, False),
        (74.999, CALM_SECONDS + 0.001, False),
        (75, CALM_SECONDS + 0.001, True),
    ],
)
def test_usage_below_the_high_watermarks_ends_it_after_a_while(
    watch: Watch, percent: float, seconds: float, active: bool
) -> None:
    """Between the watermarks it ends after five minutes; at the high one it does not."""
    watch.after(SweepEnded(ABOVE_LOW, MIDNIGHT), checked(percent))
    assert watch.after(checked(percent), seconds=seconds) == [AlertName.CANNOT_RECLAIM] * active


@pytest.mark.parametrize("interruption", [checked(75), checked(70, 80), SweepEnded(ABOVE_LOW, MIDNIGHT)])
def test_a_disk_that_fills_and_empties_has_one_alert(watch: Watch, interruption: Event) -> None:
    """The five minutes are counted anew from the last time that a high watermark was reached."""
    watch.after(SweepEnded(ABOVE_LOW, MIDNIGHT), checked(70))
    watch.after(interruption, checked(70), seconds=CALM_SECONDS - 1)
    assert watch.after(checked(70), seconds=CALM_SECONDS - 1) == [AlertName.CANNOT_RECLAIM]
    assert watch.after(checked(70), seconds=1) == []


@pytest.mark.parametrize(("seconds", "active"), [(119.999, False), (120, True), (120.001, True)])
def test_a_runtime_that_is_unavailable_for_a_while_is_an_alert(watch: Watch, seconds: float, active: bool) -> None:
    """It is active once the runtime was unavailable for two minutes, with the reason as of now."""
    assert watch.after(RuntimeDown(UNAVAILABLE)) == []
    assert watch.after(RuntimeDown(UNAVAILABLE), seconds=seconds) == [AlertName.RUNTIME_UNREACHABLE] * active
    if active:
        assert watch.only.description == "nobody listens at /run/containerd/containerd.sock"


def test_a_runtime_that_is_available_again_ends_it(watch: Watch) -> None:
    """It ends when the runtime answers, and the next absence is counted from its own begin."""
    watch.after(RuntimeDown(UNAVAILABLE))
    watch.after(RuntimeDown(UNAVAILABLE), seconds=120)
    assert watch.after(Checked(None, None), seconds=5) == [AlertName.RUNTIME_UNREACHABLE]
    assert watch.after(CONTAINERD, seconds=5) == []
    assert watch.after(RuntimeDown(UNAVAILABLE)) == []
    assert watch.after(RuntimeDown(UNAVAILABLE), seconds=119) == []
    assert watch.after(RuntimeDown(UNAVAILABLE), seconds=1) == [AlertName.RUNTIME_UNREACHABLE]


def test_a_long_error_is_cut(watch: Watch) -> None:
    """A foreign text is one line, and no longer than its limit."""
    for length in (LONGEST_ERROR, LONGEST_ERROR + 1):
        down = RuntimeDown(RuntimeUnavailableError("x\ny" + (length - 3) * "z"))
        watch.after(down, seconds=120)
        watch.after(down, seconds=120)
        assert len(watch.only.description) == LONGEST_ERROR
        assert watch.only.description.endswith("...") is (length > LONGEST_ERROR)
        assert watch.only.description.startswith("x yz")


def test_failures_in_a_row_are_an_alert(watch: Watch) -> None:
    """The third failed sweep in a row is an alert, whichever triggers they had."""
    others = [failed(Trigger.NIGHTLY)] * (FAILURES - 1)
    assert watch.after(*others) == []
    assert watch.after(failed()) == [AlertName.SWEEPS_FAILING]
    assert watch.only.description == (
        "3 in a row, the last one (pressure) at 2026-06-15T00:00:00Z: nobody listens at /run/containerd/containerd.sock"
    )


@pytest.mark.parametrize(
    ("seconds", "active"), [(FAILING_SECONDS - 0.001, False), (FAILING_SECONDS, True), (FAILING_SECONDS + 0.001, True)]
)
def test_failures_for_a_while_are_an_alert(watch: Watch, seconds: float, active: bool) -> None:
    """A sweep that failed five minutes ago, and none that came to its end since, is an alert."""
    assert watch.after(failed(), checked(80)) == []
    assert watch.after(checked(80), seconds=seconds) == [AlertName.SWEEPS_FAILING] * active


def test_a_sweep_that_ends_ends_it(watch: Watch) -> None:
    """Any sweep that comes to its end ends the row, and the next one is counted anew."""
    watch.after(*[failed()] * FAILURES)
    assert watch.after(SweepEnded(DRY_REPORT, MIDNIGHT)) == []
    assert watch.after(failed(), failed(), seconds=FAILING_SECONDS) == []
    assert watch.after(failed()) == [AlertName.SWEEPS_FAILING]


@pytest.mark.parametrize(("percent", "active"), [(74.999, False), (75, True), (75.001, True)])
def test_failures_end_with_what_they_were_for(watch: Watch, percent: float, active: bool) -> None:
    """Below the high watermarks no pressure sweep is due: none will come that could end the row."""
    watch.after(*[failed()] * FAILURES)
    assert watch.after(checked(percent)) == [AlertName.SWEEPS_FAILING] * active


def test_a_failed_nightly_run_stays_failed(watch: Watch) -> None:
    """Nightly failures last until a sweep succeeds, whatever the disk says and however late it is."""
    watch.after(*[failed(Trigger.NIGHTLY)] * FAILURES)
    events: list[Event] = [checked(10), Checked(None, None), NightlyRunEnded(NightlyRun(MIDNIGHT, MIDNIGHT))]
    assert watch.after(*events, seconds=7200) == [AlertName.SWEEPS_FAILING]


def test_alerts_are_apart(watch: Watch) -> None:
    """All three may be active, in one order, and one that ends leaves the others."""
    watch.after(RuntimeDown(UNAVAILABLE))
    names = watch.after(*[failed()] * FAILURES, SweepEnded(ABOVE_LOW, MIDNIGHT), *[failed()] * FAILURES)
    assert names == [AlertName.CANNOT_RECLAIM, AlertName.SWEEPS_FAILING]
    assert watch.after(RuntimeDown(UNAVAILABLE), checked(80), seconds=120) == list(AlertName)
    assert watch.after(CONTAINERD) == [AlertName.CANNOT_RECLAIM, AlertName.SWEEPS_FAILING]
