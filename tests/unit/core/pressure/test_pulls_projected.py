"""Room for pulls in progress: where what they will take lies, whether it fits, and which pulls were given up."""

from dataclasses import replace

import pytest

from cleaner.core.disk_usage import Filesystem
from cleaner.core.pressure.pulls import GivenUp, Pull, projected_usage, pulls_fit
from cleaner.core.reclaim import Size
from support.values import make_usage

PULLS = (Pull("sha256:a", content_bytes=100_000, snapshot_bytes=250_000), Pull("sha256:b", 10_000, 40_000))
TOGETHER = make_usage(50)
APART = replace(TOGETHER, others=(replace(make_usage(80), filesystem=Filesystem.CONTENT),))


def test_pulls_count_as_done() -> None:
    """All that they will still take is used already, blobs and snapshots."""
    assert projected_usage(TOGETHER, PULLS).used_percent == 90
    assert projected_usage(TOGETHER, ()) == TOGETHER


def test_blobs_count_where_the_content_store_lies() -> None:
    """With a filesystem of its own the content store takes the blobs, and the images' the snapshots."""
    images, content = projected_usage(APART, PULLS).all
    assert (images.used_percent, content.used_percent) == (79, 91)


@pytest.mark.parametrize(("freed", "fits"), [(99_999, False), (100_000, True), (100_001, True)])
def test_a_pull_fits_to_the_last_byte(freed: int, *, fits: bool) -> None:
    """What is available and what is evictable together have to hold it; exactly so much is enough."""
    pull = Pull("sha256:a", 300_000, 300_000)
    assert pulls_fit(TOGETHER, (pull,), Size(freed, 0)) is fits


@pytest.mark.parametrize(
    ("content_freed", "snapshots_freed", "fits"),
    [(99_999, 500_000, False), (100_000, 99_999, False), (100_000, 100_000, True), (600_000, 0, False)],
)
def test_each_filesystem_needs_room_of_its_own(content_freed: int, snapshots_freed: int, *, fits: bool) -> None:
    """What lies on one filesystem makes no room on the other."""
    pull = Pull("sha256:a", content_bytes=300_000, snapshot_bytes=600_000)
    freed = Size(content_freed + snapshots_freed, 0, content_bytes=content_freed)
    assert pulls_fit(APART, (pull,), freed) is fits


def test_a_pull_fits_where_nothing_is_estimated() -> None:
    """Up to what an empty disk would hold; no pull always fits, on a disk that is overfull too."""
    assert pulls_fit(TOGETHER, (Pull("sha256:a", 10**6, 0),), None)
    assert not pulls_fit(TOGETHER, (Pull("sha256:a", 10**6 + 1, 0),), None)
    assert pulls_fit(make_usage(100), (), Size(0, 0))


EVICTABLE = Size(100_000, 0)
"""Too little for both pulls by a byte, at 70 and some percent."""


@pytest.mark.parametrize(
    ("digests", "fingerprint", "available", "counted"),
    [
        (set(), 1, 299_999, "ab"),
        ({"sha256:a"}, 1, 299_999, "b"),
        ({"sha256:a", "sha256:b"}, 1, 299_999, ""),
        ({"sha256:a"}, 2, 299_999, "ab"),
        ({"sha256:a"}, 1, 300_000, "ab"),
        ({"sha256:a"}, 1, 300_001, "ab"),
    ],
)
def test_what_was_given_up_counts_again_once_it_may_fit(
    digests: set[str], fingerprint: int, available: int, counted: str
) -> None:
    """A pull without room is left out until images, containers or candidates change, or there is room after all."""
    given_up = GivenUp(frozenset(digests), fingerprint=1)
    left = given_up.without(PULLS, replace(TOGETHER, available_bytes=available), EVICTABLE, fingerprint)
    assert [pull.digest[-1] for pull in left] == list(counted)
