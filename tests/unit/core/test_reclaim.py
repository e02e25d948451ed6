"""What removing images frees, against the slow and literal definition on random graphs."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.disk_usage import Filesystem, Part, Resource
from cleaner.core.reclaim import (
    NOTHING,
    Holder,
    Layers,
    Size,
    alone,
    blob_size,
    bytes_by_holder,
    gaining,
    marginal,
    reclaimable,
    sum_of,
)
from support.graphs import NO_LAYERS, freed_by_definition, gains_by_definition, roots_of

KEYS = [f"key{number}" for number in range(10)]
IDS = [f"image{number}" for number in range(5)]
STRANGER = "image-unknown"
DEPTH = 20_000

numbers = st.integers(0, len(KEYS) - 1)
some_keys = st.frozensets(st.sampled_from(KEYS), max_size=3)
some_ids = st.frozensets(st.sampled_from([*IDS, STRANGER]))
orders = st.permutations([*IDS, STRANGER])
sizes = st.tuples(st.integers(0, 1 << 40), st.integers(1, 1 << 20)).map(lambda pair: Size(*pair))


@st.composite
def graphs(draw: st.DrawFn) -> Layers:
    """Any graph: half of them with cycles, keys without a size, roots of each kind, images that share."""
    pairs = draw(st.lists(st.tuples(numbers, numbers), max_size=2 * len(KEYS)))
    if draw(st.booleans()):
        pairs = [(source, target) for source, target in pairs if source < target]
    edges: dict[str, tuple[str, ...]] = {}
    for source, target in pairs:
        edges[KEYS[source]] = (*edges.get(KEYS[source], ()), KEYS[target])
    return Layers(
        sizes=draw(st.dictionaries(st.sampled_from(KEYS), sizes)),
        edges=edges,
        images=draw(st.dictionaries(st.sampled_from(IDS), some_keys)),
        containers=draw(some_keys),
        other_namespaces=draw(some_keys),
        unlisted=draw(some_keys),
        metadata=draw(some_keys),
    )


def make_layers(images: Mapping[str, str], **edges: str) -> Layers:
    """A graph written as words: image -> its keys, key -> its references; the n-th key takes 10^n bytes, n inodes."""
    targets = {key: tuple(words.split()) for key, words in edges.items()}
    words = [word for text in (*images.values(), *edges.values()) for word in text.split()]
    keys = sorted({*words, *edges})
    return replace(
        NO_LAYERS,
        sizes={key: Size(10**number, number) for number, key in enumerate(keys)},
        edges=targets,
        images={image_id: frozenset(text.split()) for image_id, text in images.items()},
    )


def used_elsewhere(layers: Layers, keys: set[str]) -> list[Layers]:
    """The graph three times: the keys are in use by a container, another namespace, or something unlisted."""
    roots = frozenset(keys)
    return [
        replace(layers, containers=roots),
        replace(layers, other_namespaces=roots),
        replace(layers, unlisted=roots),
    ]


@given(graphs(), some_ids)
def test_reclaimable_is_what_is_reachable_now_and_no_longer_then(layers: Layers, ids: frozenset[str]) -> None:
    """What a set of images frees is the difference of two reachable sets, in bytes and in inodes."""
    assert reclaimable(layers, ids) == freed_by_definition(layers, ids)


@given(graphs(), orders, st.integers(0, len(IDS) + 1))
def test_each_image_frees_what_its_removal_adds(layers: Layers, order: list[str], count: int) -> None:
    """An image frees what the images up to it free together, less what those before it do; never less than nothing."""
    order = order[:count]
    freed = marginal(layers, order)
    assert list(freed) == order
    before = NOTHING
    for number, image_id in enumerate(order):
        before += freed[image_id]
        assert before == freed_by_definition(layers, order[: number + 1])
        assert freed[image_id].bytes >= 0
        assert freed[image_id].inodes >= 0


@given(graphs(), orders, orders)
def test_the_order_moves_bytes_between_images_and_makes_none(layers: Layers, one: list[str], two: list[str]) -> None:
    """Whatever the order of their eviction, the images of a set free the same in all."""
    sums = [sum(marginal(layers, order).values(), NOTHING) for order in (one, two)]
    assert sums == [reclaimable(layers, one)] * 2


@given(graphs(), some_ids)
def test_what_another_holder_has_is_never_freed(layers: Layers, ids: frozenset[str]) -> None:
    """Images free nothing that containers, other namespaces or unlisted holders have."""
    for elsewhere in used_elsewhere(layers, roots_of(layers, layers.images)):
        assert reclaimable(elsewhere, ids) == NOTHING


@given(graphs(), some_ids, some_ids)
def test_more_images_never_free_less(layers: Layers, ids: frozenset[str], more: frozenset[str]) -> None:
    """What a set frees is no more than what a larger set does."""
    small, large = reclaimable(layers, ids), reclaimable(layers, ids | more)
    assert small.bytes <= large.bytes
    assert small.inodes <= large.inodes


@given(graphs())
def test_alone_is_what_one_image_frees(layers: Layers) -> None:
    """Each known image alone frees what it would free as the only eviction; an unknown one is not in the answer."""
    assert alone(layers) == {image_id: freed_by_definition(layers, [image_id]) for image_id in layers.images}


@given(graphs(), some_ids)
def test_an_image_gains_by_a_layer_that_all_together_free(layers: Layers, ids: frozenset[str]) -> None:
    """Of a set those gain of which more than manifest and config is freed once all of them are evicted."""
    assert gaining(layers, ids) == {image_id for image_id in ids if gains_by_definition(layers, image_id, ids)}


@given(graphs(), some_ids)
def test_without_the_gainless_the_others_free_the_same_layers(layers: Layers, ids: frozenset[str]) -> None:
    """Images that gain nothing may stay: of metadata apart, the others free what all of them would."""
    plain = replace(layers, metadata=frozenset())
    assert reclaimable(plain, gaining(plain, ids)).bytes == reclaimable(plain, ids).bytes


@given(graphs(), st.lists(st.sampled_from([*KEYS, STRANGER])))
def test_sum_of_adds_what_has_a_size(layers: Layers, keys: list[str]) -> None:
    """Keys without a size take nothing, and a repeated one counts as often as it is given."""
    assert sum_of(layers, keys) == sum((layers.sizes[key] for key in keys if key in layers.sizes), NOTHING)


def test_metadata_counts_but_is_no_gain() -> None:
    """A manifest that is removed with its image is in the bytes, and yet no reason to evict the image."""
    layers = make_layers({"x": "a", "y": "b"}, a="c", b="c")
    layers = replace(layers, metadata=frozenset("ab"))
    assert reclaimable(layers, ["x"]) == Size(1, 0)
    assert gaining(layers, ["x"]) == frozenset()
    assert gaining(layers, ["x", "y"]) == {"x", "y"}


def test_no_image_frees_nothing() -> None:
    """Without images, known ones or any at all, nothing is freed."""
    layers = make_layers({"app": "manifest"})
    assert reclaimable(NO_LAYERS, []) == reclaimable(layers, []) == NOTHING
    assert marginal(NO_LAYERS, []) == marginal(layers, []) == {}


def test_an_unknown_image_frees_nothing() -> None:
    """An id that the graph does not have is answered, with nothing, and changes no other."""
    layers = make_layers({"app": "manifest"})
    assert reclaimable(layers, [STRANGER]) == NOTHING
    assert marginal(layers, [STRANGER, "app"]) == {STRANGER: NOTHING, "app": Size(1, 0)}


def test_an_image_without_records_frees_nothing() -> None:
    """An image whose records were removed when the graph was read reaches nothing."""
    assert marginal(make_layers({"app": ""}), ["app"]) == {"app": NOTHING}


def test_a_repeated_image_frees_once() -> None:
    """An id that comes twice counts where it comes first."""
    layers = make_layers({"app": "a", "web": "b"})
    freed = marginal(layers, ["web", "app", "web"])
    assert list(freed.items()) == [("web", Size(10, 1)), ("app", Size(1, 0))]
    assert reclaimable(layers, ["web", "app", "web"]) == Size(11, 1)


def test_the_last_to_be_evicted_frees_the_shared_base() -> None:
    """Of images on one base each frees its own layer, and only the last of them the base, in any order."""
    layers = make_layers({"x": "a", "y": "b", "z": "c"}, a="d", b="d", c="d", d="e")
    own = {"x": Size(1, 0), "y": Size(10, 1), "z": Size(100, 2)}
    base = Size(11_000, 7)
    for order in permutations(own):
        freed = marginal(layers, order)
        assert freed == {**own, order[-1]: own[order[-1]] + base}
    assert reclaimable(layers, ["x", "y"]) == Size(11, 1)


def test_of_two_ids_with_equal_roots_the_last_frees_all() -> None:
    """Two images of the same content free nothing with the first and all with the second."""
    layers = make_layers({"x": "a", "y": "a"}, a="b")
    assert marginal(layers, ["x", "y"]) == {"x": NOTHING, "y": Size(11, 1)}
    assert marginal(layers, ["y", "x"]) == {"y": NOTHING, "x": Size(11, 1)}
    assert reclaimable(layers, ["x"]) == NOTHING


def test_an_image_frees_what_only_it_reaches() -> None:
    """Of an image that a container, another namespace or a lease uses in part, only the rest is freed."""
    for layers in used_elsewhere(make_layers({"app": "a"}, a="b c", b="d", c="e"), {"b"}):
        assert reclaimable(layers, ["app"]) == Size(10101, 6)


def test_an_image_that_runs_frees_none_of_its_snapshots() -> None:
    """A container's own snapshot has no size, and yet what it stands on is not freed."""
    layers = make_layers({"app": "manifest"}, manifest="snapshot")
    layers = replace(layers, edges={**layers.edges, "container": ("snapshot",)}, containers=frozenset({"container"}))
    assert reclaimable(layers, ["app"]) == layers.sizes["manifest"]


