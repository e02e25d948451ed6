"""The plan: every image exactly once, with the first reason of the design's list that applies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random

import pytest

from cleaner.core.ages import FIRST_PLAUSIBLE
from cleaner.core.model import (
    Clock,
    Container,
    EvictReason,
    Image,
    Inspection,
    KeepReason,
    Plan,
    Policy,
    RemovalFailure,
    Rule,
    Trigger,
    Verdict,
)
from cleaner.core.policy import PressureContext, plan
from cleaner.core.reclaim import NOTHING, Layers, Size
from cleaner.core.removal_failures import retry_at
from support.graphs import freed_by_definition, gains_by_definition, make_layers
from support.values import (
    COMPANY,
    DAY,
    HOUR,
    MICROSECOND,
    MINUTE,
    NOW,
    make_digest,
    make_image,
    make_inspection,
    make_policy,
    make_rule,
    parts_cover,
    star_covers,
    verdicts_by_id,
)

Reason = EvictReason | KeepReason
DIGEST = make_digest(1)


def verdict_on(
    image: Image, policy: Policy, trigger: Trigger = Trigger.NIGHTLY, inspection: Inspection | None = None
) -> Verdict:
    return verdicts_by_id(plan(inspection or make_inspection(image), policy, trigger, NOW))[image.id]


def with_rules_on_hold(inspection: Inspection, on_hold_until: Mapping[str, datetime]) -> Inspection:
    return replace(inspection, memory=replace(inspection.memory, on_hold_until=on_hold_until))


def reason_for(references: list[str], policy: Policy) -> Reason:
    return verdict_on(make_image(1, references), policy).reason


# ---- one image, one reason


def test_an_old_unused_image_of_a_rule_is_evicted() -> None:
    """Past max_age, matched and unneeded: the verdict says by which rule, and all that is known of its times."""
    image = make_image(1)
    assert verdict_on(image, make_policy()) == Verdict(
        image=image,
        reason=EvictReason.EXPIRED,
        rule="company",
        created_at=image.created_at,
        pulled_at=image.pulled_at,
        age=90 * DAY,
    )


def test_reasons_win_in_the_order_of_the_design() -> None:
    """An image with every reason to stay loses them one by one, and the next one of the list shows."""
    image = replace(make_image(1, [f"{COMPANY}/app:1"], created=DAY, pulled=HOUR, pinned=True), readable=False)
    image = replace(image, stray_records=("app:1",))
    failures = {image.id: RemovalFailure(1, NOW, image.pulled_at)}
    user, sandbox, protect = [image.id], [image.id], [f"{COMPANY}/app"]
    rule = make_rule("r.io/other", keep_newest=1)
    trigger, layers = Trigger.NIGHTLY, make_layers({image.id: "layer"}, {})
    down = frozenset({"registry.gitlab.com"})
    seen: list[Reason] = []

    def judge() -> None:
        inspection = make_inspection(image, used=user, sandbox=sandbox, layers=layers)
        inspection = with_rules_on_hold(replace(inspection, registries_down=down), {"company": NOW + HOUR})
        inspection = replace(inspection, memory=replace(inspection.memory, removal_failures=failures))
        seen.append(verdict_on(image, make_policy(rule, protect=protect), trigger, inspection).reason)

    judge()
    image = replace(image, readable=True)
    judge()
    user.clear()
    judge()
    sandbox.clear()
    judge()
    image = replace(image, pinned=False)
    judge()
    protect.clear()
    judge()
    image = replace(image, stray_records=())
    judge()
    failures.clear()
    judge()
    rule = make_rule(keep_newest=1)
    judge()
    image = replace(image, digests=(f"{COMPANY}/app@{DIGEST}",))
    judge()
    image = replace(image, pulled_at=NOW - DAY)
    judge()
    rule = make_rule()
    judge()
    image = replace(image, created_at=NOW - 30 * DAY)
    judge()
    trigger = Trigger.PRESSURE
    judge()
    down = frozenset()
    judge()
    layers = make_layers({image.id: "layer"}, {"layer": 1})
    judge()
    assert seen == [*KeepReason, EvictReason.EXPIRED]


@pytest.mark.parametrize(
    ("since_max_age", "nightly", "pressure"),
    [
        (-MICROSECOND, KeepReason.UNEXPIRED, EvictReason.PRESSURE),
        (timedelta(0), EvictReason.EXPIRED, EvictReason.EXPIRED),
        (MICROSECOND, EvictReason.EXPIRED, EvictReason.EXPIRED),
    ],
)
def test_max_age(since_max_age: timedelta, nightly: Reason, pressure: Reason) -> None:
    """At max_age itself an image expires; before that only pressure evicts it, and says so."""
    image = make_image(1, created=30 * DAY + since_max_age)
    assert verdict_on(image, make_policy()).reason is nightly
    assert verdict_on(image, make_policy(), Trigger.MANUAL).reason is nightly
    assert verdict_on(image, make_policy(), Trigger.PRESSURE).reason is pressure


@pytest.mark.parametrize("since", [-MICROSECOND, timedelta(0), MICROSECOND])
@pytest.mark.parametrize(
    ("trigger", "grace"), [("nightly", 24 * HOUR), ("manual", 24 * HOUR), ("pressure", 5 * MINUTE)]
)
def test_grace(trigger: str, grace: timedelta, since: timedelta) -> None:
    """Each trigger's own grace keeps what arrived or was used less than it ago."""
    recent = since < timedelta(0)
    arrived = make_image(1, pulled=grace + since)
    assert (verdict_on(arrived, make_policy(), Trigger(trigger)).reason is KeepReason.RECENT) is recent
    used = make_image(1)
    inspection = make_inspection(used, last_used={used.id: NOW - grace - since})
    verdict = verdict_on(used, make_policy(), Trigger(trigger), inspection)
    assert (verdict.reason is KeepReason.RECENT) is recent


def test_an_old_release_pulled_before_midnight_outlives_it() -> None:
    """What was built long ago and pulled at 23:59 is kept at midnight."""
    assert verdict_on(make_image(1, created=700 * DAY, pulled=MINUTE), make_policy()).reason is KeepReason.RECENT


def test_an_image_of_unknown_times_is_kept() -> None:
    """Without build, pull and memory an image is new, under every trigger, whatever its max_age."""
    image = make_image(1, created=None, pulled=None)
    for trigger in Trigger:
        verdict = verdict_on(image, make_policy(make_rule(max_age=timedelta(0))), trigger)
        assert verdict.reason is KeepReason.RECENT
        assert verdict.by_memory
        assert (verdict.created_at, verdict.pulled_at, verdict.last_used_at) == (None, None, None)


