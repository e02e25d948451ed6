"""containerd's own API: image records, the reference graph, pulls in progress and container events.

Start at `graph.py` for what images share, `pulls.py` for pulls, `image_records.py` for what records tell of images.
It must not choose an image.
"""

from cleaner.runtime.containerd.container_events import ContainerEvents
from cleaner.runtime.containerd.container_images import ContainerImages
from cleaner.runtime.containerd.containers import as_far_as_named, read_own_containers
from cleaner.runtime.containerd.created_images import name_created
from cleaner.runtime.containerd.event_probe import probe_container_events
from cleaner.runtime.containerd.filesystems import read_filesystems
from cleaner.runtime.containerd.graph import GraphReader
from cleaner.runtime.containerd.image_records import ImageRecords
from cleaner.runtime.containerd.pulls import PullReader
from cleaner.runtime.containerd.snapshotters import Snapshotters

__all__ = [
    "ContainerEvents",
    "ContainerImages",
    "GraphReader",
    "ImageRecords",
    "PullReader",
    "Snapshotters",
    "as_far_as_named",
    "name_created",
    "probe_container_events",
    "read_filesystems",
    "read_own_containers",
]
