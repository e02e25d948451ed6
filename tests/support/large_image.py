"""A node below its high watermark, and an image too large for its free space."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab import ImageSpec, Lab, Layer
from lab.images import BuiltImage
from lab.waiting import wait_until

REGISTRY = "registry.gitlab.com"
MIB = 1 << 20
REPEATS = 5
"""A layer's snapshot is this many times its blob, so unpacking is a burst, too quick for any check."""
SMALL, SMALL_MIB = 72, 5
"""Number of images that may be evicted, and the snapshot size of each."""
HIGH, LOW = 99.8, 70.0
"""At the high watermark less than 2 MiB are left, and nothing is reserved for root: too late to evict."""
LARGE_PRESSURE = {"check_every": "2s", "grace": "0s", "horizon": "0s", "bytes": {"high": HIGH, "low": LOW}}
LARGE_POLICY = {"rules": [{"name": "all", "match": [f"{REGISTRY}/golem-ai/**"], "max_age": "30d"}]}
START_PERCENT = 70.0
_TEMPORARY_NAME = f"{REGISTRY}/golem-ai/any:v1"
NEEDS_OF_FREE = 1.5
_DATABASE_BYTES = 4 * MIB
"""containerd's own database may grow by this much."""


@dataclass(frozen=True)
class LargeImageNode:
    """The node, its images that may be evicted, and the large one, which is not pulled yet."""

    lab: Lab
    small: list[str]
    """References."""
    large: BuiltImage
    needs_bytes: int
    """Of the large one, as blob and snapshot."""
    bare_bytes: int
    """Free space while the node has only the small images and no ballast."""

    def refill(self) -> None:
        """Pull the evicted images again and restore the same free space, without leftovers of a failed pull."""
        self.lab.drop_ballast()
        self.lab.pull_all(self.small)
        # A failed pull leaves blobs and snapshots until containerd collects garbage. This removal makes it collect.
        self.lab.tag(self.small[0], _TEMPORARY_NAME)
        self.lab.remove_tag(_TEMPORARY_NAME)
        # containerd stops listing them before it has removed their files, so only the disk shows when they are removed.
        wait_until(
            lambda: self.lab.usage().available_bytes >= self.bare_bytes - _DATABASE_BYTES,
            "leftovers of the failed pull are gone",
        )
        self.lab.fill(START_PERCENT)


@contextmanager
def large_image_node(version: str) -> Iterator[LargeImageNode]:
    """A node with a containerd of this version."""
    with Lab(version=version, size_mib=800, reserved_percent=0) as lab:
        layers = [Layer(SMALL_MIB * MIB, seed, repeats=REPEATS) for seed in range(SMALL)]
        built = lab.push(*(ImageSpec("golem-ai/app", f"v{layer.seed}", (layer,)) for layer in layers))
        small = [image.reference(REGISTRY) for image in built]
        lab.pull_all(small)
        bare = lab.usage().available_bytes
        lab.fill(START_PERCENT)
        needs = round(NEEDS_OF_FREE * lab.usage().available_bytes)
        # One layer: its blob and then, all at once, its snapshot.
        size = round(needs * REPEATS / (REPEATS + 1))
        [large] = lab.push(ImageSpec("golem-ai/large", layers=(Layer(size, 1000, repeats=REPEATS),)))
        yield LargeImageNode(lab, small, large, needs, bare)
