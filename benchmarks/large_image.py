"""An image that needs 1.5 times the free space, pulled at a set rate: with pulls in progress counted, and without.

It prints how full the disk was in each second, whether the pull succeeded, and when images were evicted for it.
"""

import sys
import tempfile
from datetime import datetime
from pathlib import Path

from lab import VERSIONS, LabError
from support.daemon_process import DaemonProcess, WithoutPulls
from support.large_image import LARGE_POLICY, LARGE_PRESSURE, MIB, REGISTRY, LargeImageNode, large_image_node
from support.usage_watch import UsageWatch

RATE = 6 * MIB
"""At which the large image arrives, in bytes a second."""


def main() -> int:
    """Measure on each containerd."""
    for version in VERSIONS:
        with tempfile.TemporaryDirectory() as folder, large_image_node(version) as node:
            for kind, title in ((WithoutPulls, "pulls not counted"), (DaemonProcess, "pulls counted")):
                daemon = kind(
                    Path(folder, kind.__name__),
                    node.lab.endpoint,
                    mode="pressure",
                    policy=LARGE_POLICY,
                    pressure=LARGE_PRESSURE,
                )
                node.refill()
                measure(daemon, node, title)
    return 0


def measure(daemon: DaemonProcess, node: LargeImageNode, title: str) -> None:
    """Pull the large image while a daemon watches the disk, and print what happened."""
    lab, failure = node.lab, ""
    free = lab.usage().available_bytes
    with daemon, UsageWatch(lab, hertz=20) as watch:
        daemon.wait_for_event("runtime_up")
        with lab.throttled(RATE):
            try:
                lab.pull(node.large.reference(REGISTRY))
            except LabError as error:
                failure = str(error).partition("failed to ")[2][-120:] or str(error)[-120:]
    evicted = [line for line in daemon.events("eviction") if line["outcome"] == "evicted"]
    print(f"\n{title}, containerd {lab.version}: {free / MIB:.0f} MiB free, {node.needs_bytes / MIB:.0f} MiB needed")
    print(" ".join(f"{seconds:.0f}s:{percent:.0f}%" for seconds, percent in watch.by_second()))
    times = [datetime.fromisoformat(line["timestamp"]).timestamp() - watch.readings[0].at for line in evicted]
    span = f", from {times[0]:.1f} s to {times[-1]:.1f} s" if times else ""
    print(f"the pull {'failed: …' + failure if failure else 'succeeded'}; {len(evicted)} images evicted{span}")


if __name__ == "__main__":
    sys.exit(main())