def test_implausible_builds_do_not_expire_images() -> None:
    """A reproducible build of 1980 is as old as its pull, not 40 years."""
    for implausible in (datetime(1, 1, 1, tzinfo=UTC), FIRST_PLAUSIBLE - MICROSECOND, NOW + MICROSECOND):
        image = replace(make_image(1, pulled=29 * DAY), created_at=implausible)
        verdict = verdict_on(image, make_policy())
        assert verdict.reason is KeepReason.UNEXPIRED
        assert verdict.age == 29 * DAY
        assert verdict.created_at is None


@pytest.mark.parametrize(
    ("created", "pulled", "seen", "clock", "reason", "by_memory"),
    [
        (90, None, 0, Clock.CREATED, KeepReason.RECENT, True),
        (90, 0, 90, Clock.CREATED, KeepReason.RECENT, False),
        (90, None, 2, Clock.PULLED, KeepReason.UNEXPIRED, True),
        (90, None, 2, Clock.CREATED, EvictReason.EXPIRED, False),
        (None, None, 2, Clock.CREATED, KeepReason.UNEXPIRED, True),
        (None, 2, 2, Clock.CREATED, KeepReason.UNEXPIRED, False),
        (None, None, 90, Clock.CREATED, EvictReason.EXPIRED, False),
        (90, 90, 2, Clock.LAST_USED, KeepReason.UNEXPIRED, True),
        (90, 2, 90, Clock.LAST_USED, KeepReason.UNEXPIRED, False),
        (90, 2, 2, Clock.LAST_USED, KeepReason.UNEXPIRED, False),
        (90, None, 2, Clock.LAST_USED, KeepReason.UNEXPIRED, True),
        (90, 90, 90, Clock.LAST_USED, EvictReason.EXPIRED, False),
    ],
)
def test_the_verdict_says_where_memory_keeps(  # noqa: PLR0917 a column of the table each
    created: int | None, pulled: int | None, seen: int, clock: Clock, reason: Reason, by_memory: bool
) -> None:
    """A verdict tells where an image stays only because first seen stands in for an unknown time."""
    image = make_image(
        1,
        created=None if created is None else created * DAY,
        pulled=None if pulled is None else pulled * DAY,
    )
    inspection = make_inspection(image, first_seen={image.id: NOW - seen * DAY})
    verdict = verdict_on(image, make_policy(make_rule(age_from=clock)), inspection=inspection)
    assert (verdict.reason, verdict.by_memory) == (reason, by_memory)


@pytest.mark.parametrize(("used", "by_memory"), [(None, True), (1, True), (0, False)])
def test_a_use_keeps_what_was_first_seen_in_use(used: int | None, by_memory: bool) -> None:
    """Where an image was used when it was first seen or later, it is the use that keeps it, and not the memory."""
    for pulled, seen, clock in ((None, HOUR, Clock.CREATED), (90 * DAY, 2 * DAY, Clock.LAST_USED)):
        image = make_image(1, pulled=pulled)
        last_used = {} if used is None else {image.id: NOW - seen - used * MINUTE}
        inspection = make_inspection(image, first_seen={image.id: NOW - seen}, last_used=last_used)
        verdict = verdict_on(image, make_policy(make_rule(age_from=clock)), inspection=inspection)
        assert (verdict.evict, verdict.by_memory) == (False, by_memory)


# ---- by last use, and on hold


@pytest.mark.parametrize("since", [-MICROSECOND, timedelta(0), MICROSECOND])
@pytest.mark.parametrize("trigger", list(Trigger))
def test_max_age_by_last_use(since: timedelta, trigger: Trigger) -> None:
    """An image expires when it has been idle for max_age itself, however long ago it was built and pulled."""
    image, policy = make_image(1, created=999 * DAY, pulled=900 * DAY), make_policy(make_rule(age_from=Clock.LAST_USED))
    first_seen = {image.id: NOW - 800 * DAY}
    inspection = make_inspection(image, first_seen=first_seen, last_used={image.id: NOW - 30 * DAY - since})
    verdict = verdict_on(image, policy, trigger, inspection)
    assert (verdict.reason is EvictReason.EXPIRED) is (since >= timedelta(0))
    assert (verdict.age, verdict.last_used_at) == (30 * DAY + since, NOW - 30 * DAY - since)


@pytest.mark.parametrize("since", [-MICROSECOND, timedelta(0), MICROSECOND])
@pytest.mark.parametrize("never_used_since", ["pulled", "first seen"])
def test_what_was_never_used_is_idle_since_it_came(never_used_since: str, since: timedelta) -> None:
    """Without a use, idle is counted from the pull or from first seen, whichever is later."""
    old, at = 90 * DAY, 30 * DAY + since
    pulled, seen = (at, old) if never_used_since == "pulled" else (old, at)
    image = make_image(1, pulled=pulled)
    inspection = make_inspection(image, first_seen={image.id: NOW - seen})
    verdict = verdict_on(image, make_policy(make_rule(age_from=Clock.LAST_USED)), inspection=inspection)
    assert verdict.age == at
    assert verdict.reason is (EvictReason.EXPIRED if since >= timedelta(0) else KeepReason.UNEXPIRED)


def test_the_order_by_last_use() -> None:
    """Nightly what has been idle for longest is evicted first, whatever its build says."""
    images = [make_image(number, created=(200 - number) * DAY) for number in range(1, 5)]
    last_used = {image.id: NOW - (40 + number) * DAY for number, image in enumerate(images)}
    inspection = make_inspection(*images, first_seen=dict.fromkeys(last_used, NOW - 99 * DAY), last_used=last_used)
    policy = make_policy(make_rule(age_from=Clock.LAST_USED))
    assert [verdict.image for verdict in plan(inspection, policy, Trigger.NIGHTLY, NOW).evictions] == images[::-1]


@pytest.mark.parametrize("trigger", list(Trigger))
@pytest.mark.parametrize(("since_end", "over"), [(-MICROSECOND, False), (timedelta(0), True), (MICROSECOND, True)])
def test_a_rule_on_hold(trigger: Trigger, since_end: timedelta, over: bool) -> None:
    """Until its end, that moment excluded, a hold keeps expired images from nightly evictions, and from no others."""
    image = make_image(1)
    inspection = with_rules_on_hold(make_inspection(image), {"company": NOW - since_end})
    on_hold = trigger is Trigger.NIGHTLY and not over
    reason = verdict_on(image, make_policy(), trigger, inspection).reason
    assert reason is (KeepReason.RULE_ON_HOLD if on_hold else EvictReason.EXPIRED)


