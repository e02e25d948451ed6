"""When registries are asked, for what, and what comes of it: in a plan, a sweep, the inventory and `check`."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cleaner.cli.node_checks import check_node
from cleaner.core.events import (
    EvictionEnded,
    ImagesInventoried,
    RegistriesProbed,
    SpaceInventoried,
    SweepEnded,
    SweepStarted,
)
from cleaner.core.findings import Finding, Grade
from cleaner.core.model import EvictReason, KeepReason, Mode, Plan, Policy, Trigger
from cleaner.core.nightly import Nightly, calendar_of
from cleaner.core.references import parse_pattern
from cleaner.core.triggers import Triggers
from cleaner.daemon.loop import Daemon
from cleaner.daemon.settings import DaemonSettings, Host
from cleaner.sweep.planning import SECONDS_TO_ASK, SECONDS_UNDER_PRESSURE, plan_as_known, plan_within_reach
from cleaner.sweep.sweep import SweepSettings
from support.fakes import Recorder, ScriptedRegistries
from support.nodes import COMPANY, POLICY, WATERMARKS, World, make_world
from support.values import DAY, NOW, make_image, make_inspection, make_policy, make_rule

HOME, OTHER = "registry.example.com", "registry.gitlab.com"
STRICT = replace(POLICY, pressure_ignores_registries=False)
HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = make_world(tmp_path)
    world.node = replace(world.node, registries=ScriptedRegistries())
    return world


def registries_of(world: World) -> ScriptedRegistries:
    assert isinstance(world.node.registries, ScriptedRegistries)
    return world.node.registries


def reasons(plan: Plan) -> list[str]:
    return [str(verdict.reason) for verdict in (*plan.evictions, *plan.kept)]


@pytest.mark.parametrize("trigger", [Trigger.NIGHTLY, Trigger.MANUAL])
def test_the_registries_of_candidates_are_asked_once(trigger: Trigger) -> None:
    """Registries of images that stay anyway are not asked; one that is down keeps its images; both are reported."""
    home, young = make_image(1, [f"{HOME}/a:1"]), make_image(2, ["q.io/a:1"], created=DAY)
    inspection = make_inspection(home, young, make_image(3))
    registries = ScriptedRegistries({OTHER: "HTTP 503"})
    policy = make_policy(make_rule("**", local=True))
    plan, asked = plan_within_reach(inspection, policy, trigger, NOW, registries)
    assert registries.asked == [(frozenset({HOME, OTHER}), SECONDS_TO_ASK)]
    assert asked == RegistriesProbed(frozenset({HOME}), {OTHER: "HTTP 503"})
    assert reasons(plan) == [EvictReason.EXPIRED, KeepReason.UNEXPIRED, KeepReason.REGISTRY_DOWN]


def test_without_images_no_registry_is_asked() -> None:
    """Without a candidate, or where no registry is to be asked, there is no question and no event."""
    registries = ScriptedRegistries({OTHER: "HTTP 503"})
    young = make_inspection(make_image(1, created=DAY))
    assert plan_within_reach(young, make_policy(), Trigger.NIGHTLY, NOW, registries)[1] is None
    assert registries.asked == []
    plan, asked = plan_within_reach(make_inspection(make_image(1)), make_policy(), Trigger.NIGHTLY, NOW, None)
    assert (reasons(plan), asked) == ([EvictReason.EXPIRED], None)
    assert reasons(plan_as_known(make_inspection(make_image(1)), make_policy(), Trigger.NIGHTLY, NOW, None)) == [
        EvictReason.EXPIRED
    ]


@pytest.mark.parametrize("ignores", [True, False])
def test_under_pressure_the_setting_decides(ignores: bool) -> None:
    """Pressure asks no registry by default; if it does, it has less time."""
    registries = ScriptedRegistries({OTHER: "HTTP 503"}, known=frozenset({OTHER}))
    policy = replace(make_policy(), pressure_ignores_registries=ignores)
    inspection = make_inspection(make_image(1))
    plan, _ = plan_within_reach(inspection, policy, Trigger.PRESSURE, NOW, registries)
    known = plan_as_known(inspection, policy, Trigger.PRESSURE, NOW, registries)
    expected: str = EvictReason.EXPIRED if ignores else KeepReason.REGISTRY_DOWN
    assert (reasons(plan), reasons(known)) == ([expected], [expected])
    assert registries.asked == ([] if ignores else [(frozenset({OTHER}), SECONDS_UNDER_PRESSURE)])


# ---- a sweep


def test_a_nightly_run_keeps_what_is_out_of_reach(world: World) -> None:
    """While the registry is down its images stay; once it answers the next nightly run evicts them."""
    world.pull_old("a")
    registries_of(world).broken = {HOME: "Connection refused"}
    first = world.sweep(Trigger.NIGHTLY)
    assert [type(event) for event in first] == [RegistriesProbed, SweepStarted, SweepEnded]
    registries_of(world).broken = {}
    second = world.sweep(Trigger.NIGHTLY)
    assert second[0] == RegistriesProbed(frozenset({HOME}), {})
    assert EvictionEnded in map(type, second)


def test_a_dry_run_asks_too(world: World) -> None:
    """What would be evicted depends on the registries, so a dry run asks them."""
    world.pull_old("a")
    registries_of(world).broken = {HOME: "Connection refused"}
    report = world.report(Trigger.MANUAL, dry_run=True)
    assert report.evictions == ()
    assert report.plan is not None
    assert reasons(report.plan) == [KeepReason.REGISTRY_DOWN]


@pytest.mark.parametrize(("policy", "evicted"), [(POLICY, 3), (STRICT, 0)])
def test_pressure_and_a_registry_that_is_down(world: World, policy: Policy, evicted: int) -> None:
    """A full disk wins over a registry that is down, unless the configuration says otherwise."""
    for number in range(16):
        world.pull_old(f"app{number:02}", days=100 - number)
    registries_of(world).broken = {HOME: "HTTP 503"}
    report = world.report(Trigger.PRESSURE, policy)
    assert len(report.evictions) == evicted
    assert report.low_watermark_met is bool(evicted)


def test_pressure_that_is_not_needed_asks_no_registry(world: World) -> None:
    """Below the high watermark there is no plan, and no question."""
    world.pull_old("a")
    world.report(Trigger.PRESSURE, STRICT)
    assert registries_of(world).asked == []


# ---- the daemon between sweeps


@pytest.mark.parametrize(("policy", "under_pressure"), [(POLICY, 2), (STRICT, 0)])
def test_the_inventory_asks_no_registry(world: World, policy: Policy, under_pressure: int) -> None:
    """The inventory of each minute uses the nightly run's answers: `registry_down` stays, and no registry is asked."""
    world.pull_old("a")
    world.pull_old("b")
    registries = registries_of(world)
    registries.known = frozenset({HOME})
    nightly = Nightly("0 0 * * *", ZoneInfo("UTC"), 4 * HOUR, timedelta(0), 48 * HOUR, 200)
    triggers = Triggers(Mode.FULL, WATERMARKS, calendar_of(nightly, "node-1"), policy.grace)
    settings = DaemonSettings(
        triggers=triggers,
        sweep=SweepSettings(policy, WATERMARKS, failures_per_sweep=5),
        check_every=timedelta(seconds=5),
        horizon=timedelta(0),
        sample_every=timedelta(minutes=1),
        startup_delay=timedelta(0),
        evictions_per_night=200,
    )
    recorder, world.stop.waits_left = Recorder(), 30
    Daemon(lambda: world.node, settings, Host(world.timer, world.stop, world.ledger), [recorder]).run()
    counted = recorder.of(ImagesInventoried)
    assert len(counted) > 1
    assert {tuple(reasons(count.nightly)) for count in counted} == {(KeepReason.REGISTRY_DOWN,) * 2}
    space = recorder.of(SpaceInventoried)[-1]
    assert (len(space.nightly.evictions), len(space.pressure.evictions)) == (0, under_pressure)
    assert registries.asked == []


