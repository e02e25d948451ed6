"""What this node's images tell of those to come: how much larger layers are as snapshots, and of which snapshotter.

Images without all of their blobs and snapshots are left out, as where containerd drops blobs once unpacked.
"""

from collections.abc import Collection, Iterator

from cleaner.core.pressure import ratio_of
from cleaner.core.reclaim import Layers, sum_of
from cleaner.runtime.containerd.gc_labels import is_blob, is_snapshot, snapshotter_of


def read_ratio(layers: Layers, further: Collection[str] = ()) -> float:
    """The node's own ratio, each layer counted once; the default where no image tells.

    Images of `further` snapshotters do not count: CRI unpacks by another one.
    """
    blobs: set[str] = set()
    snapshots: set[str] = set()
    for key, held in layers.edges.items():
        own_blobs = [child for child in held if is_blob(child) and child not in layers.metadata]
        if is_blob(key) and own_blobs and layers.sizes.keys() >= set(own_blobs):
            chain = _chain_of(layers, held)
            usual = all(snapshotter_of(snapshot) not in further for snapshot in chain)
            if usual and len(chain) == len(own_blobs) and layers.sizes.keys() >= set(chain):
                blobs.update(own_blobs)
                snapshots.update(chain)
    return ratio_of(sum_of(layers, snapshots).bytes, sum_of(layers, blobs).bytes)


def read_snapshotter(layers: Layers, further: Collection[str] = ()) -> str | None:
    """What the images are unpacked by, `further` snapshotters apart; None where it is not one, or not to be trusted."""
    tops = (top for key, held in layers.edges.items() if is_blob(key) for top in held if is_snapshot(top))
    names = {snapshotter_of(top) for top in tops} - set(further)
    return names.pop() if len(names) == 1 and layers.complete else None


def _chain_of(layers: Layers, held: tuple[str, ...]) -> list[str]:
    """The snapshots of the config among what a manifest holds, from the top down; none where no single one is named."""
    tops = [top for child in held if is_blob(child) for top in layers.edges.get(child, ()) if is_snapshot(top)]
    return list(_walk_down(layers, tops[0])) if len(tops) == 1 else []


def _walk_down(layers: Layers, top: str) -> Iterator[str]:
    seen: set[str] = set()
    key: str | None = top
    while key is not None and key not in seen:
        seen.add(key)
        yield key
        key = next((below for below in layers.edges.get(key, ()) if is_snapshot(below)), None)
