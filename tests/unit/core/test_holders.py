"""Bytes by holder: a partition by the first holder that reaches a key, on random graphs."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.reclaim import Holder, Layers, Size, bytes_by_holder, reclaimable

USED = 1_000
BYTES = {"a": 1, "b": 2, "c": 4, "d": 8, "e": 16}
IDS = ["running", "kept", "old", "older"]
SOME_KEYS = st.frozensets(st.sampled_from(list(BYTES)))
SOME_IDS = st.frozensets(st.sampled_from([*IDS, "unknown"]))
EMPTY = Layers({key: Size(size, 1) for key, size in BYTES.items()}, {}, {}, frozenset(), frozenset(), frozenset())


@st.composite
def graphs(draw: st.DrawFn) -> Layers:
    """Any graph of five keys whose sizes tell in a sum which of them are in it."""
    edges = st.dictionaries(st.sampled_from(list(BYTES)), SOME_KEYS.map(lambda keys: tuple(sorted(keys))))
    return replace(
        EMPTY,
        edges=draw(edges),
        images=draw(st.dictionaries(st.sampled_from(IDS), SOME_KEYS)),
        containers=draw(SOME_KEYS),
        other_namespaces=draw(SOME_KEYS),
        unlisted=draw(SOME_KEYS),
    )


def reachable(layers: Layers, key: str) -> set[str]:
    """The key and all that it reaches."""
    found, reached = {key}, set[str]()
    while found - reached:
        reached |= found
        found = {target for source in reached for target in layers.edges.get(source, ())}
    return reached


def holder_of(layers: Layers, key: str, in_use: frozenset[str], evictable: frozenset[str]) -> Holder:
    """The literal definition: the first holder with a root that reaches the key."""

    def images(ids: frozenset[str]) -> frozenset[str]:
        return frozenset(root for image_id in ids for root in layers.images.get(image_id, ()))

    roots = {
        Holder.IN_USE: images(in_use) | layers.containers,
        Holder.KEPT: images(frozenset(layers.images) - in_use - evictable),
        Holder.OTHER_NAMESPACES: layers.other_namespaces,
        Holder.UNLISTED: layers.unlisted,
        Holder.EVICTABLE: images(evictable),
    }
    found = (holder for holder, keys in roots.items() if any(key in reachable(layers, root) for root in keys))
    return next(found, Holder.NON_IMAGE)


@given(graphs(), SOME_IDS, SOME_IDS)
def test_a_key_counts_for_the_first_holder_that_reaches_it(
    layers: Layers, in_use: frozenset[str], evictable: frozenset[str]
) -> None:
    """Each key is in the bytes of one holder, the first in order; bytes that no holder reaches are non-image data."""
    expected = dict.fromkeys(Holder, 0)
    for key, size in BYTES.items():
        expected[holder_of(layers, key, in_use, evictable)] += size
    expected[Holder.NON_IMAGE] += USED - sum(BYTES.values())
    assert bytes_by_holder(layers, USED, in_use, evictable) == expected


@given(graphs(), SOME_IDS, SOME_IDS, st.integers(0, 2 * sum(BYTES.values())), st.integers(0, 10))
def test_the_holders_add_up_to_what_is_used(
    layers: Layers, in_use: frozenset[str], evictable: frozenset[str], used_bytes: int, reserved_bytes: int
) -> None:
    """All holders are there, none negative, and their sum is what is used, or what images take where that is more."""
    found = bytes_by_holder(layers, used_bytes, in_use, evictable, reserved_bytes)
    assert list(found) == list(bytes_by_holder(EMPTY, 0, [], [])) == list(Holder)
    assert min(found.values()) >= 0
    assert found[Holder.RESERVED] == reserved_bytes
    taken = sum(found.values()) - found[Holder.NON_IMAGE]
    assert sum(found.values()) == max(used_bytes, taken)


@given(graphs(), SOME_IDS)
def test_evictable_is_what_evicting_frees(layers: Layers, evictable: frozenset[str]) -> None:
    """What evictable images alone hold is what their removal frees."""
    assert bytes_by_holder(layers, USED, [], evictable)[Holder.EVICTABLE] == reclaimable(layers, evictable).bytes


def test_an_empty_node_has_no_bytes_of_any_holder() -> None:
    """Without images all that is used is other, and of nothing used nothing is."""
    nobody = dict.fromkeys(Holder, 0)
    assert bytes_by_holder(EMPTY, 0, [], []) == nobody
    assert bytes_by_holder(EMPTY, USED, ["unknown"], ["unknown"]) == {**nobody, Holder.NON_IMAGE: USED}


@pytest.mark.parametrize(("used_bytes", "other"), [(2, 0), (3, 0), (4, 1)], ids=["below", "at", "above"])
def test_non_image_data_is_never_negative(used_bytes: int, other: int) -> None:
    """Where images were read as taking more than is used, non-image data is 0 and what they take stays as read."""
    layers = replace(EMPTY, images={"kept": frozenset({"a", "b"})})
    found = bytes_by_holder(layers, used_bytes, [], [])
    assert (found[Holder.KEPT], found[Holder.NON_IMAGE]) == (3, other)


def test_the_order_of_holders_is_fixed() -> None:
    """A key that several hold is of the first of: in use, kept, another namespace, unlisted, evictable."""
    ranks = [Holder.IN_USE, Holder.KEPT, Holder.OTHER_NAMESPACES, Holder.UNLISTED, Holder.EVICTABLE]
    for present in product([False, True], repeat=len(ranks)):
        key = {
            rank: frozenset("a") if held_by else frozenset[str]() for rank, held_by in zip(ranks, present, strict=True)
        }
        images = {"running": key[Holder.IN_USE], "kept": key[Holder.KEPT], "old": key[Holder.EVICTABLE]}
        layers = replace(
            EMPTY, images=images, other_namespaces=key[Holder.OTHER_NAMESPACES], unlisted=key[Holder.UNLISTED]
        )
        first = next((rank for rank in ranks if key[rank]), Holder.NON_IMAGE)
        assert bytes_by_holder(layers, 1, ["running"], ["old"]) == {**dict.fromkeys(Holder, 0), first: 1}


def test_an_image_both_in_use_and_evictable_is_in_use() -> None:
    """If unsure, an image is in use; so is what a container has, whether or not its image is."""
    layers = replace(EMPTY, images={"old": frozenset("a")}, containers=frozenset("b"))
    found = bytes_by_holder(layers, USED, ["old"], ["old"])
    assert (found[Holder.IN_USE], found[Holder.EVICTABLE]) == (3, 0)
