"""A reader of pulls with a clock and a patience of the test's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from cleaner.node.clock import NeverStop
from cleaner.runtime.containerd.pulls import PATIENCE, PullReader
from cleaner.runtime.containerd.snapshotters import Snapshotters
from cleaner.runtime.rpc.calls import Calls, ContainerdApi
from cleaner.runtime.rpc.channel import Channels
from cleaner.runtime.rpc.endpoint import Endpoint
from cleaner.runtime.rpc.methods import DEADLINES, Socket
from support.fakes import FakeTimer


@contextmanager
def reader_of(endpoint: Endpoint, timer: FakeTimer, patience: timedelta = PATIENCE) -> Iterator[PullReader]:
    """A reader on a connection of its own."""
    channels = Channels({Socket.RUNTIME: endpoint, Socket.IMAGES: endpoint})
    calls = Calls(channels, DEADLINES, NeverStop(), lambda _method, _seconds, _answered: None)
    try:
        api = ContainerdApi(calls)
        yield PullReader(api, Snapshotters(api), timer.monotonic, patience)
    finally:
        calls.disconnect()
