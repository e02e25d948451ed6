"""When a state is reported: once, and only if it lasts."""

import pytest

from cleaner.core.read_state import (
    AVAILABLE,
    LASTS_SECONDS,
    Availability,
    LastingState,
    ReadState,
    not_offered,
    unavailable,
)

GONE = unavailable("gone")
NONE = not_offered("no such service")


def after(*readings: tuple[float, ReadState | None]) -> LastingState:
    """What was reported after readings at these seconds."""
    lasting = LastingState()
    for at, state in readings:
        lasting = lasting.after(state, at)
    return lasting


@pytest.mark.parametrize("state", [AVAILABLE, NONE])
def test_what_is_no_fault_is_reported_at_once(state: ReadState) -> None:
    """At the start it is known with the first reading."""
    assert after((0, state)).reported is state


@pytest.mark.parametrize(("seconds", "reported"), [(29.9, None), (LASTS_SECONDS, GONE), (30.1, GONE)])
def test_a_fault_has_to_last_from_the_start(seconds: float, reported: ReadState | None) -> None:
    """Nothing is connected in the first round; the reason is the latest."""
    assert after((5, unavailable("not yet")), (5 + seconds, GONE)).reported == reported


@pytest.mark.parametrize(("seconds", "reported"), [(29.9, AVAILABLE), (30.0, GONE), (30.1, GONE)])
def test_a_fault_has_to_last(seconds: float, reported: ReadState) -> None:
    """A restart of a second is not reported."""
    assert after((0, AVAILABLE), (5, GONE), (5 + seconds, GONE)).reported == reported


@pytest.mark.parametrize(("seconds", "reported"), [(29.9, GONE), (30.0, AVAILABLE), (30.1, AVAILABLE)])
def test_the_end_of_a_fault_has_to_last(seconds: float, reported: ReadState) -> None:
    """What works for a moment now and then is not reported again and again."""
    assert after((0, GONE), (30, GONE), (40, AVAILABLE), (40 + seconds, AVAILABLE)).reported == reported


def test_a_state_between_begins_anew() -> None:
    """Each other state in between starts the time again."""
    assert after((0, AVAILABLE), (10, GONE), (35, AVAILABLE), (40, GONE), (69.9, GONE)).reported is AVAILABLE
    assert after((0, AVAILABLE), (10, GONE), (35, NONE), (64.9, NONE)).reported is AVAILABLE
    assert after((0, AVAILABLE), (10, GONE), (35, NONE), (65, NONE)).reported is NONE


def test_another_reason_is_no_other_state() -> None:
    """A fault is reported once, whatever its reason becomes."""
    once = after((0, GONE), (30, GONE))
    assert once.after(unavailable("worse"), 99).reported is GONE


def test_a_reading_that_tells_nothing() -> None:
    """It reports nothing, keeps what was reported, and starts the time again."""
    assert after((0, None), (99, None)).reported is None
    assert after((0, AVAILABLE), (10, GONE), (35, None), (40, GONE), (69.9, GONE)).reported is AVAILABLE


def test_an_interruption_begins_anew() -> None:
    """While the runtime is unavailable nothing else is a fault."""
    lasting = after((0, AVAILABLE), (10, GONE)).interrupted()
    assert lasting.reported is AVAILABLE
    assert lasting.after(GONE, 60).after(GONE, 89.9).reported is AVAILABLE
    assert lasting.after(GONE, 60).after(GONE, 90).reported is GONE


def test_what_is_unavailable() -> None:
    """Only what should be there is a fault."""
    assert [state.unavailable for state in (AVAILABLE, GONE, NONE)] == [False, True, False]
    assert [state.availability for state in (AVAILABLE, GONE, NONE)] == list(Availability)
