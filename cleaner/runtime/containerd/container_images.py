"""Which images the containers outside CRI run, by their snapshots.

Such a container names its image by tag, and the tag may have moved since. But it keeps the snapshot that it was made
with, which lies on the top snapshot of its image, and the config of each image names that. User namespaces add a
snapshot between the two, named `sha256:…-UID-GID` (measured on containerd 1.6.20, 1.7.24 and 2.1.9). So the walk goes
down from the container's own snapshot to the first one that is an image's top.

An image that only shares lower layers must not pass for the container's. Where the walk passes a layer that is the top
of no known image, the container's image may be gone, and all names of the image that has its tag today count too.
"""

import re
from collections.abc import Collection, Iterable, Mapping

import grpc

from cleaner.core.errors import RuntimeRejectedError
from cleaner.core.model import Container
from cleaner.runtime.containerd.containers import OwnContainer, with_names
from cleaner.runtime.containerd.gc_labels import is_snapshot, read_gc_labels, snapshot_key, snapshotter_of
from cleaner.runtime.containerd.lookups import find_readable_blobs, find_snapshots
from cleaner.runtime.pb import containerd_snapshots_pb2 as pb
from cleaner.runtime.rpc import CallRejectedError, ContainerdApi, MissingApiError

_MOST_SNAPSHOTS = 1000
"""The longest walk; no image has as many layers."""
_LAYER = re.compile(r"sha256:[0-9a-f]{64}")

_Snapshot = tuple[str, str]
"""Snapshotter and name."""


class ContainerImages:
    """Names the images of containers; keeps what stays as it is: parents of snapshots, top snapshots of images."""

    def __init__(self, api: ContainerdApi) -> None:
        """Know nothing yet."""
        self._api = api
        self._parents: dict[_Snapshot, str] = {}
        self._tops: dict[str, tuple[str, ...]] = {}
        self._starts: frozenset[_Snapshot] = frozenset()
        self._rejecting: set[str] = set()
        """Snapshotters that answered the latest walk with an error: which image its containers run is not known."""

    def name(self, containers: Mapping[str, OwnContainer], image_ids: Collection[str]) -> list[Container]:
        """These containers with the ids of the images that they run, or with all names of their tags' images.

        An image whose config cannot be read may be any container's. Where a snapshotter answers with an error, its
        containers may use any image that is unpacked to it. A runtime that does not answer is an error.
        """
        starts = {i: (c.snapshotter, c.snapshot_key) for i, c in containers.items() if c.snapshotter and c.snapshot_key}
        try:
            self._read_tops(frozenset(starts.values()), image_ids)
        except MissingApiError:
            starts = {}
        self._rejecting.clear()
        found, doubtful = self._walk(starts)
        tags = {i: c.image for i, c in containers.items() if i not in found or i in doubtful}
        tagged = {container.id: container.image_names for container in with_names(self._api, tags)}
        nothing = frozenset[str]()
        unread = frozenset(image_ids) - self._tops.keys() if starts else nothing
        any_of = {snapshotter: self._unpacked_to(snapshotter) for snapshotter in self._rejecting}
        return [
            Container(
                i, found.get(i, nothing) | tagged.get(i, nothing) | unread | any_of.get(container.snapshotter, nothing)
            )
            for i, container in containers.items()
        ]

    def _unpacked_to(self, snapshotter: str) -> frozenset[str]:
        """Ids of all images that a container of this snapshotter can run."""
        return frozenset(i for i, tops in self._tops.items() if snapshotter in map(snapshotter_of, tops))

    def _read_tops(self, starts: frozenset[_Snapshot], image_ids: Collection[str]) -> None:
        """Top snapshots of these images, where any container needs them.

        An image may be unpacked after it was read, but not after a container was made from it. So a new container lets
        the images without a top be read again.
        """
        wanted = {snapshotter for snapshotter, _ in starts - self._starts}
        self._starts = starts
        self._tops = {i: tops for i, tops in self._tops.items() if starts and i in image_ids}
        unread = [i for i in image_ids if i not in self._tops or wanted.difference(map(snapshotter_of, self._tops[i]))]
        for image_id, blob in find_readable_blobs(self._api, sorted(unread) if starts else []).items():
            holds = read_gc_labels(blob.labels).holds if blob else ()
            self._tops[image_id] = tuple(filter(is_snapshot, holds))

    def _walk(self, starts: Mapping[str, _Snapshot]) -> tuple[dict[str, frozenset[str]], set[str]]:
        """Image ids by container, for walks that reach an image; and containers whose walk passed an unknown layer.

        All walks go down together, so that reads are batched.
        """
        images = _images_by_top(self._tops)
        found: dict[str, frozenset[str]] = {}
        doubtful: set[str] = set()
        passed: set[_Snapshot] = set()
        at = dict(starts) if images else {}
        for _ in range(_MOST_SNAPSHOTS):
            found |= {i: images[key] for i, snapshot in at.items() if (key := snapshot_key(*snapshot)) in images}
            at = {i: snapshot for i, snapshot in at.items() if i not in found}
            if not at:
                break
            passed |= set(at.values())
            doubtful |= {i for i, (_, name) in at.items() if _LAYER.fullmatch(name)}
            self._read_parents(at.values())
            at = {i: (of[0], parent) for i, of in at.items() if (parent := self._parents.get(of))}
        self._parents = {snapshot: parent for snapshot, parent in self._parents.items() if snapshot in passed}
        return found, doubtful

    def _read_parents(self, snapshots: Iterable[_Snapshot]) -> None:
        new = sorted(set(snapshots) - self._parents.keys())
        for snapshotter in sorted({snapshotter for snapshotter, _ in new}):
            names = [name for of, name in new if of == snapshotter]
            for name, info in zip(names, self._find(snapshotter, names), strict=True):
                if info is not None:
                    self._parents[snapshotter, name] = info.parent

    def _find(self, snapshotter: str, names: list[str]) -> list[pb.Info | None]:
        """None for a snapshot that is gone, for all where the runtime has no such snapshotter any more."""
        try:
            return find_snapshots(self._api, snapshotter, names)
        except MissingApiError:
            return [None] * len(names)
        except RuntimeRejectedError as error:
            if not (isinstance(error, CallRejectedError) and error.code is grpc.StatusCode.INVALID_ARGUMENT):
                self._rejecting.add(snapshotter)
            return [None] * len(names)


def _images_by_top(tops: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """Several images have one top where they differ in their configs only."""
    found: dict[str, set[str]] = {}
    for image_id, keys in tops.items():
        for key in keys:
            found.setdefault(key, set()).add(image_id)
    return {key: frozenset(ids) for key, ids in found.items()}
