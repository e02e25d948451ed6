"""A test CRI server on a socket of its own, and clients of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.runtime.client import CriRuntime
from cleaner.runtime.rpc.endpoint import Endpoint
from cleaner.runtime.rpc.methods import Span
from lab.waiting import DEADLINE_SECONDS
from support.crio_server import CrioServer

SOON = timedelta(milliseconds=100)
"""Deadline of calls that are to hang."""
PATIENT = timedelta(seconds=DEADLINE_SECONDS)
"""Deadline of calls that are answered, however busy the machine is."""


@dataclass
class ScriptedStop:
    """Waits for nothing; is requested from the given wait on."""

    requested_at_wait: int | None = None
    waits: list[float] = field(default_factory=list)
    during_wait: Callable[[], None] = lambda: None

    def requested(self) -> bool:
        return self.requested_at_wait is not None and len(self.waits) >= self.requested_at_wait

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.during_wait()
        return self.requested()


@dataclass
class Observed:
    """What was reported of calls."""

    calls: list[tuple[str, float, bool]] = field(default_factory=list)

    def __call__(self, method: str, seconds: float, answered: bool) -> None:
        self.calls.append((method, seconds, answered))


@pytest.fixture
def crio(folder: Path) -> Iterator[CrioServer]:
    with CrioServer(folder / "crio.sock") as server:
        yield server


@pytest.fixture
def containerd(folder: Path) -> Iterator[CrioServer]:
    with CrioServer(folder / "containerd.sock", records=()) as server:
        yield server


@pytest.fixture
def stop() -> ScriptedStop:
    return ScriptedStop()


@pytest.fixture
def observed() -> Observed:
    return Observed()


@pytest.fixture
def connect(stop: ScriptedStop, observed: Observed) -> Iterator[Callable[..., CriRuntime]]:
    """Clients with the test's own stop and report; closed at its end."""
    with ExitStack() as closing:

        def connected(server: CrioServer, *, hasty: bool = False) -> CriRuntime:
            deadlines = dict.fromkeys(Span, SOON if hasty else PATIENT)
            runtime = CriRuntime(Endpoint(str(server.socket)), stop, observe_call=observed, deadlines=deadlines)
            return closing.enter_context(runtime)

        yield connected
