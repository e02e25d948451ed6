"""The locks of a node, also between processes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleaner.core.errors import EnvironmentUnusableError
from cleaner.ledger.locks import RUNTIME_TAKEN, STATE_TAKEN, DaemonLocks, _lock, take_sweep_turn

TAKE_TURN = """
import sys
from pathlib import Path
from cleaner.ledger.locks import DaemonLocks, take_sweep_turn
if sys.argv[2] == "life":
    locks = DaemonLocks()
    locks.hold(Path(sys.argv[1]), "taken")
    print(True, flush=True)
    sys.stdin.read()
else:
    with take_sweep_turn(Path(sys.argv[1])) as mine:
        print(mine, flush=True)
        sys.stdin.read()
"""


def start_other(folder: Path, lock: str) -> subprocess.Popen[str]:
    """Another process that has a lock once it has said so."""
    other = subprocess.Popen(
        [sys.executable, "-P", "-c", TAKE_TURN, str(folder), lock],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    return other


def end(other: subprocess.Popen[str]) -> None:
    other.kill()
    other.communicate()


def test_a_turn_is_one_processs_at_a_time(tmp_path: Path) -> None:
    """A second turn is denied at once while the first lasts."""
    with take_sweep_turn(tmp_path) as first:
        assert first
        with take_sweep_turn(tmp_path) as second:
            assert not second
    with take_sweep_turn(tmp_path) as third:
        assert third
    assert (tmp_path / "sweep.lock").stat().st_mode & 0o777 == 0o600


def test_a_turn_ends_with_its_process(tmp_path: Path) -> None:
    """A turn of another process is denied here until that process is killed."""
    other = start_other(tmp_path, "turn")
    with take_sweep_turn(tmp_path) as mine:
        assert not mine
    end(other)
    with take_sweep_turn(tmp_path) as mine:
        assert mine


def test_a_turn_without_a_place_for_its_lock_is_given(tmp_path: Path) -> None:
    """If no lock file can be made, a sweep still runs."""
    with take_sweep_turn(tmp_path / "missing") as mine:
        assert mine
    (tmp_path / "file").touch()
    with take_sweep_turn(tmp_path / "file") as mine:
        assert mine


@pytest.fixture
def locks() -> Iterator[DaemonLocks]:
    locks = DaemonLocks()
    yield locks
    locks.release()


def is_free(directory: Path) -> bool:
    """Whether another holder gets the lock, which it gives back at once."""
    other = DaemonLocks()
    try:
        other.hold(directory, "taken")
    except EnvironmentUnusableError:
        return False
    other.release()
    return True


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (STATE_TAKEN, "another cleaner runs on this node with the state in {}; end it "),
        (RUNTIME_TAKEN, "another cleaner runs on this container runtime and holds the lock of {}; end it: "),
    ],
)
def test_one_daemon_holds_a_directory(tmp_path: Path, locks: DaemonLocks, problem: str, says: str) -> None:
    """A second daemon is told which directory is taken and what to do, until the first one is killed."""
    other = start_other(tmp_path, "life")
    with pytest.raises(EnvironmentUnusableError) as raised:
        locks.hold(tmp_path, problem)
    assert str(raised.value).startswith(says.format(tmp_path))
    end(other)
    locks.hold(tmp_path, problem)
    assert not is_free(tmp_path)


def test_locks_last_until_they_are_released(tmp_path: Path, locks: DaemonLocks) -> None:
    """One process holds several directories, also asked for again and by another path, and then none."""
    state, images, link = tmp_path / "state", tmp_path / "images", tmp_path / "link"
    state.mkdir()
    images.mkdir()
    link.symlink_to(images)
    for directory in (state, images, images, link, state):
        locks.hold(directory, "taken")
    assert (is_free(state), is_free(images), is_free(link)) == (False, False, False)
    locks.release()
    assert (is_free(state), is_free(images)) == (True, True)


def test_a_refused_lock_leaves_the_others(tmp_path: Path, locks: DaemonLocks) -> None:
    """What is held stays held, and what was refused is free once its holder ends."""
    state, images = tmp_path / "state", tmp_path / "images"
    state.mkdir()
    images.mkdir()
    locks.hold(state, STATE_TAKEN)
    other = start_other(images, "life")
    with pytest.raises(EnvironmentUnusableError):
        locks.hold(images, RUNTIME_TAKEN)
    end(other)
    assert (is_free(state), is_free(images)) == (False, True)


@pytest.mark.parametrize("path", ["missing", "file", "", "nu\0ll", "l" * 300])
def test_without_a_directory_nothing_is_locked(tmp_path: Path, locks: DaemonLocks, path: str) -> None:
    """A directory that is not mounted here, or none at all, holds nobody back."""
    (tmp_path / "file").touch()
    locks.hold(tmp_path / path if path else Path("none/relative"), RUNTIME_TAKEN)
    assert locks._held == []


def test_a_filesystem_without_locks_delays_no_sweep() -> None:
    """A lock that cannot be asked for is no other process's."""
    assert _lock(2**30)
