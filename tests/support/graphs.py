"""Reference graphs for tests, and the slow and literal definitions of what they free."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from cleaner.core.reclaim import NOTHING, Layers, Size

NO_LAYERS = Layers({}, {}, {}, frozenset(), frozenset(), frozenset())


def make_layers(images: Mapping[str, str], sizes: Mapping[str, int], **changes: object) -> Layers:
    """Image -> its keys as words; each key takes so many bytes, and an inode."""
    layers = replace(
        NO_LAYERS,
        sizes={key: Size(size, 1) for key, size in sizes.items()},
        images={image_id: frozenset(words.split()) for image_id, words in images.items()},
    )
    return replace(layers, **changes)  # type: ignore[arg-type]


def reach(layers: Layers, roots: Iterable[str]) -> set[str]:
    """All that the roots reach, by following every edge until nothing is new."""
    reached: set[str] = set()
    found = set(roots)
    while found - reached:
        reached |= found
        found = {target for key in reached for target in layers.edges.get(key, ())}
    return reached


def roots_of(layers: Layers, ids: Iterable[str]) -> set[str]:
    return {key for image_id in ids for key in layers.images.get(image_id, ())}


def keys_freed(layers: Layers, gone: Iterable[str]) -> set[str]:
    """Reachable now and no longer once the records are removed; of what takes something."""
    others = layers.containers | layers.other_namespaces | layers.unlisted
    now = reach(layers, others | roots_of(layers, layers.images))
    then = reach(layers, others | roots_of(layers, set(layers.images) - set(gone)))
    return (now - then) & set(layers.sizes)


def freed_by_definition(layers: Layers, gone: Iterable[str]) -> Size:
    """What these keys take together."""
    return sum((layers.sizes[key] for key in keys_freed(layers, gone)), NOTHING)


def gains_by_definition(layers: Layers, image_id: str, gone: Iterable[str]) -> bool:
    """Whether something of the image is freed that is more than manifest and config."""
    own = reach(layers, roots_of(layers, [image_id]))
    return bool(own & keys_freed(layers, gone) - layers.metadata)
