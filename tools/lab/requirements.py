"""Says why this machine cannot have a lab, if it cannot.

It fetches and mounts nothing: a test run asks this while it collects its tests.
"""

import os
import re
import shutil
from pathlib import Path

from lab.errors import LabUnavailable
from lab.mirror import find_mirror
from lab.shell import SYSTEM_PATH

_COMMANDS = ("apt-get", "dpkg", "ldconfig", "mount", "umount", "losetup", "mkfs.ext4")
# linux/capability.h
_CAP_SYS_ADMIN = 21


def reason_unavailable() -> str | None:
    """Return one sentence on why there can be no lab here, None if there can."""
    if os.geteuid() != 0:
        return "The lab needs root."
    if not _may_mount():
        return "The lab needs the right to mount (CAP_SYS_ADMIN)."
    for command in _COMMANDS:
        if shutil.which(command, path=SYSTEM_PATH) is None:
            return f"The lab needs the command {command}."
    if not Path("/dev/loop-control").exists():
        return "The lab needs loop devices (/dev/loop-control)."
    try:
        find_mirror()
    except LabUnavailable as error:
        return f"The lab needs a Debian mirror: {error}."
    return None


def _may_mount() -> bool:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, flags=re.MULTILINE)
    return match is not None and bool(int(match[1], 16) >> _CAP_SYS_ADMIN & 1)
