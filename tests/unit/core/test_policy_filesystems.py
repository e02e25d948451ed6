"""Under pressure, what counts as a gain where only some of a node's filesystems are to be lowered."""

from dataclasses import replace

import pytest

from cleaner.core.disk_usage import Filesystem
from cleaner.core.model import KeepReason, Trigger
from cleaner.core.policy import PressureContext, plan
from cleaner.core.reclaim import Size, blob_size
from support.graphs import NO_LAYERS
from support.values import NOW, make_image, make_inspection, make_policy, verdicts_by_id

IMAGES, CONTENT, SNAPSHOTS = Filesystem.IMAGES, Filesystem.CONTENT, Filesystem.SNAPSHOTS
APART = frozenset({CONTENT, SNAPSHOTS, Filesystem.CONTAINERS})
MB = 1_000_000
USUAL, FURTHER, FETCHED = make_image(1), make_image(2), make_image(3)
LAYERS = replace(
    NO_LAYERS,
    sizes={
        "blob": blob_size(5 * MB),
        "manifest": blob_size(500),
        "usual": Size(20 * MB, 9),
        "further": Size(20 * MB, 9, apart_bytes=20 * MB, apart_inodes=9),
    },
    images={
        USUAL.id: frozenset({"usual", "manifest"}),
        FURTHER.id: frozenset({"further", "manifest"}),
        FETCHED.id: frozenset({"blob"}),
    },
    metadata=frozenset({"manifest"}),
)
"""One image of the usual snapshotter, one of a further one, and one that is not unpacked."""


def evicted(trigger: Trigger, lowered: set[Filesystem] | None) -> set[str]:
    """The candidates; every other image is kept because it frees nothing there."""
    inspection = make_inspection(USUAL, FURTHER, FETCHED, layers=LAYERS)
    filesystems = None if lowered is None else frozenset(lowered)
    planned = plan(inspection, make_policy(), trigger, NOW, PressureContext(lowered=filesystems, apart=APART))
    verdicts_by_id(planned)
    assert {verdict.reason for verdict in planned.kept} <= {KeepReason.NO_GAIN}
    return {verdict.image.id for verdict in planned.evictions}


@pytest.mark.parametrize(
    ("lowered", "gain"),
    [
        ({IMAGES}, {USUAL.id}),
        ({CONTENT}, {FETCHED.id}),
        ({SNAPSHOTS}, {FURTHER.id}),
        ({IMAGES, SNAPSHOTS}, {USUAL.id, FURTHER.id}),
        ({IMAGES, CONTENT, SNAPSHOTS}, {USUAL.id, FURTHER.id, FETCHED.id}),
        (None, {USUAL.id, FURTHER.id, FETCHED.id}),
        (set(), set()),
    ],
)
def test_only_what_frees_a_filesystem_that_is_lowered(lowered: set[Filesystem] | None, gain: set[str]) -> None:
    """An image without a layer on a filesystem that is to be lowered is no_gain; metadata is no layer."""
    assert evicted(Trigger.PRESSURE, lowered) == gain


@pytest.mark.parametrize("trigger", [Trigger.NIGHTLY, Trigger.MANUAL])
def test_other_triggers_evict_what_is_expired(trigger: Trigger) -> None:
    """Only under pressure does it matter which filesystem an eviction frees."""
    assert evicted(trigger, {IMAGES}) == {USUAL.id, FURTHER.id, FETCHED.id}


def test_what_is_freed_is_told_by_filesystem() -> None:
    """The estimate of the plan says how much lies on which filesystem."""
    inspection = make_inspection(USUAL, FURTHER, layers=LAYERS)
    size = plan(
        inspection, make_policy(), Trigger.PRESSURE, NOW, PressureContext(lowered=frozenset({SNAPSHOTS}), apart=APART)
    ).reclaimable
    assert size == Size(20 * MB, 9, apart_bytes=20 * MB, apart_inodes=9)
