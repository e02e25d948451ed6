"""A content store on a disk of its own: measured, judged, exported and driven down by itself."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cleaner.core.reclaim import Size, reclaimable
from cleaner.sweep.inspection import inspect_node
from lab import ImageSpec, Lab, Layer
from lab.disk import Usage, read_usage
from support.daemon_process import DaemonProcess, Scrape, trace_sweep
from support.lab_node import config_text, node_of, run_cleaner

MB = 1_000_000
COMPANY = "registry.gitlab.com"
RULES = {"rules": [{"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}]}
TODAY = datetime.now(UTC)
IMAGES = 10
CLOSE = 300_000
"""Bytes: directories and containerd's own files change too."""


def pull_aged(lab: Lab, number: int) -> str:
    """One image of 6 MB that does not compress; the lower its number, the older it is."""
    created = f"{TODAY - timedelta(days=60 - number):%Y-%m-%dT00:00:00Z}"
    [image] = lab.push(ImageSpec("golem-ai/app", f"v{number:02}", (Layer(6 * MB, number),), created))
    return lab.pull(image.reference(COMPANY))


def test_a_content_store_apart(tmp_path: Path) -> None:
    """It is driven below its low watermark when it reaches its high one, while the images' filesystem is below both."""
    with Lab(version="2", size_mib=400, content_mib=120) as lab:
        ids = [pull_aged(lab, number) for number in range(IMAGES)]
        images, content = read_usage(lab.disk), read_usage(lab.content)
        high, low = content.used_percent - 1, content.used_percent - 20
        assert images.used_percent < low
        pressure = {"check_every": "1s", "grace": "0s", "bytes": {"high": high, "low": low}}
        assert_plan(lab, pressure, images, content)
        estimates = [estimate_of(lab, ids[:number]) for number in range(IMAGES + 1)]
        with DaemonProcess(tmp_path, lab.endpoint, mode="pressure", policy=RULES, pressure=pressure) as daemon:
            sweep = trace_sweep(daemon)
            images_after, content_after = read_usage(lab.disk), read_usage(lab.content)
            size = estimates[len(sweep.names)]
            freed = images_after.available_bytes - images.available_bytes
            content_freed = content_after.available_bytes - content.available_bytes
            print(
                f"\ncontent {content.used_percent:.2f} % -> {content_after.used_percent:.2f} % (low {low:.2f}),",
                end=" ",
            )
            print(f"images {images.used_percent:.2f} % -> {images_after.used_percent:.2f} %, {len(sweep.names)} images")
            print(f"estimated {size.content_bytes:,} and {size.bytes - size.content_bytes:,} bytes,", end=" ")
            print(f"measured {content_freed:,} and {freed:,}")
            assert sweep.names == [f"app:v{number:02}" for number in range(len(sweep.names))]
            assert 0 < len(sweep.names) < IMAGES
            assert content_after.used_percent <= low
            assert content_after.used_percent + 100 * 6 * MB / content.capacity_bytes > low
            assert abs(content_freed - size.content_bytes) < CLOSE
            assert abs(freed - (size.bytes - size.content_bytes)) < CLOSE
            assert sweep.started["to_evict"] == len(sweep.names)
            assert abs(sweep.ended["reclaimed_bytes"] - size.bytes) < CLOSE
            assert (sweep.ended["stop_reason"], sweep.ended["low_watermark_met"]) == ("low_watermark", True)
            daemon.wait_for_checks(2)
            assert_metrics(daemon.scrape(), lab, high, low)


def estimate_of(lab: Lab, ids: list[str]) -> Size:
    """What the product estimates for these images together."""
    with node_of(lab) as node:
        layers = inspect_node(node).trusted_layers
        assert layers is not None
        return reclaimable(layers, ids)


def assert_plan(lab: Lab, pressure: Mapping[str, object], images: Usage, content: Usage) -> None:
    """Both filesystems are in the document, each with its own figures; that of the images is the first."""
    arguments = ["plan", "--trigger", "pressure", "-o", "json"]
    answer = run_cleaner(arguments, lab, config_text(policy=RULES, pressure=pressure))
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert [each["name"] for each in document["filesystems"]] == ["images", "content"]
    assert [each["capacity_bytes"] for each in document["filesystems"]] == [
        images.capacity_bytes,
        content.capacity_bytes,
    ]
    assert document["filesystems"][1]["path"] == str(lab.content)
    assert document["filesystem"] == document["filesystems"][0]
    assert document["low_watermark_reachable"] is True
    evicted = sum(image["verdict"] == "evict" for image in document["images"])
    assert 0 < evicted < IMAGES


def assert_metrics(scrape: Scrape, lab: Lab, high: float, low: float) -> None:
    """Each filesystem has its size, what is available, and its watermarks."""
    for name, path in (("images", lab.disk), ("content", lab.content)):
        now = read_usage(path)
        assert scrape.value("filesystem_size_bytes", filesystem=name) == now.capacity_bytes
        assert abs(scrape.value("filesystem_avail_bytes", filesystem=name) - now.available_bytes) < CLOSE
        assert scrape.value("high_watermark_ratio", filesystem=name, resource="bytes") == high / 100
        assert scrape.value("low_watermark_ratio", filesystem=name, resource="bytes") == low / 100
    assert scrape.by_label("sweeps_total") == {"pressure": 1}
