"""A private disk without containerd, for tests of the disk alone. It is removed like a lab."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.claim import claim_folder
from lab.config import Folders
from lab.disk import DiskSpec, mount_disk
from lab.leftovers import LEFTOVERS


@contextmanager
def bare_disk(spec: DiskSpec) -> Iterator[Path]:
    """Mount a private disk for the block; yield its mountpoint."""
    with ExitStack() as undo:
        folders = Folders(undo.enter_context(claim_folder()))
        undo.callback(LEFTOVERS.remove, folders)
        mount_disk(spec, folders.disk_image, folders.disk)
        yield folders.disk