def test_a_key_that_is_gone_has_no_size() -> None:
    """A blob that was removed between two readings counts as nothing, as a root and as a reference of others."""
    layers = make_layers({"app": "a z"}, a="b y")
    sizes = {key: size for key, size in layers.sizes.items() if key not in "yz"}
    assert reclaimable(replace(layers, sizes=sizes), ["app"]) == Size(11, 1)


def test_garbage_is_no_images_bytes() -> None:
    """What had no holder before a removal is not freed by it."""
    layers = make_layers({"app": "b"}, a="b")
    assert reclaimable(layers, ["app"]) == Size(10, 1)


def test_a_cycle_is_freed_whole_and_once() -> None:
    """Keys that reference each other, or themselves, are freed with the last image that reaches them."""
    layers = make_layers({"x": "a", "y": "b"}, a="b", b="c c", c="a c")
    assert marginal(layers, ["x", "y"]) == {"x": NOTHING, "y": Size(111, 3)}


def test_depth_has_no_limit() -> None:
    """A chain of layers that is deeper than Python recurses is walked to its end."""
    chain = {str(number): (str(number + 1),) for number in range(DEPTH - 1)}
    layers = replace(
        NO_LAYERS,
        sizes={str(number): Size(1, 2) for number in range(DEPTH)},
        edges=chain,
        images={"app": frozenset({"0"})},
    )
    assert reclaimable(layers, ["app"]) == Size(DEPTH, 2 * DEPTH)
    assert marginal(layers, ["app"]) == {"app": Size(DEPTH, 2 * DEPTH)}
    assert bytes_by_holder(layers, DEPTH, [], ["app"])[Holder.EVICTABLE] == DEPTH


