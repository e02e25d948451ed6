"""What a node's filesystems hold: one or several, each by itself, and what a removal can free of them."""

from dataclasses import replace

import pytest

from cleaner.core.disk_usage import Filesystem, Part, Resource, Usage, percents
from support.values import make_usage

IMAGES = make_usage(50, 20)
CONTENT = replace(make_usage(30, 10), path="/content", filesystem=Filesystem.CONTENT)
SNAPSHOTS = replace(make_usage(70, 60), path="/snapshots", filesystem=Filesystem.SNAPSHOTS)
CONTAINERS = replace(make_usage(90, 80), path="/containers", filesystem=Filesystem.CONTAINERS)
ALL = replace(IMAGES, others=(CONTENT, CONTAINERS))


def test_every_filesystem_is_there_once() -> None:
    """That of the images comes first, and one alone is all there is."""
    assert [each.path for each in ALL.all] == ["/images", "/content", "/containers"]
    assert IMAGES.all == (IMAGES,)


@pytest.mark.parametrize(
    ("others", "freeable"),
    [
        ((), ()),
        ((CONTAINERS,), ()),
        ((CONTENT,), (CONTENT,)),
        ((CONTENT, CONTAINERS), (CONTENT,)),
        ((CONTENT, SNAPSHOTS, CONTAINERS), (CONTENT, SNAPSHOTS)),
    ],
)
def test_what_a_removal_can_free(others: tuple[Usage, ...], freeable: tuple[Usage, ...]) -> None:
    """Each filesystem that holds images, blobs or snapshots; never the one of containers' own layers."""
    usage = replace(IMAGES, others=others)
    assert usage.apart == {each.filesystem for each in others}
    assert usage.freeable == (usage, *freeable)
    assert usage.freeable_bytes == 500_000 + sum(each.free_bytes for each in freeable)


def test_shares_are_those_of_what_can_be_freed() -> None:
    """Each resource with a limit has its share, of each filesystem by itself; containers' own is never driven."""
    assert percents(ALL) == {
        Part(Filesystem.IMAGES, Resource.BYTES): 50,
        Part(Filesystem.IMAGES, Resource.INODES): 20,
        Part(Filesystem.CONTENT, Resource.BYTES): 30,
        Part(Filesystem.CONTENT, Resource.INODES): 10,
    }
    assert percents(make_usage(50, None)) == {Part(Filesystem.IMAGES, Resource.BYTES): 50}


@pytest.mark.parametrize(("resource", "capacity", "available"), [("bytes", 1_000_000, 500_000), ("inodes", 0, 0)])
def test_a_resource_without_a_limit_has_nothing(resource: str, capacity: int, available: int) -> None:
    """Without a limit there is no capacity, nothing available and no share."""
    usage, asked = make_usage(50, None), Resource(resource)
    assert (usage.capacity(asked), usage.available(asked)) == (capacity, available)
    assert (usage.percent(asked) is None) is (asked is Resource.INODES)


@pytest.mark.parametrize(("before", "after", "freed"), [(100, 99, -1), (100, 100, 0), (100, 101, 1), (0, 300, 300)])
def test_what_others_wrote_is_subtracted_from_what_was_freed(before: int, after: int, freed: int) -> None:
    """Below 0 where it is more."""
    assert replace(IMAGES, free_bytes=after).freed_since(replace(IMAGES, free_bytes=before)) == freed


def test_bytes_are_freed_on_both_filesystems() -> None:
    """A removal frees blobs here and snapshots there; what containers leave is none of its doing."""
    after = replace(
        ALL,
        free_bytes=ALL.free_bytes + 7,
        others=(
            replace(CONTENT, free_bytes=CONTENT.free_bytes + 5),
            replace(CONTAINERS, free_bytes=CONTAINERS.free_bytes + 1000),
        ),
    )
    assert after.freed_since(ALL) == 12


def test_projected_bytes_count_as_used_where_they_will_lie() -> None:
    """Each filesystem gets its own, one without projected bytes stays, and more than fits is more than 100 %."""
    less = ALL.less({Filesystem.IMAGES: 600_000, Filesystem.CONTENT: 100_000})
    assert [each.used_percent for each in less.all] == pytest.approx([110, 40, 90])
    assert less.freeable_bytes == ALL.freeable_bytes
    assert ALL.less({}) == ALL


@pytest.mark.parametrize(
    ("capacity", "free", "available", "reserved", "percent"),
    [
        (1000, 500, 100, 400, 40),
        (1000, 100, 100, 0, 0),
        (1000, 99, 100, 0, 0),
        (1000, 101, 100, 1, 0.1),
        (0, 0, 0, 0, 0),
    ],
)
def test_what_is_free_and_not_available_is_reserved(
    capacity: int, free: int, available: int, reserved: int, percent: float
) -> None:
    """Never less than nothing, as where btrfs estimates more available than free."""
    usage = Usage("/images", capacity, available, 0, 0, free)
    assert usage.reserved_bytes == reserved
    assert usage.reserved_percent == pytest.approx(percent)
