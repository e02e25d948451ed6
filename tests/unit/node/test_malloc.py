"""The settings of the allocator, seen in processes of their own."""

import subprocess
import sys

import pytest

PREAMBLE = """
import threading
from cleaner.core.events import DaemonStopped, ImagesInventoried
from cleaner.core.model import Plan, Trigger
from cleaner.node.malloc import TrimAfterInventory, hold_little_memory

def kib(what):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(what))
"""
TRIM = """
blocks = [bytearray(2000) for _ in range(20_000)]
del blocks[:-1]  # the last one keeps the end of the heap, so nothing is given back by itself
before = kib("VmRSS")
TrimAfterInventory().record({event})
print(before - kib("VmRSS"))
"""
ARENAS = """
{first}
before = kib("VmSize")
reached, go_on = threading.Event(), threading.Event()
def allocate():
    kept = [bytearray(2000) for _ in range(100)]
    reached.set()
    go_on.wait()
thread = threading.Thread(target=allocate)
thread.start()
reached.wait()
print(kib("VmSize") - before)
go_on.set()
"""
MIB = 1024


def printed(code: str) -> int:
    """What a process prints that begins with the preamble, in KiB."""
    done = subprocess.run([sys.executable, "-P", "-c", PREAMBLE + code], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.parametrize(
    ("event", "gives"), [("ImagesInventoried(Plan(Trigger.NIGHTLY, (), ()))", True), ("DaemonStopped()", False)]
)
def test_memory_is_given_back_after_an_inventory(event: str, gives: bool) -> None:
    """Most of 40 MB that were freed return to the kernel after an inventory, and not after any event."""
    assert (printed(TRIM.format(event=event)) > 20 * MIB) is gives


def test_threads_share_one_arena() -> None:
    """A thread's first allocation reserves an arena of its own, 64 MiB of addresses; not once the settings limit it."""
    assert printed(ARENAS.format(first="hold_little_memory(); hold_little_memory()")) < 60 * MIB
    assert printed(ARENAS.format(first="")) >= 60 * MIB