def test_an_incomplete_graph_is_calculated_all_the_same() -> None:
    """Whether a figure may be shown is the caller's to decide: the calculation does not ask."""
    layers = replace(make_layers({"app": "a"}), complete=False)
    assert reclaimable(layers, ["app"]) == Size(1, 0)


@pytest.mark.parametrize(("size", "takes"), [(0, 0), (1, 4096), (4095, 4096), (4096, 4096), (4097, 8192)])
def test_a_blob_takes_whole_blocks_of_the_content_store(size: int, takes: int) -> None:
    """What a blob takes is rounded up, one inode, and all of it content."""
    assert blob_size(size) == Size(takes, 1, takes, 1)


CONTENT, SNAPSHOTS, CONTAINERS = Filesystem.CONTENT, Filesystem.SNAPSHOTS, Filesystem.CONTAINERS


@pytest.mark.parametrize(
    ("filesystem", "apart", "taken"),
    [
        (Filesystem.IMAGES, set(), (100, 9)),
        (Filesystem.IMAGES, {CONTAINERS}, (100, 9)),
        (Filesystem.IMAGES, {CONTENT}, (70, 5)),
        (Filesystem.IMAGES, {SNAPSHOTS}, (80, 7)),
        (Filesystem.IMAGES, {CONTENT, SNAPSHOTS, CONTAINERS}, (50, 3)),
        (CONTENT, {CONTENT}, (30, 4)),
        (SNAPSHOTS, {CONTENT, SNAPSHOTS}, (20, 2)),
        (CONTAINERS, {CONTAINERS}, (0, 0)),
    ],
)
def test_a_size_is_split_by_what_lies_apart(
    filesystem: Filesystem, apart: set[Filesystem], taken: tuple[int, int]
) -> None:
    """Blobs, and snapshots of a further snapshotter, count for their own filesystem; all else for the images'."""
    size = Size(100, 9, content_bytes=30, content_inodes=4, apart_bytes=20, apart_inodes=2)
    parts = [Part(filesystem, kind) for kind in Resource]
    assert tuple(size.amount_of(part, apart=frozenset(apart)) for part in parts) == taken


