"""A private, real containerd for tests, demo and benchmarks.

It refuses to install anything: what the system lacks is fetched from Debian into a cache folder.
"""

from lab.disk import Usage
from lab.errors import LabError, LabUnavailable
from lab.images import BuiltImage, ImageSpec, Layer
from lab.lab import Lab, reap_abandoned
from lab.pods import Pod
from lab.registry import Registry
from lab.requirements import reason_unavailable
from lab.throttle import Throttle
from lab.toolbox import VERSIONS

__all__ = [
    "VERSIONS",
    "BuiltImage",
    "ImageSpec",
    "Lab",
    "LabError",
    "LabUnavailable",
    "Layer",
    "Pod",
    "Registry",
    "Throttle",
    "Usage",
    "reap_abandoned",
    "reason_unavailable",
]
