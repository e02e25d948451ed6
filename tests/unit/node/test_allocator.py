"""What the allocator is told; that it helps is what `make bench` shows."""

from cleaner.core.events import DaemonStopped, ImagesCounted
from cleaner.core.model import Plan, Trigger
from cleaner.node.allocator import TrimAfterCounts, hold_little_memory


def test_it_can_be_asked_again_and_does_no_harm() -> None:
    """Memory can be had and given back as before."""
    hold_little_memory()
    hold_little_memory()
    assert len(bytearray(10 << 20)) == 10 << 20


def test_memory_is_given_back_after_a_count() -> None:
    """Any event is taken, and what was allocated before is still there after it."""
    before = bytearray(b"x" * 1000)
    for event in (ImagesCounted(Plan(Trigger.NIGHTLY, (), ())), DaemonStopped()):
        TrimAfterCounts().record(event)
    assert before == b"x" * 1000