@given(st.lists(st.tuples(*[st.integers(0, 9)] * 6).map(lambda numbers: Size(*numbers))))
def test_sizes_add_up_part_by_part(sizes: list[Size]) -> None:
    """Blobs stay content and snapshots that lie apart stay apart, added one by one or all at once."""
    names = [str(number) for number in range(len(sizes))]
    layers = replace(NO_LAYERS, sizes=dict(zip(names, sizes, strict=True)))
    assert sum_of(layers, names) == sum(sizes, NOTHING)
    assert blob_size(1) + Size(10, 2, 0, 0, 10, 2) == Size(4106, 3, 4096, 1, 10, 2)


# ---- gains where only some filesystems are to be lowered

IMAGES_ALONE = frozenset({Filesystem.IMAGES})
MIB = 1 << 20


def gains_with(*sizes: Size, lowered: set[Filesystem], apart: set[Filesystem]) -> bool:
    """Whether an image of these layers gains."""
    names = [str(number) for number in range(len(sizes))]
    layers = replace(NO_LAYERS, sizes=dict(zip(names, sizes, strict=True)), images={"app": frozenset(names)})
    return gaining(layers, ["app"], frozenset(lowered), frozenset(apart)) == {"app"}


@pytest.mark.parametrize(
    ("size", "gains"),
    [
        (Size(5000, 2), {Filesystem.IMAGES}),
        (Size(5000, 2, content_bytes=5000, content_inodes=2), {CONTENT}),
        (Size(5000, 2, apart_bytes=5000, apart_inodes=2), {SNAPSHOTS}),
        (Size(0, 1), {Filesystem.IMAGES}),
        (NOTHING, set()),
    ],
    ids=["snapshot", "blob", "snapshot apart", "empty file", "nothing"],
)
def test_an_image_gains_on_the_filesystems_that_hold_its_layers(size: Size, gains: set[Filesystem]) -> None:
    """Where only one filesystem is lowered, an image gains only if one of its layers lies there."""
    apart = {CONTENT, SNAPSHOTS, CONTAINERS}
    freeable = (Filesystem.IMAGES, CONTENT, SNAPSHOTS)
    assert {each for each in freeable if gains_with(size, lowered={each}, apart=apart)} == gains


