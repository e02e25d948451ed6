"""What unit tests share."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


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
