"""What labels tell containerd's garbage collector."""

import pytest

from cleaner.runtime.containerd.gc_labels import NO_GC_LABELS, GcLabels, blob_key, read_gc_labels, snapshot_key

GC = "containerd.io/gc."


@pytest.mark.parametrize("label", ["ref.content", "ref.content.l.0", "ref.content/m.1", "ref.content.config"])
def test_referenced_blob(label: str) -> None:
    """A label names a referenced blob, whatever name follows it."""
    assert read_gc_labels({GC + label: "sha256:1"}).holds == ("blob:sha256:1",)


@pytest.mark.parametrize("label", ["ref.snapshot.native", "ref.snapshot.native/top"])
def test_referenced_snapshot(label: str) -> None:
    """A label names a referenced snapshot, and the snapshotter that has it."""
    gc_labels = read_gc_labels({GC + label: "sha256:1"})
    assert gc_labels == GcLabels(holds=("snapshot:native:sha256:1",), snapshotters=frozenset({"native"}))


@pytest.mark.parametrize(
    ("label", "holder"),
    [
        ("bref.content", "blob:x"),
        ("bref.content.a", "blob:x"),
        ("bref.snapshot.overlayfs", "snapshot:overlayfs:x"),
        ("bref.image/a", "image:x"),
        ("bref.container", "container:x"),
    ],
)
def test_back_reference(label: str, holder: str) -> None:
    """A label names what references an object."""
    assert read_gc_labels({GC + label: "x"}) == GcLabels(held_by=(holder,))


@pytest.mark.parametrize("label", ["root", "root.2026"])
def test_root(label: str) -> None:
    """An object that is a root needs no holder; its value means nothing."""
    assert read_gc_labels({GC + label: ""}).root


def test_several_labels() -> None:
    """All labels count, in the order of their names: protobuf gives them in any."""
    labels = {GC + "ref.content.1": "a", "mine": "x", GC + "ref.snapshot.overlayfs": "c", GC + "ref.content.0": "b"}
    assert read_gc_labels(labels).holds == ("blob:b", "blob:a", "snapshot:overlayfs:c")


@pytest.mark.parametrize(
    "label",
    ["ref.contents", "ref.contentious.0", "ref.other", "ref.", "expire", "flat", "xref.content", "ref.snapshot"],
)
def test_label_that_means_nothing(label: str) -> None:
    """Labels that the collector ignores, and those of leases, reference nothing."""
    assert read_gc_labels({GC + label: "x"}) == NO_GC_LABELS


def test_no_labels() -> None:
    """Most objects have labels of other kinds only."""
    assert read_gc_labels({"containerd.io/uncompressed": "sha256:1"}) is NO_GC_LABELS


def test_keys() -> None:
    """A blob is one for all namespaces, a snapshot is not; equal keys are one object."""
    assert snapshot_key("overlayfs", "sha256:1") == "snapshot:overlayfs:sha256:1"
    assert snapshot_key("overlayfs", "sha256:1", "moby") == "snapshot:moby:overlayfs:sha256:1"
    assert blob_key("sha256:" + "1") is blob_key("sha256:1")
