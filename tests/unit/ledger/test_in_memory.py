"""What a process knows of images without a ledger file."""

from datetime import timedelta

from cleaner.core.events import DaemonStopped
from cleaner.core.model import Image
from cleaner.ledger.in_memory import InMemoryLedger
from support.fakes import NOON

A, B = Image("a"), Image("b")
LATER = NOON + timedelta(hours=1)


def test_first_seen_stays_and_use_moves() -> None:
    """An image keeps the time when it was first seen; its last use is the latest inspection that found it in use."""
    ledger = InMemoryLedger(since=NOON)
    ledger.store_images((A, B), frozenset({"a"}), NOON)
    memory = ledger.store_images((A, B), frozenset({"b"}), LATER)
    assert memory.since == NOON
    assert memory.first_seen_at == {"a": NOON, "b": NOON}
    assert memory.last_used_at == {"a": NOON, "b": LATER}


def test_what_is_gone_is_forgotten() -> None:
    """An image that was missing at one inspection is new when it is there again."""
    ledger = InMemoryLedger()
    ledger.store_images((A,), frozenset({"a"}), NOON)
    ledger.store_images((B,), frozenset(), NOON)
    memory = ledger.store_images((A, B), frozenset(), LATER)
    assert memory.first_seen_at == {"a": LATER, "b": NOON}
    assert memory.last_used_at == {}


def test_a_correction_moves_all_times() -> None:
    """What was stored by a clock that was behind is as much younger."""
    ledger = InMemoryLedger()
    ledger.store_images((A,), frozenset({"a"}), NOON)
    ledger.shift(timedelta(hours=1))
    memory = ledger.store_images((A,), frozenset(), LATER)
    assert (memory.first_seen_at, memory.last_used_at) == ({"a": LATER}, {"a": LATER})


def test_it_knows_nothing_of_before() -> None:
    """Without a past nothing is known, no other process writes, and every sweep has its turn."""
    ledger = InMemoryLedger(error="no room")
    assert (ledger.error, ledger.aside, ledger.stored_times(), ledger.last_nightly_run()) == (
        "no room",
        None,
        None,
        None,
    )
    assert (ledger.evicted_since(NOON), ledger.news()) == (0, ())
    assert ledger.store_images((), frozenset(), NOON).since is None
    with ledger.sweep_turn() as ours:
        assert ours
    ledger.record(DaemonStopped())
    ledger.close()
