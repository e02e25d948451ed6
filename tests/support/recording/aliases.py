"""Names for what has another digest or a random id on every node: they are given in the order of appearance."""

import re
from collections import Counter

_RANDOM = re.compile(r"extract-\S+ |sha256:[0-9a-f]{64}|(?<![0-9a-f:])[0-9a-f]{64}(?![0-9a-f])")


class Aliases:
    """Replace digests and ids; a digest without a name is a snapshot, any other id without one a container."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def add(self, digest: str, name: str) -> None:
        """Give a digest a name, unless it has one."""
        self._names.setdefault(digest, f"<{name}>")

    def apply(self, text: str) -> str:
        """A text with aliases; containerd's random names of snapshots that are being made are left out."""
        return _RANDOM.sub(lambda match: self._name_of(match[0]), text)

    def _name_of(self, found: str) -> str:
        if found.startswith("extract-"):
            return ""
        if found not in self._names:
            kind = "snapshot" if found.startswith("sha256:") else "container"
            self._counts[kind] += 1
            self._names[found] = f"<{kind} {self._counts[kind]}>"
        return self._names[found]
