"""How much larger layers are as snapshots, of the images that a node has."""

from dataclasses import replace

import pytest

from cleaner.core.pressure.pulls import DEFAULT_RATIO
from cleaner.core.reclaim import Layers, Size
from cleaner.runtime.containerd.unpack_ratio import read_ratio, read_snapshotter

TOP, BASE = "snapshot:overlayfs:top", "snapshot:overlayfs:base"
GRAPH = Layers(
    sizes={
        "blob:m": Size(4096, 1),
        "blob:c": Size(4096, 1),
        "blob:l0": Size(1000, 1),
        "blob:l1": Size(3000, 1),
        TOP: Size(9000, 1),
        BASE: Size(3000, 1),
    },
    edges={"blob:m": ("blob:c", "blob:l0", "blob:l1"), "blob:c": (TOP,), TOP: (BASE,)},
    images={"image": frozenset({"blob:m"})},
    containers=frozenset(),
    other_namespaces=frozenset(),
    unlisted=frozenset(),
    metadata=frozenset({"blob:m", "blob:c"}),
)


def without(*keys: str) -> Layers:
    return replace(GRAPH, sizes={key: size for key, size in GRAPH.sizes.items() if key not in keys})


def test_ratio() -> None:
    """The ratio is that of all snapshots to all layers' blobs; manifest and config are no layers."""
    assert read_ratio(GRAPH) == 3.0


def test_shared() -> None:
    """A layer that two images share counts once, and so do an index's children that are not there."""
    more_sizes = {
        "blob:m2": Size(1, 1),
        "blob:c2": Size(1, 1),
        "blob:l2": Size(1000, 1),
        "snapshot:overlayfs:2": Size(13000, 1),
    }
    more_edges = {
        "blob:m2": ("blob:c2", "blob:l0", "blob:l2"),
        "blob:c2": ("snapshot:overlayfs:2",),
        "snapshot:overlayfs:2": (BASE,),
        "blob:index": ("blob:m", "blob:gone"),
    }
    graph = replace(
        GRAPH,
        sizes={**GRAPH.sizes, **more_sizes},
        edges={**GRAPH.edges, **more_edges},
        metadata=GRAPH.metadata | {"blob:m2", "blob:c2", "blob:index"},
    )
    assert read_ratio(graph) == 25_000 / 5_000


@pytest.mark.parametrize("gone", ["blob:l0", "blob:l1", TOP, BASE])
def test_not_complete(gone: str) -> None:
    """An image of which a layer or a snapshot is missing tells nothing."""
    assert read_ratio(without(gone)) == DEFAULT_RATIO


@pytest.mark.parametrize(
    "edges",
    [
        {},
        {"blob:m": ("blob:c",), "blob:c": (TOP,), TOP: (BASE,)},
        {"blob:m": ("blob:c", "blob:l0"), "blob:c": (TOP,), TOP: (BASE,)},
        {"blob:m": ("blob:c", "blob:l0", "blob:l1"), "blob:c": (TOP, BASE), TOP: (BASE,)},
        {"blob:m": ("blob:c", "blob:l0", "blob:l1"), "blob:c": ()},
        {"blob:m": ("blob:c", "blob:l0"), "blob:c": (TOP,), TOP: (BASE,), BASE: (TOP,)},
        {"image:m": ("blob:c", "blob:l0", "blob:l1"), "blob:c": (TOP,), TOP: (BASE,)},
    ],
)
def test_not_clear(edges: dict[str, tuple[str, ...]]) -> None:
    """Blobs that were dropped once unpacked, two snapshotters, an image not unpacked, a ring: no ratio is known."""
    assert read_ratio(replace(GRAPH, edges=edges)) == DEFAULT_RATIO


@pytest.mark.parametrize(
    ("graph", "snapshotter"),
    [
        (GRAPH, "overlayfs"),
        (replace(GRAPH, complete=False), None),
        (replace(GRAPH, edges={**GRAPH.edges, "blob:c2": ("snapshot:native:top",)}), None),
        (replace(GRAPH, edges={**GRAPH.edges, "container:x": ("snapshot:native:top",)}), "overlayfs"),
        (replace(GRAPH, edges={}), None),
    ],
)
def test_snapshotter(graph: Layers, snapshotter: str | None) -> None:
    """The snapshotter of the node's images is known where all have the same, and one whose usage is to be trusted."""
    assert read_snapshotter(graph) == snapshotter


def test_further_snapshotters_do_not_count() -> None:
    """Images that another snapshotter unpacked tell nothing of what CRI will pull."""
    native = replace(
        GRAPH,
        sizes={**GRAPH.sizes, "blob:m2": Size(1, 1), "blob:c2": Size(1, 1), "snapshot:native:top": Size(999_000, 1)},
        edges={**GRAPH.edges, "blob:m2": ("blob:c2", "blob:l0"), "blob:c2": ("snapshot:native:top",)},
        metadata=GRAPH.metadata | {"blob:m2", "blob:c2"},
    )
    assert read_ratio(native) > read_ratio(GRAPH)
    assert (read_ratio(native, {"native"}), read_snapshotter(native, {"native"})) == (read_ratio(GRAPH), "overlayfs")
