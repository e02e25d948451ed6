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
_MOST_NAMED = 3


def clean_up(folders: Folders, seconds: float) -> None:
    """Remove everything of a lab; what is not there is passed over.

    Each step waits so many seconds for what does not let go at once; 0 is one attempt.
    LabError: something of it could not be removed, with who holds it, and the folder is left for the next attempt.
    """
    container_ids = _container_ids(folders)
    _kill_processes(folders, seconds)
    _unmount(folders.base, seconds)
    _detach(folders.content_image, seconds)
    _detach(folders.disk_image, seconds)
    _remove_cgroups(folders.cgroup)
    _remove_shim_sockets(folders, container_ids)
    shutil.rmtree(folders.base, ignore_errors=True)


def list_processes(folders: Folders) -> list[int]:
    """Return the lab's programs and the processes in its containers."""
    return [pid for pid in _pids() if _is_program(pid, folders) or _is_in_container(pid, folders)]


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


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _read(pid: int, name: str) -> str:
    return _text(Path(f"/proc/{pid}/{name}"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _kill_processes(folders: Folders, seconds: float) -> None:
    def none_left() -> bool:
        pids = [pid for pid in list_processes(folders) if not _is_zombie(pid)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    # Again until none is left: a shim may start a process between the look and the kill.
    wait_until(none_left, "the lab's processes are gone", seconds)


def _is_zombie(pid: int) -> bool:
    return ") Z " in _read(pid, "stat")


def _unmount(base: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while mounts := list_mounts(base):
        try:
            run("umount", *mounts)
        except LabError as error:
            # A killed process's files close a moment after it is gone.
            if time.monotonic() >= deadline:
                raise LabError(f"its mounts are in use by {_say(_users_of(mounts))}: {error}") from error
            time.sleep(0.02)


def _detach(image: Path, seconds: float) -> None:
    """Wait until the loop device of a disk is free: the kernel frees it once no mount namespace has it any more."""
    try:
        wait_until(lambda: not _loop_devices(image), "free", seconds)
    except LabError as error:
        for device in _loop_devices(image):
            raise LabError(f"{image.name} is attached to /dev/{device}, held by {_say(_holders_of(device))}") from error


def _loop_devices(image: Path) -> list[str]:
    """Return the devices behind which a file lies, such as `loop3`."""
    files = Path("/sys/block").glob("loop*/loop/backing_file")
    return [file.parents[1].name for file in files if _text(file).strip() == str(image)]


def _holders_of(device: str) -> list[int]:
    """Return the processes in whose mount namespace a device is mounted."""
    return [pid for pid in _pids() if f" /dev/{device} " in _read(pid, "mountinfo")]


def _users_of(mounts: list[str]) -> list[int]:
    """Return the processes that have a file or a folder on one of these open, or stand in one."""

    def uses(pid: int) -> bool:
        links = [Path(f"/proc/{pid}/{name}") for name in ("cwd", "root")]
        with contextlib.suppress(OSError):
            links += Path(f"/proc/{pid}/fd").iterdir()
        return any(_target(link).is_relative_to(mount) for link in links for mount in mounts)

    return [pid for pid in _pids() if uses(pid)]


def _target(link: Path) -> Path:
    try:
        return link.readlink()
    except OSError:
        return Path("/")


def _say(pids: list[int]) -> str:
    """Name processes, a few of them; a namespace can outlive all of its processes, and the kernel has mounts too."""
    named = [f"process {pid} ({_read(pid, 'comm').strip()})" for pid in pids]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return ", ".join(named[:_MOST_NAMED]) + more if named else "no process that can be seen"


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
