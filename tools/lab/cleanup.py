"""Removes all that one lab left on the machine: processes, mounts, loop devices, cgroups, sockets, its folder.

It refuses to touch what does not name the lab's own folder. A lab whose process is dead is cleaned the same way.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import time
from pathlib import Path

from lab.config import Folders
from lab.errors import LabError
from lab.shell import run
from lab.waiting import wait_until

_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "docker-registry", "runc", "ctr")
# Where every shim listens, whatever containerd's own state folder is: containerd, defaults.DefaultStateDir.
_SHIM_SOCKETS = Path("/run/containerd/s")
_CGROUPS = Path("/sys/fs/cgroup")
_DEADLINE_SECONDS = 20.0


def clean_up(folders: Folders) -> None:
    """Remove everything of a lab; what is not there is passed over.

    LabError: something of it could not be removed, and the folder is left for the next attempt.
    """
    container_ids = _container_ids(folders)
    _kill_processes(folders)
    _unmount(folders.base)
    _detach(folders.content_image)
    _detach(folders.disk_image)
    _remove_cgroups(folders.cgroup)
    _remove_shim_sockets(folders, container_ids)
    shutil.rmtree(folders.base, ignore_errors=True)


def list_processes(folders: Folders) -> list[int]:
    """Return the lab's programs and the processes in its containers."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if _is_program(pid, folders) or _is_in_container(pid, folders)]


def list_mounts(base: Path) -> list[str]:
    """Return the mounts at or below a folder, deepest first."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    mountpoints = [line.split()[1] for line in lines]
    # Last mounted first, too: two mounts can lie on one folder.
    below = [path for path in reversed(mountpoints) if Path(path).is_relative_to(base)]
    return sorted(below, key=lambda path: path.count("/"), reverse=True)


def _is_program(pid: int, folders: Folders) -> bool:
    """Say whether a process is one of our programs, started with our folder in its arguments."""
    words = _read(pid, "cmdline").split("\0")
    return Path(words[0]).name in _PROGRAMS and any(f"{folders.base}/" in word for word in words[1:])


def _is_in_container(pid: int, folders: Folders) -> bool:
    """Say whether a process's root is an overlay whose upper folder is on our disk."""
    for line in _read(pid, "mounts").splitlines():
        _, mountpoint, kind, options, *_ = line.split()
        if mountpoint == "/" and kind == "overlay" and f"upperdir={folders.base}/" in options:
            return True
    return False


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _kill_processes(folders: Folders) -> None:
    def none_left() -> bool:
        pids = [pid for pid in list_processes(folders) if not _is_zombie(pid)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    # Again until none is left: a shim may start a process between the look and the kill.
    wait_until(none_left, "the lab's processes are gone", _DEADLINE_SECONDS)


def _is_zombie(pid: int) -> bool:
    return ") Z " in _read(pid, "stat")


def _unmount(base: Path) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while mounts := list_mounts(base):
        try:
            run("umount", *mounts)
        except LabError as error:
            # A killed process's files close a moment after it is gone.
            if time.monotonic() > deadline:
                raise LabError(f"the lab's mounts are still in use: {error}") from error
            time.sleep(0.02)


def _detach(image: Path) -> None:
    if not image.exists():
        return
    for line in run("losetup", "-j", image).splitlines():
        with contextlib.suppress(LabError):
            run("losetup", "-d", line.split(":")[0])
    wait_until(lambda: not run("losetup", "-j", image).strip(), f"{image} has no loop device", _DEADLINE_SECONDS)


def _remove_cgroups(cgroup: str) -> None:
    """Remove the lab's cgroups in every hierarchy, v1 or v2, deepest first."""
    controllers = [_CGROUPS, *(path for path in _CGROUPS.glob("*") if path.is_dir())]
    for top in (Path(f"{controller}{cgroup}") for controller in controllers):
        folders = [Path(path) for path, _, _ in os.walk(top, topdown=False)]
        for folder in folders:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _container_ids(folders: Folders) -> set[str]:
    """Return the ids that shims may listen for: of all bundles, and of shims whose bundle is gone already."""
    bundles = {path.name for path in folders.state.glob("io.containerd.runtime.v2.task/k8s.io/*")}
    commands = [_read(pid, "cmdline").split("\0") for pid in list_processes(folders)]
    return bundles | {words[words.index("-id") + 1] for words in commands if "-id" in words}


def _remove_shim_sockets(folders: Folders, ids: set[str]) -> None:
    """Remove the sockets of killed shims, which lie outside the lab's folder.

    Source: containerd, runtime/v2/shim/util_unix.go: the name is a hash of address, namespace and id.
    """
    for container_id in ids:
        name = hashlib.sha256(f"{folders.socket}/k8s.io/{container_id}".encode()).hexdigest()
        (_SHIM_SOCKETS / name).unlink(missing_ok=True)
        (_SHIM_SOCKETS / f"{name}.dbg").unlink(missing_ok=True)
