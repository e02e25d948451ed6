"""What unit tests share."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.machine_environment import changes_results


@pytest.fixture(scope="session", autouse=True)
def _plain_environment() -> Iterator[None]:
    """Remove variables that change results: a proxy, colours, the terminal's width."""
    with pytest.MonkeyPatch.context() as patch:
        for name in filter(changes_results, list(os.environ)):
            patch.delenv(name)
        yield


@pytest.fixture
def folder() -> Iterator[Path]:
    """For sockets, whose paths have to be short."""
    with tempfile.TemporaryDirectory(prefix="unit") as path:
        yield Path(path)


@pytest.fixture
def own_signals() -> Iterator[None]:
    """For commands that block signals: the test's process gets its mask back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
