"""Sweeps that fail for a pull, or ahead of a watermark, while measured usage is below every high watermark."""

from datetime import timedelta

import pytest

from cleaner.core.disk_usage import Filesystem, Part, Resource
from cleaner.core.errors import RuntimeUnavailableError
from cleaner.core.events import Checked, SweepFailed
from cleaner.core.model import Trigger
from cleaner.core.pressure.forecast import Forecast
from cleaner.outlets.alertmanager.conditions import FAILURES, AlertName, Alerts
from support.fakes import NOON, FakeTimer
from support.values import make_usage
from unit.outlets.happenings import WATERMARKS

FAILED = SweepFailed(Trigger.PRESSURE, RuntimeUnavailableError("ListImages: UNAVAILABLE"), 5.0, NOON)
EARLY = {Part(Filesystem.IMAGES, Resource.BYTES): WATERMARKS.bytes.low}
HIGH = WATERMARKS.bytes.high


@pytest.mark.parametrize(
    ("forecast", "active"),
    [
        (None, False),
        (Forecast(make_usage(HIGH - 0.01)), False),
        (Forecast(make_usage(HIGH)), True),
        (Forecast(make_usage(HIGH + 0.01)), True),
        (Forecast(make_usage(HIGH - 1), early=EARLY), True),
    ],
)
def test_failures_ahead_of_the_watermark_are_an_alert_too(forecast: Forecast | None, active: bool) -> None:
    """Failures count for as long as a pull, or a steady rise, asks for the sweep that fails."""
    alerts = Alerts(FakeTimer(), WATERMARKS, timedelta(minutes=2))
    for _ in range(FAILURES):
        alerts.record(FAILED)
    alerts.record(Checked(make_usage(HIGH - 1), None, forecast))
    assert (AlertName.SWEEPS_FAILING in [alert.name for alert in alerts.active]) is active
