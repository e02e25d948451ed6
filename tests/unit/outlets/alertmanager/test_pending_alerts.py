"""What an Alertmanager is still to be told, as alerts come and go."""

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
    """Nothing has to be told where nothing held."""
    assert PendingAlerts().is_empty
    assert PendingAlerts().updated((), moment()).is_empty
    assert PendingAlerts().body({}, moment()) == []


def test_the_body_is_what_the_api_takes() -> None:
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


def test_what_ended_is_told_with_its_end() -> None:
    """An alert that holds no more keeps its begin and has the time of its end, however late it is told."""
    pending = PendingAlerts().updated((RECLAIM, RUNTIME), moment()).updated((RUNTIME,), moment(60))
    holds, ended = pending.body({}, moment(90))
    assert (holds["endsAt"], ended["startsAt"]) == ("2026-06-15T12:05:30Z", "2026-06-15T12:00:00Z")
    assert ended["endsAt"] == "2026-06-15T12:01:00Z"


def test_ends_are_told_once() -> None:
    """What was told is left out when it ended, and told on while it holds; what ended meanwhile is kept."""
    pending = PendingAlerts().updated((RECLAIM, RUNTIME), moment()).updated((RUNTIME,), moment(60))
    assert pending.after_sending(pending) == PendingAlerts((RUNTIME,))
    later = pending.updated((), moment(61))
    assert [ended.alert for ended in later.after_sending(pending).ended] == [RUNTIME]


def test_an_alert_that_comes_back_has_not_ended() -> None:
    """Its end is not told any more: it would come after the begin."""
    again = Alert(AlertName.CANNOT_RECLAIM, NOON + timedelta(minutes=2), "full again")
    pending = PendingAlerts().updated((RECLAIM,), moment()).updated((), moment(60)).updated((again,), moment(120))
    assert pending == PendingAlerts((again,))


def test_new_words_are_not_a_new_alert() -> None:
    """Another description replaces the one before."""
    other = Alert(AlertName.CANNOT_RECLAIM, NOON, "fuller")
    assert PendingAlerts().updated((RECLAIM,), moment()).updated((other,), moment(60)) == PendingAlerts((other,))


@pytest.mark.parametrize(("seconds", "is_empty"), [(239.999, False), (240, True), (240.001, True)])
def test_an_old_end_is_forgotten(seconds: float, is_empty: bool) -> None:
    """Once Alertmanager has ended the alert by itself, nobody has to be told."""
    pending = PendingAlerts().updated((RECLAIM,), moment(-60)).updated((), moment())
    assert pending.without_expired(1000 + seconds).is_empty is is_empty


def test_what_holds_is_never_forgotten() -> None:
    """Age ends no alert that holds."""
    assert PendingAlerts((RECLAIM,)).without_expired(10**9) == PendingAlerts((RECLAIM,))


def test_no_end_comes_before_its_begin() -> None:
    """After the clock was set back, an alert begins when it ends: Alertmanager refuses it otherwise."""
    pending = PendingAlerts().updated((RECLAIM,), moment())
    (holds,) = pending.body({}, moment(-3600))
    assert holds["startsAt"] == "2026-06-15T11:00:00Z"
    (ended,) = pending.updated((), moment(-3600)).body({}, moment(-3600))
    assert ended["startsAt"] == ended["endsAt"] == "2026-06-15T11:00:00Z"
