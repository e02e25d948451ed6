"""The daemon beside a CRI-O whose images take space on a private disk: what it evicts without layer information."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.bare_disk import bare_disk
from lab.disk import Ballast, DiskSpec
from support.crio_server import CrioServer
from support.daemon_process import DaemonProcess, SweepTrace, trace_sweep
from support.lab_crio import COMPANY, full_crio_node

MIB = 1 << 20
IMAGES = 14
POLICY = {"grace": "0s", "rules": [{"name": "company", "match": [f"{COMPANY}/**"], "max_age": "30d"}]}


@contextmanager
def daemon_at(folder: Path, used_percent: float, image_mib: int) -> Iterator[tuple[CrioServer, DaemonProcess]]:
    """The daemon on a node whose disk holds the images, and non-image data up to this usage."""
    with bare_disk(DiskSpec(size_mib=300)) as disk:
        server = full_crio_node(folder / "crio.sock", disk, IMAGES, image_mib * MIB)
        Ballast(disk).fill(used_percent)
        pressure = {"check_every": "1s", "grace": "0s"}
        endpoint = f"unix://{server.socket}"
        with server, DaemonProcess(folder, endpoint, mode="pressure", policy=POLICY, pressure=pressure) as daemon:
            yield server, daemon


def show(sweep: SweepTrace) -> None:
    before, after = sweep.ended["used_percent_before"], sweep.ended["used_percent_after"]
    print(f"\n{before:.2f} % -> {after:.2f} %: {sweep.ended['evicted']} evicted, {sweep.ended['stop_reason']}")


def test_disk_full_of_images(tmp_path: Path) -> None:
    """With enough to evict the sweep stops at the low watermark, as measured."""
    with daemon_at(tmp_path, 80.0, 6) as (server, daemon):
        sweep = trace_sweep(daemon)
        show(sweep)
        assert (sweep.ended["stop_reason"], sweep.ended["low_watermark_met"]) == ("low_watermark", True)
        assert sweep.used_before_last() > 65 >= sweep.ended["used_percent_after"]
        assert len(server.images) == IMAGES - sweep.ended["evicted"] > 0


def test_disk_full_of_non_image_data(tmp_path: Path) -> None:
    """Where not even the sum of the candidates' sizes reaches the low watermark, nothing is evicted, and it is said."""
    with daemon_at(tmp_path, 80.0, 1) as (server, daemon):
        sweep = trace_sweep(daemon)
        show(sweep)
        assert (sweep.started["level"], sweep.started["low_watermark_reachable"]) == ("warning", False)
        assert (sweep.ended["stop_reason"], sweep.ended["evicted"]) == ("kubelet_threshold", 0)
        daemon.wait_for_checks(4)
        assert len(daemon.events("sweep_started")) == 1
        assert len(server.images) == IMAGES
