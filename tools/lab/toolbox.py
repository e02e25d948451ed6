"""Says which Debian packages make up a lab of each containerd version, and where their programs are.

It does not use the system's own containerd and runc: a lab runs what its version says on every machine.
"""

import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab import fetch
from lab.errors import LabError, LabUnavailable
from lab.shell import SYSTEM_PATH, run, system_environment

# Debian 12's: they run on Debian 12 as they are, and its runc serves every containerd.
HOME_SUITE = "bookworm"
_SUITES = {"1.6": HOME_SUITE, "1.7": "trixie", "2": "forky"}
_ALIASES = {"2.1": "2"}
VERSIONS = tuple(_SUITES)
_ALERTMANAGER_SUITES = {"0.25": HOME_SUITE, "0.33": "forky"}
ALERTMANAGERS = tuple(_ALERTMANAGER_SUITES)
_PROMETHEUS_SUITES = {"2.42": HOME_SUITE, "3.5": "forky"}
PROMETHEUSES = tuple(_PROMETHEUS_SUITES)
_FORMATTERS = {"xfs": "xfsprogs", "btrfs": "btrfs-progs"}
# Libraries that a Debian 12 without extras may lack: the package that holds each, by the package that loads it.
_LIBRARIES = {
    "runc": {"libseccomp.so.2": "libseccomp2"},
    "xfsprogs": {"libinih.so.1": "libinih1", "liburcu.so.8": "liburcu8"},
    "btrfs-progs": {"libudev.so.1": "libudev1"},
    "jq": {"libjq.so.1": "libjq1", "libonig.so.5": "libonig5"},
}


@dataclass(frozen=True)
class Toolbox:
    """The programs of one lab."""

    version: str
    # As `containerd --version` says it, e.g. "1.6.20".
    containerd: Path
    ctr: Path
    registry: Path
    busybox: Path
    environment: dict[str, str]
    # For containerd: its shim and runc are found on this PATH.


def fetch_toolbox(version: str) -> Toolbox:
    """Fetch what a lab of this containerd version runs; versions are 1.6, 1.7 and 2."""
    key = _ALIASES.get(version, version)
    if key not in _SUITES:
        raise LabError(f"no containerd {version} in the lab: choose one of {', '.join(VERSIONS)}")
    programs = fetch.package(_SUITES[key], "containerd") / "usr/bin"
    runc = fetch.package(HOME_SUITE, "runc") / "usr/sbin"
    environment = library_environment("runc")
    environment["PATH"] = f"{programs}:{runc}:{SYSTEM_PATH}"
    return Toolbox(
        version=_version_of(programs / "containerd"),
        containerd=programs / "containerd",
        ctr=programs / "ctr",
        registry=fetch.package(HOME_SUITE, "docker-registry") / "usr/bin/docker-registry",
        busybox=fetch.package(HOME_SUITE, "busybox-static") / "bin/busybox",
        environment=environment,
    )


def make_filesystem(name: str, image: Path) -> None:
    """Format a file as xfs or btrfs, with the system's mkfs or with Debian's."""
    found = shutil.which(f"mkfs.{name}", path=SYSTEM_PATH)
    program = Path(found) if found else fetch.package(HOME_SUITE, _FORMATTERS[name]) / f"sbin/mkfs.{name}"
    environment = system_environment() if found else library_environment(_FORMATTERS[name])
    run(program, "-q", "-f", image, environment=environment)


def fetch_jq() -> tuple[Path, dict[str, str]]:
    """Return jq and the environment that it runs in, for baselines that are shell scripts."""
    return fetch.package(HOME_SUITE, "jq") / "usr/bin/jq", library_environment("jq")


def fetch_alertmanager(version: str) -> tuple[Path, Path]:
    """Return Alertmanager and amtool of one of ALERTMANAGERS; both run on Debian 12 as they are."""
    programs = fetch.package(_ALERTMANAGER_SUITES[version], "prometheus-alertmanager") / "usr/bin"
    return programs / "prometheus-alertmanager", programs / "amtool"


def fetch_prometheus(version: str) -> Path:
    """Return Prometheus of one of PROMETHEUSES; both run on Debian 12 as they are."""
    return fetch.package(_PROMETHEUS_SUITES[version], "prometheus") / "usr/bin/prometheus"


def fetch_promtool() -> Path:
    """Return Debian 12's promtool, which reads and writes what every Prometheus of ours does."""
    return fetch.package(HOME_SUITE, "prometheus") / "usr/bin/promtool"


def faketime_environment(offset: str) -> dict[str, str]:
    """Return variables under which a dynamically linked program lives at another time, such as "+30d"."""
    library = (
        fetch.package(HOME_SUITE, "libfaketime") / f"usr/lib/{platform.machine()}-linux-gnu/faketime/libfaketime.so.1"
    )
    # Time since boot stays: it is only the calendar that moves.
    return {"LD_PRELOAD": str(library), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def library_environment(name: str) -> dict[str, str]:
    """Return an environment in which a fetched package's programs find their libraries.

    A library that the system has is left to the system; the others are fetched.
    """
    environment = system_environment()
    known = run("ldconfig", "-p")
    missing = [package for library, package in _LIBRARIES.get(name, {}).items() if f"{library} " not in known]
    if missing:
        triplet = f"usr/lib/{platform.machine()}-linux-gnu"
        folders = [fetch.package(HOME_SUITE, package) / triplet for package in missing]
        environment["LD_LIBRARY_PATH"] = ":".join(map(str, folders))
    return environment


def fetch_everything() -> None:
    """Fetch all that any lab needs, so that the later ones start at once."""
    for version in VERSIONS:
        fetch_toolbox(version)
    for filesystem, package in _FORMATTERS.items():
        if shutil.which(f"mkfs.{filesystem}", path=SYSTEM_PATH) is None:
            fetch.package(HOME_SUITE, package)
            library_environment(package)
    for version in ALERTMANAGERS:
        fetch_alertmanager(version)
    for version in PROMETHEUSES:
        fetch_prometheus(version)
    fetch_jq()
    faketime_environment("+0")


def _version_of(containerd: Path) -> str:
    printed = run(containerd, "--version")
    match = re.search(r"\s(\d+\.\d+\.\d+)", printed)
    if match is None:
        raise LabUnavailable(f"the fetched containerd does not tell its version: {printed}")
    return match[1]
