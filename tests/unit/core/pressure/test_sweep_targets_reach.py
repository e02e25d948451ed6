"""Targets whose low watermark comes out of reach during the sweep, and kubelet thresholds that make no sense."""

import pytest

from cleaner.core.disk_usage import Filesystem, Part, Resource
from cleaner.core.model import EvictReason, Plan, Trigger, Verdict
from cleaner.core.pressure.targets import SweepTargets
from cleaner.core.pressure.watermarks import KubeletThreshold, WatermarkPair, Watermarks, fallback_targets
from cleaner.core.reclaim import Size
from support.values import make_image, make_usage

WATERMARKS = Watermarks(bytes=WatermarkPair(75, 65), inodes=WatermarkPair(80, 75))
BYTES = Part(Filesystem.IMAGES, Resource.BYTES)
INODES = Part(Filesystem.IMAGES, Resource.INODES)


@pytest.mark.parametrize(("left", "confined"), [(149_999, True), (150_000, False), (150_001, False)])
def test_targets_are_confined_once_what_is_left_is_not_enough(left: int, confined: bool) -> None:
    """From 80 % down to 65 % of 1,000,000 bytes are 150,000."""
    targets = SweepTargets(WATERMARKS, KubeletThreshold(), {})
    targets.add_measurement(make_usage(80))
    targets.confine_beyond(make_usage(80), Size(left, 0))
    assert (targets.confined, targets.by_part) == (confined, {BYTES: 83.0 if confined else 65})


@pytest.mark.parametrize(("kubelet", "ceiling"), [(-1.0, 75), (66.0, 75), (66.01, 65.01), (84.0, 83.0)])
def test_a_part_is_kept_below_the_kubelets_threshold_unless_that_is_at_our_low_watermark(
    kubelet: float, ceiling: float
) -> None:
    """A danger from 65 % or below is as far out of reach as the low watermark: then our high watermark counts."""
    found = fallback_targets(make_usage(80), WATERMARKS, KubeletThreshold(bytes=kubelet))
    assert found == {BYTES: pytest.approx(ceiling), INODES: 94}


def make_plan(*sizes: Size) -> Plan:
    images = [make_image(number) for number in range(1, len(sizes) + 1)]
    verdicts = tuple(
        Verdict(image, EvictReason.EXPIRED, reclaimable=size) for image, size in zip(images, sizes, strict=True)
    )
    return Plan(Trigger.PRESSURE, verdicts, (), reclaimable=sum(sizes, Size(0, 0)))


def test_each_part_is_judged_by_itself() -> None:
    """Inodes of other files do not keep bytes from their low watermark: five of six images are enough for it."""
    usage = make_usage(80, 85)
    targets = SweepTargets(WATERMARKS, KubeletThreshold(), {})
    targets.add_measurement(usage)
    limited = targets.limit_plan(make_plan(*[Size(30_000, 10)] * 6), usage)
    assert targets.by_part == {BYTES: 65, INODES: 94}
    assert targets.confined
    assert (len(limited.evictions), len(limited.not_reached)) == (5, 1)
    assert limited.low_watermark_reachable is False
    assert not targets.is_low_watermark_met(make_usage(65, 85))


def test_a_part_that_reaches_its_high_watermark_later_is_driven_to_its_low_one() -> None:
    """What is confined stays so, whatever else comes to be driven."""
    targets = SweepTargets(WATERMARKS, KubeletThreshold(), {})
    targets.add_measurement(make_usage(70, 85))
    targets.confine()
    targets.add_measurement(make_usage(75, 86))
    assert targets.by_part == {BYTES: 65, INODES: 94}
