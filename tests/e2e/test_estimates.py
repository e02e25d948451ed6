"""What a removal frees is estimated from containerd's reference graph, and then measured on the disk itself.

`pytest -rP` prints every removal with both figures.
"""

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from cleaner.core.image_users import ids_in_use, image_users
from cleaner.core.model import Image
from cleaner.core.reclaim import Layers, Size, marginal, reclaimable
from cleaner.node.disk import MountedDisk
from cleaner.runtime.client import CriRuntime
from lab import ImageSpec, Lab, Layer
from lab.images import BuiltImage
from support.containerd_ctr import create_container, lease, name_again, share
from support.lab_node import disk_of, runtime_of

REGISTRY = "registry.gitlab.com"
KIB = 1024
CHAIN = tuple(Layer(KIB * (200 + 90 * number), 1000 + number) for number in range(7))
COMMON = Layer(1500 * KIB, 2000)
SINGLE_TOLERANCE = 0.01
SINGLE_TOLERANCE_BYTES = 64 * KIB
SUM_TOLERANCE = 0.005


@dataclass(frozen=True)
class Row:
    """One removal."""

    name: str
    size_bytes: int
    """As CRI says."""
    planned: Size
    """Estimated before the first removal, given those before it."""
    estimated: Size
    """Estimated right before it."""
    measured: Size


COLUMNS: tuple[Callable[[Row], Size], ...] = (
    lambda row: row.planned,
    lambda row: row.estimated,
    lambda row: row.measured,
)


def specs() -> Iterator[ImageSpec]:
    """Images that share a base, a layer, a chain or nothing."""
    for number in range(10):
        layers = (Layer(KIB * (100 + 333 * number), number), *([COMMON] if number % 2 else []))
        yield ImageSpec(f"golem-ai/shared{number}", layers=layers)
    for length in range(1, len(CHAIN) + 1):
        yield ImageSpec("golem-ai/chain", f"v{length}", CHAIN[:length], base=False)
    for number in range(5):
        layer = Layer(KIB * (700 + 500 * number), 3000 + number, compressible=True)
        yield ImageSpec(f"golem-ai/text{number}", layers=(layer, Layer(77_777, 3100 + number)))
    for number in range(3):
        yield ImageSpec(f"golem-ai/files{number}", layers=(Layer(900 * KIB, 4000 + number, files=50 + 150 * number),))
    names = ("tiny", "names", "odd", "leased", "flat", "namespace", "running", "exited", "created", "unlisted")
    for number, name in enumerate(names):
        layers = (Layer(KIB * 400 * number or 1, 5000 + number), COMMON)
        yield ImageSpec(f"golem-ai/{name}", layers=layers)


def complicate(lab: Lab, built: dict[str, BuiltImage]) -> None:
    """Give some images more names, users and holders."""
    reference = {name: image.reference(REGISTRY) for name, image in built.items()}
    lab.pull(built["names:v1"].reference("quay.io"))
    lab.tag(reference["names:v1"], "docker.io/golem-ai/names:too")
    name_again(lab, reference["odd:v1"], "Import Of Today")
    lease(lab, "held", {built["leased:v1"].manifest_digest: "content"})
    lease(lab, "flat", {built["flat:v1"].manifest_digest: "content"}, flat=True)
    share(lab, reference["namespace:v1"], "other")
    lab.start_pod(reference["running:v1"])
    lab.start_pod(reference["exited:v1"]).stop()
    lab.start_pod(reference["created:v1"], run=False)
    create_container(lab, reference["unlisted:v1"], "unlisted")


@pytest.fixture(scope="module")
def built(lab: Lab) -> dict[str, BuiltImage]:
    """All images on the node, by name and tag."""
    images = lab.push(*specs())
    lab.pull_all(image.reference(REGISTRY) for image in images)
    named = {f"{image.spec.repository.rpartition('/')[2]}:{image.spec.tag}": image for image in images}
    complicate(lab, named)
    return named


def test_unlisted_container(lab: Lab, built: dict[str, BuiltImage]) -> None:
    """An image is in use by a container that CRI does not list, and by none other that it does not use."""
    with runtime_of(lab) as runtime:
        in_use = ids_in_use(runtime.list_images(), image_users(runtime.list_containers(), ()))
    users = ("running", "exited", "created", "unlisted")
    assert in_use == {built[f"{name}:v1"].image_id for name in users}


def test_removals(lab: Lab, built: dict[str, BuiltImage]) -> None:
    """Each removal frees what was estimated, and so does the whole sweep."""
    order = sorted(built)
    random.Random(20).shuffle(order)  # noqa: S311 - an order, not a secret
    with runtime_of(lab) as runtime:
        rows = list(sweep(runtime, disk_of(lab), {name: built[name].image_id for name in order}))
    print_table(lab.version, rows)
    assert len(rows) >= 30
    for row in rows:
        allowed = max(SINGLE_TOLERANCE * row.measured.bytes, SINGLE_TOLERANCE_BYTES)
        assert abs(row.estimated.bytes - row.measured.bytes) <= allowed, row
        assert row.planned == row.estimated
    _, estimated, measured = (total(rows, column) for column in COLUMNS)
    assert estimated.bytes == pytest.approx(measured.bytes, rel=SUM_TOLERANCE)
    assert estimated.inodes == pytest.approx(measured.inodes, rel=SUM_TOLERANCE)


def sweep(runtime: CriRuntime, disk: MountedDisk, image_ids: dict[str, str]) -> Iterator[Row]:
    """Remove images one by one, each estimated anew."""
    images, layers = inspect(runtime)
    sizes = {image.id: image.size_bytes for image in images}
    planned = marginal(layers, list(image_ids.values()))
    for name, image_id in image_ids.items():
        estimated = reclaimable(inspect(runtime)[1], [image_id])
        before = disk.read_settled_usage()
        runtime.remove_image(image_id)
        assert runtime.read_image(image_id) is None
        after = disk.read_settled_usage()
        measured = Size(
            after.available_bytes - before.available_bytes, after.inodes_available - before.inodes_available
        )
        yield Row(name, sizes[image_id], planned[image_id], estimated, measured)


def inspect(runtime: CriRuntime) -> tuple[tuple[Image, ...], Layers]:
    """The images and the layers, now."""
    images = runtime.list_images()
    layers = runtime.read_layers(images)
    assert layers is not None, runtime.layers_error
    assert layers.complete
    return images, layers


def total(rows: list[Row], column: Callable[[Row], Size]) -> Size:
    return sum(map(column, rows), start=Size(0, 0))


def print_table(version: str, rows: list[Row]) -> None:
    """The rows, with what a naive sum of the runtime's own sizes would have said; `pytest -rP` shows it."""
    lines = [f"containerd {version:12} {'CRI size':>10} {'estimated':>10} {'measured':>10} {'off':>6}  inodes"]
    every = Row("sum", sum(row.size_bytes for row in rows), *(total(rows, column) for column in COLUMNS))
    for row in [*rows, every]:
        off = row.estimated.bytes - row.measured.bytes
        figures = f"{row.size_bytes:10} {row.estimated.bytes:10} {row.measured.bytes:10} {off:6}"
        lines.append(f"{row.name:23} {figures}  {row.estimated.inodes}/{row.measured.inodes}")
    sys.stdout.writelines(f"{line}\n" for line in lines)
