"""Runs the system's tools (mount, mkfs, apt-get, ctr) and turns their failures into LabError.

It uses no shell: a command is a list of words, so no name is ever quoted or expanded.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lab.errors import LabError

_TIMEOUT_SECONDS = 300.0
# A test runner's PATH may lack the folders of mkfs, losetup and mount helpers.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(*words: str | Path, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    """Run a command and return what it printed; LabError carries its last words."""
    command = [str(word) for word in words]
    try:
        done = subprocess.run(
            command,
            env=dict(environment) if environment is not None else system_environment(),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: exit {done.returncode}: {last_lines(done.stderr or done.stdout)}")
    return done.stdout


def system_environment() -> dict[str, str]:
    """Return our environment with the system's folders on PATH and untranslated messages."""
    path = os.environ.get("PATH", "")
    return {**os.environ, "PATH": f"{path}:{SYSTEM_PATH}" if path else SYSTEM_PATH, "LC_ALL": "C"}


def last_lines(text: str, count: int = 15) -> str:
    """Return the last lines of a text, where a tool says why it failed."""
    return "\n".join(text.strip().splitlines()[-count:])
