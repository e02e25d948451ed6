"""Where a runtime keeps what fills the node: images, containerd's content store, containers' own layers.

It must not derive a path from another: a filesystem that the runtime does not name is not measured.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from cleaner.core.disk_usage import Filesystem
from cleaner.core.errors import RuntimeRejectedError
from cleaner.runtime.containerd.plugins import CONTENT, folder_of, read_plugins
from cleaner.runtime.pb import cri_pb2 as pb
from cleaner.runtime.rpc import Calls, ContainerdApi, methods

_CONTENT = f"{CONTENT}.content"


def read_filesystems(calls: Calls, api: ContainerdApi) -> Mapping[Filesystem, str]:
    """Paths by what lies there: CRI ImageFsInfo's, and the roots that containerd's plugins export.

    CRI-O names a directory below its storage root. containerd before 2 names the snapshotter's usual place also where
    its `root_path` is another, so its export goes first. RuntimeRejectedError where no image filesystem is named.
    """
    answer = calls.read(methods.IMAGE_FILESYSTEM, pb.ImageFsInfoRequest())
    images = _first(answer.image_filesystems)
    if not images:
        raise RuntimeRejectedError("ImageFsInfo: it names no image filesystem")
    roots = {folder_of(plugin): root for plugin in read_plugins(api) if (root := plugin.exports.get("root"))}
    found = {
        Filesystem.IMAGES: roots.get(PurePosixPath(images).name, images),
        Filesystem.CONTENT: roots.get(_CONTENT, ""),
        Filesystem.CONTAINERS: _first(answer.container_filesystems),
    }
    return {filesystem: path for filesystem, path in found.items() if path}


def _first(filesystems: Sequence[pb.FilesystemUsage]) -> str:
    return filesystems[0].fs_id.mountpoint if filesystems else ""
