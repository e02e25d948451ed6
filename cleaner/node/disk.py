"""Usage of the filesystem that holds the images: bytes from psutil, inodes from statvfs.

Refuses another filesystem in its place: a path that is not mounted from the host is an error, never its parent.
"""

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from cleaner.core.errors import DiskUnreadableError, EnvironmentUnusableError
from cleaner.core.model import Usage

SETTLE_STEP_SECONDS = 0.05
SETTLE_STEPS = 20
FREES_LATER = frozenset({"btrfs", "zfs", "bcachefs"})
"""Filesystems whose free space follows a removal with the next commit, up to 30 s later; a flush brings that on."""
FREES_UNSEEN = frozenset({"zfs", "bcachefs"})
"""Those of them that were not measured: a flush is tried, and no figure is shown for one image."""
SUBVOLUMES = "io.containerd.snapshotter.v1.btrfs"
"""containerd's btrfs snapshotter: a deleted subvolume is freed by a kernel thread, and no flush waits for that."""
CONTAINER_ROOTS = frozenset({"overlay", "fuse.fuse-overlayfs"})


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/self/mountinfo, as far as it matters here."""

    mountpoint: str
    filesystem_type: str


class MountedDisk:
    """A mounted filesystem, looked at through one path."""

    def __init__(self, path: str, filesystem_type: str, pause: Callable[[float], None]) -> None:
        self._path = path
        self._type = filesystem_type
        self._pause = pause

    @property
    def path(self) -> str:
        """Where it is looked at."""
        return self._path

    @property
    def measures_removals(self) -> bool:
        """False for zfs, bcachefs and subvolumes of btrfs."""
        return self._type not in FREES_UNSEEN and SUBVOLUMES not in self._path

    def read_usage(self) -> Usage:
        """What a user who is not root could still write (`f_bavail`), as the kubelet counts it."""
        try:
            space = psutil.disk_usage(self._path)
            inodes = os.statvfs(self._path)
        except OSError as error:
            raise DiskUnreadableError(f"cannot read the usage of {self._path}: {error.strerror}") from error
        return Usage(self._path, space.total, space.free, inodes.f_files, inodes.f_favail, space.total - space.used)

    def read_settled_usage(self) -> Usage:
        """Read until two readings 50 ms apart agree, for at most 1 s; flush first where space is freed later."""
        if self._type in FREES_LATER:
            _flush(self._path)
        return settle(self.read_usage, self._pause)


def _flush(path: str) -> None:
    """syncfs(2): on btrfs 20 MiB of unlinked files showed 0 bytes after 0.1 s, and all of them right after it."""
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise DiskUnreadableError(f"cannot open {path}: {error.strerror}") from error
    try:
        ctypes.CDLL(None).syncfs(directory)
    finally:
        os.close(directory)


def settle(read_usage: Callable[[], Usage], pause: Callable[[float], None]) -> Usage:
    """The first reading that equals the one 50 ms before it; the last one where none does."""
    usage = read_usage()
    for _ in range(SETTLE_STEPS):
        pause(SETTLE_STEP_SECONDS)
        before, usage = usage, read_usage()
        if usage == before:
            break
    return usage


def open_disk(
    path: str, *, in_pod: bool, pause: Callable[[float], None], mounts: tuple["Mount", ...] | None = None
) -> MountedDisk:
    """The filesystem at `path`; EnvironmentUnusableError says what is wrong and what to mount.

    `in_pod`: whether this process runs in a container, where only what is mounted is the host's. `mounts`: instead of
    those that this process sees.
    """
    if not Path(path).is_dir():
        raise EnvironmentUnusableError(f"{path} is no directory here; {_advice(path)}")
    mounts = read_mounts() if mounts is None else mounts
    mount = mount_of(os.path.realpath(path), mounts)
    root = mount_of("/", mounts)
    if mount.mountpoint == "/" and (in_pod or root.filesystem_type in CONTAINER_ROOTS):
        raise EnvironmentUnusableError(f"{path} lies on this container's own filesystem; {_advice(path)}")
    disk = MountedDisk(path, mount.filesystem_type, pause)
    if disk.read_usage().capacity_bytes == 0:
        raise EnvironmentUnusableError(
            f"{path} is a filesystem without capacity ({mount.filesystem_type}); {_advice(path)}"
        )
    return disk


def _advice(path: str) -> str:
    return f"mount the host's {path} (or its containerd root) read-only at the same path, or set filesystem.path"


def read_mounts(source: Path = Path("/proc/self/mountinfo")) -> tuple[Mount, ...]:
    """All mounts that this process sees, in mounting order (source: proc_pid_mountinfo(5))."""
    lines = source.read_text(errors="surrogateescape").splitlines()
    return tuple(_parse_mount(line) for line in lines)


def _parse_mount(line: str) -> Mount:
    """Fields up to ` - ` vary in number; the type follows it. Blanks in paths are octal escapes."""
    left, _, right = line.partition(" - ")
    mountpoint = left.split(" ")[4]
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        mountpoint = mountpoint.replace(escape, character)
    return Mount(mountpoint, right.split(" ")[0])


def mount_of(path: str, mounts: tuple[Mount, ...]) -> Mount:
    """The mount that covers a path: the longest mountpoint, the latest of equal ones."""
    covering = [m for m in mounts if path == m.mountpoint or path.startswith(m.mountpoint.rstrip("/") + "/")]
    longest = max((len(m.mountpoint) for m in covering), default=0)
    return next((m for m in reversed(covering) if len(m.mountpoint) == longest), Mount("/", "unknown"))
