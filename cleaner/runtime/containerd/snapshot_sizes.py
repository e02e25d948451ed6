"""What committed snapshots take on the disk, asked once for each: it never changes.

It must not be used for snapshotters whose usage is not files on a disk, see `TRUSTED`.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from cleaner.core.disk_usage import Filesystem
from cleaner.core.reclaim import NOTHING, Size
from cleaner.runtime.containerd.gc_labels import snapshot_key
from cleaner.runtime.containerd.snapshotters import Snapshotters
from cleaner.runtime.pb import containerd_snapshots_pb2 as pb
from cleaner.runtime.rpc import CRI_NAMESPACE, SNAPSHOT_USAGE, ContainerdApi

_OWN_DIRECTORIES = {"overlayfs": Size(2 * 4096, 2)}
"""What a removal frees beside the usage: the snapshot's folder and its `work`; `fs` is in the usage.

Measured on ext4 with containerd 1.6, 1.7 and 2.1; XFS and btrfs keep so small a folder in its inode.
"""


class SnapshotSizes:
    """Keeps what it read, by key."""

    def __init__(self, api: ContainerdApi, snapshotters: Snapshotters) -> None:
        """Know nothing yet; `snapshotters` tells where each of them lies."""
        self._api = api
        self._snapshotters = snapshotters
        self._known: dict[str, Size] = {}

    def read(self, namespace: str, snapshotter: str, names: Sequence[str]) -> dict[str, Size]:
        """By key; without those that are gone meanwhile. On a filesystem that is not measured they take nothing."""
        keys = {key_in(namespace, snapshotter, name): name for name in names}
        filesystem = self._snapshotters.filesystem_of(snapshotter)
        if filesystem is None:
            return dict.fromkeys(keys, NOTHING)
        new = [(key, name) for key, name in keys.items() if key not in self._known]
        requests = [pb.UsageRequest(snapshotter=snapshotter, key=name) for _, name in new]
        answers = self._api.read_many(SNAPSHOT_USAGE.in_namespace(namespace), requests)
        for (key, _), answer in zip(new, answers, strict=True):
            if answer is not None:
                self._known[key] = size_of(snapshotter, answer)
        return {key: _lying_on(filesystem, self._known[key]) for key in keys if key in self._known}

    def keep_only(self, keys: Collection[str]) -> None:
        """Drop all others: a snapshot of the same name may later be another one."""
        self._known = {key: size for key, size in self._known.items() if key in keys}


def size_of(snapshotter: str, usage: pb.UsageResponse) -> Size:
    """What a snapshot of this usage takes on the disk."""
    return Size(usage.size, usage.inodes) + _OWN_DIRECTORIES.get(snapshotter, NOTHING)


def _lying_on(filesystem: Filesystem, size: Size) -> Size:
    """The size of a snapshot, counted for the filesystem that has it."""
    match filesystem:
        case Filesystem.SNAPSHOTS:
            return replace(size, apart_bytes=size.bytes, apart_inodes=size.inodes)
        case Filesystem.CONTENT:
            return replace(size, content_bytes=size.bytes, content_inodes=size.inodes)
        case _:
            return size


def key_in(namespace: str, snapshotter: str, name: str) -> str:
    """A snapshot's key; those of CRI's namespace do not name it."""
    return snapshot_key(snapshotter, name, None if namespace == CRI_NAMESPACE else namespace)
