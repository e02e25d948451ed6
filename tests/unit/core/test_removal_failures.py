"""Removals that failed: how long their images are kept."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from cleaner.core.model import RemovalFailure
from cleaner.core.removal_failures import kept_until, retry_at
from support.values import DAY, HOUR, MICROSECOND, MINUTE, NOW, make_image

IMAGE = make_image(1)


@pytest.mark.parametrize(
    ("count", "wait"),
    [(1, MINUTE), (2, 2 * MINUTE), (3, 4 * MINUTE), (7, 64 * MINUTE), (11, 1024 * MINUTE), (12, DAY), (10**9, DAY)],
)
def test_the_wait_doubles_to_a_day(count: int, wait: timedelta) -> None:
    """A minute after the first failure, a day at most."""
    assert retry_at(RemovalFailure(count, NOW, None)) == NOW + wait


@pytest.mark.parametrize(
    ("now", "until"),
    [(NOW, NOW + MINUTE), (NOW + MINUTE - MICROSECOND, NOW + MINUTE), (NOW + MINUTE, None), (NOW + HOUR, None)],
)
def test_an_image_is_kept_until_its_next_try(now: datetime, until: datetime | None) -> None:
    """At the end of the wait itself the image may be evicted again."""
    assert kept_until(IMAGE, RemovalFailure(1, NOW, IMAGE.pulled_at), now) == until


def test_a_new_pull_begins_anew() -> None:
    """A later pull time is another copy of the image; an earlier or unknown one may be what the removal left."""
    failure = RemovalFailure(5, NOW, IMAGE.pulled_at)
    assert kept_until(replace(IMAGE, pulled_at=NOW), failure, NOW) is None
    assert kept_until(replace(IMAGE, pulled_at=NOW - 99 * DAY), failure, NOW) is not None
    assert kept_until(replace(IMAGE, pulled_at=None), failure, NOW) is not None
    assert kept_until(IMAGE, replace(failure, pulled_at=None), NOW) is not None
    assert kept_until(IMAGE, None, NOW) is None


@pytest.mark.parametrize(("ahead", "kept"), [(10 * MINUTE, True), (11 * MINUTE, False), (365 * DAY, False)])
def test_a_failure_of_the_future_does_not_count(ahead: timedelta, *, kept: bool) -> None:
    """A clock that was a year ahead keeps no image for a year; one that was set back a little changes nothing."""
    failure = RemovalFailure(1, NOW + ahead, IMAGE.pulled_at)
    assert (kept_until(IMAGE, failure, NOW) is not None) is kept