@pytest.mark.parametrize("lowered", [{CONTENT}, {SNAPSHOTS}, {CONTENT, SNAPSHOTS}])
def test_several_filesystems_are_lowered_at_once(lowered: set[Filesystem]) -> None:
    """An image gains if any of them holds a layer of it."""
    apart = {CONTENT, SNAPSHOTS}
    assert not gains_with(Size(5000, 2), lowered=lowered, apart=apart)
    assert gains_with(Size(5000, 2), lowered={*lowered, Filesystem.IMAGES}, apart=apart)


@pytest.mark.parametrize(
    ("there_bytes", "elsewhere_bytes", "gains"),
    [
        (MIB // 10, 20 * MIB, False),
        (990, 99_000, False),
        (1000, 99_000, True),
        (1001, 99_000, True),
        (MIB - 1, 500 * MIB, False),
        (MIB, 500 * MIB, True),
        (MIB + 1, 500 * MIB, True),
        (1, 0, True),
    ],
)
def test_next_to_nothing_is_no_gain(there_bytes: int, elsewhere_bytes: int, *, gains: bool) -> None:
    """Less than 1 MiB that is also less than a hundredth of all that the image frees does not count."""
    elsewhere = Size(elsewhere_bytes, 9, apart_bytes=elsewhere_bytes, apart_inodes=9)
    assert gains_with(Size(there_bytes, 1), elsewhere, lowered={Filesystem.IMAGES}, apart={SNAPSHOTS}) is gains


@pytest.mark.parametrize(("inodes", "gains"), [(99, False), (100, True), (8000, True)])
def test_inodes_are_a_gain_of_their_own(inodes: int, *, gains: bool) -> None:
    """Many small files are worth an eviction where inodes are short, however few bytes they take."""
    elsewhere = Size(200 * MIB, 1, content_bytes=200 * MIB, content_inodes=1)
    assert gains_with(Size(900_000, inodes), elsewhere, lowered={Filesystem.IMAGES}, apart={CONTENT}) is gains


@pytest.mark.parametrize(("there_bytes", "gains"), [(0, False), (MIB - 1, False), (MIB, True), (MIB + 1, True)])
@pytest.mark.parametrize("lowered", [None, IMAGES_ALONE])
def test_next_to_nothing_beside_an_unknown_amount(
    there_bytes: int, lowered: frozenset[Filesystem] | None, *, gains: bool
) -> None:
    """Where an image also frees a disk that is not measured, less than 1 MiB here is no gain."""
    sizes = {"blob": Size(there_bytes, 1), "unmeasured": NOTHING}
    layers = replace(NO_LAYERS, sizes=sizes, images={"app": frozenset(sizes)})
    assert (gaining(layers, ["app"], lowered) == {"app"}) is gains


@given(graphs(), some_ids, st.sampled_from([None, IMAGES_ALONE]), st.sets(st.just(CONTAINERS)))
def test_with_one_filesystem_all_gains_count(
    layers: Layers, ids: frozenset[str], lowered: frozenset[Filesystem] | None, apart: set[Filesystem]
) -> None:
    """Where all layers lie together, which filesystem is lowered makes no difference."""
    assert gaining(layers, ids, lowered, frozenset(apart)) == gaining(layers, ids)