def test_a_hold_concerns_what_is_expired_only() -> None:
    """What is kept anyway keeps its reason, and other rules' images are evicted."""
    young, old = make_image(1, created=DAY), make_image(2)
    inspection = with_rules_on_hold(make_inspection(young, old), {"company": NOW + HOUR, "gone": NOW + HOUR})
    reasons = [verdict_on(image, make_policy(), Trigger.NIGHTLY, inspection).reason for image in (young, old)]
    assert reasons == [KeepReason.UNEXPIRED, KeepReason.RULE_ON_HOLD]
    other = make_policy(make_rule(name="other"))
    assert verdict_on(old, other, Trigger.NIGHTLY, inspection).reason is EvictReason.EXPIRED


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("on_hold", ["short", "long"])
def test_one_rule_on_hold_of_several_keeps(on_hold: str, swapped: bool) -> None:
    """Expired by all of its rules, an image stays if any of them is on hold; unexpired by one, that one keeps it."""
    image = make_image(1, ["r.io/a:1", "r.io/b:1", f"r.io/a@{DIGEST}"])
    inspection = with_rules_on_hold(make_inspection(image), {on_hold: NOW + HOUR})
    for max_age, expected in (
        (40 * DAY, (on_hold, KeepReason.RULE_ON_HOLD)),
        (91 * DAY, ("long", KeepReason.UNEXPIRED)),
    ):
        rules = [make_rule("r.io/a", name="short"), make_rule("r.io/b", name="long", max_age=max_age)]
        policy = make_policy(*(reversed(rules) if swapped else rules))
        verdict = verdict_on(image, policy, Trigger.NIGHTLY, inspection)
        assert (verdict.rule, verdict.reason) == expected
        assert verdict_on(image, policy, Trigger.MANUAL, inspection).rule == "long"


# ---- registries that are down


DOWN = frozenset({"registry.gitlab.com"})


@pytest.mark.parametrize("trigger", list(Trigger))
def test_an_image_whose_registry_is_down_is_kept(trigger: Trigger) -> None:
    """A candidate stays while its registry is down, under every trigger; its rule is named; others do not stay."""
    gone, other = make_image(1), make_image(2, ["r.io/a:1", f"r.io/a@{DIGEST}"])
    inspection = replace(make_inspection(gone, other), registries_down=DOWN)
    policy = make_policy(make_rule("**"))
    kept = verdict_on(gone, policy, trigger, inspection)
    assert (kept.reason, kept.rule, kept.age) == (KeepReason.REGISTRY_DOWN, "company", 90 * DAY)
    assert verdict_on(other, policy, trigger, inspection).reason is EvictReason.EXPIRED


def test_one_of_several_registries_that_is_down_keeps() -> None:
    """It is not known which of its registries has an image, so one that is down is enough."""
    references = [f"{COMPANY}/a:1", "r.io/a:1", f"r.io/a@{DIGEST}"]
    image = make_image(1, references)
    inspection = replace(make_inspection(image), registries_down=DOWN)
    assert verdict_on(image, make_policy(make_rule("**")), inspection=inspection).reason is KeepReason.REGISTRY_DOWN


def test_what_is_kept_anyway_keeps_its_reason() -> None:
    """A registry that is down is the last reason nightly: an unexpired image is not about registries."""
    image = make_image(1, created=DAY)
    inspection = replace(make_inspection(image), registries_down=DOWN)
    assert verdict_on(image, make_policy(), inspection=inspection).reason is KeepReason.UNEXPIRED


# ---- matching


def test_every_reference_needs_a_rule() -> None:
    """One reference without a rule keeps the image, whatever the others say."""
    policy = make_policy(make_rule("r.io/**"))
    assert reason_for(["r.io/a:1", f"r.io/a@{DIGEST}"], policy) is EvictReason.EXPIRED
    assert reason_for(["r.io/a:1", "nginx:1", f"r.io/a@{DIGEST}"], policy) is KeepReason.UNMATCHED
    assert reason_for(["r.io/a:1", f"r.io/a@{DIGEST}", f"other.io/a@{DIGEST}"], policy) is KeepReason.UNMATCHED


def test_a_repo_digest_beside_a_tag_needs_no_rule() -> None:
    """In a repository with a tag the digest is no reference of its own: a rule for the tag is enough."""
    policy = make_policy(make_rule("r.io/a:1"))
    assert reason_for(["r.io/a:1", f"r.io/a@{DIGEST}"], policy) is EvictReason.EXPIRED


def test_an_image_known_by_digest_and_tags() -> None:
    """On an image known only by digest, `protect` ignores a pattern's tag, and a rule with one does not match."""
    by_digest = [f"r.io/a@{DIGEST}"]
    assert reason_for(by_digest, make_policy(make_rule("r.io/a"))) is EvictReason.EXPIRED
    assert reason_for(by_digest, make_policy(make_rule("r.io/a:1"))) is KeepReason.UNMATCHED
    assert reason_for(by_digest, make_policy(make_rule("r.io/a:*"))) is KeepReason.UNMATCHED
    assert reason_for(by_digest, make_policy(make_rule("r.io/a"), protect=["r.io/a:1"])) is KeepReason.PROTECTED
    assert reason_for(by_digest, make_policy(make_rule("r.io/a"), protect=["r.io/b:1"])) is EvictReason.EXPIRED


def test_a_protected_tag_does_not_protect_another() -> None:
    """Where an image has tags, a tag in `protect` has to be one of them."""
    references = ["r.io/a:2", f"r.io/a@{DIGEST}"]
    policy = make_policy(make_rule("r.io/**"), protect=["r.io/a:1"])
    assert reason_for(references, policy) is EvictReason.EXPIRED
    assert reason_for([*references, "r.io/a:1"], policy) is KeepReason.PROTECTED


def test_any_protected_reference_protects() -> None:
    """One protected reference of many keeps the image, even beside one that makes no sense."""
    policy = make_policy(make_rule("**"), protect=["docker.io/nginx"])
    assert reason_for(["r.io/a:1", "nginx:1"], policy) is KeepReason.PROTECTED
    assert reason_for(["<none>:<none>", "nginx:1"], policy) is KeepReason.PROTECTED


@pytest.mark.parametrize("odd", ["<none>:<none>", f"<none>@{DIGEST}", "no reference", "r.io/App:1", "", "r.io/ä:1"])
def test_a_reference_that_makes_no_sense_keeps_the_image(odd: str) -> None:
    """What cannot be parsed has no rule, not even the rule for everything."""
    policy = make_policy(make_rule("**", "<none>", local=True))
    assert reason_for([odd], policy) is KeepReason.UNMATCHED
    assert reason_for(["r.io/a:1", f"r.io/a@{DIGEST}", odd], policy) is KeepReason.UNMATCHED


