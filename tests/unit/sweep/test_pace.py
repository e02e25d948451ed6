"""The pace of a sweep that has time: how long it pauses, and when its time is over."""

from datetime import timedelta

import pytest

from cleaner.sweep.pacing import LONGEST_PAUSE_SECONDS, Pace
from support.values import MICROSECOND, NOW


def make_pace(duty_cycle: float = 0.2, *, ends_in: timedelta | None = None) -> Pace:
    return Pace(duty_cycle, None if ends_in is None else NOW + ends_in, 60.0, lambda _usage: False)


@pytest.mark.parametrize(
    ("duty_cycle", "worked", "pause"),
    [
        (0.2, 0, 0),
        (0.2, 1.5, 6),
        (0.5, 1.5, 1.5),
        (0.05, 1, 19),
        (0.99, 9.9, 0.1),
        (1, 120, 0),
        (0.2, 7.4, 29.6),
        (0.2, 7.5, 30),
        (0.2, 7.6, 30),
        (0.2, 120, 30),
        (0.00001, 0.001, 30),
    ],
)
def test_the_pause_meets_the_duty_cycle_and_is_bounded(duty_cycle: float, worked: float, pause: float) -> None:
    """At a fifth it pauses four times as long as it worked, at the whole never, and half a minute at most."""
    assert make_pace(duty_cycle).pause_seconds(worked) == pytest.approx(pause)
    assert LONGEST_PAUSE_SECONDS == 30


@pytest.mark.parametrize(("ends_in", "over"), [(-MICROSECOND, True), (timedelta(0), True), (MICROSECOND, False)])
def test_time_is_over_at_its_end_itself(ends_in: timedelta, over: bool) -> None:
    """From the end itself on nothing more begins."""
    assert make_pace(ends_in=ends_in).is_over(NOW) is over


def test_without_an_end_it_is_never_over() -> None:
    """A missed nightly run that starts later has no window."""
    assert not make_pace().is_over(NOW + timedelta(days=10_000))
