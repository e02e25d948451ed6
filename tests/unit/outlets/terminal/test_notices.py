"""Sentences that `plan` and `sweep` add."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cleaner.core.events import RegistriesProbed
from cleaner.core.model import KeepReason, Memory, Mode, Plan, Trigger
from cleaner.outlets.terminal.notices import memory_notices, mode_notices, registry_notices, watch_notices
from unit.outlets.happenings import MIDNIGHT, NIGHT, staying

GRACE = timedelta(hours=24)
SECOND = timedelta(seconds=1)


def _watched(known: timedelta, trigger: Trigger = Trigger.NIGHTLY) -> tuple[str, ...]:
    return watch_notices(Memory(MIDNIGHT - known), Mode.FULL, trigger, GRACE, MIDNIGHT)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (timedelta(0), "0s"),
        (timedelta(hours=3), "3h"),
        (GRACE - SECOND, "23h"),
        (-timedelta(days=1), "0s"),
    ],
)
def test_a_node_that_is_known_for_less_than_grace_is_told(known: timedelta, said: str) -> None:
    """The daemon's nightly sweep waits, and the notice says for how long the node is known; never negative."""
    assert _watched(known) == (
        f"The agent has watched this node for {said} only: its nightly sweep waits until that is 24h.",
    )


@pytest.mark.parametrize("known", [GRACE, GRACE + SECOND, timedelta(days=100)])
def test_a_node_that_is_known_needs_no_notice(known: timedelta) -> None:
    """From the grace period itself on nothing waits."""
    assert _watched(known) == ()


def test_a_node_without_memory_is_told() -> None:
    """Without a ledger it is not known since when the node is watched."""
    (notice,) = watch_notices(Memory(None), Mode.OBSERVE, Trigger.NIGHTLY, GRACE, MIDNIGHT)
    assert notice.startswith("Nothing is stored about this node")
    assert notice.endswith("the daemon's nightly sweep waits.")


def test_pressure_waits_for_no_memory() -> None:
    """The pressure trigger works without memory, so nothing is said."""
    assert _watched(timedelta(0), Trigger.PRESSURE) == ()
    assert watch_notices(Memory(None), Mode.FULL, Trigger.PRESSURE, GRACE, MIDNIGHT) == ()
    assert watch_notices(Memory(None), Mode.PRESSURE, Trigger.NIGHTLY, GRACE, MIDNIGHT) == ()


def test_images_that_only_memory_keeps_are_counted() -> None:
    """Kept images whose pull time or use is not known are a number; none is no notice, as is no plan."""
    kept = tuple(replace(staying(number, KeepReason.RECENT), by_memory=number < 12) for number in (10, 11, 12))
    (notice,) = memory_notices(replace(NIGHT, kept=kept))
    assert notice.startswith("2 of the kept images have no known pull time or use: ")
    assert memory_notices(NIGHT) == ()
    assert memory_notices(None) == ()


def test_an_image_of_a_rule_on_hold_does_not_wait_for_memory() -> None:
    """An image that stays because its rule is on hold is not counted."""
    assert memory_notices(Plan(Trigger.NIGHTLY, (), (staying(1, KeepReason.RULE_ON_HOLD),))) == ()


@pytest.mark.parametrize(
    ("mode", "trigger", "words"),
    [
        (Mode.OBSERVE, Trigger.NIGHTLY, "nothing is evicted"),
        (Mode.OBSERVE, Trigger.PRESSURE, "nothing is evicted"),
        (Mode.PRESSURE, Trigger.NIGHTLY, "has no nightly sweep"),
        (Mode.PRESSURE, Trigger.PRESSURE, None),
        (Mode.FULL, Trigger.NIGHTLY, None),
    ],
)
def test_a_mode_that_does_less_than_the_plan_says_so(mode: Mode, trigger: Trigger, words: str | None) -> None:
    """Where the daemon would not do what is shown, one sentence says so."""
    notices = mode_notices(mode, trigger)
    assert len(notices) == (words is not None)
    assert all((words or "") in notice for notice in notices)


def test_registries_that_are_down_are_told() -> None:
    """Each registry that does not answer is a notice with its reason; if all do, or none was asked, there is none."""
    asked = RegistriesProbed(frozenset({"docker.io"}), {"r.io": "HTTP 503", "q.io": "Connection refused"})
    assert registry_notices(asked) == (
        "The registry r.io is down (HTTP 503): its images stay, since it could not give them again.",
        "The registry q.io is down (Connection refused): its images stay, since it could not give them again.",
    )
    assert registry_notices(RegistriesProbed(frozenset({"docker.io"}), {})) == registry_notices(None) == ()
