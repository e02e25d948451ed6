"""keep_newest: which images of a repository stay."""

from datetime import timedelta
from itertools import permutations

import pytest

from cleaner.core.model import Clock, EvictReason, Image, KeepReason, Policy, Trigger
from cleaner.core.policy import plan
from support.values import (
    COMPANY,
    DAY,
    MICROSECOND,
    NOW,
    make_digest,
    make_image,
    make_inspection,
    make_policy,
    make_rule,
    verdicts_by_id,
)

EVERY_TRIGGER = list(Trigger)


def release(number: int, created: timedelta, pulled: timedelta = 60 * DAY, repository: str = "app") -> Image:
    name = f"{COMPANY}/{repository}"
    return make_image(number, (f"{name}:{number}", f"{name}@{make_digest(number)}"), created=created, pulled=pulled)


def kept_newest(policy: Policy, *images: Image, trigger: Trigger = Trigger.NIGHTLY, used: str = "") -> set[str]:
    inspection = make_inspection(*images, used=[used] if used else [])
    verdicts = verdicts_by_id(plan(inspection, policy, trigger, NOW))
    return {image_id for image_id, verdict in verdicts.items() if verdict.reason is KeepReason.NEWEST}


@pytest.mark.parametrize("trigger", EVERY_TRIGGER)
@pytest.mark.parametrize("keep", range(6))
def test_so_many_of_the_newest_are_kept(keep: int, trigger: Trigger) -> None:
    """keep_newest keeps the newest N of a repository under every trigger; the next one is evicted."""
    images = [release(number, created=(40 + number) * DAY) for number in range(4)]
    policy = make_policy(make_rule(keep_newest=keep))
    assert kept_newest(policy, *images, trigger=trigger) == {image.id for image in images[:keep]}


def test_ties_are_kept_together() -> None:
    """Images of one age are newest together, even if that makes more than N."""
    tied = [release(1, 50 * DAY), release(2, 50 * DAY), release(3, 50 * DAY)]
    older = release(4, 50 * DAY + MICROSECOND)
    assert kept_newest(make_policy(make_rule(keep_newest=1)), *tied, older) == {image.id for image in tied}
    assert kept_newest(make_policy(make_rule(keep_newest=3)), *tied, older) == {image.id for image in tied}
    assert older.id in kept_newest(make_policy(make_rule(keep_newest=4)), *tied, older)


def test_a_tie_at_the_last_place_is_kept() -> None:
    """Of three images the two older ones share the second place, and both are kept by two."""
    newest, *tied = release(1, 40 * DAY), release(2, 50 * DAY), release(3, 50 * DAY)
    policy = make_policy(make_rule(keep_newest=2))
    assert kept_newest(policy, newest, *tied) == {newest.id, tied[0].id, tied[1].id}


def test_images_in_use_count() -> None:
    """An image in use takes one of the places: what runs is the newest, the one before may be evicted."""
    running, before = release(1, 40 * DAY), release(2, 50 * DAY)
    policy = make_policy(make_rule(keep_newest=1))
    verdicts = verdicts_by_id(plan(make_inspection(running, before, used=[running.id]), policy, Trigger.NIGHTLY, NOW))
    assert verdicts[running.id].reason is KeepReason.IN_USE
    assert verdicts[before.id].reason is EvictReason.EXPIRED


@pytest.mark.parametrize("changes", [{"pinned": True}, {"created": 10 * DAY}, {"pulled": DAY / 2}])
def test_images_kept_for_another_reason_count(changes: dict[str, timedelta]) -> None:
    """Pinned, young and recent images fill a place too: all images on the node count."""
    newer = make_image(1, [f"{COMPANY}/app:1"], **({"created": 40 * DAY} | changes))  # type: ignore[arg-type]
    older = release(2, 50 * DAY)
    assert not kept_newest(make_policy(make_rule(keep_newest=1)), newer, older)


def test_images_of_other_rules_and_of_none_count() -> None:
    """What is in the repository counts whatever rule it has."""
    newer, older = release(1, 40 * DAY), release(2, 50 * DAY)
    rule = make_rule(f"{COMPANY}/app:2", keep_newest=1)
    assert not kept_newest(make_policy(rule), newer, older)


def test_each_repository_counts_for_itself() -> None:
    """The newest of one repository says nothing of another, even of the same registry."""
    images = [release(1, 40 * DAY, repository="a"), release(2, 50 * DAY, repository="b"), release(3, 60 * DAY)]
    assert kept_newest(make_policy(make_rule(keep_newest=1)), *images) == {image.id for image in images}


def test_the_newest_of_any_of_its_repositories_is_kept() -> None:
    """An image that is not among the newest of one repository is kept as the newest of another."""
    newer = release(1, 40 * DAY)
    both = make_image(
        2, [f"{COMPANY}/app:2", f"{COMPANY}/mirror:2", f"{COMPANY}/app@{make_digest(2)}"], created=50 * DAY
    )
    assert kept_newest(make_policy(make_rule(keep_newest=1)), newer, both) == {newer.id, both.id}


def test_many_tags_fill_one_place() -> None:
    """An image with several tags in a repository is one image there."""
    many = make_image(
        1, [*(f"{COMPANY}/app:{tag}" for tag in "abc"), f"{COMPANY}/app@{make_digest(1)}"], created=40 * DAY
    )
    second, third = release(2, 50 * DAY), release(3, 60 * DAY)
    assert kept_newest(make_policy(make_rule(keep_newest=2)), many, second, third) == {many.id, second.id}


def test_newest_is_by_the_rules_clock() -> None:
    """A rollback pulled last is the newest by `pulled`, and not by `created`."""
    rollback = release(1, created=90 * DAY, pulled=40 * DAY)
    latest = release(2, created=50 * DAY, pulled=49 * DAY)
    by_pull = make_rule(keep_newest=1, age_from=Clock.PULLED)
    assert kept_newest(make_policy(by_pull), rollback, latest) == {rollback.id}
    assert kept_newest(make_policy(make_rule(keep_newest=1)), rollback, latest) == {latest.id}


def test_an_image_known_by_digest_only_counts_in_its_repository() -> None:
    """A repo digest without a tag fills a place in the repository like any other."""
    newer = make_image(1, [f"{COMPANY}/app@{make_digest(1)}"], created=40 * DAY)
    older = release(2, 50 * DAY)
    assert kept_newest(make_policy(make_rule(keep_newest=1)), newer, older) == {newer.id}


def test_unreadable_images_fill_no_place() -> None:
    """Whether an image that cannot be read is newer is not known, so it fills no place."""
    unreadable = make_image(1, [f"{COMPANY}/app:1"], created=None, pulled=None, readable=False)
    older = release(2, 50 * DAY)
    assert kept_newest(make_policy(make_rule(keep_newest=1)), unreadable, older) == {older.id}


def test_images_without_a_repository_are_never_newest() -> None:
    """keep_newest is per repository: an image without references has none."""
    policy = make_policy(make_rule("<none>", keep_newest=9, local=True))
    assert not kept_newest(policy, make_image(1, []))


def test_the_order_of_the_images_does_not_matter() -> None:
    """Every order of the same images keeps the same newest."""
    images = [release(1, 40 * DAY), release(2, 50 * DAY), release(3, 50 * DAY), release(4, 60 * DAY)]
    policy = make_policy(make_rule(keep_newest=2))
    answers = {frozenset(kept_newest(policy, *shuffled)) for shuffled in permutations(images)}
    assert answers == {frozenset(image.id for image in images[:3])}
