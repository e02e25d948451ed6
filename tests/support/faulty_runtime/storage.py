"""A directory with a size limit that holds a faulty runtime's blobs and snapshots as files; it is the disk too."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cleaner.core.disk_usage import Usage


class NoSpaceError(Exception):
    """A file does not fit."""


@dataclass(frozen=True)
class Storage:
    """Implements core.ports.Disk. What nothing was written for takes no space."""

    directory: Path
    capacity_bytes: int
    inodes: int = 100_000
    measures_removals: bool = True
    unseen: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return str(self.directory)

    def read_usage(self) -> Usage:
        """What the files take, of the size limit."""
        sizes = [file.stat().st_size for file in self.directory.iterdir()]
        available = max(0, self.capacity_bytes - sum(sizes))
        return Usage(self.path, self.capacity_bytes, available, self.inodes, self.inodes - len(sizes), available)

    def read_settled_usage(self, *, hurried: bool = False) -> Usage:
        """As `read_usage`: nothing is freed late."""
        return self.read_usage()

    def write(self, name: str, size_bytes: int) -> None:
        """Store an object once; NoSpaceError where it does not fit."""
        file = self._file(name)
        if file.exists():
            return
        if size_bytes > self.read_usage().available_bytes:
            raise NoSpaceError(f"no space left on device for {name}")
        with file.open("wb") as handle:
            handle.truncate(size_bytes)

    def remove(self, name: str) -> None:
        """Free what an object takes; fine where it takes nothing."""
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.directory / hashlib.sha256(name.encode()).hexdigest()
