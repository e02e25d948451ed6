"""Evicts the oldest unused container images of a Kubernetes node before its disk is full.

`cli` runs `daemon`, which runs `sweep`, which asks `core`. The other packages are adapters: they import `core` only.
docs/architecture.md says what each is for.
"""

from collections.abc import Mapping

DISTRIBUTION = "node-image-cleaner"

Environ = Mapping[str, str]
"""What a process is told by its environment."""
