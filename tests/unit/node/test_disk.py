"""The disk: which filesystem a path is on, its usage, and when a reading has settled."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.core.errors import DiskUnreadableError, EnvironmentUnusableError
from cleaner.node.clock import pause
from cleaner.node.disk import Mount, MountedDisk, MountedFilesystem, mount_of, open_disk, read_mounts, settle
from lab.waiting import wait_until

ROOT = Mount("/", "ext4")
CONTAINER_ROOT = Mount("/", "overlay")


def disk_of(path: str, kind: str, wait: Callable[[float], None] = pause) -> MountedDisk:
    return MountedDisk([MountedFilesystem(Filesystem.IMAGES, path, kind)], wait)


def usage(available: int) -> Usage:
    return Usage("/images", 1000, available, 0, 0, available)


@pytest.mark.parametrize(
    ("readings", "settled"),
    [([5, 5], 5), ([1, 2, 3, 3, 4], 3), ([*range(21), 20], 20), ([5, 4, 9], 4), ([1, 3, 2, 9], 2)],
    ids=["at once", "after a while", "not within a second", "others write", "others write in the end"],
)
def test_a_reading_settles_when_nothing_more_is_freed(readings: list[int], settled: int) -> None:
    """Readings are made 50 ms apart until one has no more free than that before it, for at most twenty of them."""
    pacer: list[float] = []
    left = iter(readings)
    assert settle(lambda: usage(next(left)), pacer.append).available_bytes == settled
    assert set(pacer) == {0.05}
    assert len(pacer) <= 20


@pytest.mark.parametrize(("hurried", "step"), [(False, 0.05), (True, 0.01)])
def test_a_hurried_reading_waits_for_a_fifth_of_it(tmp_path: Path, *, hurried: bool, step: float) -> None:
    """While the kubelet is about to act no reading waits for long."""
    pacer: list[float] = []
    disk_of(str(tmp_path), "ext4", pacer.append).read_settled_usage(hurried=hurried)
    assert set(pacer) == {step}


@pytest.mark.parametrize(("inodes", "steps"), [((5, 5, 9), 1), ((5, 6, 6), 2), ((5, 4, 9), 1)])
def test_inodes_settle_as_bytes_do(inodes: tuple[int, ...], steps: int) -> None:
    """While inodes are still freed a reading has not settled, though its bytes have."""
    pacer: list[float] = []
    left = iter(inodes)
    settle(lambda: replace(usage(5), inodes_available=next(left)), pacer.append)
    assert len(pacer) == steps


def test_usage_is_what_a_user_who_is_not_root_sees(tmp_path: Path) -> None:
    """Bytes and inodes are those of statvfs without root's reserve, and the percent is the kubelet's, not psutil's."""
    read, now = read_while_nobody_writes(tmp_path)
    assert read.capacity_bytes == now.f_blocks * now.f_frsize == psutil.disk_usage(str(tmp_path)).total
    assert read.available_bytes == now.f_bavail * now.f_frsize
    assert read.free_bytes == now.f_bfree * now.f_frsize
    assert (read.inodes, read.path) == (now.f_files, str(tmp_path))
    assert read.used_percent == pytest.approx(100 * (1 - now.f_bavail / now.f_blocks), abs=0.5)


def read_while_nobody_writes(folder: Path) -> tuple[Usage, os.statvfs_result]:
    """A reading, and what the system says; others use the same disk, so it is read between two equal answers."""
    found: list[tuple[Usage, os.statvfs_result]] = []

    def is_calm() -> bool:
        before, read, after = os.statvfs(folder), disk_of(str(folder), "ext4").read_usage(), os.statvfs(folder)
        found.append((read, after))
        return before == after

    wait_until(is_calm, "no other program writes to the disk for a moment")
    return found[-1]


def test_a_path_that_was_removed_is_unreadable(tmp_path: Path) -> None:
    """A disk whose path does not exist is an error that names it."""
    for kind in ("ext4", "btrfs"):
        with pytest.raises(DiskUnreadableError, match="gone: No such file"):
            disk_of(str(tmp_path / "gone"), kind).read_settled_usage()


