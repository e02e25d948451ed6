"""The machine that the agent runs on: its disks, its clocks and signals, and the kubelet's files.

Start at `disk.py`. It must not choose an image.
"""

from cleaner.node.clock import NeverStop, SignalStop, SystemTimer, pause, read_boot
from cleaner.node.disk import open_disk
from cleaner.node.kubelet_files import KubeletFiles
from cleaner.node.malloc import TrimAfterInventory, hold_little_memory

__all__ = [
    "KubeletFiles",
    "NeverStop",
    "SignalStop",
    "SystemTimer",
    "TrimAfterInventory",
    "hold_little_memory",
    "open_disk",
    "pause",
    "read_boot",
]
