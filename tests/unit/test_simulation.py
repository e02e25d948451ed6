"""The simulated node's layers: its disk measures what they estimate."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.pressure.pulls import Pull, total_bytes
from cleaner.core.reclaim import Size, reclaimable
from cleaner.simulation.node import Build, SimulatedNode
from support.fakes import FakeTimer
from support.nodes import MB

LAYERS = {f"layer{number}": 10**number for number in range(6)}
NUMBERS = st.integers(0, 4)
BUILDS = st.lists(st.frozensets(st.sampled_from(list(LAYERS))), min_size=5, max_size=5)


def reference(number: int) -> str:
    return f"registry.example.com/app{number}:v1"


def make_node(directory: Path, builds: list[frozenset[str]], used: set[int]) -> SimulatedNode:
    """A node with an image for each build, and a container for each number in `used`."""
    node = SimulatedNode(directory, 100 * MB, FakeTimer())
    for number, names in enumerate(builds):
        layers = tuple((name, LAYERS[name]) for name in sorted(names))
        node.pull(reference(number), Build(layers, note=str(number)))
    for number in used:
        node.start_container(reference(number))
    return node


@given(BUILDS, st.sets(NUMBERS, max_size=2), st.sets(NUMBERS, max_size=2), st.sets(NUMBERS))
def test_what_is_estimated_is_what_is_measured(
    builds: list[frozenset[str]], used: set[int], lost: set[int], gone: set[int]
) -> None:
    """However images share layers, and whatever containers use, a removal frees the estimated bytes and inodes."""
    with TemporaryDirectory() as directory:
        node = make_node(Path(directory), builds, used)
        ids = [Build(tuple((n, LAYERS[n]) for n in sorted(b)), note=str(i)).image_id for i, b in enumerate(builds)]
        for number in lost:
            node.remove_image(ids[number])
        removed = [ids[number] for number in gone]
        estimated = reclaimable(node.read_layers(node.list_images()), removed)
        before = node.read_usage()
        for image_id in removed:
            node.remove_image(image_id)
        after = node.read_usage()
    freed = Size(after.available_bytes - before.available_bytes, after.inodes_available - before.inodes_available)
    assert freed == estimated


def test_an_image_that_came_after_the_list_keeps_its_layers(tmp_path: Path) -> None:
    """What was pulled between the list and the reading of the layers is not freed."""
    node = make_node(tmp_path, [frozenset({"layer1"}), frozenset({"layer1", "layer2"})], set())
    first = [image for image in node.list_images() if reference(0) in image.tags]
    assert reclaimable(node.read_layers(tuple(first)), [first[0].id]) == Size(0, 0)


def test_a_removal_leaves_nothing(tmp_path: Path) -> None:
    """On the simulated node a removal takes all records whose names are in full."""
    node = make_node(tmp_path, [frozenset({"layer1"})], set())
    (image,) = node.list_images()
    node.remove_image(image.id)
    assert node.list_leftovers(image) == ()


def test_nobody_watches(tmp_path: Path) -> None:
    """On the simulated node no container is noticed but by its list."""
    node = make_node(tmp_path, [frozenset({"layer1"})], {0})
    assert node.drain_created_containers() == ()


def test_a_pull_is_in_progress_until_it_ends(tmp_path: Path) -> None:
    """A pull that was begun takes what is not there of its image, until it is pulled or aborted; shared layers once."""
    node = SimulatedNode(tmp_path, 100 * MB, FakeTimer())
    first, second = Build((("base", 40960), ("a", 8192))), Build((("base", 40960), ("b", 4096)))
    node.begin_pull(reference(1), first)
    node.begin_pull(reference(2), second)
    assert total_bytes(node.read_pulls()) == 40960 + 8192 + 4096
    node.pull(reference(1), first)
    assert node.read_pulls() == (Pull(second.manifest_digest, 4096, 0),)
    node.abort_pull(reference(2))
    assert node.read_pulls() == ()
