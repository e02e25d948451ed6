"""When a kubelet removes images, by its own configuration, and whether our high watermarks come too late."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.disk_usage import Resource, Usage
from cleaner.core.kubelet import (
    DEFAULT_HARD,
    KubeletConfig,
    KubeletRead,
    KubeletSettings,
    acts_of,
    collisions,
    kubelet_settings_of,
    threshold_of,
)
from cleaner.core.pressure.watermarks import WatermarkPair, Watermarks

GIB = 1024**3
USAGE = Usage("/images", 100 * GIB, 50 * GIB, 1000, 900, 50 * GIB)
WATERMARKS = Watermarks(bytes=WatermarkPair(high=75, low=65), inodes=WatermarkPair(high=80, low=75))
BYTES, INODES = Resource.BYTES, Resource.INODES


def tree(**keys: object) -> dict[object, object]:
    return {"kind": "KubeletConfiguration"} | dict(keys.items())


def acts(**keys: object) -> dict[str, tuple[float, str]]:
    """By resource: above which share, and why."""
    found = acts_of(kubelet_settings_of(tree(**keys)), USAGE)
    return {resource.value: (act.above_percent, act.reason) for resource, act in found.items()}


def test_a_kubelet_that_is_told_nothing_has_its_defaults() -> None:
    """Its image collection comes first, from 84 %, since it rounds; then eviction at 15 %, and 5 % of inodes."""
    assert kubelet_settings_of(tree()) == KubeletSettings()
    assert acts() == {"bytes": (84, "imageGCHighThresholdPercent 85"), "inodes": (95, "imagefs.inodesFree<5%")}
    assert {str(threshold) for threshold in KubeletSettings().thresholds} == {
        f"{s}<{t}" for s, t in DEFAULT_HARD.items()
    }


@pytest.mark.parametrize(
    ("high", "above", "reason"),
    [
        (0, 0, "imageGCHighThresholdPercent 0"),
        (1, 0, "imageGCHighThresholdPercent 1"),
        (85, 84, "imageGCHighThresholdPercent 85"),
        (86, 85, "imageGCHighThresholdPercent 86"),
        (87, 85, "imagefs.available<15%"),
        (99, 85, "imagefs.available<15%"),
        (100, 85, "imagefs.available<15%"),
    ],
)
def test_what_comes_first_counts(high: int, above: float, reason: str) -> None:
    """Image collection, one percent below what is written, or eviction, whichever is lower; at 100 it collects none."""
    assert acts(imageGCHighThresholdPercent=high)["bytes"] == (above, reason)


@given(available=st.integers(0, 10**6), high=st.integers(0, 99))
def test_the_share_is_where_the_kubelets_own_sum_begins(available: int, high: int) -> None:
    """For every usage: above the share exactly if 100 - int(available * 100 / capacity) reaches the threshold."""
    capacity = 10**6
    begun = 100 - available * 100 // capacity >= high
    above = KubeletSettings(gc_high_percent=high, thresholds=()).act(BYTES, capacity)
    assert above is not None
    assert begun == (100 * (capacity - available) / capacity > above.above_percent or high == 0)


def test_naming_one_threshold_switches_the_others_off() -> None:
    """Unless the kubelet is told to merge its defaults; an empty mapping is no threshold at all."""
    named = {"memory.available": "100Mi"}
    assert acts(evictionHard=named) == acts(evictionHard={}) == {"bytes": (84, "imageGCHighThresholdPercent 85")}
    assert acts(evictionHard=named, imageGCHighThresholdPercent=100) == {}
    assert acts(evictionHard=named, mergeDefaultEvictionSettings=False) == acts(evictionHard={})
    assert acts(evictionHard=None) == acts(evictionHard=named, mergeDefaultEvictionSettings=True) == acts()
    assert acts(evictionHard={"imagefs.available": "20%"}, mergeDefaultEvictionSettings=True) == {
        "bytes": (80, "imagefs.available<20%"),
        "inodes": (95, "imagefs.inodesFree<5%"),
    }


@pytest.mark.parametrize(
    ("signal", "text", "expected"),
    [
        ("imagefs.available", "20%", {"bytes": (80, "imagefs.available<20%")}),
        ("imagefs.available", "12.5%", {"bytes": (87.5, "imagefs.available<12.5%")}),
        ("imagefs.available", "10Gi", {"bytes": (90, "imagefs.available<10Gi")}),
        ("imagefs.available", "200Gi", {"bytes": (0, "imagefs.available<200Gi")}),
        ("nodefs.available", "30%", {"bytes": (70, "nodefs.available<30%")}),
        ("imagefs.inodesFree", "250", {"inodes": (75, "imagefs.inodesFree<250")}),
        ("nodefs.inodesFree", "0.1k", {"inodes": (90, "nodefs.inodesFree<0.1k")}),
        ("imagefs.available", "0%", {}),
        ("imagefs.available", "100%", {}),
        ("imagefs.available", "0", {}),
        ("pid.available", "10%", {}),
    ],
)
def test_thresholds_are_shares_or_amounts(signal: str, text: str, expected: dict[str, tuple[float, str]]) -> None:
    """Amounts count against the filesystem's size; what the kubelet reads as off is off; other signals are ignored."""
    assert acts(evictionHard={signal: text}, imageGCHighThresholdPercent=100) == expected