def test_images_without_references_have_their_own_pattern() -> None:
    """`<none>` alone matches an image without references, for rules and protection; `**` does not."""
    assert reason_for([], make_policy(make_rule("**", local=True))) is KeepReason.UNMATCHED
    assert reason_for([], make_policy(make_rule("<none>", local=True))) is EvictReason.EXPIRED
    assert reason_for([], make_policy(make_rule("<none>"))) is KeepReason.LOCAL
    assert reason_for([], make_policy(make_rule("<none>", local=True), protect=["**"])) is EvictReason.EXPIRED
    assert reason_for([], make_policy(make_rule("<none>", local=True), protect=["<none>"])) is KeepReason.PROTECTED
    assert reason_for(["r.io/a:1"], make_policy(make_rule("<none>", local=True))) is KeepReason.UNMATCHED


def test_the_first_rule_that_matches_a_reference_wins() -> None:
    """A later rule that matches the same reference is not asked, whichever keeps longer."""
    short, long = make_rule(name="short"), make_rule(name="long", max_age=365 * DAY)
    assert verdict_on(make_image(1), make_policy(short, long)).rule == "short"
    assert verdict_on(make_image(1), make_policy(long, short)).rule == "long"


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("lasting", "reason"),
    [
        (make_rule("r.io/b", name="lasting", max_age=91 * DAY), KeepReason.UNEXPIRED),
        (make_rule("r.io/b", name="lasting", max_age=80 * DAY, age_from=Clock.PULLED), KeepReason.UNEXPIRED),
        (make_rule("r.io/b", name="lasting", max_age=timedelta(0), keep_newest=1), KeepReason.NEWEST),
        (make_rule("r.io/b", name="lasting", max_age=40 * DAY), EvictReason.EXPIRED),
    ],
)
def test_of_several_rules_the_longest_keeping_decides(lasting: Rule, reason: Reason, swapped: bool) -> None:
    """An image under two rules is judged by the one that keeps longest, in whichever order they stand."""
    rules = [make_rule("r.io/a", name="short"), lasting]
    image = make_image(1, ["r.io/a:1", "r.io/b:1", f"r.io/a@{DIGEST}"])
    verdict = verdict_on(image, make_policy(*(reversed(rules) if swapped else rules)))
    assert (verdict.rule, verdict.reason) == ("lasting", reason)


def test_a_rule_that_keeps_local_images_wins_over_one_that_does_not() -> None:
    """An image without a repo digest stays if any of its rules keeps local images."""
    rules = make_rule("r.io/a", name="gone", local=True, max_age=300 * DAY), make_rule("r.io/b", name="stays")
    verdict = verdict_on(make_image(1, ["r.io/a:1", "r.io/b:1"]), make_policy(*rules), Trigger.PRESSURE)
    assert (verdict.rule, verdict.reason) == ("stays", KeepReason.LOCAL)
    assert reason_for(["r.io/a:1"], make_policy(make_rule("r.io/a", local=True))) is EvictReason.EXPIRED


def test_neighbours_of_the_company_are_not_the_company() -> None:
    """Names that only look like the rule's are unmatched."""
    for name in ("registry.gitlab.com/golem-ai-evil/app", "registry.gitlab.com.evil.io/golem-ai/app", "golem-ai/app"):
        assert reason_for([f"{name}:1", f"{name}@{DIGEST}"], make_policy()) is KeepReason.UNMATCHED


# ---- bytes


def test_pressure_keeps_what_frees_no_layer() -> None:
    """Images whose layers stay whatever is evicted are no_gain under pressure, and are evicted nightly all the same."""
    candidates = [make_image(number) for number in (1, 2, 3, 4)]
    based, bare, unknown, gaining = (image.id for image in candidates)
    layers = make_layers(
        {based: "m1 base", bare: "m2", gaining: "m3 own"},
        {"m1": 5, "m2": 5, "m3": 5, "base": 1000, "own": 1},
        containers=frozenset({"base"}),
        metadata=frozenset({"m1", "m2", "m3"}),
    )
    inspection = make_inspection(*candidates, layers=layers)
    pressure = plan(inspection, make_policy(), Trigger.PRESSURE, NOW)
    assert [verdict.image.id for verdict in pressure.evictions] == [gaining]
    assert {v.image.id: v.reason for v in pressure.kept} == dict.fromkeys((based, bare, unknown), KeepReason.NO_GAIN)
    assert {verdict.rule for verdict in pressure.kept} == {"company"}
    for trigger in (Trigger.NIGHTLY, Trigger.MANUAL):
        assert len(plan(inspection, make_policy(), trigger, NOW).evictions) == len(candidates)


def test_images_that_share_a_layer_gain_together() -> None:
    """Of twins on the same layers neither frees anything alone, and both are evicted."""
    twins = make_image(1), make_image(2)
    layers = make_layers({image.id: "shared" for image in twins}, {"shared": 7})
    planned = plan(make_inspection(*twins, layers=layers), make_policy(), Trigger.PRESSURE, NOW)
    assert [verdict.reclaimable for verdict in planned.evictions] == [NOTHING, Size(7, 1)]
    assert planned.reclaimable == Size(7, 1)


def test_a_layer_of_an_image_that_stays_is_no_gain() -> None:
    """What an image shares with one that is kept is not freed by it."""
    unused, kept = make_image(1), make_image(2, pinned=True)
    layers = make_layers({unused.id: "shared", kept.id: "shared own"}, {"shared": 7, "own": 3})
    planned = plan(make_inspection(unused, kept, layers=layers), make_policy(), Trigger.PRESSURE, NOW)
    assert {verdict.image.id: (verdict.reason, verdict.reclaimable) for verdict in planned.kept} == {
        unused.id: (KeepReason.NO_GAIN, NOTHING),
        kept.id: (KeepReason.PINNED, Size(3, 1)),
    }
    assert planned.reclaimable == NOTHING


@pytest.mark.parametrize("trigger", list(Trigger))
def test_of_layers_that_are_not_to_be_trusted_nothing_is_made(trigger: Trigger) -> None:
    """With an incomplete graph the plan is the one without any: no figure, no no_gain, no other order."""
    images = [make_image(number) for number in (1, 2, 3)]
    layers = make_layers({images[2].id: "own"}, {"own": 7}, complete=False)
    blind = plan(make_inspection(*images), make_policy(), trigger, NOW)
    assert plan(make_inspection(*images, layers=layers), make_policy(), trigger, NOW) == blind
    assert blind.reclaimable is None
    assert {verdict.reclaimable for verdict in blind.evictions} == {None}
    assert (blind.not_reached, blind.low_watermark_reachable) == ((), None)


# ---- the whole plan


def test_an_empty_node_has_an_empty_plan() -> None:
    """No images, nothing to do."""
    for trigger in Trigger:
        empty = plan(make_inspection(), make_policy(), trigger, NOW)
        assert (empty.trigger, empty.evictions, empty.kept) == (trigger, (), ())


