"""What a process remembers of images."""

from datetime import timedelta

from cleaner.core.model import Image
from cleaner.node.recollection import ProcessRecollection
from support.fakes import NOON

A, B = Image("a"), Image("b")
LATER = NOON + timedelta(hours=1)


def test_first_seen_stays_and_use_moves() -> None:
    """An image keeps the time at which it was first seen; its last use is the latest look that found it in use."""
    recollection = ProcessRecollection()
    recollection.remember((A, B), frozenset({"a"}), NOON)
    memory = recollection.remember((A, B), frozenset({"b"}), LATER)
    assert memory.since == NOON
    assert memory.first_seen_at == {"a": NOON, "b": NOON}
    assert memory.last_used_at == {"a": NOON, "b": LATER}


def test_what_is_gone_is_forgotten() -> None:
    """An image that was gone for one look is new when it comes back."""
    recollection = ProcessRecollection()
    recollection.remember((A,), frozenset({"a"}), NOON)
    recollection.remember((B,), frozenset(), NOON)
    memory = recollection.remember((A, B), frozenset(), LATER)
    assert memory.first_seen_at == {"a": LATER, "b": NOON}
    assert memory.last_used_at == {}