def test_a_soft_threshold_counts_too() -> None:
    """It removes images as a hard one does, after its grace period."""
    assert acts(evictionSoft={"imagefs.available": "25%"})["bytes"] == (75, "imagefs.available<25% (soft)")
    assert acts(evictionSoft={"imagefs.available": "10%"})["bytes"] == (84, "imageGCHighThresholdPercent 85")


def test_no_limit_is_never_reached() -> None:
    """A filesystem without inodes to count has no act for them, and one of no size none at all."""
    unlimited = replace(USAGE, inodes=0, inodes_available=0)
    assert acts_of(KubeletSettings(), unlimited).keys() == {BYTES}
    assert KubeletSettings().act(BYTES, 0) is None
    assert KubeletSettings().high_percent(replace(USAGE, inodes=0), INODES) is None
    assert (KubeletSettings().high_percent(USAGE), KubeletSettings().high_percent(USAGE, INODES)) == (84, 95)


def test_drop_ins_are_merged_in_their_order() -> None:
    """Into what the file and the defaults say: scalars replaced, thresholds by their name."""
    first = tree(
        imageGCHighThresholdPercent=60, imageGCLowThresholdPercent=50, evictionHard={"nodefs.available": "45%"}
    )
    second = tree(imageGCHighThresholdPercent=80, evictionSoft={"imagefs.inodesFree": "30%"}, imageMaximumGCAge="24h")
    merged = kubelet_settings_of(tree(imageGCHighThresholdPercent=90, imageMaximumGCAge="1h"), first, second)
    assert (merged.gc_high_percent, merged.gc_low_percent, merged.maximum_age) == (80, 50, timedelta(days=1))
    assert [str(threshold) for threshold in merged.thresholds] == [
        "imagefs.available<15%",
        "imagefs.inodesFree<5%",
        "nodefs.available<45%",
        "nodefs.inodesFree<5%",
        "imagefs.inodesFree<30% (soft)",
    ]
    assert kubelet_settings_of(tree(), tree()) == KubeletSettings()


def test_a_kubelet_without_a_file_has_the_thresholds_of_its_drop_ins() -> None:
    """The defaults of `evictionHard` belong to --config; image collection has its own in any case."""
    k3s = tree(evictionHard={"imagefs.available": "5%", "nodefs.available": "5%"})
    assert [str(threshold) for threshold in kubelet_settings_of(None, k3s).thresholds] == [
        "imagefs.available<5%",
        "nodefs.available<5%",
    ]
    more = kubelet_settings_of(None, k3s, tree(evictionHard={"imagefs.inodesFree": "10%"}, imageMinimumGCAge="1m"))
    assert [str(threshold) for threshold in more.thresholds][1:] == ["imagefs.inodesFree<10%", "nodefs.available<5%"]
    assert more.minimum_age == timedelta(minutes=1)
    assert kubelet_settings_of(None, tree()) == KubeletSettings(thresholds=())
    assert kubelet_settings_of(tree(), k3s).thresholds != kubelet_settings_of(None, k3s).thresholds


def test_null_in_a_drop_in_removes() -> None:
    """As in a JSON merge patch: a threshold, all of them, or a number, which has its default again."""
    file = tree(imageGCHighThresholdPercent=60, imageMaximumGCAge="1h", evictionSoft={"imagefs.available": "30%"})
    one = kubelet_settings_of(file, tree(evictionHard={"imagefs.available": None}))
    assert [str(threshold) for threshold in one.thresholds] == [
        "imagefs.inodesFree<5%",
        "nodefs.available<10%",
        "nodefs.inodesFree<5%",
        "imagefs.available<30% (soft)",
    ]
    removed = tree(imageGCHighThresholdPercent=None, imageMaximumGCAge=None, evictionHard=None, evictionSoft=None)
    assert kubelet_settings_of(file, removed) == KubeletSettings(thresholds=())
    again = kubelet_settings_of(file, removed, tree(evictionHard={"nodefs.available": "7%"}))
    assert [str(threshold) for threshold in again.thresholds] == ["nodefs.available<7%"]


def test_defaults_are_merged_only_by_the_file() -> None:
    """`mergeDefaultEvictionSettings` of a drop-in comes too late for it."""
    named = {"nodefs.available": "10%"}
    late = kubelet_settings_of(tree(evictionHard=named), tree(mergeDefaultEvictionSettings=True))
    assert [str(threshold) for threshold in late.thresholds] == ["nodefs.available<10%"]


