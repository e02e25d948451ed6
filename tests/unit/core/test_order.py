"""The order of evictions, by exhaustion: every order in which images may be listed."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

from cleaner.core.model import Clock, EvictReason, Image, Inspection, Policy, Trigger
from cleaner.core.policy import plan
from support.graphs import make_layers
from support.values import (
    COMPANY,
    DAY,
    HOUR,
    MICROSECOND,
    MINUTE,
    NOW,
    make_image,
    make_inspection,
    make_policy,
    make_rule,
)


def order(trigger: Trigger, policy: Policy, inspection: Inspection) -> list[str]:
    """Ids in the order of eviction, the same however the images are listed."""
    answers = {
        tuple(v.image.id for v in plan(replace(inspection, images=images), policy, trigger, NOW).evictions)
        for images in permutations(inspection.images)
    }
    assert len(answers) == 1
    return list(answers.pop())


def ids(*images: Image) -> list[str]:
    return [image.id for image in images]


def test_nightly_evicts_the_greatest_age_first() -> None:
    """Nightly the oldest is evicted first, to the microsecond, and equal ages are ordered by id."""
    oldest = make_image(4, created=60 * DAY)
    twins = make_image(1, created=50 * DAY), make_image(2, created=50 * DAY)
    younger = make_image(3, created=50 * DAY - MICROSECOND)
    expected = ids(oldest, *twins, younger)
    for trigger in (Trigger.NIGHTLY, Trigger.MANUAL):
        assert order(trigger, make_policy(), make_inspection(oldest, *twins, younger)) == expected


def test_nightly_ignores_the_long_grace() -> None:
    """Nightly only age orders: what was used yesterday but is past grace has no later place."""
    used, unused = make_image(1, created=60 * DAY), make_image(2, created=50 * DAY)
    inspection = make_inspection(used, unused, last_used={used.id: NOW - 25 * HOUR})
    assert order(Trigger.NIGHTLY, make_policy(), inspection) == ids(used, unused)


def test_pressure_evicts_what_is_outside_the_long_grace_first() -> None:
    """Under pressure an image inside the long grace is evicted after all others, however old it is."""
    inside = make_image(1, created=300 * DAY, pulled=24 * HOUR - MICROSECOND)
    outside = make_image(2, created=5 * DAY, pulled=24 * HOUR)
    assert order(Trigger.PRESSURE, make_policy(), make_inspection(inside, outside)) == ids(outside, inside)


def test_pressure_evicts_expired_before_unexpired() -> None:
    """Under pressure an expired image is evicted before an older one whose rule keeps longer."""
    lasting = make_rule(f"{COMPANY}/app1", name="lasting", max_age=365 * DAY)
    unexpired, expired = make_image(1, created=300 * DAY), make_image(2, created=30 * DAY)
    policy = make_policy(lasting, make_rule())
    planned = plan(make_inspection(unexpired, expired), policy, Trigger.PRESSURE, NOW)
    assert [verdict.reason for verdict in planned.evictions] == [EvictReason.EXPIRED, EvictReason.PRESSURE]
    assert order(Trigger.PRESSURE, policy, make_inspection(unexpired, expired)) == ids(expired, unexpired)


def test_pressure_evicts_the_greater_age_first_then_the_smaller_id() -> None:
    """Under pressure, grace and expiry being equal, age decides, then the id."""
    older = make_image(9, created=20 * DAY + MICROSECOND)
    twins = make_image(1, created=20 * DAY), make_image(2, created=20 * DAY)
    assert order(Trigger.PRESSURE, make_policy(), make_inspection(older, *twins)) == ids(older, *twins)


def test_of_equal_ages_what_frees_more_is_evicted_first() -> None:
    """Under every trigger more bytes break a tie in age, then the id does; more bytes never beat an older image."""
    older = make_image(9, created=40 * DAY + MICROSECOND)
    small, large, same = (make_image(number, created=40 * DAY) for number in (1, 2, 3))
    layers = make_layers(
        {older.id: "o", small.id: "s base", large.id: "l base", same.id: "t base"},
        {"o": 1, "s": 5, "l": 6, "t": 6, "base": 1000},
    )
    inspection = make_inspection(older, small, large, same, layers=layers)
    for trigger in Trigger:
        assert order(trigger, make_policy(), inspection) == ids(older, large, same, small)


def test_bytes_break_ties_only_after_grace_and_expiry() -> None:
    """An image inside the long grace is evicted after one outside, however much it frees."""
    inside, outside = make_image(1, pulled=24 * HOUR - MICROSECOND), make_image(2, pulled=24 * HOUR)
    layers = make_layers({inside.id: "i", outside.id: "o"}, {"i": 1000, "o": 1})
    inspection = make_inspection(inside, outside, layers=layers)
    assert order(Trigger.PRESSURE, make_policy(), inspection) == ids(outside, inside)


def test_each_image_ages_by_its_own_rules_clock() -> None:
    """An image whose rule counts from the pull is as old as its pull, beside one that counts from the build."""
    by_pull = make_rule(f"{COMPANY}/app1", name="by-pull", age_from=Clock.PULLED)
    pulled_late = make_image(1, created=300 * DAY, pulled=31 * DAY)
    built = make_image(2, created=40 * DAY, pulled=39 * DAY)
    for trigger in Trigger:
        inspection = make_inspection(pulled_late, built)
        assert order(trigger, make_policy(by_pull, make_rule()), inspection) == ids(built, pulled_late)


def test_every_combination_is_evicted_in_the_order_of_the_design() -> None:
    """Grace comes before expiry, and expiry before age, in all eight combinations."""
    images = [
        make_image(8 - place, created=created, pulled=pulled)
        for place, (pulled, created) in enumerate(
            (pulled, created)
            for pulled in (timedelta(days=1), 10 * MINUTE)
            for created in (90 * DAY, 30 * DAY, 30 * DAY - MICROSECOND, 2 * DAY)
        )
    ]
    planned = plan(make_inspection(*reversed(images)), make_policy(), Trigger.PRESSURE, NOW)
    assert [verdict.image.id for verdict in planned.evictions] == ids(*images)


def test_kept_images_are_listed_by_reason_references_and_id() -> None:
    """What stays is listed in the order of the reasons, then of the references, then of the ids."""
    images = [
        make_image(5, created=DAY),
        make_image(4, pinned=True),
        make_image(3, pinned=True, references=["r.io/a:1"]),
        make_image(2, pinned=True, references=["r.io/a:1"]),
        make_image(1, readable=False),
    ]
    for shuffled in permutations(images):
        kept = plan(make_inspection(*shuffled), make_policy(), Trigger.NIGHTLY, NOW).kept
        # registry.gitlab.com comes after r.io
        assert [verdict.image.id[-1] for verdict in kept] == ["1", "2", "3", "4", "5"]
