"""A scriptable containerd for tests: it speaks CRI and containerd's own API, and misbehaves on order.

Start at `server.py`; `faults.py` says what can be ordered. That it behaves as real containerds otherwise is shown by
the contract (`tests/unit/test_contract_faulty_runtime.py`) and by recordings (`tests/recordings`).
"""

from support.faulty_runtime.bench import FaultyBench, TickingClock, faulty_bench
from support.faulty_runtime.faults import Fault, Faults, Gate, Point
from support.faulty_runtime.journal import Entry, Journal, Kind
from support.faulty_runtime.node import FaultyNode, MissingError
from support.faulty_runtime.server import FaultyRuntime
from support.faulty_runtime.storage import NoSpaceError, Storage
from support.faulty_runtime.versions import CONTAINERD_1_6, CONTAINERD_1_7, CONTAINERD_2, VERSIONS, Version

__all__ = [
    "CONTAINERD_1_6",
    "CONTAINERD_1_7",
    "CONTAINERD_2",
    "VERSIONS",
    "Entry",
    "Fault",
    "Faults",
    "FaultyBench",
    "FaultyNode",
    "FaultyRuntime",
    "Gate",
    "Journal",
    "Kind",
    "MissingError",
    "NoSpaceError",
    "Point",
    "Storage",
    "TickingClock",
    "Version",
    "faulty_bench",
]