# ---- check


def findings_of(world: World, policy: Policy) -> dict[str, list[Finding]]:
    nightly = Nightly("0 0 * * *", ZoneInfo("UTC"), 4 * HOUR, timedelta(0), 48 * HOUR, 200)
    triggers = Triggers(Mode.FULL, WATERMARKS, calendar_of(nightly, "node-1"), policy.grace)
    found: dict[str, list[Finding]] = {}
    for finding in check_node(world.node, policy, triggers):
        found.setdefault(finding.subject, []).append(finding)
    return found


def test_check_asks_what_rules_name(world: World) -> None:
    """Each registry that a rule names literally is a finding, with the reason where it is down; no other is asked."""
    world.pull_old("a")
    patterns = tuple(map(parse_pattern, (f"{OTHER}/a/**", f"{OTHER}/b/**", "*.scw.cloud/**", "**")))
    policy = Policy((COMPANY, replace(COMPANY, name="more", match=patterns)))
    registries_of(world).broken = {OTHER: "HTTP 503"}
    found = findings_of(world, policy)
    assert found["registry"] == [
        Finding("registry", Grade.OK, f"{HOME} answers, or a mirror of it does"),
        Finding("registry", Grade.NOTE, f"{OTHER} does not answer (HTTP 503): the nightly sweep would keep its images"),
    ]
    assert registries_of(world).asked == [(frozenset({HOME, OTHER}), SECONDS_TO_ASK)]
    registries_of(world).broken = {HOME: "HTTP 503"}
    assert (
        findings_of(world, policy)["images"][0].detail
        == "1 on this node: nightly sweeps may evict 0, pressure sweeps 1"
    )


def test_check_without_registries(world: World) -> None:
    """Where none is to be asked there is no finding about one."""
    world.node = replace(world.node, registries=None)
    assert "registry" not in findings_of(world, POLICY)