def test_without_rules_nothing_is_evicted() -> None:
    """What may be evicted is said, never assumed."""
    for trigger in Trigger:
        nothing = plan(make_inspection(make_image(1), make_image(2)), Policy(()), trigger, NOW)
        assert {verdict.reason for verdict in nothing.kept} == {KeepReason.UNMATCHED}
        assert not nothing.evictions


def test_odd_images_break_nothing() -> None:
    """Strange ids, names, times and durations give a plan, and change no other verdict."""
    images = (
        make_image(1),
        Image(""),
        Image("ид-🐳", tags=("🐳/🐳:🐳",)),
        Image("long", tags=(f"{COMPANY}/{'a/' * 5000}b:1",), digests=(f"{COMPANY}/c@{DIGEST}",)),
        Image("old", tags=(f"{COMPANY}/old:1",), created_at=datetime.min.replace(tzinfo=UTC)),
        Image("new", tags=(f"{COMPANY}/new:1",), pulled_at=datetime.max.replace(tzinfo=UTC)),
        Image("ancient", digests=(f"{COMPANY}/ancient@{DIGEST}",), pulled_at=datetime.min.replace(tzinfo=UTC)),
    )
    for max_age in (timedelta(0), timedelta(days=99_999_999), timedelta.max):
        policy = replace(make_policy(make_rule(max_age=max_age, keep_newest=1)), grace=max_age, pressure_grace=max_age)
        for trigger in Trigger:
            assert len(verdicts_by_id(plan(make_inspection(*images), policy, trigger, NOW))) == len(images)


def test_a_time_without_a_zone_evicts_nothing() -> None:
    """One naive time ends the plan with an error: no plan, no eviction."""
    naive = replace(make_image(1), created_at=datetime(2020, 1, 1))  # noqa: DTZ001 it is the point
    with pytest.raises(TypeError):
        plan(make_inspection(naive, make_image(2)), make_policy(), Trigger.NIGHTLY, NOW)


# ---- what the runtime tells of an image


def test_what_would_be_left_behind_is_named() -> None:
    """An unremovable image names the records that RemoveImage leaves, or says that it is an artifact."""
    image = replace(make_image(1), stray_records=("app:1", "import-2026-01-31@sha256:1"))
    verdict = verdict_on(image, make_policy())
    assert verdict.reason is KeepReason.UNREMOVABLE
    assert verdict.detail == "RemoveImage would leave behind: app:1, import-2026-01-31@sha256:1"
    artifact = verdict_on(replace(make_image(1), artifact=True), make_policy())
    assert (artifact.reason, artifact.detail) == (
        KeepReason.UNREMOVABLE,
        "an OCI artifact: RemoveImage by id does nothing",
    )
    assert verdict_on(make_image(1), make_policy()).detail is None


@pytest.mark.parametrize("trigger", list(Trigger))
@pytest.mark.parametrize("fact", ["local", "imported", "imported before"])
def test_only_a_rule_for_local_images_evicts_what_no_registry_is_known_to_have(fact: str, trigger: Trigger) -> None:
    """Digest references are no evidence: an import has them too."""
    image = replace(make_image(1), local=fact == "local", imported=fact == "imported")
    inspection = make_inspection(image)
    if fact == "imported before":
        inspection = replace(inspection, memory=replace(inspection.memory, imported=frozenset({image.id})))
    verdict = verdict_on(image, make_policy(), trigger, inspection)
    why = "nothing shows that a registry has it under each of its references"
    marked = "a record of it carries the mark of an import, or did so before"
    assert (verdict.reason, verdict.detail) == (KeepReason.LOCAL, why if fact == "local" else marked)
    assert verdict_on(image, make_policy(make_rule(local=True)), trigger, inspection).evict


def test_an_image_without_a_digest_reference_says_so() -> None:
    """An image that was built here is told from one whose evidence is missing."""
    verdict = verdict_on(make_image(1, ["r.io/a:1"]), make_policy(make_rule("r.io/a")))
    assert verdict.detail == "it has no digest reference, as an image that was built or imported here"


def test_a_removal_that_failed_says_when_it_is_tried_again() -> None:
    """The wait is over at its end itself."""
    image = make_image(1)
    inspection = make_inspection(image)
    for ago, reason in (
        (timedelta(0), KeepReason.REMOVAL_FAILED),
        (MINUTE - MICROSECOND, KeepReason.REMOVAL_FAILED),
        (MINUTE, EvictReason.EXPIRED),
    ):
        failure = RemovalFailure(1, NOW - ago, image.pulled_at)
        memory = replace(inspection.memory, removal_failures={image.id: failure})
        verdict = verdict_on(image, make_policy(), inspection=replace(inspection, memory=memory))
        assert verdict.reason is reason
        assert (verdict.detail is None) is (reason is EvictReason.EXPIRED)
    failed_now = replace(inspection.memory, removal_failures={image.id: RemovalFailure(1, NOW, image.pulled_at)})
    verdict = verdict_on(image, make_policy(), inspection=replace(inspection, memory=failed_now))
    assert verdict.detail == "its last removal failed; tried again from 2026-06-01T12:01:00Z on"
    failed_now = replace(failed_now, removal_failures={image.id: RemovalFailure(3, NOW, image.pulled_at)})
    verdict = verdict_on(image, make_policy(), inspection=replace(inspection, memory=failed_now))
    assert verdict.detail == "its last 3 removals failed; tried again from 2026-06-01T12:04:00Z on"


# ---- near the kubelet's threshold


@pytest.mark.parametrize(
    ("danger", "pulled", "evicted"),
    [
        (None, 5 * MINUTE - MICROSECOND, False),
        (None, 5 * MINUTE, True),
        (2 * MINUTE, 2 * MINUTE - MICROSECOND, False),
        (2 * MINUTE, 2 * MINUTE, True),
        (HOUR, 5 * MINUTE, True),
    ],
)
def test_grace_in_danger(danger: timedelta | None, pulled: timedelta, *, evicted: bool) -> None:
    """Grace shrinks where the kubelet would act sooner, and never grows."""
    inspection = make_inspection(make_image(1, pulled=pulled))
    for trigger in (Trigger.PRESSURE, Trigger.NIGHTLY):
        found = plan(inspection, make_policy(), trigger, NOW, PressureContext(danger))
        assert bool(found.evictions) is (evicted and trigger is Trigger.PRESSURE)