@pytest.mark.parametrize(
    ("path", "kind", "measures"),
    [
        ("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs", "ext4", True),
        ("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs", "xfs", True),
        ("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs", "btrfs", True),
        ("/var/lib/containerd/io.containerd.snapshotter.v1.btrfs", "btrfs", False),
        ("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs", "zfs", False),
    ],
)
def test_filesystems_that_free_unseen_do_not_measure(path: str, kind: str, measures: bool) -> None:
    """What one removal freed can be measured on ext4, XFS and files on btrfs, not on ZFS or of subvolumes."""
    assert disk_of(path, kind).measures_removals is measures


def test_a_disk_that_frees_late_is_flushed_before_it_is_measured(tmp_path: Path) -> None:
    """A settled reading of a btrfs disk flushes first, and reads as any other."""
    read = disk_of(str(tmp_path), "btrfs").read_settled_usage()
    assert read.capacity_bytes == psutil.disk_usage(str(tmp_path)).total


@pytest.mark.parametrize("in_pod", [True, False])
def test_a_mounted_directory_is_accepted(tmp_path: Path, in_pod: bool) -> None:
    """A path below a mount of its own is the host's, in a pod and outside."""
    mounts = (CONTAINER_ROOT, Mount(str(tmp_path), "xfs"))
    disk = open_disk({Filesystem.IMAGES: str(tmp_path)}, in_pod=in_pod, pause=pause, mounts=mounts)
    assert disk.path == str(tmp_path)


@pytest.mark.parametrize(("root", "in_pod"), [(CONTAINER_ROOT, False), (CONTAINER_ROOT, True), (ROOT, True)])
def test_a_containers_own_filesystem_is_refused(tmp_path: Path, root: Mount, in_pod: bool) -> None:
    """A path on the agent's own root inside a container is an error with the mount to add, never the root instead."""
    with pytest.raises(EnvironmentUnusableError, match="container's own filesystem; mount the host's") as raised:
        open_disk({Filesystem.IMAGES: str(tmp_path)}, in_pod=in_pod, pause=pause, mounts=(root,))
    assert str(tmp_path) in str(raised.value)


def test_the_root_of_a_host_is_accepted(tmp_path: Path) -> None:
    """On a host without a disk for images, the root filesystem is the one."""
    assert open_disk({Filesystem.IMAGES: str(tmp_path)}, in_pod=False, pause=pause, mounts=(ROOT,)).measures_removals


@pytest.mark.parametrize(("path", "says"), [("/nowhere/containerd", "is no directory here"), ("/proc", "without capa")])
def test_what_is_no_filesystem_is_refused(path: str, says: str) -> None:
    """A path that is not there, or is empty, is an error; its parent is never used instead."""
    with pytest.raises(EnvironmentUnusableError, match=says):
        open_disk({Filesystem.IMAGES: path}, in_pod=False, pause=pause)


MOUNTS = (ROOT, Mount("/var/lib", "ext4"), Mount("/var/lib/containerd", "xfs"), Mount("/var/lib", "btrfs"))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/var/libs", "ext4"),
        ("/var/lib", "btrfs"),
        ("/var/lib/x", "btrfs"),
        ("/var/lib/containerd", "xfs"),
        ("/var/lib/containerd/io", "xfs"),
        ("/var/lib/containerd2", "btrfs"),
    ],
)
def test_the_longest_and_latest_mount_covers_a_path(path: str, kind: str) -> None:
    """Of the mounts above a path the longest counts, of equal ones the latest; names are compared in whole parts."""
    assert mount_of(path, MOUNTS).filesystem_type == kind


def test_mounts_are_read_with_their_escapes(tmp_path: Path) -> None:
    """A blank in a mountpoint is an octal escape; optional fields before the dash vary in number."""
    file = tmp_path / "mountinfo"
    file.write_text(
        "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "22 21 8:2 / /mnt/my\\040disk rw - xfs /dev/sdb rw\n"
        "23 21 8:3 / /a\\134b rw shared:2 master:3 - fuse.fuse-overlayfs none rw\n"
    )
    assert read_mounts(file) == (
        Mount("/", "ext4", "8:1"),
        Mount("/mnt/my disk", "xfs", "8:2"),
        Mount("/a\\b", "fuse.fuse-overlayfs", "8:3"),
    )


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\r", "\x1c", "\x85", "\u2028", "\udcff"])
def test_a_mountpoint_can_have_characters_that_end_a_line_elsewhere(tmp_path: Path, character: str) -> None:
    """The kernel escapes the line feed only: whatever a pod's volume is called, the disk is found."""
    file = tmp_path / "mountinfo"
    line = f"36 35 98:0 / /mnt/a{character}b rw - ext4 /dev/a{character}b rw\n"
    file.write_bytes(line.encode("utf-8", "surrogateescape") * 2)
    assert read_mounts(file) == (Mount(f"/mnt/a{character}b", "ext4", "98:0"),) * 2


