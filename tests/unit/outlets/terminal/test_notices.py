"""Sentences that `plan` and `sweep` add."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cleaner.core.disk_usage import Filesystem
from cleaner.core.events import RegistriesProbed
from cleaner.core.model import KeepReason, Memory, Mode, Plan, Trigger
from cleaner.core.nightly import Calendar
from cleaner.core.pressure import Reserve, WatermarkPair
from cleaner.core.reclaim import Size
from cleaner.outlets.terminal.notices import (
    grace_notices,
    ledger_notices,
    limit_notices,
    memory_notices,
    mode_notices,
    reach_notices,
    registry_notices,
    reserve_notices,
    start_notices,
    watch_notices,
)
from support import nights
from support.nights import make_nightly
from support.values import make_policy, make_usage
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
    """Nightly sweeps are suspended, and the notice says for how long the node is known; never negative."""
    wait = f"the agent has watched this node for {said} only, and waits until that is 24h"
    assert _watched(known) == (f"Nightly sweeps are suspended: {wait}.",)


@pytest.mark.parametrize("known", [GRACE, GRACE + SECOND, timedelta(days=100)])
def test_a_node_that_is_known_needs_no_notice(known: timedelta) -> None:
    """From the grace period itself on nothing waits."""
    assert _watched(known) == ()


def test_a_node_without_memory_is_told() -> None:
    """Without a ledger it is not known since when the node is watched."""
    (notice,) = watch_notices(Memory(None), Mode.OBSERVE, Trigger.NIGHTLY, GRACE, MIDNIGHT)
    assert notice.startswith("Nightly sweeps are suspended: nothing is stored about this node")


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


@pytest.mark.parametrize(
    ("trigger", "mode", "said"),
    [
        (Trigger.NIGHTLY, Mode.FULL, True),
        (Trigger.MANUAL, Mode.OBSERVE, True),
        (Trigger.PRESSURE, Mode.FULL, False),
        (Trigger.NIGHTLY, Mode.PRESSURE, False),
    ],
)
def test_a_ledger_that_cannot_be_read_suspends_nightly_sweeps(trigger: Trigger, mode: Mode, *, said: bool) -> None:
    """Its error is the reason that a person needs."""
    expected = ("Nightly sweeps are suspended: the ledger is broken.",) if said else ()
    assert ledger_notices("the ledger is broken", mode, trigger) == expected
    assert ledger_notices(None, mode, trigger) == ()


@pytest.mark.parametrize(
    ("evictions", "not_reached", "reclaimable", "end"),
    [
        (0, 0, None, "There is no candidate, so the low watermark is out of reach."),
        (2, 0, Size(1, 1), "evicts them all, and usage may stay above the kubelet's threshold."),
        (1, 1, Size(1, 1), "evicts only until usage is below the kubelet's threshold."),
        (0, 2, Size(1, 1), "evicts only until usage is below the kubelet's threshold."),
        (2, 0, None, "evicts only until usage is below the kubelet's threshold."),
    ],
)
def test_a_low_watermark_out_of_reach_is_told(
    evictions: int, not_reached: int, reclaimable: Size | None, end: str
) -> None:
    """The notice counts all candidates, and says what a sweep makes of them."""
    verdicts = (NIGHT.evictions * 2)[: evictions + not_reached]
    planned = replace(
        Plan(Trigger.PRESSURE, verdicts[:evictions], (), reclaimable, not_reached=verdicts[evictions:]),
        low_watermark_reachable=False,
    )
    (notice,) = reach_notices(planned)
    assert notice.endswith(end)
    assert notice.startswith("Even all 2 candidates would not" if verdicts else "There is no candidate")
    one = replace(planned, evictions=NIGHT.evictions[:1], not_reached=())
    assert reach_notices(one)[0].startswith("Even the only candidate would not reach the low watermark")
    assert reach_notices(replace(planned, low_watermark_reachable=None)) == ()


@pytest.mark.parametrize(
    ("low", "available", "prevents", "change"),
    [
        (65, False, "without it, the low watermark of 65 % would be in reach", "raise pressure.bytes.low"),
        (
            35,
            False,
            "that alone is above the low watermark of 35 %, which no eviction reaches",
            "raise pressure.bytes.low",
        ),
        (40, True, "without it, the low watermark of 40 % would be in reach", "lower pressure.bytes.low_available"),
        (
            20,
            False,
            "that alone is at the high watermark of 30 %, so pressure never ends",
            "raise pressure.bytes.high and low",
        ),
        (
            20,
            True,
            "that alone is at the high watermark of 30 %, so pressure never ends",
            "lower pressure.bytes.high_available and low_available",
        ),
    ],
)
def test_a_reserve_is_named_with_what_to_do(low: float, *, available: bool, prevents: str, change: str) -> None:
    """In bytes and percent; what to change is the setting that counts."""
    usage = replace(make_usage(76), path="/var/lib/containerd", capacity_bytes=10 << 30)
    usage = replace(usage, available_bytes=3 << 30, free_bytes=7 << 30)
    reserve = Reserve(usage, WatermarkPair(high=low + 10, low=low), available)
    begins = "40.0 % of /var/lib/containerd (4.0 GiB) is reserved for root and counts as used"
    assert reserve_notices([reserve]) == (f"{begins}: {prevents}; reserve less (ext4: tune2fs -m), or {change}.",)
    assert reserve_notices([]) == ()


def test_a_limit_that_leaves_candidates_is_told() -> None:
    """What the latest nightly run has used of the limit is said, where it used any."""
    planned = Plan(Trigger.NIGHTLY, NIGHT.evictions[:1], (), not_reached=(NIGHT.evictions * 2)[1:3])
    (notice,) = limit_notices(planned, Trigger.NIGHTLY, 3)
    used = "of which 2 are spent for the latest nightly run"
    assert notice == f"nightly.evictions_per_night is 3, {used}: 2 candidates wait for the next run."
    one = replace(planned, not_reached=planned.not_reached[:1])
    assert limit_notices(one, Trigger.NIGHTLY, 1) == (
        "nightly.evictions_per_night is 1: 1 candidate waits for the next run.",
    )
    assert limit_notices(planned, Trigger.PRESSURE, 3) == ()
    assert limit_notices(replace(planned, not_reached=()), Trigger.NIGHTLY, 3) == ()


def test_a_shorter_grace_is_told() -> None:
    """Only under pressure, and only where the kubelet's danger makes it shorter."""
    policy, short = make_policy(), timedelta(minutes=2)
    (notice,) = grace_notices(short, policy, Trigger.PRESSURE)
    stays = "an image stays for 2m only, instead of pressure.grace (5m)"
    assert notice == f"Usage is close to the kubelet's threshold: {stays}."
    assert grace_notices(None, policy, Trigger.PRESSURE) == ()
    assert grace_notices(policy.pressure_grace, policy, Trigger.PRESSURE) == ()
    assert grace_notices(short, policy, Trigger.NIGHTLY) == ()