def test_in_danger_young_images_come_last() -> None:
    """An image within the configured grace comes after all others, whatever its build date."""
    young = make_image(1, created=900 * DAY, pulled=3 * MINUTE)
    older = make_image(2, created=DAY, pulled=6 * MINUTE)
    found = plan(make_inspection(young, older), make_policy(), Trigger.PRESSURE, NOW, PressureContext(2 * MINUTE))
    assert [verdict.image.id for verdict in found.evictions] == [older.id, young.id]


def test_when_the_next_image_becomes_a_candidate() -> None:
    """The plan says when the first grace ends; it does not where no image is recent."""
    images = make_image(1, pulled=MINUTE), make_image(2, pulled=4 * MINUTE), make_image(3)
    assert plan(make_inspection(*images), make_policy(), Trigger.PRESSURE, NOW).next_candidate_in == MINUTE
    assert plan(make_inspection(images[2]), make_policy(), Trigger.PRESSURE, NOW).next_candidate_in is None


def test_without_layers_sizes_may_bound_what_is_freed() -> None:
    """Where the runtime has no containerd API, the candidates' sizes are an upper bound; elsewhere they say nothing."""
    images = [replace(make_image(number), size_bytes=10**number) for number in (1, 2)]
    inspection = make_inspection(*images, replace(make_image(3, ["q.io/a:1"]), size_bytes=1000))
    assert plan(inspection, make_policy(), Trigger.PRESSURE, NOW).most_reclaimable is None
    found = plan(replace(inspection, sizes_are_bounds=True), make_policy(), Trigger.PRESSURE, NOW)
    assert found.reclaimable is None
    assert found.most_reclaimable is not None
    assert found.most_reclaimable.bytes == 110
    unknown = make_inspection(*images, make_image(4))
    found = plan(replace(unknown, sizes_are_bounds=True), make_policy(), Trigger.PRESSURE, NOW)
    assert len(found.evictions) == 3
    assert found.most_reclaimable is None


# ---- the design's table, read again, slowly


@dataclass(frozen=True)
class Entry:
    """A rule as text, so that the second opinion reads it by itself."""

    patterns: tuple[str, ...]
    rule: Rule


def readings(image: Image) -> list[tuple[str, str | None, str | None]]:
    """(repository, tag, digest) of each reference; a digest only where no tag is in its repository."""
    tags = [(text.rpartition(":")[0], text.rpartition(":")[2], None) for text in image.tags]
    tagged = {repository for repository, _, _ in tags}
    digests = [(text.partition("@")[0], None, text.partition("@")[2]) for text in image.digests]
    return [*tags, *(reading for reading in digests if reading[0] not in tagged)]


def fits(pattern: str, reading: tuple[str, str | None, str | None], *, protect: bool) -> bool:
    if pattern == "<none>":
        return False
    repository, tag, _ = reading
    head, _, last = pattern.rpartition("/")
    last, _, tag_pattern = last.partition(":")
    if tag_pattern and not (star_covers(tag_pattern, tag) if tag else protect):
        return False
    name = f"{head}/{last}" if head else last
    return parts_cover(name.split("/"), repository.split("/"))


def rules_for(image: Image, entries: tuple[Entry, ...]) -> list[Rule] | None:
    if "<odd>" in image.tags:
        return None
    found: list[Rule] = []
    asked: list[tuple[str, str | None, str | None] | None] = [*readings(image)]
    for reading in asked or [None]:
        for entry in entries:
            covered = [p == "<none>" if reading is None else fits(p, reading, protect=False) for p in entry.patterns]
            if any(covered):
                found.append(entry.rule)
                break
        else:
            return None
    return found


@dataclass(frozen=True)
class Table:
    """The design's table for one node, policy and trigger; each line asked for each image anew."""

    inspection: Inspection
    entries: tuple[Entry, ...]
    protect: tuple[str, ...]
    policy: Policy
    trigger: Trigger
    danger_grace: timedelta | None = None

    def needed(self, image: Image, names: set[str]) -> bool:
        manifests = {name.partition("@")[2] for name in names if "@" in name}
        return bool(
            names & {image.id, *image.references} or any(text.partition("@")[2] in manifests for text in image.digests)
        )

    def pulled(self, image: Image) -> datetime | None:
        """Not where somebody watched it come more than ten minutes later."""
        memory, pulled = self.inspection.memory, image.pulled_at
        came = memory.first_seen_at.get(image.id)
        if pulled and came and memory.since and memory.since < came and pulled + 10 * MINUTE < came:
            return None
        return pulled

    def age(self, image: Image, clock: Clock) -> timedelta:
        first_seen = self.inspection.memory.first_seen_at.get(image.id, NOW)
        arrived = min(self.pulled(image) or first_seen, NOW)
        if clock is Clock.LAST_USED:
            used = self.inspection.memory.last_used_at.get(image.id, arrived)
            return NOW - min(max(arrived, first_seen, used), NOW)
        created = image.created_at
        believed = created is not None and FIRST_PLAUSIBLE <= created <= NOW
        return NOW - (created if clock is Clock.CREATED and created is not None and believed else arrived)

    def is_recent(self, image: Image, grace: timedelta) -> bool:
        memory = self.inspection.memory
        arrived = self.pulled(image) or memory.first_seen_at.get(image.id, NOW)
        times = [arrived, memory.last_used_at.get(image.id, arrived)]
        return any(NOW - min(time, NOW) < grace for time in times)

    def is_on_hold(self, rule: Rule) -> bool:
        until = self.inspection.memory.on_hold_until.get(rule.name)
        return self.trigger is Trigger.NIGHTLY and until is not None and until > NOW

    def is_registry_down(self, image: Image) -> bool:
        return any(text.partition("/")[0] in self.inspection.registries_down for text in image.references)

    def is_newest(self, image: Image, rule: Rule) -> bool:
        for repository in {reading[0] for reading in readings(image)}:
            others = [
                other
                for other in self.inspection.images
                if other.readable and "<odd>" not in other.tags and repository in {r[0] for r in readings(other)}
            ]
            younger = [o for o in others if self.age(o, rule.age_from) < self.age(image, rule.age_from)]
            if len(younger) < rule.keep_newest:
                return True
        return False

    def reason(self, image: Image) -> Reason:
        reason, layers = self.reason_before_bytes(image), self.inspection.layers
        if self.trigger is not Trigger.PRESSURE or isinstance(reason, KeepReason) or not (layers and layers.complete):
            return reason
        others = self.inspection.images
        candidates = [other.id for other in others if isinstance(self.reason_before_bytes(other), EvictReason)]
        return reason if gains_by_definition(layers, image.id, candidates) else KeepReason.NO_GAIN

    def bytes_alone(self, image: Image) -> int:
        layers = self.inspection.layers
        return freed_by_definition(layers, [image.id]).bytes if layers and layers.complete else 0

    def reason_before_bytes(self, image: Image) -> Reason:  # noqa: C901, PLR0911, PLR0912 a line of the table each
        if not image.readable:
            return KeepReason.UNREADABLE
        if self.needed(image, {name for container in self.inspection.containers for name in container.image_names}):
            return KeepReason.IN_USE
        if self.needed(image, set(self.inspection.sandbox_images)):
            return KeepReason.SANDBOX
        if image.pinned:
            return KeepReason.PINNED
        sensible = replace(image, tags=tuple(tag for tag in image.tags if tag != "<odd>"))
        if any(fits(p, reading, protect=True) for p in self.protect for reading in readings(sensible)):
            return KeepReason.PROTECTED
        if not image.references and "<none>" in self.protect:
            return KeepReason.PROTECTED
        if image.stray_records or image.artifact:
            return KeepReason.UNREMOVABLE
        failure = self.inspection.memory.removal_failures.get(image.id)
        never = datetime.min.replace(tzinfo=UTC)
        if (
            failure
            and retry_at(failure) > NOW
            and (image.pulled_at or never) <= (failure.pulled_at or datetime.max.replace(tzinfo=UTC))
        ):
            return KeepReason.REMOVAL_FAILED
        rules = rules_for(image, self.entries)
        if rules is None:
            return KeepReason.UNMATCHED
        # The rule that keeps longest decides: so any rule's reason to keep is one, and the first of the list shows.
        pressure = self.trigger is Trigger.PRESSURE
        imported = image.imported or image.id in self.inspection.memory.imported
        if (image.local or imported or not image.digests) and not all(rule.local for rule in rules):
            return KeepReason.LOCAL
        if self.is_recent(image, self.grace if pressure else self.policy.grace):
            return KeepReason.RECENT
        if any(self.is_newest(image, rule) for rule in rules):
            return KeepReason.NEWEST
        if all(self.age(image, rule.age_from) >= rule.max_age for rule in rules):
            decided: Reason = KeepReason.RULE_ON_HOLD if any(map(self.is_on_hold, rules)) else EvictReason.EXPIRED
        else:
            decided = EvictReason.PRESSURE if pressure else KeepReason.UNEXPIRED
        if isinstance(decided, KeepReason):
            return decided
        return KeepReason.REGISTRY_DOWN if self.is_registry_down(image) else decided

    @property
    def grace(self) -> timedelta:
        return min(self.policy.pressure_grace, self.danger_grace or self.policy.pressure_grace)

    def order(self, verdict: Verdict) -> tuple[bool, bool, bool, timedelta, int, str]:
        pressure = self.trigger is Trigger.PRESSURE
        fresh = pressure and self.is_recent(verdict.image, self.policy.pressure_grace)
        inside = pressure and self.is_recent(verdict.image, self.policy.grace)
        unexpired = pressure and verdict.reason is not EvictReason.EXPIRED
        clock = next(entry.rule.age_from for entry in self.entries if entry.rule.name == verdict.rule)
        age = self.age(verdict.image, clock)
        return fresh, inside, unexpired, -age, -self.bytes_alone(verdict.image), verdict.image.id


