"""Writes the configuration of a private containerd: version 2 for 1.x, version 3 for 2.x.

It uses none of the host's folders: root, state, sockets, runc's state and the network's configuration are the lab's.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """Where things of one lab lie."""

    base: Path

    @property
    def disk(self) -> Path:
        """Return the mount of the loop disk."""
        return self.base / "disk"

    @property
    def disk_image(self) -> Path:
        """Return the file behind the loop device."""
        return self.base / "disk.img"

    @property
    def root(self) -> Path:
        """Return containerd's root, on the disk."""
        return self.disk / "containerd"

    @property
    def content(self) -> Path:
        """Return containerd's content store, below its root."""
        return self.root / "io.containerd.content.v1.content"

    @property
    def content_image(self) -> Path:
        """Return the file behind the loop device of a content store that has a disk of its own."""
        return self.base / "content.img"

    @property
    def native(self) -> Path:
        """Return the root of the native snapshotter where it has a disk of its own: the mount of that disk."""
        return self.base / "native"

    @property
    def native_image(self) -> Path:
        """Return the file behind the loop device of the native snapshotter."""
        return self.base / "native.img"

    @property
    def state(self) -> Path:
        """Return containerd's state, off the disk as on a node (/run)."""
        return self.base / "state"

    @property
    def socket(self) -> Path:
        """Return containerd's socket."""
        return self.base / "containerd.sock"

    @property
    def config(self) -> Path:
        """Return containerd's configuration file."""
        return self.base / "containerd.toml"

    @property
    def log(self) -> Path:
        """Return what containerd prints."""
        return self.base / "containerd.log"

    @property
    def hosts(self) -> Path:
        """Return the folder that maps registries' names."""
        return self.base / "hosts"

    @property
    def cgroup(self) -> str:
        """Return the cgroup that all pods of the lab are in."""
        return f"/{self.base.name}"


def containerd_config(version: str, folders: Folders, pause: str, *, debug: bool, native: bool = False) -> str:
    """Return the TOML for one containerd version, such as "1.6.20"; native: that snapshotter has its own root."""
    cri = _CRI_V2 if version.startswith("1.") else _CRI_V3
    values = {
        "schema": "2" if version.startswith("1.") else "3",
        "base": str(folders.base),
        "root": str(folders.root),
        "state": str(folders.state),
        "socket": str(folders.socket),
        "hosts": str(folders.hosts),
        "level": "debug" if debug else "info",
        "pause": pause,
    }
    return (_COMMON + cri + _NATIVE * native).format_map(values | {"native": str(folders.native)})


def write_hosts(hosts: Path, registry: str) -> None:
    """Send every registry's name to the local registry.

    `server` is said too: without it a pull that fails here would be tried at the real registry.
    Source: containerd, docs/hosts.md, the folder `_default`.
    """
    folder = hosts / "_default"
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://{registry}"
    text = f'server = "{url}"\n\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'
    (folder / "hosts.toml").write_text(text, encoding="utf-8")


# oom_score and restrict_oom_score_adj: in a restricted virtual machine no process may lower its score.
# opt: its default path, /opt/containerd, would be made on the host.
_COMMON = """\
version = {schema}
root = "{root}"
state = "{state}"
oom_score = 0
imports = []

[grpc]
  address = "{socket}"

[ttrpc]
  address = "{socket}.ttrpc"

[debug]
  level = "{level}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{base}/opt"

[plugins."io.containerd.nri.v1.nri"]
  disable = true

"""

_NATIVE = """
[plugins."io.containerd.snapshotter.v1.native"]
  root_path = "{native}"
"""

_CRI_V2 = """\
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{base}/cni"
    conf_dir = "{base}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{base}/runc"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{hosts}"
"""

_CRI_V3 = """\
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{hosts}"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{base}/cni"]
    conf_dir = "{base}/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      Root = "{base}/runc"
"""
