"""When pulls in progress are asked for, and what a look ahead makes of them."""

from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.core.disk_usage import Usage
from cleaner.core.events import Event
from cleaner.core.pressure.pulls import Pull
from cleaner.core.pressure.watermarks import WatermarkPair, Watermarks
from cleaner.daemon.forecaster import MOVED_BYTES, Forecaster
from support.nodes import MB, World, make_world

WATERMARKS = Watermarks(bytes=WatermarkPair(75, 65), inodes=WatermarkPair(80, 75))
PULL = Pull("sha256:new", 100 * MB, 0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def make_look_ahead(world: World) -> Forecaster:
    events: list[Event] = []
    return Forecaster(WATERMARKS, timedelta(minutes=10), world.timer, events.append)


def look(world: World, ahead: Forecaster) -> Usage:
    world.timer.move(seconds=5)
    return ahead.forecast(world.node, world.simulated.read_usage(), None, 0).projected


def asked(world: World) -> int:
    return world.runtime.calls.count("read_pulls")


@pytest.mark.parametrize(("written", "times"), [(MOVED_BYTES - 1, 1), (MOVED_BYTES, 2), (MOVED_BYTES + 1, 2)])
def test_what_moves_slowly_adds_up(world: World, written: int, times: int) -> None:
    """Pulls are asked for once a MiB moved since the last question, over however many looks."""
    ahead = make_look_ahead(world)
    look(world, ahead)
    for number, size in enumerate((written // 2, written - written // 2)):
        world.simulated.write_file(f"log{number}", size)
        look(world, ahead)
    assert asked(world) == times


def test_nothing_is_asked_where_nothing_moves(world: World) -> None:
    """An idle node is asked for pulls once."""
    ahead = make_look_ahead(world)
    for _ in range(10):
        look(world, ahead)
    assert asked(world) == 1


def test_a_pull_that_a_sweep_saw_is_seen_by_the_next_look(world: World) -> None:
    """A pull that stands still is known to the next look too, or a night would give way to pressure for ever."""
    ahead = make_look_ahead(world)
    assert look(world, ahead).used_percent == 0
    world.runtime.pulls = [(PULL,)] * 2
    assert ahead.project(world.node, world.simulated.read_usage(), None, 0).used_percent == 10
    assert look(world, ahead).used_percent == 10