def test_the_path_of_a_usage_is_one_line(tmp_path: Path) -> None:
    """A directory may be called anything, and tables and logs are lines."""
    odd = tmp_path / "a\nb\x1b"
    odd.mkdir()
    assert disk_of(str(odd), "ext4").read_usage().path == f"{tmp_path}/a\\nb\\x1b"


def test_the_key_that_names_a_path_is_said(tmp_path: Path) -> None:
    """Without one it is the runtime that named it."""
    for named_by, begin in ((None, "the runtime's image filesystem (ImageFsInfo, Plugins): "), ("a.key", "a.key: ")):
        with pytest.raises(EnvironmentUnusableError, match=re.escape(f"{begin}{tmp_path}/x is no directory here (No ")):
            open_disk({Filesystem.IMAGES: f"{tmp_path}/x"}, in_pod=False, pause=pause, named_by=named_by)


def test_no_mount_at_all_is_unknown() -> None:
    """Without any mount the type is unknown."""
    assert mount_of("/", ()) == Mount("/", "unknown")


# ---- other filesystems

CONTENT, CONTAINERS = Filesystem.CONTENT, Filesystem.CONTAINERS


@pytest.fixture
def paths(tmp_path: Path) -> dict[Filesystem, str]:
    """A directory for each filesystem."""
    found = {each: str(tmp_path / each.value) for each in (Filesystem.IMAGES, CONTENT, CONTAINERS)}
    for path in found.values():
        Path(path).mkdir()
    return found


def mounts_of(paths: dict[Filesystem, str], *devices: str) -> tuple[Mount, ...]:
    return ROOT, *(Mount(path, "ext4", device) for path, device in zip(paths.values(), devices, strict=True))


@pytest.mark.parametrize(
    ("devices", "others"),
    [
        (("8:1", "8:1", "8:1"), []),
        (("8:1", "8:2", "8:1"), [CONTENT]),
        (("8:1", "8:1", "8:2"), [CONTAINERS]),
        (("8:1", "8:2", "8:2"), [CONTENT]),
        (("8:1", "8:2", "8:3"), [CONTENT, CONTAINERS]),
    ],
)
def test_each_filesystem_counts_once(
    paths: dict[Filesystem, str], devices: tuple[str, ...], others: list[Filesystem]
) -> None:
    """Of places on the same device the first counts: images, then content, then containers."""
    disk = open_disk(paths, in_pod=False, pause=pause, mounts=mounts_of(paths, *devices))
    read = disk.read_usage()
    assert (read.filesystem, [other.filesystem for other in read.others]) == (Filesystem.IMAGES, others)
    assert [each.path for each in read.others] == [paths[other] for other in others]
    assert disk.unseen == ()
    assert disk.read_settled_usage().path == read.path


def test_another_filesystem_that_is_not_seen_is_left_out(paths: dict[Filesystem, str]) -> None:
    """The agent works without a content store that is not mounted into its pod, and can say which it misses."""
    gone = paths | {CONTENT: "/nowhere/content"}
    disk = open_disk(gone, in_pod=False, pause=pause, mounts=mounts_of(paths, "8:1", "8:2", "8:3"))
    assert disk.unseen == ("/nowhere/content",)
    assert [other.filesystem for other in disk.read_usage().others] == [CONTAINERS]


SNAPSHOTS = Filesystem.SNAPSHOTS


def further(tmp_path: Path, *names: str) -> dict[str, str]:
    """A root for each of these snapshotters."""
    for name in names:
        (tmp_path / name).mkdir()
    return {name: str(tmp_path / name) for name in names}


