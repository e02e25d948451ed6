"""Where Kubernetes distributions have the sockets of their container runtimes.

It must not connect to any: that a socket is there says nothing about whether a runtime answers.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class KnownSocket:
    """A socket at its usual place."""

    whose: str
    path: str


KNOWN_SOCKETS = (
    KnownSocket("containerd", "/run/containerd/containerd.sock"),
    # RKE2 runs k3s's agent, and keeps its socket at the same place.
    KnownSocket("k3s and RKE2", "/run/k3s/containerd/containerd.sock"),
    KnownSocket("CRI-O", "/var/run/crio/crio.sock"),
    KnownSocket("MicroK8s", "/var/snap/microk8s/common/run/containerd.sock"),
    KnownSocket("k0s", "/run/k0s/containerd.sock"),
)
"""Sources: the documents of k0s ("Runtime"), crictl's default endpoints, and the processes of k3s, RKE2, MicroK8s."""


def advice_beside(path: str, machine: Path = Path("/")) -> str:
    """What to write instead of a socket that is not there: one that this process sees, else where others are.

    `machine`: below which the known sockets are looked for.
    """
    others = [known for known in KNOWN_SOCKETS if _plain(known.path) != _plain(path)]
    if seen := [known for known in others if _is_socket(machine / known.path.lstrip("/"))]:
        found = ", ".join(f"{known.path} ({known.whose})" for known in seen)
        return f"there is a socket at {found}: set runtime.endpoint"
    places = ", ".join(f"{known.whose} at {known.path}" for known in others)
    return f"usual places: {places}; set runtime.endpoint"


def _plain(path: str) -> str:
    """/var/run is a link to /run on every system of today."""
    path = os.path.normpath(path)
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except (OSError, ValueError):
        return False
