"""The kubelet's thresholds and images removed externally, in the log and in metrics."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cleaner.core.events import ImagesRemovedExternally
from cleaner.core.kubelet import KubeletRead, KubeletSettings
from unit.outlets.happenings import ASSUMED, FIRST, MIDNIGHT, REMOVED_EXTERNALLY, kubelet_read
from unit.outlets.written import lines_of, metrics_after, value

NEVER = kubelet_read(KubeletSettings(gc_high_percent=100, thresholds=()))
CLOSE = kubelet_read(KubeletSettings(gc_high_percent=77))
BROKEN = kubelet_read(KubeletSettings(), "/var/lib/kubelet/config.yaml is no YAML", broken=True)


@pytest.mark.parametrize(
    ("read", "level"), [(ASSUMED, "info"), (NEVER, "info"), (CLOSE, "info"), (FIRST, "warning"), (BROKEN, "warning")]
)
def test_a_kubelet_that_acts_first_is_a_warning(read: KubeletRead, level: str) -> None:
    """So is a file that cannot be read; one that is not mounted, or limits close together, are not."""
    (line,) = lines_of(read)
    assert (line["event"], line["level"]) == ("kubelet_read", level)


def test_the_line_says_from_when_on_and_by_what() -> None:
    """Shares, settings, age and each collision; what never happens is null."""
    first, never = lines_of(FIRST, NEVER)
    assert (first["bytes_percent"], first["bytes_by"]) == (74, "imageGCHighThresholdPercent 75")
    assert (first["inodes_percent"], first["inodes_by"]) == (95, "imagefs.inodesFree<5%")
    assert (first["maximum_age_seconds"], first["reason"]) == (7 * 86400, None)
    assert first["collisions"] == [collision.text for collision in FIRST.collisions]
    assert (never["bytes_percent"], never["inodes_by"], never["maximum_age_seconds"]) == (None, None, None)
    (assumed,) = lines_of(ASSUMED)
    assert (assumed["config"], assumed["reason"]) == (ASSUMED.config.path, ASSUMED.config.reason)


@pytest.mark.parametrize(
    ("read", "share", "collision", "was_read"), [(ASSUMED, 0.84, 0, 0), (FIRST, 0.74, 1, 1), (CLOSE, 0.76, 0, 1)]
)
def test_metrics_show_the_kubelets_threshold_beside_our_watermarks(
    read: KubeletRead, share: float, collision: int, was_read: int
) -> None:
    """With the labels of our own watermarks, so that they can be subtracted."""
    metrics = metrics_after([read])
    labels = {"filesystem": "images", "resource": "bytes"}
    assert value(metrics, "kubelet_threshold_ratio", **labels) == share
    assert value(metrics, "high_watermark_ratio", **labels) == 0.75
    assert value(metrics, "kubelet_collision") == collision
    assert value(metrics, "kubelet_config_read") == was_read


def test_a_kubelet_that_was_not_read_has_no_sample() -> None:
    """Nor has a threshold that it does not have, also where it had one before."""
    labels = {"filesystem": "images", "resource": "bytes"}
    for metrics in (metrics_after(), metrics_after([FIRST, NEVER])):
        assert value(metrics, "kubelet_threshold_ratio", **labels) is None
    assert value(metrics_after(), "kubelet_collision") is None
    assert value(metrics_after(), "kubelet_config_read") is None


def test_images_removed_externally_are_counted() -> None:
    """All of each inspection."""
    metrics = metrics_after(
        [
            ImagesRemovedExternally((REMOVED_EXTERNALLY, REMOVED_EXTERNALLY)),
            ImagesRemovedExternally((REMOVED_EXTERNALLY,)),
        ]
    )
    assert value(metrics, "images_removed_externally_total") == 3
    assert value(metrics_after(), "images_removed_externally_total") == 0


def test_a_line_for_images_removed_externally_names_five() -> None:
    """A name of each, or its id; between which inspections; the highest usage."""
    nameless = replace(REMOVED_EXTERNALLY, references=(), used_percent=None)
    (line,) = lines_of(ImagesRemovedExternally((nameless, *[REMOVED_EXTERNALLY] * 6)))
    assert (line["event"], line["level"], line["images"]) == ("images_removed_externally", "info", 7)
    assert line["references"] == [REMOVED_EXTERNALLY.image_id, *[REMOVED_EXTERNALLY.references[0]] * 4]
    assert (line["last_seen_at"], line["gone_at"]) == ("2026-06-14T23:58:00Z", "2026-06-14T23:59:00Z")
    assert line["used_percent"] == 86.4


def test_a_usage_that_was_not_measured_is_null() -> None:
    """As after the agent was stopped, and the times are the widest of all images."""
    earlier = replace(REMOVED_EXTERNALLY, used_percent=None, last_seen_at=MIDNIGHT - timedelta(hours=1))
    (line,) = lines_of(ImagesRemovedExternally((earlier, replace(REMOVED_EXTERNALLY, used_percent=None))))
    assert (line["used_percent"], line["last_seen_at"]) == (None, "2026-06-14T23:00:00Z")