NAMES = ["r.io/a", "r.io/b", "r.io/b/c", "q.io/a"]
TAGS = [f"{name}:{tag}" for name in NAMES for tag in ("1", "2")]
MANIFESTS = [f"{name}@{make_digest(number)}" for name in NAMES[:3] for number in (1, 2)]
PATTERNS = ["**", "r.io/**", "r.io/*", "r.io/a", "r.io/b:1", "r.io/b/**:2", "*.io/a", "**/c", "<none>", "*/*:*"]
AGES = [timedelta(0), MINUTE, 2 * MINUTE, 5 * MINUTE, DAY, 30 * DAY, 60 * DAY]
SHIFTS = [-MICROSECOND, timedelta(0), MICROSECOND]
NEARBY = [age + shift for age in AGES for shift in SHIFTS]
TIMES = [None] * 3 + [NOW - age for age in NEARBY] + [NOW - 100 * DAY] * 9
BUILDS = [*TIMES, FIRST_PLAUSIBLE - MICROSECOND, FIRST_PLAUSIBLE, datetime(1, 1, 1, tzinfo=UTC)]
IDS = [f"sha256:{number:064x}" for number in range(1, 7)]


def some(random: Random, choices: Sequence[str], most: int) -> tuple[str, ...]:
    return tuple(sorted(random.sample(choices, random.randint(0, most))))


def random_image(random: Random, image_id: str) -> Image:
    return Image(
        image_id,
        tags=some(random, [*TAGS, "<odd>"], 2),
        digests=some(random, MANIFESTS, 2),
        pinned=random.random() < 0.1,
        created_at=random.choice(BUILDS),
        pulled_at=random.choice(TIMES),
        readable=random.random() < 0.9,
        local=random.random() < 0.1,
        imported=random.random() < 0.05,
        stray_records=("app:1",) if random.random() < 0.05 else (),
        artifact=random.random() < 0.05,
    )


def random_failure(random: Random, image: Image) -> RemovalFailure:
    """Of now, or a minute or two ago; by the pull that is known, or by another."""
    failed_at = NOW - random.randint(0, 2) * MINUTE + random.choice(SHIFTS)
    return RemovalFailure(random.randint(1, 3), failed_at, random.choice([image.pulled_at, NOW]))


def random_entry(random: Random, name: str) -> Entry:
    patterns = tuple(random.sample(PATTERNS, random.randint(1, 3)))
    rule = make_rule(
        *patterns,
        name=name,
        max_age=random.choice(AGES),
        age_from=random.choice(list(Clock)),
        keep_newest=random.randint(0, 2),
        local=random.random() < 0.5,
    )
    return Entry(patterns, rule)


def random_layers(random: Random) -> Layers | None:
    """None, or manifests over layers that images, containers and others have; now and then not to be trusted."""
    if random.random() < 0.3:
        return None
    keys = [f"key{number}" for number in range(6)]
    manifests = {image_id: f"manifest{number}" for number, image_id in enumerate(IDS) if random.random() < 0.9}
    return Layers(
        sizes={key: Size(random.randint(0, 3), 1) for key in some(random, [*keys, *manifests.values()], 8)},
        edges={manifest: some(random, keys, 3) for manifest in manifests.values()},
        images={image_id: frozenset({manifest}) for image_id, manifest in manifests.items()},
        containers=frozenset(some(random, keys, 1)),
        other_namespaces=frozenset(some(random, keys, 1)),
        unlisted=frozenset(some(random, keys, 1)),
        metadata=frozenset(manifests.values()),
        complete=random.random() < 0.9,
    )


