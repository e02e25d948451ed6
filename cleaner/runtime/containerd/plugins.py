"""containerd's plugins that keep content or snapshots, as its introspection service names them.

It must not derive what a plugin does not say.
"""

from collections.abc import Sequence

from cleaner.runtime.pb import containerd_introspection_pb2 as pb
from cleaner.runtime.rpc import ContainerdApi, MissingApiError, methods

CONTENT = "io.containerd.content.v1"
SNAPSHOTTER = "io.containerd.snapshotter.v1"


def read_plugins(api: ContainerdApi) -> Sequence[pb.Plugin]:
    """Loaded or not (`init_err`); none where the runtime is not containerd."""
    try:
        answer = api.read(methods.LIST_PLUGINS, pb.PluginsRequest(filters=[f"type=={CONTENT}", f"type=={SNAPSHOTTER}"]))
    except MissingApiError:
        return ()
    return answer.plugins if answer else ()


def folder_of(plugin: pb.Plugin) -> str:
    """Its folder below containerd's root, where it has no other."""
    return f"{plugin.type}.{plugin.id}"
