"""Usage of the filesystems that images, content and containers fill: bytes from psutil, inodes from statvfs.

A path that is not mounted from the host is an error: the agent must not measure the filesystem of its parent instead.
"""

import ctypes
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.core.errors import CleanerError, DiskUnreadableError, EnvironmentUnusableError
from cleaner.core.paths import impossible_in, shown, visible

SETTLE_STEP_SECONDS = 0.05
HURRIED_STEP_SECONDS = 0.01
"""While the kubelet is about to act, and others write so fast that whatever is read later is theirs."""
SETTLE_STEPS = 20
FREES_LATER = frozenset({"btrfs", "zfs", "bcachefs"})
"""Filesystems whose free space follows a removal with the next commit, up to 30 s later; a flush brings that on."""
FREES_UNSEEN = frozenset({"zfs", "bcachefs"})
"""Those of them that were not measured: a flush is tried, and no figure is shown for one image."""
SUBVOLUMES = "io.containerd.snapshotter.v1.btrfs"
"""containerd's btrfs snapshotter: a deleted subvolume is freed by a kernel thread, and no flush waits for that."""
RUNTIME = "the runtime's image filesystem (ImageFsInfo, Plugins)"
"""Which calls name the path of the images, where the configuration does not."""
CONTAINER_ROOTS = frozenset({"overlay", "fuse.fuse-overlayfs"})


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/self/mountinfo, as far as it matters here."""

    mountpoint: str
    filesystem_type: str
    device: str = ""
    """Major and minor number; the same for all mounts of one filesystem."""


@dataclass(frozen=True, slots=True)
class MountedFilesystem:
    """One filesystem, and the path through which it is measured."""

    filesystem: Filesystem
    path: str
    filesystem_type: str


class MountedDisk:
    """The mounted filesystems of a node, that of the images first."""

    def __init__(
        self,
        places: Sequence[MountedFilesystem],
        pause: Callable[[float], None],
        unseen: Sequence[str] = (),
        snapshotters: Mapping[str, Filesystem | None] | None = None,
    ) -> None:
        """`unseen`: paths of other filesystems that the runtime names and this process does not see."""
        self.unseen = tuple(unseen)
        self.snapshotters = dict(snapshotters or {})
        """By name, which of these filesystems each further snapshotter fills; None: one that is not measured."""
        self._images, *self._others = places
        self._pause = pause

    @property
    def path(self) -> str:
        """The path through which the filesystem of the images is measured."""
        return self._images.path

    @property
    def measures_removals(self) -> bool:
        """False for zfs, bcachefs and subvolumes of btrfs."""
        return all(place.filesystem_type not in FREES_UNSEEN and SUBVOLUMES not in place.path for place in self._freed)

    def read_usage(self) -> Usage:
        """What a user who is not root could still write (`f_bavail`), as the kubelet counts it."""
        others = tuple(map(_read_usage, self._others))
        return replace(_read_usage(self._images), others=others)

    def read_settled_usage(self, *, hurried: bool = False) -> Usage:
        """Read until nothing more was freed in 50 ms, for at most 1 s; flush first where space is freed later.

        A fifth of both where it is `hurried`.
        """
        for place in self._freed:
            if place.filesystem_type in FREES_LATER:
                _flush(place.path)
        return settle(self.read_usage, self._pause, HURRIED_STEP_SECONDS if hurried else SETTLE_STEP_SECONDS)

    @property
    def _freed(self) -> list[MountedFilesystem]:
        """Those that the removal of an image frees."""
        return [place for place in (self._images, *self._others) if place.filesystem is not Filesystem.CONTAINERS]


def _read_usage(place: MountedFilesystem) -> Usage:
    path = place.path
    try:
        space = psutil.disk_usage(path)
        inodes = os.statvfs(path)
    except OSError as error:
        raise DiskUnreadableError(f"cannot read the usage of {shown(path)}: {error.strerror}") from error
    free = space.total - space.used
    return Usage(visible(path), space.total, space.free, inodes.f_files, inodes.f_favail, free, place.filesystem)


def _flush(path: str) -> None:
    """syncfs(2): on btrfs 20 MiB of unlinked files showed 0 bytes after 0.1 s, and all of them right after it."""
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise DiskUnreadableError(f"cannot open {shown(path)}: {error.strerror}") from error
    try:
        ctypes.CDLL(None).syncfs(directory)
    finally:
        os.close(directory)


def settle(
    read_usage: Callable[[], Usage], pause: Callable[[float], None], step_seconds: float = SETTLE_STEP_SECONDS
) -> Usage:
    """The first reading with no more free than a step before it; the last one where all have more.

    Less is none of a removal's doing: others write, as pulls do, and whoever waited for them would be too late.
    """
    usage = read_usage()
    for _ in range(SETTLE_STEPS):
        pause(step_seconds)
        before, usage = usage, read_usage()
        if not _has_more(usage, before):
            break
    return usage


def _has_more(usage: Usage, before: Usage) -> bool:
    """Whether bytes or inodes of any filesystem that a removal frees became free."""
    pairs = zip(usage.freeable, before.freeable, strict=True)
    return any(now.free_bytes > was.free_bytes or now.inodes_available > was.inodes_available for now, was in pairs)


def open_disk(  # noqa: PLR0913 - keywords, each of which says what it means
    paths: Mapping[Filesystem, str],
    snapshotters: Mapping[str, str] | None = None,
    *,
    in_pod: bool,
    named_by: str | None = None,
    pause: Callable[[float], None],
    mounts: tuple["Mount", ...] | None = None,
) -> MountedDisk:
    """The filesystems at these paths; EnvironmentUnusableError says what is wrong with that of the images.

    Others count where they are not the same as one before them; those that are not seen here are left out.
    `snapshotters`: roots of further ones by name, "" where it is not known; of several with filesystems of their own
    the first by name is measured. `in_pod`: whether this process runs in a container, where only what is mounted is the
    host's. `named_by`: the key that gave the path of the images; None: the runtime did. `mounts`: instead of those that
    this process sees.
    """
    mounts = read_mounts() if mounts is None else mounts
    search = _Search(in_pod=in_pod, mounts=mounts)
    search.add_images(paths[Filesystem.IMAGES], named_by or RUNTIME)
    search.add(Filesystem.CONTENT, paths.get(Filesystem.CONTENT, ""))
    # Before that of containers: where both are the same, evicting images frees it.
    placed = {name: search.add(Filesystem.SNAPSHOTS, root) for name, root in sorted((snapshotters or {}).items())}
    search.add(Filesystem.CONTAINERS, paths.get(Filesystem.CONTAINERS, ""))
    return MountedDisk(tuple(search.places.values()), pause, search.unseen, placed)


class _Search:
    """The filesystems found so far, by device: the first that lies on one names it."""

    def __init__(self, *, in_pod: bool, mounts: tuple["Mount", ...]) -> None:
        self.places: dict[str, MountedFilesystem] = {}
        self.unseen: list[str] = []
        self._in_pod = in_pod
        self._mounts = mounts

    def add_images(self, path: str, named_by: str) -> None:
        """Add the images' filesystem; EnvironmentUnusableError if it cannot be measured."""
        try:
            place, device = _find(Filesystem.IMAGES, path, in_pod=self._in_pod, mounts=self._mounts)
        except EnvironmentUnusableError as error:
            raise EnvironmentUnusableError(f"{named_by}: {error}") from error
        self.places[device] = place

    def add(self, filesystem: Filesystem, path: str) -> Filesystem | None:
        """Add another one; return the filesystem that the path lies on, None if that is not measured."""
        if not path:
            return None
        try:
            place, device = _find(filesystem, path, in_pod=self._in_pod, mounts=self._mounts)
        except CleanerError:
            self.unseen.append(shown(path))
            return None
        if filesystem not in {each.filesystem for each in self.places.values()}:
            self.places.setdefault(device, place)
        return self.places[device].filesystem if device in self.places else None