def test_a_mapping_that_became_something_else_is_named() -> None:
    """In a drop-in, before or after a mapping."""
    for trees in ((tree(evictionHard="15%"),), (tree(evictionHard={}), tree(evictionHard="15%"))):
        with pytest.raises(ValueError, match=r"^evictionHard: is no mapping$"):
            kubelet_settings_of(None, *trees)
    mended = kubelet_settings_of(None, tree(evictionHard="15%"), tree(evictionHard={"nodefs.available": "15%"}))
    assert [str(threshold) for threshold in mended.thresholds] == ["nodefs.available<15%"]


@pytest.mark.parametrize(
    ("files", "source"),
    [
        ((), "/k.yaml"),
        (("/k.yaml",), "/k.yaml"),
        (tuple("abcde"), "a, b, c, d, e"),
        (tuple("abcdef"), "a, b, c, d, e and 1 more"),
    ],
)
def test_a_sentence_names_a_few_files(files: tuple[str, ...], source: str) -> None:
    """Five of them, and how many others there are."""
    assert KubeletConfig("/k.yaml", files=files).source == source


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"imageGCHighThresholdPercent": "85"}, "imageGCHighThresholdPercent: is no whole number from 0 to 100"),
        ({"imageGCHighThresholdPercent": True}, "imageGCHighThresholdPercent: is no whole number from 0 to 100"),
        ({"imageGCLowThresholdPercent": -1}, "imageGCLowThresholdPercent: is no whole number from 0 to 100"),
        ({"imageGCLowThresholdPercent": 101}, "imageGCLowThresholdPercent: is no whole number from 0 to 100"),
        ({"imageMaximumGCAge": "7d"}, "imageMaximumGCAge: is no duration"),
        ({"imageMinimumGCAge": "7d"}, "imageMinimumGCAge: is no duration"),
        ({"evictionHard": ["15%"]}, "evictionHard: is no mapping"),
        ({"evictionSoft": "15%"}, "evictionSoft: is no mapping"),
        ({"evictionHard": {"imagefs.available": "lots"}}, "imagefs.available: 'lots' is no percentage and no quantity"),
        ({"evictionHard": {"nodefs.available": "100.5%"}}, "nodefs.available: '100.5%' is more than the whole"),
        ({"evictionHard": {"nodefs.available": "-1%"}}, "nodefs.available: '-1%' is no percentage and no quantity"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(keys: dict[str, object], says: str) -> None:
    """With its key, and nothing else of the file."""
    with pytest.raises(ValueError, match=rf"^{says}$".replace("(", r"\(")):
        kubelet_settings_of(tree(**keys))


@pytest.mark.parametrize(("text", "age"), [("0s", None), ("336h", timedelta(days=14))])
def test_an_age_of_nothing_is_off(text: str, age: timedelta | None) -> None:
    """The kubelet's default is 0s, which is never."""
    assert kubelet_settings_of(tree(imageMaximumGCAge=text)).maximum_age == age


@pytest.mark.parametrize(
    ("high", "acts_first"),
    [(78.9, None), (79, None), (79.1, False), (83.9, False), (84, True), (84.1, True), (100, True)],
)
def test_a_high_watermark_collides_at_the_kubelets_threshold(high: float, acts_first: bool | None) -> None:
    """At or above it the kubelet acts first; less than 5 points below is close; 5 points below is fine."""
    found = collisions(KubeletSettings(), replace(WATERMARKS, bytes=WatermarkPair(high=high, low=10)), USAGE)
    assert [collision.acts_first for collision in found] == ([] if acts_first is None else [acts_first])


def test_a_collision_says_what_stands_against_what() -> None:
    """Both limits, their settings, and what to do, for each resource."""
    watermarks = Watermarks(bytes=WatermarkPair(high=81.5, low=65), inodes=WatermarkPair(high=95, low=75))
    close, first = collisions(KubeletSettings(), watermarks, USAGE)
    assert (close.resource, first.resource) == (BYTES, INODES)
    assert close.text == (
        "the kubelet removes images by itself above 84 % of bytes (imageGCHighThresholdPercent 85), and "
        "pressure.bytes.high is 81.5, less than 5 points below that; lower pressure.bytes, or raise the kubelet's"
    )
    assert first.text == (
        "the kubelet removes images by itself above 95 % of inodes (imagefs.inodesFree<5%), and "
        "pressure.inodes.high is 95, so the kubelet acts first; lower pressure.inodes, or raise the kubelet's"
    )


@pytest.mark.parametrize(
    ("values", "seconds"),
    [([], 120), (["5m0s"], 300), (["0s"], 120), (["5m", "30s"], 30), (["30s", None], 30)],
)
def test_the_minimum_age_of_the_kubelets_own_removals(values: list[str | None], seconds: int) -> None:
    """The last file that says it counts; 0 is the kubelet's default, and the threshold carries it on."""
    trees = [tree(**({} if value is None else {"imageMinimumGCAge": value})) for value in values] or [tree()]
    settings = kubelet_settings_of(*trees)
    assert settings.minimum_age == timedelta(seconds=seconds)
    read = KubeletRead(KubeletConfig("/kubelet.yaml", settings), {}, ())
    assert threshold_of(read).minimum_age == timedelta(seconds=seconds)