def test_when_a_sweep_starts_is_told() -> None:
    """A nightly sweep has a schedule and a pressure sweep its watermarks; a manual sweep has neither."""
    triggers = nights.make_triggers(Calendar(make_nightly(), timedelta(0)), GRACE, None)
    usage = make_usage(50)
    assert start_notices(triggers, Trigger.MANUAL, usage, MIDNIGHT, needed=True) == ()
    (nightly,) = start_notices(triggers, Trigger.NIGHTLY, usage, MIDNIGHT, needed=True)
    assert nightly.startswith("The next nightly sweep of this node is due at 20")
    (calm,) = start_notices(triggers, Trigger.PRESSURE, usage, MIDNIGHT, needed=False)
    highs = "once the disk has used 75 % of its bytes or 80 % of its inodes"
    assert calm == f"A pressure sweep starts {highs}, so none is needed now."
    (due,) = start_notices(triggers, Trigger.PRESSURE, usage, MIDNIGHT, needed=True)
    assert due == f"A pressure sweep is due now: it starts {highs}."
    apart = replace(usage, others=(replace(usage, filesystem=Filesystem.CONTENT),))
    (both,) = start_notices(triggers, Trigger.PRESSURE, apart, MIDNIGHT, needed=True)
    assert "75 % of its bytes of the content filesystem" in both
    no_nights = replace(triggers, mode=Mode.PRESSURE)
    assert start_notices(no_nights, Trigger.NIGHTLY, usage, MIDNIGHT, needed=True) == ()
