"""The kubelet's image garbage collection and its answer to a full disk, for a figure to stand beside the agent's.

It does what the original does (pkg/kubelet/images, pkg/kubelet/eviction). Only the waits of minutes are shorter, and no
pods are evicted.
"""

import threading
import time
from types import TracebackType
from typing import Self

from cleaner.core.errors import CleanerError
from cleaner.core.image_users import ids_in_use, image_users
from cleaner.core.model import Image
from cleaner.node.clock import NeverStop
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.rpc.endpoint import parse_endpoint
from lab import Lab

HIGH_PERCENT, LOW_PERCENT = 85, 80
"""imageGCHighThresholdPercent, imageGCLowThresholdPercent."""
EVICTION_AVAILABLE_PERCENT = 15
"""evictionHard, imagefs.available."""
MONITOR_SECONDS = 10.0
"""monitoringInterval of the eviction manager."""


class SimulatedKubelet:
    """Collects while a with-block runs."""

    def __init__(self, lab: Lab, collect_seconds: float, minimum_age_seconds: float) -> None:
        """The original collects every 300 s, images that it has known for 120 s at least."""
        self.evicted: list[str] = []
        """Image ids, in order."""
        self._lab = lab
        self._collect_seconds = collect_seconds
        self._minimum_age = minimum_age_seconds
        self._detected: dict[str, float] = {}
        self._used: dict[str, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        """Two loops of the original in one: both begin at once, and the monitor runs first."""
        monitor_at = collect_at = time.monotonic()
        with CriRuntime(parse_endpoint(self._lab.endpoint), NeverStop()) as runtime:
            while not self._ended.is_set():
                now = time.monotonic()
                if now >= monitor_at:
                    self._monitor(runtime)
                    monitor_at = max(monitor_at + MONITOR_SECONDS, time.monotonic())
                if now >= collect_at:
                    self._collect(runtime)
                    collect_at = max(collect_at + self._collect_seconds, time.monotonic())
                self._ended.wait(max(0.0, min(monitor_at, collect_at) - time.monotonic()))

    def _monitor(self, runtime: CriRuntime) -> None:
        """Every unused image is removed, whatever the low threshold says."""
        usage = self._lab.usage()
        if usage.available_bytes * 100 < usage.capacity_bytes * EVICTION_AVAILABLE_PERCENT:
            self._free(runtime, None)

    def _collect(self, runtime: CriRuntime) -> None:
        usage = self._lab.usage()
        self._detect(runtime)
        if 100 - usage.available_bytes * 100 // usage.capacity_bytes >= HIGH_PERCENT:
            self._free(runtime, usage.capacity_bytes * (100 - LOW_PERCENT) // 100 - usage.available_bytes)

    def _detect(self, runtime: CriRuntime) -> list[Image]:
        """All unused images, in the order of their removal."""
        now = time.monotonic()
        images = runtime.list_images()
        needs = image_users(runtime.list_containers(), runtime.list_sandbox_images())
        in_use = ids_in_use(images, needs)
        self._detected = {image.id: self._detected.get(image.id, now) for image in images}
        self._used = {image_id: at for image_id, at in self._used.items() if image_id in self._detected}
        self._used |= dict.fromkeys(in_use, now)
        unused = [image for image in images if needs.reason_to_keep(image) is None]
        return sorted(unused, key=lambda image: (self._used.get(image.id, 0.0), self._detected[image.id]))

    def _free(self, runtime: CriRuntime, target_bytes: int | None) -> None:
        """What counts as freed is what the runtime calls the image's size."""
        freed, began = 0, time.monotonic()
        for image in self._detect(runtime):
            if began - self._detected[image.id] < self._minimum_age:
                continue
            try:
                runtime.remove_image(image.id)
            except CleanerError:
                continue
            self.evicted.append(image.id)
            freed += image.size_bytes
            if target_bytes is not None and freed >= target_bytes:
                return
