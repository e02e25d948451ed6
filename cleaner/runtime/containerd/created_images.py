"""The images behind containers that were just created, or are being created.

It must not guess: a container whose image cannot be found makes the whole answer None.
"""

from collections.abc import Iterable, Iterator, Mapping

from cleaner.core.model import Container
from cleaner.runtime.containerd.containers import as_far_as_named
from cleaner.runtime.containerd.creations import Creations, ParentSnapshot
from cleaner.runtime.pb import containerd_content_pb2 as pb
from cleaner.runtime.rpc import ContainerdApi, MissingApiError, methods

_SNAPSHOT_LABEL = "containerd.io/gc.ref.snapshot."
"""On an image's config, before the snapshotter whose snapshot its layers are unpacked to."""
_SNAPSHOTTERS = ("overlayfs", "native", "btrfs", "zfs", "erofs", "devmapper", "blockfile", "stargz", "nydus", "soci")
"""Snapshotters to try where the event names none; any other leaves the image unknown."""


def name_created(api: ContainerdApi, creations: Creations) -> tuple[Container, ...] | None:
    """The containers by id, with every name of their images; None where an image is not known.

    Of a container that is being created the names are ids: of every image whose layers are those below it. Errors
    where names cannot be read.
    """
    ids_by_parent = _find_image_ids(api, set(creations.parent_by_container.values()))
    ids = {known: ids_by_parent[parent] for known, parent in creations.parent_by_container.items()}
    created = as_far_as_named(api, creations.image_by_container)
    found = {container.id: container.image_names for container in created}
    if any(not ids[known] for known in ids.keys() - found.keys()):
        return None
    nothing = frozenset[str]()
    container_ids = sorted(found.keys() | ids.keys())
    return tuple(Container(known, found.get(known, nothing) | ids.get(known, nothing)) for known in container_ids)


def _find_image_ids(api: ContainerdApi, parents: Iterable[ParentSnapshot]) -> Mapping[ParentSnapshot, frozenset[str]]:
    """Ids of the images that are unpacked to each snapshot: digests of the configs whose labels name it.

    It reads all labels once, 3 ms for a few images. containerd has the syntax of filters in `filters/parser.go`.
    """
    labels = {parent: frozenset(_labels_of(parent)) for parent in parents}
    filters = [f'labels."{key}"=="{value}"' for key, value in sorted(frozenset().union(*labels.values()))]
    none = dict.fromkeys(labels, frozenset[str]())
    if not filters:
        return none
    try:
        blobs = api.read_stream(methods.LIST_CONTENT, pb.ListContentRequest(filters=filters), _labels_by_digest)
    except MissingApiError:
        return none
    return {
        parent: frozenset(digest for digest, found in blobs.items() if not found.isdisjoint(wanted))
        for parent, wanted in labels.items()
    }


def _labels_of(parent: ParentSnapshot) -> Iterator[tuple[str, str]]:
    """Pairs of a config's label and its value; none where the container has nothing below it."""
    if parent.name:
        for snapshotter in [parent.snapshotter] if parent.snapshotter else _SNAPSHOTTERS:
            yield f"{_SNAPSHOT_LABEL}{snapshotter}", parent.name


def _labels_by_digest(parts: Iterator[pb.ListContentResponse]) -> dict[str, frozenset[tuple[str, str]]]:
    return {blob.digest: frozenset(blob.labels.items()) for part in parts for blob in part.info}
