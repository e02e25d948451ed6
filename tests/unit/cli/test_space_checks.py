"""What `check` says about space: who holds it, and which low watermark is out of reach."""

from dataclasses import replace

import pytest

from cleaner.cli.space_checks import check_space
from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.core.findings import Finding, Grade
from cleaner.core.model import EvictReason, Image, Inspection, KeepReason, Memory, Plan, Trigger, Verdict
from cleaner.core.reclaim import Layers, Size
from support.graphs import make_layers
from support.nodes import WATERMARKS

MIB = 1024 * 1024
SMALL, LARGE = (make_layers({"a": "x"}, {"x": size * MIB}) for size in (10, 400))


def usage(used: int, inodes: int = 0, **changes: object) -> Usage:
    """A filesystem of 1000 MiB and 1000 inodes."""
    made = Usage("/images", 1000 * MIB, (1000 - used) * MIB, 1000, 1000 - inodes, (1000 - used) * MIB)
    return replace(made, **changes)  # type: ignore[arg-type]


def check(
    disk: Usage, layers: Layers | None, *, reason: EvictReason | KeepReason = EvictReason.EXPIRED, **plan: object
) -> list[Finding]:
    """The findings where one image `a` may be evicted, or is kept for a reason."""
    verdicts = (Verdict(Image("a"), reason),)
    evictions = verdicts if isinstance(reason, EvictReason) else ()
    kept = () if evictions else verdicts
    planned = replace(Plan(Trigger.PRESSURE, evictions, kept), **plan)  # type: ignore[arg-type]
    return list(check_space(Inspection((), (), frozenset(), Memory(None), layers), planned, disk, WATERMARKS))


def test_holders_are_listed() -> None:
    """Those that hold anything, and nothing more where the low watermark is met."""
    assert check(usage(650), SMALL, reclaimable=Size(10 * MIB, 1)) == [
        Finding("space", Grade.OK, "held by evictable 10.0 MiB, non_image 640.0 MiB")
    ]


@pytest.mark.parametrize(
    ("used", "frees", "grade", "says"),
    [
        (749, 99, None, ""),
        (749, 98, Grade.NOTE, "frees 98.0 MiB: a pressure sweep would not reach it"),
        (750, 100, None, ""),
        (
            750,
            99,
            Grade.WARNING,
            (
                "bytes of /images: 75.0 % used, 100.0 MiB above 65 %, and the only image that may be evicted frees "
                "99.0 MiB: out of reach; pressure sweeps evict only to stay below the kubelet's threshold; "
                "most is held by non-image data, which no eviction frees: look for logs, volumes and files that "
                "containers wrote"
            ),
        ),
    ],
)
def test_a_low_watermark_out_of_reach_is_a_warning(used: int, frees: int, grade: Grade | None, says: str) -> None:
    """A note while the high watermark is not reached; nothing where all candidates together are just enough."""
    found = check(usage(used), SMALL, reclaimable=Size(frees * MIB, 1))[1:]
    assert [one.grade for one in found] == ([grade] if grade else [])
    assert all(says in one.detail for one in found)


def test_inodes_are_told_as_they_are() -> None:
    """What is missing of inodes is counted in inodes."""
    (found,) = check(usage(100, inodes=900), SMALL, reclaimable=Size(MIB, 20))[1:]
    assert found.detail.startswith("inodes of /images: 90.0 % used, 150 inodes above 75 %, and the only image")
    assert "frees 20 inodes" in found.detail


@pytest.mark.parametrize(
    ("layers", "reason", "says"),
    [
        (LARGE, KeepReason.IN_USE, "most is held by images in use"),
        (LARGE, KeepReason.LOCAL, "most is held by images that are kept: `cleaner plan` says why"),
        (replace(LARGE, images={}, unlisted=frozenset({"x"})), KeepReason.LOCAL, "content that no listed image has"),
        (replace(LARGE, images={}, other_namespaces=frozenset({"x"})), KeepReason.LOCAL, "other namespaces"),
    ],
)
def test_who_holds_most_is_told(layers: Layers, reason: KeepReason, says: str) -> None:
    """Without candidates nothing is freed; where to look depends on who holds most."""
    found = check(usage(790), layers, reason=reason)[1]
    assert found.grade is Grade.WARNING
    assert "and no image may be evicted under pressure: out of reach" in found.detail
    assert says in found.detail


def test_a_reserve_that_holds_most_is_told() -> None:
    """Blocks that only root may fill count as used."""
    found = check(usage(900, free_bytes=700 * MIB), LARGE, reclaimable=Size(100 * MIB, 1))[1]
    assert found.detail.endswith("; most is held by blocks that are reserved for root (ext4: tune2fs -m)")


def test_nothing_is_advised_where_candidates_hold_most() -> None:
    """They are to be evicted anyway."""
    found = check(usage(790), LARGE, reclaimable=Size(100 * MIB, 1))[1]
    assert found.detail.endswith("to stay below the kubelet's threshold")


@pytest.mark.parametrize(
    ("at_most", "says"),
    [(None, []), (Size(99 * MIB, 1 << 62), ["frees at most 99.0 MiB"]), (Size(100 * MIB, 1 << 62), [])],
)
def test_without_layers_sizes_may_show_it(at_most: Size | None, says: list[str]) -> None:
    """Holders are not known then; an upper bound that is not enough is a warning, no bound says nothing."""
    details = [one.detail for one in check(usage(750), None, reclaimable_at_most=at_most)]
    assert len(details) == len(says)
    assert all(text in detail for text, detail in zip(says, details, strict=True))


def test_several_candidates_are_counted() -> None:
    """Those that a sweep would not reach count too."""
    second = (Verdict(Image("b"), EvictReason.PRESSURE),)
    (_, found) = check(usage(750), SMALL, reclaimable=Size(MIB, 1), not_reached=second)
    assert "the 2 images that may be evicted free 1.0 MiB" in found.detail


def test_each_filesystem_is_told_by_its_path() -> None:
    """A content store of its own has its own line."""
    content = Usage("/content", 1000 * MIB, 0, 0, 0, 0, Filesystem.CONTENT)
    size = Size(400 * MIB, 1, 100 * MIB, 1)
    (found,) = check(usage(500, others=(content,)), LARGE, reclaimable=size)[1:]
    assert found.detail.startswith("bytes of /content: 100.0 % used, 350.0 MiB above 65 %")
    assert "frees 100.0 MiB" in found.detail
