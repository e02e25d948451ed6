"""What `check` says of container events and of pulls in progress."""

from pathlib import Path

import pytest

from cleaner.cli.read_checks import check_reads
from cleaner.core.errors import RuntimeUnavailableError
from cleaner.core.findings import Finding, Grade
from cleaner.core.pressure.pulls import Pull
from cleaner.core.read_state import not_offered, unavailable
from support.nodes import World, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def test_both_can_be_read(world: World) -> None:
    """With the number of pulls."""
    world.runtime.pulls = [(Pull("sha256:a", 1, 1), Pull("sha256:b", 1, 1))]
    assert list(check_reads(world.runtime)) == [
        Finding("container events", Grade.OK, "can be followed"),
        Finding("pulls", Grade.OK, "readable, 2 in progress"),
    ]


def test_a_runtime_that_offers_neither(world: World) -> None:
    """CRI-O: a note that says what follows, and why."""
    world.simulated.container_events_state = not_offered("Subscribe: UNIMPLEMENTED")
    world.simulated.pulls_state = not_offered("Leases.List: no such service")
    events, pulls = check_reads(world.runtime)
    assert (events.grade, pulls.grade) == (Grade.NOTE, Grade.NOTE)
    assert events.detail.startswith("not offered by this runtime: a final check is valid for 10 s at most")
    assert events.detail.endswith("(Subscribe: UNIMPLEMENTED)")
    assert pulls.detail.startswith("not offered by this runtime: a pressure sweep makes no room for them")
    assert pulls.detail.endswith("(Leases.List: no such service)")


def test_a_fault_is_a_warning(world: World) -> None:
    """Nothing fails, but an operator should act."""
    world.simulated.container_events_state = unavailable("Subscribe: PERMISSION_DENIED")
    world.simulated.pulls_state = unavailable("Leases.List: INTERNAL")
    for finding in check_reads(world.runtime):
        assert finding.grade is Grade.WARNING
        assert finding.detail.startswith("unavailable: ")
        assert finding.detail.endswith(("(Subscribe: PERMISSION_DENIED)", "(Leases.List: INTERNAL)"))


def test_pulls_that_nobody_has_read(world: World) -> None:
    """A runtime that says nothing of how its read went has no finding."""
    world.simulated.pulls_state = None
    assert [finding.subject for finding in check_reads(world.runtime)] == ["container events"]


def test_an_unavailable_runtime(world: World) -> None:
    """As for all of `check`: it ends there."""
    world.runtime.failures = {"read_pulls": [RuntimeUnavailableError("nobody")]}
    with pytest.raises(RuntimeUnavailableError):
        list(check_reads(world.runtime))
