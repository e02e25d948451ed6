"""Removes all that one lab left on the machine: processes, mounts, loop devices, cgroups, sockets, its folder.

It touches only what names the lab's own folder. A lab whose process is dead is cleaned the same way.
"""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import time
from pathlib import Path

from lab.claim import OWNER
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

    Each step waits up to `seconds`; 0 makes one attempt.
    LabError: something could not be removed; the message names the holder, and the folder stays for the next attempt.
    """
    container_ids = _container_ids(folders)
    _kill_processes(folders, seconds)
    _unmount(folders.base, seconds)
    _detach(folders.native_image, seconds)
    _detach(folders.content_image, seconds)
    _detach(folders.disk_image, seconds)
    _remove_cgroups(folders.cgroup)
    _remove_shim_sockets(folders, container_ids)
    _remove_folder(folders.base)


def list_processes(folders: Folders) -> list[int]:
    """Return the lab's programs and the processes in its containers."""
    return [pid for pid in _pids() if _is_program(pid, folders) or _is_in_container(pid, folders)]


def list_mounts(base: Path) -> list[str]:
    """Return the mounts at or below a folder, deepest first."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    mountpoints = [_unescape(line.split()[1]) for line in lines]
    # Last mounted first, too: two mounts can lie on one folder.
    below = [path for path in reversed(mountpoints) if Path(path).is_relative_to(base)]
    return sorted(below, key=lambda path: path.count("/"), reverse=True)


def _unescape(path: str) -> str:
    """Decode a path from /proc/self/mounts, where the kernel writes spaces in octal (Linux, proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), path)


def _is_program(pid: int, folders: Folders) -> bool:
    """Say whether a process is one of our programs, started with our folder in its arguments."""
    words = _read(pid, "cmdline").split("\0")
    return Path(words[0]).name in _PROGRAMS and any(f"{folders.base}/" in word for word in words[1:])


def _is_in_container(pid: int, folders: Folders) -> bool:
    """Say whether a process's root is an overlay whose upper folder is on our disk."""
    for line in _read(pid, "mounts").splitlines():
        _, mountpoint, kind, options, *_ = line.split()
        if mountpoint == "/" and kind == "overlay" and f"upperdir={folders.base}/" in _unescape(options):
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
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    # Again until none is left: a shim may start a process between the listing and the kill.
    wait_until(none_left, "the lab's processes are gone", seconds)


def _is_zombie(pid: int) -> bool:
    return ") Z " in _read(pid, "stat")


def _unmount(base: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while mounts := list_mounts(base):
        try:
            run("umount", mounts[0])
        except LabError as error:
            # A killed process's files close a moment after it is gone.
            if time.monotonic() >= deadline:
                raise LabError(f"{_describe(_users_of(mounts[:1]))} is using {mounts[0]} ({error})") from error
            time.sleep(0.02)
        else:
            # The kernel unmounts a folder that is removed in every other mount namespace too, each of which began with
            # a copy of this mount (Linux, fs/namespace.c, `detach_mounts`). A folder with content is no mountpoint.
            with contextlib.suppress(OSError):
                Path(mounts[0]).rmdir()


def _detach(image: Path, seconds: float) -> None:
    """Wait until a disk's loop device is free: the kernel frees it when nobody uses the disk in any namespace."""
    try:
        wait_until(lambda: not _loop_devices(image), "free", seconds)
    except LabError as error:
        for device in _loop_devices(image):
            holders = _describe(_holders_of(device))
            raise LabError(f"/dev/{device} is still attached to {image.name}, used by {holders}") from error


def _loop_devices(image: Path) -> list[str]:
    """Return the loop devices that a file backs, such as `loop3`."""
    files = Path("/sys/block").glob("loop*/loop/backing_file")
    return [file.parents[1].name for file in files if _text(file).strip() == str(image)]


def _holders_of(device: str) -> list[int]:
    """Return the processes that use a device: it is mounted in their namespace, or was when they opened a file."""
    number = _text(Path(f"/sys/block/{device}/dev")).strip()
    return [pid for pid in _pids() if f" /dev/{device} " in _read(pid, "mountinfo") or number in _devices_of(pid)]


def _devices_of(pid: int) -> set[str]:
    """Return the devices of a process's working directory and open files, as `MAJOR:MINOR`."""
    devices = set()
    for link in _links_of(pid):
        with contextlib.suppress(OSError):
            device = link.stat().st_dev
            devices.add(f"{os.major(device)}:{os.minor(device)}")
    return devices


def _links_of(pid: int) -> list[Path]:
    links = [Path(f"/proc/{pid}/{name}") for name in ("cwd", "root")]
    with contextlib.suppress(OSError):
        links += Path(f"/proc/{pid}/fd").iterdir()
    return links


def _users_of(mounts: list[str]) -> list[int]:
    """Return the processes with an open file or working directory on these mounts."""

    def uses(pid: int) -> bool:
        return any(_target(link).is_relative_to(mount) for link in _links_of(pid) for mount in mounts)

    return [pid for pid in _pids() if uses(pid)]


def _target(link: Path) -> Path:
    try:
        return link.readlink()
    except OSError:
        return Path("/")


def _describe(pids: list[int]) -> str:
    """Name up to three processes. There may be none: a namespace can outlive its processes."""
    named = [f"process {pid} ({_read(pid, 'comm').strip()})" for pid in pids]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return ", ".join(named[:_MOST_NAMED]) + more if named else "no visible process"


def _remove_folder(base: Path) -> None:
    """Remove a lab's folder, and its claim last: a folder without one is never found again."""
    claim = base / OWNER
    try:
        for entry in base.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != claim:
                entry.unlink()
        claim.unlink(missing_ok=True)
        base.rmdir()
    except FileNotFoundError:
        # Another run was at it, or it was never made.
        return
    except OSError as error:
        raise LabError(f"its folder cannot be removed: {error}") from error


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
