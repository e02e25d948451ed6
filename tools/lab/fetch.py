"""Fetches Debian packages of any suite and unpacks them into a cache folder of our own.

It installs nothing: no package's script is run and no file outside the cache folder changes.
"""

import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import LabError, LabUnavailable
from lab.mirror import find_mirror
from lab.shell import run

_LISTS_FRESH_SECONDS = 3600.0


def cache_folder() -> Path:
    """Return where unpacked packages stay between runs: LAB_CACHE, or the user's cache."""
    if chosen := os.environ.get("LAB_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "node-image-cleaner"


def package(suite: str, name: str) -> Path:
    """Return the folder of one unpacked package, fetched the first time.

    Two processes may ask at once: the second waits and finds it. A fetch that was cut off leaves only a folder
    under a temporary name, which the next fetch removes. LabUnavailable: the mirror does not give it.
    """
    root = cache_folder() / "packages" / suite / name
    if root.is_dir():
        return root
    with _locked(cache_folder() / "fetch.lock"):
        if not root.is_dir():
            _fetch(suite, name, root)
    return root


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(suite: str, name: str, root: Path) -> None:
    sys.stderr.write(f"lab: fetching {name} of Debian {suite}\n")
    root.parent.mkdir(parents=True, exist_ok=True)
    for part in root.parent.glob(".part-*"):
        shutil.rmtree(part)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=root.parent))
    try:
        options = _apt_options(suite)
        _update_lists(suite, options)
        run("apt-get", *options, "download", name, folder=part)
        run("dpkg", "-x", next(part.glob("*.deb")), part / "root")
        (part / "root").rename(root)
    except (LabError, StopIteration) as error:
        raise LabUnavailable(f"Debian's {name} ({suite}) cannot be fetched: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _apt_options(suite: str) -> list[str]:
    """Point apt at a source list, lists, caches and an empty status of our own."""
    apt = cache_folder() / "apt" / suite
    for folder in ("lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "mirror.sources").write_text(find_mirror().source(suite), encoding="utf-8")
    (apt / "status").touch()
    chosen = {
        "Dir::Etc::SourceList": apt / "mirror.sources",
        "Dir::Etc::SourceParts": "/dev/null",
        # The system's pins must not hold a suite back that the system does not use.
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State::Lists": apt / "lists",
        # An empty one: a newer package on the system would be the candidate, and cannot be downloaded.
        "Dir::State::Status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "root",
        # A testing suite's lists expire within a week: a mirror that pauses, or a clock ahead, must not end all tests.
        # The lists' signatures are still required.
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Check-Date": "false",
        "Acquire::Languages": "none",
    }
    return [word for key, value in chosen.items() for word in ("-o", f"{key}={value}")]


def _update_lists(suite: str, options: list[str]) -> None:
    stamp = cache_folder() / "apt" / suite / "updated"
    if stamp.exists() and time.time() - stamp.stat().st_mtime < _LISTS_FRESH_SECONDS:
        return
    run("apt-get", *options, "-qq", "update", "--error-on=any")
    stamp.touch()
