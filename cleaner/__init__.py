"""Evicts the oldest unused container images of a Kubernetes node before its disk is full."""

from collections.abc import Mapping

DISTRIBUTION = "node-image-cleaner"

Environ = Mapping[str, str]
"""What a process is told by its environment."""
