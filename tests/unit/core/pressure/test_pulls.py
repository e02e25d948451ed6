"""What pulls in progress will still take."""

import pytest

from cleaner.core.pressure.pulls import (
    DEFAULT_RATIO,
    HIGHEST_RATIO,
    LOWEST_RATIO,
    Movement,
    PendingLayer,
    Pull,
    project_pulls,
    ratio_of,
    total_bytes,
)

BLOCK = 4096


def layer(name: str, size_bytes: int = 100 * BLOCK, fetched_bytes: int = 0, **more: int) -> PendingLayer:
    return PendingLayer(name, f"snapshot of {name}", size_bytes, fetched_bytes, unpacked_bytes=more.get("unpacked", 0))


@pytest.mark.parametrize(
    ("size_bytes", "fetched_bytes", "content_bytes"),
    [
        (0, 0, 0),
        (1, 0, BLOCK),
        (BLOCK, 0, BLOCK),
        (BLOCK + 1, 0, 2 * BLOCK),
        (2 * BLOCK, 1, BLOCK),
        (2 * BLOCK, BLOCK, BLOCK),
        (2 * BLOCK, BLOCK + 1, 0),
        (2 * BLOCK, 2 * BLOCK, 0),
        (BLOCK, 3 * BLOCK, 0),
    ],
)
def test_content(size_bytes: int, fetched_bytes: int, content_bytes: int) -> None:
    """A blob takes whole blocks, those that are written are on the disk already, and none is ever given back."""
    assert layer("a", size_bytes, fetched_bytes).content_bytes == content_bytes


@pytest.mark.parametrize(
    ("compressed", "unpacked_bytes", "snapshot_bytes"),
    [
        (True, 0, 30 * BLOCK),
        (True, 29 * BLOCK, BLOCK),
        (True, 30 * BLOCK, 0),
        (True, 31 * BLOCK, 0),
        (False, 0, 10 * BLOCK),
        (False, 4 * BLOCK, 6 * BLOCK),
    ],
)
def test_snapshot(compressed: bool, unpacked_bytes: int, snapshot_bytes: int) -> None:
    """A snapshot takes what its blob takes times the ratio, and as much as the blob where that is not compressed."""
    pending = PendingLayer("a", "s", 10 * BLOCK, 0, compressed, unpacked_bytes)
    assert pending.snapshot_bytes(3.0) == snapshot_bytes


@pytest.mark.parametrize(
    ("snapshot_bytes", "blob_bytes", "ratio"),
    [
        (0, 0, DEFAULT_RATIO),
        (500, 0, DEFAULT_RATIO),
        (5, 1, 5.0),
        (99, 100, LOWEST_RATIO),
        (100, 100, LOWEST_RATIO),
        (101, 100, 1.01),
        (1999, 100, 19.99),
        (2000, 100, HIGHEST_RATIO),
        (2001, 100, HIGHEST_RATIO),
    ],
)
def test_ratio(snapshot_bytes: int, blob_bytes: int, ratio: float) -> None:
    """The ratio is that of the sums, within its bounds, and a default where there is nothing to go by."""
    assert ratio_of(snapshot_bytes, blob_bytes) == ratio


def test_pulls() -> None:
    """Pulls come by digest, and one that will take nothing more is left out."""
    pending = {
        "m2": [layer("b", 2 * BLOCK)],
        "m1": [layer("a", 3 * BLOCK, BLOCK, unpacked=BLOCK)],
        "m3": [layer("c", BLOCK, BLOCK, unpacked=9 * BLOCK)],
        "m4": [],
    }
    pulls = project_pulls(pending, 2.0)
    assert pulls == (Pull("m1", 2 * BLOCK, 5 * BLOCK), Pull("m2", 2 * BLOCK, 4 * BLOCK))
    assert total_bytes(pulls) == 13 * BLOCK
    assert total_bytes(()) == 0


def test_only_one_kind_left() -> None:
    """A pull of which all is fetched and not unpacked counts, and so does one that is only fetched."""
    alone = PendingLayer("b", "", BLOCK, 0)
    pulls = project_pulls({"m1": [layer("a", BLOCK, BLOCK)], "m2": [alone]}, 2.0)
    assert pulls == (Pull("m1", 0, 2 * BLOCK), Pull("m2", BLOCK, 0))


def test_shared() -> None:
    """What several pulls share counts once: a blob, a snapshot, and a blob that is unpacked twice as two snapshots."""
    base, twice = layer("base"), PendingLayer("base", "elsewhere", 100 * BLOCK, 0)
    pulls = project_pulls({"m1": [base, base], "m2": [base, layer("b", BLOCK)], "m3": [twice], "m4": [base]}, 2.0)
    assert pulls == (
        Pull("m1", 100 * BLOCK, 200 * BLOCK),
        Pull("m2", BLOCK, 2 * BLOCK),
        Pull("m3", 0, 200 * BLOCK),
    )


def test_movement() -> None:
    """A pull counts until it made no progress for the patience, again once it moves, and anew after it was missing."""
    movement = Movement(600.0)
    first, second = {"m": (layer("a"),)}, {"m": (layer("a", fetched_bytes=1),)}
    assert movement.moving(first, 0.0) == first
    assert movement.moving(first, 599.9) == first
    assert movement.moving(first, 600.0) == {}
    assert movement.moving(second, 700.0) == second
    assert movement.moving(second, 1299.9) == second
    assert movement.moving(second, 1300.0) == {}
    assert movement.moving({}, 1301.0) == {}
    assert movement.moving(second, 1302.0) == second


def test_movement_of_one() -> None:
    """A pull without progress does not stop another one from counting."""
    movement = Movement(10.0)
    movement.moving({"still": (layer("a"),), "moves": (layer("b"),)}, 0.0)
    moving = {"moves": (layer("b", fetched_bytes=1),)}
    assert movement.moving({"still": (layer("a"),)} | moving, 10.0) == moving
