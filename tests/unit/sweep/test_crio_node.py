"""Sweeps on a CRI-O, which does not tell what images share: the product's own client against a server of CRI."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.core.model import EvictionOutcome, KeepReason, StopReason, Trigger
from cleaner.core.report import SweepReport
from cleaner.node.clock import NeverStop
from cleaner.runtime import CriRuntime, Endpoint
from support.crio_server import CrioServer
from support.lab_crio import ODD, full_crio_node, odd_crio_node
from support.nodes import MB, POLICY, World, make_world
from support.values import make_rule

EVERYTHING = replace(POLICY, rules=(make_rule("**"),), grace=timedelta(0), pressure_grace=timedelta(0))
"""A rule that would evict anything; pull times are not known here, so nothing is recent."""


@contextmanager
def node_of(server: CrioServer, directory: Path) -> Iterator[World]:
    """A node of 1 GB whose disk is the directory, and whose runtime is the server."""
    world = make_world(directory)
    with server, CriRuntime(Endpoint(str(server.socket)), NeverStop()) as runtime:
        world.node = replace(world.node, runtime=runtime)
        yield world


def evicted(report: SweepReport) -> list[str]:
    return [e.verdict.image.id for e in report.evictions if e.outcome is EvictionOutcome.EVICTED]


def test_an_image_whose_tag_moved_is_evicted(folder: Path, tmp_path: Path) -> None:
    """Only the list has its reference, and nothing else about it changed."""
    server = odd_crio_node(folder / "crio.sock")
    for name in ("artifact", "built"):
        del server.images[ODD[name].id]
    with node_of(server, tmp_path) as world:
        report = world.report(Trigger.MANUAL, EVERYTHING)
    assert evicted(report) == [ODD["moved"].id]
    assert [e.outcome for e in report.evictions] == [EvictionOutcome.EVICTED]
    assert ODD["cut"].id in server.images


def test_a_disk_full_of_images_is_driven_to_the_low_watermark(folder: Path, tmp_path: Path) -> None:
    """At 80 %, with more than enough to evict, the sweep stops where it measures the low watermark."""
    with node_of(full_crio_node(folder / "crio.sock", tmp_path, 14, 12 * MB), tmp_path) as world:
        world.simulated.write_file("other", 632 * MB)
        report = world.report(Trigger.PRESSURE, EVERYTHING)
    assert report.filesystem_before.used_percent == 80
    assert report.filesystem_after.used_percent == pytest.approx(64.4)
    assert (len(evicted(report)), report.not_reached) == (13, 1)
    assert report.stop_reason is StopReason.LOW_WATERMARK


def test_a_disk_with_too_few_images_is_lowered_as_far_as_they_go(folder: Path, tmp_path: Path) -> None:
    """What RemoveImage frees is measured, byte for byte."""
    server = full_crio_node(folder / "crio.sock", tmp_path, 3, 7 * MB)
    with node_of(server, tmp_path) as world:
        before = world.simulated.read_usage().available_bytes
        assert evicted(world.report(Trigger.MANUAL, EVERYTHING)) == [f"{number:064x}" for number in (1, 2, 3)]
        assert world.simulated.read_usage().available_bytes - before == 3 * 7 * MB
    assert not server.images


# ---- What is to be kept


def test_odd_images_are_kept_for_what_they_are(folder: Path, tmp_path: Path) -> None:
    """Of an artifact, a cut name, a local image and one whose tag moved only the last is evicted; nothing fails."""
    server = odd_crio_node(folder / "crio.sock")
    with node_of(server, tmp_path) as world:
        report = world.report(Trigger.MANUAL, EVERYTHING)
    assert evicted(report) == [ODD["moved"].id]
    assert [e.outcome for e in report.evictions] == [EvictionOutcome.EVICTED]
    assert report.plan is not None
    reasons = {verdict.image.id: verdict.reason for verdict in report.plan.kept}
    assert reasons == {
        ODD["artifact"].id: KeepReason.UNREMOVABLE,
        ODD["cut"].id: KeepReason.UNMATCHED,
        ODD["built"].id: KeepReason.LOCAL,
        "4" * 64: KeepReason.IN_USE,
        "5" * 64: KeepReason.IN_USE,
    }


@pytest.mark.parametrize(("other", "evictions"), [(730, 0), (760, 0), (761, 1), (790, 6)])
def test_a_disk_full_of_non_image_data_is_kept_below_the_kubelets_threshold(
    folder: Path, tmp_path: Path, other: int, evictions: int
) -> None:
    """All 14 candidates together cannot reach the low watermark: only what keeps usage at 83 % is evicted."""
    with node_of(full_crio_node(folder / "crio.sock", tmp_path, 14, 5 * MB), tmp_path) as world:
        world.simulated.write_file("other", other * MB)
        report = world.report(Trigger.PRESSURE, EVERYTHING)
    assert (len(report.evictions), report.not_reached) == (evictions, 14 - evictions)
    assert report.stop_reason is StopReason.KUBELET_THRESHOLD
    assert report.plan is not None
    assert report.plan.low_watermark_reachable is False
    assert not report.low_watermark_met
