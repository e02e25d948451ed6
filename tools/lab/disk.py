"""A private disk: a sparse file with a filesystem, mounted through a loop device.

It touches no other disk: every path that it formats, mounts or fills is below the lab's folder.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.shell import run
from lab.toolbox import make_filesystem

_MIB = 1024 * 1024
_SMALLEST_BLOCK = 4096


@dataclass(frozen=True)
class DiskSpec:
    """What disk a lab gets; inodes None leaves their number to mkfs."""

    filesystem: str = "ext4"
    size_mib: int = 600
    inodes: int | None = None
    durable: bool = False
    # Whether a sync waits for the machine's disk: true to life, and twice as slow. ext4 only; xfs always waits.
    reserved_percent: int = 5
    # What only root may fill, containerd among them. ext4 only; its own default.


@dataclass(frozen=True)
class Usage:
    """A filesystem's numbers as a process without root's reserve sees them."""

    capacity_bytes: int
    available_bytes: int
    inodes: int
    free_inodes: int

    @property
    def used_percent(self) -> float:
        """Return the kubelet's number: root's reserve counts as used."""
        return 100.0 * (1.0 - self.available_bytes / self.capacity_bytes)

    @property
    def used_inodes_percent(self) -> float:
        """Return the share of inodes that are taken."""
        return 100.0 * (1.0 - self.free_inodes / self.inodes)


def read_usage(path: Path) -> Usage:
    """Read the usage of the filesystem that holds a path."""
    stat = os.statvfs(path)
    return Usage(stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize, stat.f_files, stat.f_favail)


def mount_disk(spec: DiskSpec, image: Path, mountpoint: Path) -> None:
    """Make, format and mount a disk; umount alone also frees its loop device."""
    with image.open("wb") as file:
        file.truncate(spec.size_mib * _MIB)
    _format(spec, image)
    mountpoint.mkdir()
    # A lab never outlives a power cut, so by default nothing is lost without barriers.
    barrier = ",barrier=0" if spec.filesystem == "ext4" and not spec.durable else ""
    run("mount", "-o", f"loop{barrier}", image, mountpoint)


def _format(spec: DiskSpec, image: Path) -> None:
    if spec.filesystem in ("xfs", "btrfs"):
        make_filesystem(spec.filesystem, image)
    elif spec.filesystem == "ext4":
        # Said also where it is mke2fs's own default, so that a mke2fs.conf cannot change it.
        inodes = () if spec.inodes is None else ("-N", str(spec.inodes))
        run("mkfs.ext4", "-q", "-F", "-m", str(spec.reserved_percent), *inodes, image)
    else:
        raise LabError(f"no filesystem {spec.filesystem} in the lab: choose ext4, xfs or btrfs")


class Ballast:
    """One file that takes space until a disk is as full as a test wants it."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._path = disk / "ballast"

    def fill(self, used_percent: float) -> None:
        """Grow or shrink the file until the usage is just at or over a percentage."""
        for _ in range(20):
            usage = read_usage(self._disk)
            target_available = int(usage.capacity_bytes * (1.0 - used_percent / 100.0))
            missing = usage.available_bytes - target_available
            # One block over is exact: the file's own metadata takes blocks too.
            if -_MIB < missing <= 0:
                return
            self._resize(missing)
            if missing > 0:
                # A second reading would fill again what an agent has begun to empty meanwhile.
                return
        raise LabError(f"the disk stays at {read_usage(self._disk).used_percent:.2f} %, not {used_percent} %")

    def fill_completely(self) -> None:
        """Take every block, root's reserve included: the next write is ENOSPC."""
        step = 64 * _MIB
        while step >= _SMALLEST_BLOCK:
            try:
                self._resize(step)
            except LabError:
                step //= 2

    def give_back(self, size_bytes: int) -> None:
        """Leave so many bytes free that were taken."""
        self._resize(-size_bytes)

    def drop(self) -> None:
        """Free what the file takes."""
        self._path.unlink(missing_ok=True)
        os.sync()

    def _resize(self, by_bytes: int) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if by_bytes < 0:
                os.ftruncate(descriptor, max(0, size + by_bytes))
            else:
                # Whole blocks: part of one would be taken but not counted in the size.
                os.posix_fallocate(descriptor, size, max(by_bytes, _SMALLEST_BLOCK))
            os.fsync(descriptor)
        except OSError as error:
            raise LabError(f"the ballast cannot be resized by {by_bytes} bytes: {error}") from error
        finally:
            os.close(descriptor)
