"""A private, real containerd for tests, demo and benchmarks.

It installs nothing: what the system lacks is fetched from Debian into a cache folder.
"""

from lab.disk import Usage
from lab.errors import LabError, LabUnavailable
from lab.images import BuiltImage, ImageSpec, Layer
from lab.lab import Lab
from lab.leftovers import LEFTOVERS
from lab.pods import Pod
from lab.registry import Registry
from lab.requirements import reason_unavailable
from lab.throttle import Throttle
from lab.toolbox import VERSIONS

__all__ = [
    "LEFTOVERS",
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
    "reason_unavailable",
]
