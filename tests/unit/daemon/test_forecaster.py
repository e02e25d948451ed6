"""When pulls in progress are read, and how the forecaster projects them."""

from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.core.disk_usage import Usage
from cleaner.core.events import Event
from cleaner.core.pressure.pulls import Pull
from cleaner.core.pressure.watermarks import WatermarkPair, Watermarks
from cleaner.daemon.forecaster import MOVED_BYTES, NodeForecaster
from support.nodes import MB, World, make_world

WATERMARKS = Watermarks(bytes=WatermarkPair(75, 65), inodes=WatermarkPair(80, 75))
PULL = Pull("sha256:new", 100 * MB, 0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def make_forecaster(world: World) -> NodeForecaster:
    events: list[Event] = []
    return NodeForecaster(WATERMARKS, timedelta(minutes=10), world.timer, events.append)


def check(world: World, forecaster: NodeForecaster) -> Usage:
    world.timer.move(seconds=5)
    return forecaster.forecast(world.node, world.simulated.read_usage(), None, 0).projected


def asked(world: World) -> int:
    return world.runtime.calls.count("read_pulls")


@pytest.mark.parametrize(("written", "times"), [(MOVED_BYTES - 1, 1), (MOVED_BYTES, 2), (MOVED_BYTES + 1, 2)])
def test_what_moves_slowly_adds_up(world: World, written: int, times: int) -> None:
    """Pulls are read once a MiB moved since the last reading, over however many checks."""
    forecaster = make_forecaster(world)
    check(world, forecaster)
    for number, size in enumerate((written // 2, written - written // 2)):
        world.simulated.write_file(f"log{number}", size)
        check(world, forecaster)
    assert asked(world) == times


def test_nothing_is_asked_where_nothing_moves(world: World) -> None:
    """The pulls of an idle node are read once."""
    forecaster = make_forecaster(world)
    for _ in range(10):
        check(world, forecaster)
    assert asked(world) == 1


def test_a_pull_that_a_sweep_saw_is_seen_by_the_next_check(world: World) -> None:
    """A pull without progress is known to the next check too, or a nightly run would yield to pressure for ever."""
    forecaster = make_forecaster(world)
    assert check(world, forecaster).used_percent == 0
    world.runtime.pulls = [(PULL,)] * 2
    assert forecaster.project(world.node, world.simulated.read_usage(), None, 0).used_percent == 10
    assert check(world, forecaster).used_percent == 10
