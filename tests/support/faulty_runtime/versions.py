"""What distinguishes the containerds that a faulty runtime can behave as; `tests/recordings` shows each difference."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Version:
    """One release of containerd."""

    number: str
    rewrites_records: bool = False
    """Whether a pull updates the records that are there already: 1.6 writes all of them, 1.7 only those that differ."""
    announces_collected_snapshots: bool = True
    """Whether the garbage collector sends `/snapshot/remove`: not in 1.6."""
    tells_snapshotters: bool = True
    """Whether events of snapshots name the snapshotter: not in 1.6."""
    labels_foreign_records: bool = False
    """Whether CRI updates a record that another client made, to mark it as known: since 2.0."""
    pins_sandbox_image: bool = True
    """Whether the image of sandboxes is pinned: since 1.7."""


CONTAINERD_1_6 = Version(
    "1.6.20",
    rewrites_records=True,
    announces_collected_snapshots=False,
    tells_snapshotters=False,
    pins_sandbox_image=False,
)
CONTAINERD_1_7 = Version("1.7.24")
CONTAINERD_2 = Version("2.1.9", labels_foreign_records=True)
VERSIONS = (CONTAINERD_1_6, CONTAINERD_1_7, CONTAINERD_2)