def _find(
    filesystem: Filesystem, path: str, *, in_pod: bool, mounts: tuple["Mount", ...]
) -> tuple[MountedFilesystem, str]:
    """The path through which a filesystem is measured, and its device."""
    mount = mount_of(_resolved(path), mounts)
    root = mount_of("/", mounts)
    if mount.mountpoint == "/" and (in_pod or root.filesystem_type in CONTAINER_ROOTS):
        raise _unusable(path, "lies on this container's own filesystem")
    place = MountedFilesystem(filesystem, path, mount.filesystem_type)
    if _read_usage(place).capacity_bytes == 0:
        raise _unusable(path, f"is a filesystem without capacity ({mount.filesystem_type})")
    return place, mount.device


def _resolved(path: str) -> str:
    """The path without links; EnvironmentUnusableError where it is no directory for this process."""
    if not path.startswith("/"):
        raise _unusable(path, "is no absolute path, so nothing tells where it is")
    if impossible := impossible_in(path):
        raise EnvironmentUnusableError(f"{shown(path)} {impossible}; set filesystem.path to a shorter one")
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - what the runtime named stays as it is
        resolved = os.path.realpath(path)
    except (OSError, ValueError) as error:  # ValueError: no text of this system's encoding
        raise _unusable(path, f"is no directory here ({getattr(error, 'strerror', None) or error})") from error
    if not stat.S_ISDIR(mode):
        raise _unusable(path, "is no directory here")
    return resolved


def _unusable(path: str, problem: str) -> EnvironmentUnusableError:
    said = shown(path)
    advice = "mount the host's (or its containerd root) read-only at the same path, or correct filesystem.path"
    return EnvironmentUnusableError(f"{said} {problem}; {advice}")


def read_mounts(source: Path = Path("/proc/self/mountinfo")) -> tuple[Mount, ...]:
    """All mounts that this process sees, in mounting order (source: proc_pid_mountinfo(5))."""
    # Only a line feed ends a line: the kernel escapes that one, and none of the others that Python takes for one.
    lines = source.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    return tuple(_parse_mount(line) for line in lines if line)


def _parse_mount(line: str) -> Mount:
    """Fields up to ` - ` vary in number; the type follows it. Blanks in paths are octal escapes."""
    left, _, right = line.partition(" - ")
    fields = left.split(" ")
    mountpoint = fields[4]
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        mountpoint = mountpoint.replace(escape, character)
    return Mount(mountpoint, right.split(" ")[0], fields[2])


def mount_of(path: str, mounts: tuple[Mount, ...]) -> Mount:
    """The mount that covers a path: the longest mountpoint, the latest of equal ones."""
    covering = [m for m in mounts if path == m.mountpoint or path.startswith(m.mountpoint.rstrip("/") + "/")]
    longest = max((len(m.mountpoint) for m in covering), default=0)
    return next((m for m in reversed(covering) if len(m.mountpoint) == longest), Mount("/", "unknown"))
