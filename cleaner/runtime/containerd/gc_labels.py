"""What the labels of containerd's objects tell its garbage collector: which object holds which.

It ignores what the collector ignores. `ref` names what an object holds, `bref` (2.x) what it is held by, and `root`
needs no holder; a name may follow a dot or a slash. Source: containerd 1.6 `metadata/gc.go`, 2.x `core/metadata/gc.go`.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

EXPIRE = "containerd.io/gc.expire"
"""On a lease: when it ends, in RFC 3339."""
FLAT = "containerd.io/gc.flat"
"""On a lease: what it names is held, and not what that holds in its turn."""

CHILD = "containerd.io/gc.ref.content."
"""On a manifest or an index, before what names one of the blobs that it holds."""

_PREFIX = "containerd.io/gc."
_ROOT = "containerd.io/gc.root"
_REFERENCE = re.compile(
    r"containerd\.io/gc\.(?P<back>b?)ref\."
    r"(?:(?P<kind>content|image|container)(?:[./].*)?|snapshot\.(?P<snapshotter>[^/]*)(?:/.*)?)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class GcLabels:
    """What one object's labels say."""

    holds: tuple[str, ...] = ()
    """Keys of what it holds."""
    held_by: tuple[str, ...] = ()
    """Keys of what holds it."""
    root: bool = False
    snapshotters: frozenset[str] = frozenset()
    """Those whose snapshots it holds."""


NO_GC_LABELS = GcLabels()


def blob_key(digest: str) -> str:
    """A blob, which is on the disk once for all namespaces."""
    return sys.intern(f"blob:{digest}")


def is_blob(key: str) -> bool:
    """Whether a key is a blob's."""
    return key.startswith("blob:")


def is_snapshot(key: str) -> bool:
    """Whether a key is a snapshot's."""
    return key.startswith("snapshot:")


def snapshot_key(snapshotter: str, name: str, namespace: str | None = None) -> str:
    """A snapshot, which each namespace has for itself; without a namespace it is CRI's."""
    return sys.intern(":".join(filter(None, ("snapshot", namespace, snapshotter, name))))


def snapshotter_of(key: str) -> str:
    """Whose snapshot a key of CRI's namespace is."""
    return key.split(":")[1]


def record_key(name: str) -> str:
    """An image record, where it holds more than its target."""
    return f"image:{name}"


def container_key(container_id: str) -> str:
    """A container, where it holds more than its snapshot."""
    return f"container:{container_id}"


def read_gc_labels(labels: Mapping[str, str]) -> GcLabels:
    """What the collector reads from them, by label; most objects are not marked at all."""
    gc_labels = sorted((label, value) for label, value in labels.items() if label.startswith(_PREFIX))
    if not gc_labels:
        return NO_GC_LABELS
    found = [(match, value) for label, value in gc_labels if (match := _REFERENCE.fullmatch(label))]
    holds = [(match, value) for match, value in found if not match["back"]]
    return GcLabels(
        holds=tuple(_key_of(match, value) for match, value in holds),
        held_by=tuple(_key_of(match, value) for match, value in found if match["back"]),
        root=any(label.startswith(_ROOT) for label, _ in gc_labels),
        snapshotters=frozenset(match["snapshotter"] for match, _ in holds if match["snapshotter"]),
    )


def _key_of(match: re.Match[str], value: str) -> str:
    if match["snapshotter"] is not None:
        return snapshot_key(match["snapshotter"], value)
    keys = {"content": blob_key, "image": record_key, "container": container_key}
    return keys[match["kind"]](value)
