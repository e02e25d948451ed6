"""Which snapshotters a node has beside that of the images, and which filesystem each of them fills.

It must not look at a disk: `node/disk.py` finds out where a root lies, and the caller tells it here.
"""

from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from cleaner.core.disk_usage import Filesystem
from cleaner.runtime.containerd.plugins import SNAPSHOTTER, folder_of, read_plugins
from cleaner.runtime.rpc import ContainerdApi

TRUSTED = frozenset({"overlayfs", "native", "btrfs", "zfs", "erofs"})
"""Others fetch lazily (stargz, nydus), or fill a device of their own (devmapper)."""


class Snapshotters:
    """All of them fill the filesystem of the images until `place` says otherwise."""

    def __init__(self, api: ContainerdApi) -> None:
        """Read nothing yet."""
        self._api = api
        self._filesystems: Mapping[str, Filesystem | None] = {}

    def read_roots(self, images_path: str) -> Mapping[str, str]:
        """Roots, by name, of those that are loaded, without that of the images; none where it is not containerd.

        "" where containerd does not name the root, as that of `native` before 1.7. A snapshotter that is not to be
        trusted is left out: its usage counts nowhere.
        """
        return {
            plugin.id: root
            for plugin in read_plugins(self._api)
            if plugin.type == SNAPSHOTTER and plugin.id in TRUSTED and not plugin.HasField("init_err")
            if (root := plugin.exports.get("root", "")) != images_path
            and PurePosixPath(images_path).name != folder_of(plugin)
        }

    def place(self, filesystems: Mapping[str, Filesystem | None]) -> None:
        """Set, by name, which filesystem each further snapshotter fills; None: one that is not measured."""
        self._filesystems = dict(filesystems)

    def filesystem_of(self, name: str) -> Filesystem | None:
        """What a snapshotter fills; None where that is not measured, so that its snapshots count nowhere."""
        return self._filesystems.get(name, Filesystem.IMAGES)

    @property
    def further(self) -> Collection[str]:
        """Names of those that are known not to be that of the images."""
        return self._filesystems.keys()
