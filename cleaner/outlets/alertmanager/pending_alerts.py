"""What is still to be sent to an Alertmanager: alerts that hold, and alerts that ended.

It must not send anything, see `outlet.py`, nor grow: an alert that ended is dropped once Alertmanager has ended it by
itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cleaner.outlets.alertmanager.conditions import Alert
from cleaner.outlets.units import rfc3339

Posted = list[dict[str, object]]
"""The body of a POST to /api/v2/alerts (https://prometheus.io/docs/alerting/latest/alerts_api)."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An alert that holds no more."""

    alert: Alert
    at: datetime
    until: float
    """Monotonic seconds: by then Alertmanager has ended it by itself."""


@dataclass(frozen=True, slots=True)
class PostingTime:
    """Both clocks, and how long an alert that is sent now is to hold."""

    now: datetime
    monotonic: float
    lasts: timedelta


@dataclass(frozen=True, slots=True)
class PendingAlerts:
    """The latest state: it replaces whatever was not sent."""

    active: tuple[Alert, ...] = ()
    ended: tuple[Ended, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send."""
        return not self.active and not self.ended

    def updated(self, active: tuple[Alert, ...], moment: PostingTime) -> "PendingAlerts":
        """What is to be sent once these hold; one that holds again has not ended."""
        names = {alert.name for alert in active}
        until = moment.monotonic + moment.lasts.total_seconds()
        over = tuple(Ended(alert, moment.now, until) for alert in self.active if alert.name not in names)
        before = tuple(ended for ended in self.ended if ended.alert.name not in names)
        return PendingAlerts(active, before + over)

    def after_sending(self, told: "PendingAlerts") -> "PendingAlerts":
        """What is left once something was sent: an alert that holds is sent again and again, its end once."""
        return replace(self, ended=tuple(ended for ended in self.ended if ended not in told.ended))

    def without_expired(self, monotonic: float) -> "PendingAlerts":
        """Without what need not be sent any more."""
        return replace(self, ended=tuple(ended for ended in self.ended if monotonic < ended.until))

    def body(self, labels: Mapping[str, str], moment: PostingTime) -> Posted:
        """As Alertmanager takes it: what holds ends by itself after a while, so that a dead agent's alert does."""
        holding = [_posted(alert, labels, moment.now, moment.now + moment.lasts) for alert in self.active]
        return holding + [_posted(ended.alert, labels, ended.at, ended.at) for ended in self.ended]


def _posted(alert: Alert, labels: Mapping[str, str], now: datetime, ends_at: datetime) -> dict[str, object]:
    """Alertmanager rejects an end before the start, which a clock that was set back would make."""
    return {
        "labels": {**labels, "alertname": alert.name.value, "severity": "warning"},
        "annotations": {"summary": alert.summary, "description": alert.description},
        "startsAt": rfc3339(min(alert.since, now)),
        "endsAt": rfc3339(ends_at),
    }