def random_table(seed: int) -> Table:
    """One node, policy and trigger of very many; the same for the same seed."""
    random = Random(seed)  # noqa: S311 no secret
    images = [random_image(random, image_id) for image_id in IDS[: random.randint(1, 6)]]
    inspection = make_inspection(
        *images,
        used=some(random, [*IDS, *TAGS, *MANIFESTS], 1),
        sandbox=some(random, [*IDS, *TAGS, *MANIFESTS], 1),
        first_seen={image_id: random.choice(TIMES) or NOW for image_id in some(random, IDS, 3)},
        last_used={image_id: random.choice(TIMES) or NOW for image_id in some(random, IDS, 3)},
    )
    entries = tuple(random_entry(random, name) for name in ("one", "two", "three"))
    protect = some(random, ["r.io/a:1", "r.io/b/**", "<none>", "*/a:2"], 1)
    policy = make_policy(*(entry.rule for entry in entries), protect=protect)
    on_hold_until = {name: NOW + random.choice(SHIFTS) for name in ("one", "two") if random.random() < 0.6}
    down = frozenset(some(random, ["r.io", "q.io"], 1) if random.random() < 0.3 else ())
    inspection = replace(with_rules_on_hold(inspection, on_hold_until), registries_down=down)
    grace = random.choice([None, MINUTE, 2 * MINUTE, DAY])
    table = Table(inspection, entries, protect, policy, random.choice(list(Trigger)), grace)
    layers, since = random_layers(random), random.choice([NOW - 365 * DAY, None, *TIMES])
    failures = {image.id: random_failure(random, image) for image in images if random.random() < 0.2}
    memory = replace(
        inspection.memory, since=since, imported=frozenset(some(random, IDS, 1)), removal_failures=failures
    )
    return replace(table, inspection=replace(inspection, layers=layers, memory=memory))


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    return [random_table(seed) for seed in range(1500)]


def planned(table: Table) -> Plan:
    return plan(table.inspection, table.policy, table.trigger, NOW, PressureContext(table.danger_grace))


def evicted(table: Table) -> set[str]:
    return {verdict.image.id for verdict in planned(table).evictions}


def test_random_nodes_have_every_reason(tables: list[Table]) -> None:
    """The nodes below cover every case: among their images is every reason to keep and to evict."""
    assert {table.reason(image) for table in tables for image in table.inspection.images} == {
        *KeepReason,
        *EvictReason,
    }


def test_every_image_ends_once_as_the_table_says(tables: list[Table]) -> None:
    """Each image of a random node ends once, with the reason of a literal reading of the design's table."""
    for table in tables:
        expected = {image.id: table.reason(image) for image in table.inspection.images}
        assert {image_id: verdict.reason for image_id, verdict in verdicts_by_id(planned(table)).items()} == expected


def test_evictions_and_kept_images_are_told_apart_by_their_reason(tables: list[Table]) -> None:
    """What is evicted has a reason to evict, and what stays a reason to keep."""
    for table in tables:
        assert all(isinstance(verdict.reason, EvictReason) and verdict.evict for verdict in planned(table).evictions)
        assert all(isinstance(verdict.reason, KeepReason) and not verdict.evict for verdict in planned(table).kept)


def test_evictions_are_ordered_as_the_design_says(tables: list[Table]) -> None:
    """The evictions of a random node are sorted by the keys of the design."""
    for table in tables:
        evictions = planned(table).evictions
        assert list(evictions) == sorted(evictions, key=table.order)


def test_the_order_of_the_lists_does_not_matter(tables: list[Table]) -> None:
    """A plan is the same however the runtime orders its lists."""
    for table in tables:
        turned = replace(table.inspection, images=table.inspection.images[::-1])
        assert planned(replace(table, inspection=turned)) == planned(table)


def test_a_registry_that_is_down_only_removes_candidates(tables: list[Table]) -> None:
    """With more registries down no other image is evicted: one round of questions is enough."""
    for table in tables:
        worse = replace(table.inspection, registries_down=frozenset({"r.io"}))
        up = replace(table.inspection, registries_down=frozenset())
        assert evicted(replace(table, inspection=worse)) <= evicted(replace(table, inspection=up))


def test_what_is_in_use_is_never_evicted(tables: list[Table]) -> None:
    """No trigger evicts an image that is unreadable, in use, protected, unmatched or local."""
    never = {*list(KeepReason)[: list(KeepReason).index(KeepReason.RECENT)]}
    for table in tables:
        for trigger in Trigger:
            either = replace(table, trigger=trigger)
            assert not {either.reason(verdict.image) for verdict in planned(either).evictions} & never


def test_pressure_evicts_what_the_nightly_run_evicts_and_more(tables: list[Table]) -> None:
    """With a shorter grace, pressure evicts all that the nightly trigger would have evicted, save what is no_gain."""
    for table in tables:
        pressure = planned(replace(table, trigger=Trigger.PRESSURE))
        gainless = {verdict.image.id for verdict in pressure.kept if verdict.reason is KeepReason.NO_GAIN}
        taken = {verdict.image.id for verdict in pressure.evictions}
        assert evicted(replace(table, trigger=Trigger.NIGHTLY)) <= taken | gainless
        manual = evicted(replace(table, trigger=Trigger.MANUAL))
        assert evicted(replace(table, trigger=Trigger.NIGHTLY)) <= manual
        without_holds = replace(table, inspection=with_rules_on_hold(table.inspection, {}), trigger=Trigger.NIGHTLY)
        assert evicted(without_holds) == manual


def test_bytes_are_those_of_the_definition(tables: list[Table]) -> None:
    """Evictions add up, one by one, to what they free together; what is kept says what it would free alone."""
    for table in tables:
        layers, result = table.inspection.trusted_layers, planned(table)
        if layers is None:
            assert {verdict.reclaimable for verdict in (*result.evictions, *result.kept)} <= {None}
            assert result.reclaimable is None
            continue
        ids = [verdict.image.id for verdict in result.evictions]
        freed = list(accumulate((verdict.reclaimable or NOTHING for verdict in result.evictions), initial=NOTHING))
        assert freed == [freed_by_definition(layers, ids[:count]) for count in range(len(ids) + 1)]
        assert result.reclaimable == freed[-1]
        for verdict in result.kept:
            assert verdict.reclaimable == freed_by_definition(layers, [verdict.image.id])


def test_another_container_never_evicts_more(tables: list[Table]) -> None:
    """Whatever a container uses in addition, the plan evicts no image that it did not evict before."""
    for number, table in enumerate(tables):
        used = Container("new", frozenset({[*IDS, *TAGS, *MANIFESTS][number % 20]}))
        busier = replace(table.inspection, containers=(*table.inspection.containers, used))
        assert evicted(replace(table, inspection=busier)) <= evicted(table)
