"""What is still to be sent to an Alertmanager, as alerts begin and end."""

from datetime import UTC, datetime, timedelta

import pytest

from cleaner.outlets.alertmanager.conditions import Alert, AlertName
from cleaner.outlets.alertmanager.pending_alerts import PendingAlerts, PostingTime

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
LASTS = timedelta(minutes=4)
RECLAIM = Alert(AlertName.CANNOT_RECLAIM, NOON, "full")
RUNTIME = Alert(AlertName.RUNTIME_UNREACHABLE, NOON, "gone")


def moment(seconds: float = 0) -> PostingTime:
    return PostingTime(NOON + timedelta(seconds=seconds), 1000 + seconds, LASTS)


def test_an_empty_mail_is_none() -> None:
    """Nothing has to be sent where nothing was active."""
    assert PendingAlerts().is_empty
    assert PendingAlerts().updated((), moment()).is_empty
    assert PendingAlerts().body({}, moment()) == []


def test_the_body_is_what_the_api_accepts() -> None:
    """Labels of the configuration and the alert's own, both texts, a begin, and an end in a few repeats."""
    pending = PendingAlerts().updated((RECLAIM,), moment())
    assert pending.body({"node": "n1", "cluster": "eu"}, moment(30)) == [
        {
            "labels": {
                "node": "n1",
                "cluster": "eu",
                "alertname": "ImageCleanerNodeCannotReclaim",
                "severity": "warning",
            },
            "annotations": {
                "summary": "Eviction does not bring the image filesystem down to its low watermark",
                "description": "full",
            },
            "startsAt": "2026-06-15T12:00:00Z",
            "endsAt": "2026-06-15T12:04:30Z",
        }
    ]


def test_what_ended_is_sent_with_its_end() -> None:
    """An alert that has ended keeps its begin and has the time of its end, however late it is sent."""
    pending = PendingAlerts().updated((RECLAIM, RUNTIME), moment()).updated((RUNTIME,), moment(60))
    active, ended = pending.body({}, moment(90))
    assert (active["endsAt"], ended["startsAt"]) == ("2026-06-15T12:05:30Z", "2026-06-15T12:00:00Z")
    assert ended["endsAt"] == "2026-06-15T12:01:00Z"


def test_ends_are_sent_once() -> None:
    """What was sent is left out when it ended, and sent again while it is active; what ended meanwhile is kept."""
    pending = PendingAlerts().updated((RECLAIM, RUNTIME), moment()).updated((RUNTIME,), moment(60))
    assert pending.after_sending(pending) == PendingAlerts((RUNTIME,))
    later = pending.updated((), moment(61))
    assert [ended.alert for ended in later.after_sending(pending).ended] == [RUNTIME]


def test_an_alert_that_is_active_again_has_not_ended() -> None:
    """Its end is not sent any more: it would come after the begin."""
    again = Alert(AlertName.CANNOT_RECLAIM, NOON + timedelta(minutes=2), "full again")
    pending = PendingAlerts().updated((RECLAIM,), moment()).updated((), moment(60)).updated((again,), moment(120))
    assert pending == PendingAlerts((again,))


def test_new_words_are_not_a_new_alert() -> None:
    """Another description replaces the one before."""
    other = Alert(AlertName.CANNOT_RECLAIM, NOON, "fuller")
    assert PendingAlerts().updated((RECLAIM,), moment()).updated((other,), moment(60)) == PendingAlerts((other,))


@pytest.mark.parametrize(("seconds", "is_empty"), [(239.999, False), (240, True), (240.001, True)])
def test_an_old_end_is_forgotten(seconds: float, is_empty: bool) -> None:
    """Once Alertmanager has ended the alert by itself, nothing has to be sent."""
    pending = PendingAlerts().updated((RECLAIM,), moment(-60)).updated((), moment())
    assert pending.without_expired(1000 + seconds).is_empty is is_empty


def test_an_active_alert_is_never_forgotten() -> None:
    """Age ends no active alert."""
    assert PendingAlerts((RECLAIM,)).without_expired(10**9) == PendingAlerts((RECLAIM,))


def test_no_end_comes_before_its_begin() -> None:
    """After the clock was set back, an alert begins when it ends: Alertmanager rejects it otherwise."""
    pending = PendingAlerts().updated((RECLAIM,), moment())
    (active,) = pending.body({}, moment(-3600))
    assert active["startsAt"] == "2026-06-15T11:00:00Z"
    (ended,) = pending.updated((), moment(-3600)).body({}, moment(-3600))
    assert ended["startsAt"] == ended["endsAt"] == "2026-06-15T11:00:00Z"
