"""What the alert about a disk that cannot be driven down says of its candidates."""

from dataclasses import replace
from datetime import timedelta

from cleaner.core.events import SweepStarted
from cleaner.outlets.alertmanager.conditions import Alerts
from support.fakes import FakeTimer
from unit.outlets.happenings import FULL, MIDNIGHT, PRESSURE, WATERMARKS


def test_candidates_that_are_left_alone_count_too() -> None:
    """If none is evicted because all would not be enough, all of them are counted."""
    alerts = Alerts(FakeTimer(), WATERMARKS, timedelta(minutes=2))
    candidates = PRESSURE.evictions + PRESSURE.not_reached
    plan = replace(PRESSURE, evictions=(), not_reached=candidates, low_watermark_reachable=False)
    alerts.record(SweepStarted(plan, FULL, MIDNIGHT, dry_run=False))
    (alert,) = alerts.active
    assert f"all {len(candidates)} candidates are not enough" in alert.description
