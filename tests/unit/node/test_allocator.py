"""What the allocator is told; that it helps is what `make bench` shows."""

from cleaner.node.allocator import hold_little_memory


def test_it_can_be_asked_again_and_does_no_harm() -> None:
    """Memory can be had and given back as before."""
    hold_little_memory()
    hold_little_memory()
    assert len(bytearray(10 << 20)) == 10 << 20