@pytest.mark.parametrize(
    ("device", "fills", "others"),
    [
        ("8:1", Filesystem.IMAGES, [CONTENT, CONTAINERS]),
        ("8:2", CONTENT, [CONTENT, CONTAINERS]),
        ("8:3", SNAPSHOTS, [CONTENT, SNAPSHOTS]),
        ("8:4", SNAPSHOTS, [CONTENT, SNAPSHOTS, CONTAINERS]),
    ],
    ids=["images", "content", "containers", "its own"],
)
def test_a_further_snapshotter_fills_what_its_root_lies_on(
    tmp_path: Path, paths: dict[Filesystem, str], device: str, fills: Filesystem, others: list[Filesystem]
) -> None:
    """It has a filesystem of its own where images and content have another; what containers share is then freed."""
    roots = further(tmp_path, "native")
    mounts = (*mounts_of(paths, "8:1", "8:2", "8:3"), Mount(roots["native"], "ext4", device))
    disk = open_disk(paths, roots, in_pod=False, pause=pause, mounts=mounts)
    assert disk.snapshotters == {"native": fills}
    assert [each.filesystem for each in disk.read_usage().others] == others
    assert disk.unseen == ()


def test_of_several_disks_of_further_snapshotters_one_is_measured(tmp_path: Path, paths: dict[Filesystem, str]) -> None:
    """The first by name has the filesystem; what lies there too counts, and what lies elsewhere counts nowhere."""
    roots = further(tmp_path, "zfs", "native", "erofs", "btrfs")
    devices = {"btrfs": "8:1", "erofs": "9:1", "native": "9:2", "zfs": "9:1"}
    mounts = (
        *mounts_of(paths, "8:1", "8:1", "8:1"),
        *(Mount(root, "ext4", devices[name]) for name, root in roots.items()),
    )
    disk = open_disk(paths, roots, in_pod=False, pause=pause, mounts=mounts)
    assert disk.snapshotters == {"btrfs": Filesystem.IMAGES, "erofs": SNAPSHOTS, "native": None, "zfs": SNAPSHOTS}
    assert [each.path for each in disk.read_usage().others] == [roots["erofs"]]


@pytest.mark.parametrize(
    ("root", "unseen"), [("/nowhere/native", ("/nowhere/native",)), ("/proc", ("/proc",)), ("", ())]
)
def test_a_root_that_is_not_seen_counts_nowhere(
    paths: dict[Filesystem, str], root: str, unseen: tuple[str, ...]
) -> None:
    """A further snapshotter whose root is not seen, no filesystem or not known fills no filesystem that is measured."""
    mounts = mounts_of(paths, "8:1", "8:2", "8:3")
    disk = open_disk(paths, {"native": root}, in_pod=False, pause=pause, mounts=mounts)
    assert (disk.snapshotters, disk.unseen) == ({"native": None}, unseen)
    assert [each.filesystem for each in disk.read_usage().others] == [CONTENT, CONTAINERS]


def test_another_filesystem_that_cannot_be_read_is_left_out(
    monkeypatch: pytest.MonkeyPatch, paths: dict[Filesystem, str]
) -> None:
    """The images' filesystem is cleaned whatever ails another one."""
    read = os.statvfs
    answers = {paths[CONTENT]: OSError(5, "Input/output error")}

    def fail_for_content(path: str) -> os.statvfs_result:
        if path in answers:
            raise answers[path]
        return read(path)

    monkeypatch.setattr(os, "statvfs", fail_for_content)
    disk = open_disk(paths, in_pod=False, pause=pause, mounts=mounts_of(paths, "8:1", "8:2", "8:3"))
    assert disk.unseen == (paths[CONTENT],)
    assert [each.filesystem for each in disk.read_usage().others] == [CONTAINERS]


def test_a_removal_is_measured_where_all_that_it_frees_is(paths: dict[Filesystem, str]) -> None:
    """Content on ZFS cannot be measured, containers on ZFS do not matter."""
    places = [MountedFilesystem(filesystem, path, "ext4") for filesystem, path in paths.items()]
    assert MountedDisk(places, pause).measures_removals
    for number, measures in ((1, False), (2, True)):
        odd = [*places]
        odd[number] = replace(odd[number], filesystem_type="zfs")
        assert MountedDisk(odd, pause).measures_removals is measures
