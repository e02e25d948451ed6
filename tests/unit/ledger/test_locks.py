"""The locks of a node, also between processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from cleaner.core.errors import EnvironmentUnusableError
from cleaner.ledger.locks import _lock, hold_for_life, take_sweep_turn

TAKE_TURN = """
import sys
from pathlib import Path
from cleaner.ledger.locks import hold_for_life, take_sweep_turn
if sys.argv[2] == "life":
    lock = hold_for_life(Path(sys.argv[1]))
    print(lock is not None, flush=True)
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


def test_one_daemon_holds_a_directory(tmp_path: Path) -> None:
    """A second daemon is told which directory is taken and what to do."""
    other = start_other(tmp_path, "life")
    with pytest.raises(EnvironmentUnusableError, match=f"another cleaner runs .* {tmp_path}; end it.* state.path"):
        hold_for_life(tmp_path)
    end(other)
    assert hold_for_life(tmp_path) is not None


def test_without_a_directory_nothing_is_locked(tmp_path: Path) -> None:
    """No directory, no lock."""
    assert hold_for_life(tmp_path / "missing") is None


def test_a_filesystem_without_locks_delays_no_sweep() -> None:
    """A lock that cannot be asked for is no other process's."""
    assert _lock(2**30)
