"""Where a runtime keeps what fills the node: images, containerd's content store, containers' own layers.

It must not derive a path from another: a filesystem that the runtime does not name is not measured.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from cleaner.core.disk_usage import Filesystem
from cleaner.core.errors import RuntimeRejectedError
from cleaner.runtime.pb import containerd_introspection_pb2 as introspection_pb
from cleaner.runtime.pb import cri_pb2 as pb
from cleaner.runtime.rpc import Calls, ContainerdApi, MissingApiError, methods

_CONTENT = "io.containerd.content.v1.content"
_FILTERS = ("type==io.containerd.content.v1", "type==io.containerd.snapshotter.v1")


def read_filesystems(calls: Calls, api: ContainerdApi) -> Mapping[Filesystem, str]:
    """Paths by what lies there: CRI ImageFsInfo's, and the roots that containerd's plugins export.

    CRI-O names a directory below its storage root. containerd before 2 names the snapshotter's usual place also where
    its `root_path` is another, so its export goes first. RuntimeRejectedError where no image filesystem is named.
    """
    answer = calls.read(methods.IMAGE_FILESYSTEM, pb.ImageFsInfoRequest())
    images = _first(answer.image_filesystems)
    if not images:
        raise RuntimeRejectedError("ImageFsInfo: it names no image filesystem")
    roots = _read_roots(api)
    found = {
        Filesystem.IMAGES: roots.get(PurePosixPath(images).name, images),
        Filesystem.CONTENT: roots.get(_CONTENT, ""),
        Filesystem.CONTAINERS: _first(answer.container_filesystems),
    }
    return {filesystem: path for filesystem, path in found.items() if path}


def _first(filesystems: Sequence[pb.FilesystemUsage]) -> str:
    return filesystems[0].fs_id.mountpoint if filesystems else ""


def _read_roots(api: ContainerdApi) -> Mapping[str, str]:
    """By type and id of the plugin, as its folder is named; none where the runtime is not containerd."""
    request = introspection_pb.PluginsRequest(filters=_FILTERS)
    try:
        answer = api.read(methods.LIST_PLUGINS, request)
    except MissingApiError:
        return {}
    plugins = answer.plugins if answer else ()
    return {f"{plugin.type}.{plugin.id}": plugin.exports["root"] for plugin in plugins if "root" in plugin.exports}
