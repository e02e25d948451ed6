"""What pulls in progress will still write is projected while they run, and then measured on the disk itself.

`pytest -rP` prints every reading with both figures.
"""

import math
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from cleaner.core.pressure.pulls import DEFAULT_RATIO, Pull, total_bytes
from cleaner.core.read_state import AVAILABLE
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.containerd.pulls import PATIENCE
from cleaner.runtime.rpc.endpoint import parse_endpoint
from lab import ImageSpec, Lab, LabError, Layer, Throttle
from lab.images import BuiltImage
from lab.waiting import wait_until
from support.fakes import FakeTimer
from support.lab_node import runtime_of
from support.pull_readers import reader_of

REGISTRY = "registry.gitlab.com"
MIB = 1 << 20
REPEATS = 3
TOLERANCE = 0.05
"""Of what the pulled images use in the end."""
RATE = 8 * MIB
READ_SECONDS = 0.25
STOPS = 8
"""Where a pull is stopped and read."""
HALF_WAY = 12 * MIB
"""Of the bytes of a pull of four layers, which are 27 MiB: it cannot be over there."""


@dataclass(frozen=True)
class Reading:
    """One moment of a pull."""

    seconds: float
    used_bytes: int
    """Half-way between right before and right after it."""
    unsure_bytes: int
    """By which it may be off either way: on a slow machine much is unpacked meanwhile."""
    pulls: tuple[Pull, ...]
    by_default: tuple[Pull, ...]
    """The same with the default ratio."""
    took_seconds: float


@dataclass(frozen=True)
class Readers:
    """A runtime that knows the node's images, and one that does not."""

    own: CriRuntime
    default: CriRuntime


@pytest.fixture(scope="module")
def lab(lab_version: str, require_lab: None) -> Iterator[Lab]:
    with Lab(version=lab_version, size_mib=1200) as lab:
        yield lab


@pytest.fixture
def readers(lab: Lab) -> Iterator[Readers]:
    with runtime_of(lab) as own, runtime_of(lab) as default:
        if not lab.find_image(f"{REGISTRY}/golem-ai/known:v1"):
            lab.pull(publish(lab, "known", *layers(100, 3)).reference(REGISTRY))
        assert own.read_layers(own.list_images()) is not None
        yield Readers(own, default)


def layers(seed: int, count: int, mib: int = 20) -> tuple[Layer, ...]:
    """Layers that are about three times larger as snapshots than as blobs."""
    return tuple(Layer(mib * MIB, seed + number, repeats=REPEATS) for number in range(count))


def publish(lab: Lab, name: str, *own: Layer) -> BuiltImage:
    (image,) = lab.push(ImageSpec(f"golem-ai/{name}", layers=own))
    return image


def used(lab: Lab) -> int:
    usage = lab.usage()
    return usage.capacity_bytes - usage.available_bytes


@contextmanager
def pulling(lab: Lab, *references: str, until: float = math.inf) -> Iterator[tuple[Throttle, list["Future[str]"]]]:
    """Pulls that have begun and run until this many bytes; they end with the block, unless it cuts the road."""
    with lab.throttled(RATE) as road, ThreadPoolExecutor(len(references)) as pool:
        road.stop_at(until)
        yield road, [pool.submit(lab.pull, reference) for reference in references]
        road.stop_at(math.inf)


def stops_in(new_bytes: int, until: float = 1.0) -> list[float]:
    """Where pulls are stopped and read, in bytes through the road, of those that are not on the node yet."""
    return [new_bytes * until * number / (STOPS + 1) for number in range(1, STOPS + 1)]


def read_at(
    lab: Lab, readers: Readers, road: Throttle, stops: Sequence[float], pulls: Sequence["Future[str]"]
) -> list[Reading]:
    """A reading at each stop, where all the pulls count, however late it is; then more of them until they are over."""
    began = time.monotonic()
    readings: list[Reading] = []
    for stop in stops:
        road.stop_at(stop)
        road.wait_until_stopped()
        wait_until(lambda: unpacking(readers.own.read_pulls()) == len(pulls), f"{len(pulls)} pulls count")
        readings.append(read(lab, readers, began))
    road.stop_at(math.inf)
    while not all(pull.done() for pull in pulls):
        readings.append(read(lab, readers, began))
        time.sleep(READ_SECONDS)
    return readings


def read(lab: Lab, readers: Readers, began: float) -> Reading:
    """What is used and what is projected at one moment."""
    before, asked = used(lab), time.monotonic()
    pulls = readers.own.read_pulls()
    took = time.monotonic() - asked
    after = used(lab)
    assert readers.own.pulls_state == AVAILABLE
    between, unsure = (before + after) // 2, abs(after - before) // 2
    return Reading(asked - began, between, unsure, pulls, readers.default.read_pulls(), took)


def pull_and_read(lab: Lab, readers: Readers, stops: Sequence[float], *references: str) -> tuple[list[Reading], int]:
    """The readings, and what is used at the end."""
    with pulling(lab, *references, until=stops[0]) as (road, pulls):
        readings = read_at(lab, readers, road, stops, pulls)
        assert all(pull.result() for pull in pulls)
    assert readers.own.read_pulls() == ()
    return readings, used(lab)


def worst_of(title: str, readings: list[Reading], begun: int, end: int) -> tuple[float, float]:
    """The largest share by which a reading is off, by the own and by the default ratio, of what the images use."""
    taken = end - begun

    def off(read: Reading, pulls: tuple[Pull, ...]) -> float:
        return (read.used_bytes + total_bytes(pulls) - end) / taken

    lines = [f"{title}: {taken / MIB:.1f} MiB; at the end {end / MIB:.1f} MiB are used"]
    lines += [f"{'s':>6} {'used':>7} {'content':>8} {'snapshot':>8} {'project':>8} {'off':>7} {'default':>8} {'ms':>6}"]
    for read in readings:
        content = sum(pull.content_bytes for pull in read.pulls)
        projected = read.used_bytes + total_bytes(read.pulls)
        figures = (read.used_bytes, content, total_bytes(read.pulls) - content, projected)
        words = " ".join(f"{figure / MIB:8.1f}" for figure in figures)
        shares = f"{off(read, read.pulls):7.1%} {off(read, read.by_default):8.1%}"
        lines.append(f"{read.seconds:5.2f} {words} {shares} {1000 * read.took_seconds:6.1f}")
    sys.stdout.writelines(f"{line}\n" for line in lines)
    own = max(abs(off(read, read.pulls)) - read.unsure_bytes / taken for read in readings)
    default = max(abs(off(read, read.by_default)) for read in readings)
    sys.stdout.write(f"worst: {own:.1%} by the node's own ratio, {default:.1%} by the default of {DEFAULT_RATIO}\n")
    return own, default


def test_what_a_pull_will_write(lab: Lab, readers: Readers) -> None:
    """At every moment of a pull the projected usage is what is used when it is over."""
    image = publish(lab, "slow", *layers(0, 6))
    begun = used(lab)
    stops = stops_in(sum(layer.size_bytes for layer in image.layers[-6:]))
    readings, end = pull_and_read(lab, readers, stops, image.reference(REGISTRY))
    own, _ = worst_of(f"containerd {lab.version}, one pull", readings, begun, end)
    assert len(readings) >= STOPS
    assert {pull.digest for read in readings for pull in read.pulls} == {image.manifest_digest}
    assert own <= TOLERANCE


def test_two_pulls_that_share_a_base(lab: Lab, readers: Readers) -> None:
    """Of two images that are pulled at once what both have counts once, and what is there already not at all."""
    there = layers(800, 1)
    lab.pull(publish(lab, "there", *there).reference(REGISTRY))
    # containerd 2.1 downloads at most three blobs at a time, over all CRI pulls. The first image needs two of them, for
    # the base and its own layer. So the second image's config can be downloaded; without it that pull does not count.
    base = (*there, *layers(200, 1, mib=60))
    images = [publish(lab, f"shares{number}", *base, *layers(300 + number, 1)) for number in range(2)]
    begun = used(lab)
    new = {layer.digest: layer.size_bytes for image in images for layer in image.layers[-2:]}
    # The base is three fifths of what is new: as long as less came, neither can have its own layer unpacked.
    stops = stops_in(sum(new.values()), until=3 / 5)
    readings, end = pull_and_read(lab, readers, stops, *(image.reference(REGISTRY) for image in images))
    own, _ = worst_of(f"containerd {lab.version}, two pulls that share a base", readings, begun, end)
    assert len([read for read in readings if len(read.pulls) == len(images)]) >= STOPS
    assert own <= TOLERANCE


def test_a_pull_whose_registry_dies(lab: Lab, readers: Readers) -> None:
    """A pull that fails counts no more once the runtime gave it up."""
    image = publish(lab, "fails", *layers(400, 4))
    with pulling(lab, image.reference(REGISTRY), until=HALF_WAY) as (road, (pull,)):
        wait_until(lambda: total_bytes(readers.own.read_pulls()) > 0, "the pull counts")
        road.cut()
        with pytest.raises(LabError, match="PullImage"):
            pull.result()
    wait_until(lambda: readers.own.read_pulls() == (), "the pull counts no more")


def test_a_pull_whose_runtime_dies(lab: Lab) -> None:
    """A pull that a killed runtime left behind counts until the patience is over, though its lease stays."""
    image, timer = publish(lab, "orphan", *layers(500, 4)), FakeTimer()
    with reader_of(parse_endpoint(lab.endpoint), timer) as reader:
        with pulling(lab, image.reference(REGISTRY), until=HALF_WAY) as (road, (pull,)):
            wait_until(lambda: unpacking(reader.read()) == 1, "the pull counts")
            # Before the call is cut: a pull that is called off removes its lease.
            os.kill(lab.pid or 0, signal.SIGKILL)
            with pytest.raises(LabError):
                pull.result()
            road.cut()
        lab.kill()
        lab.start()
        (left,) = reader.read()
        assert left.digest == image.manifest_digest
        timer.move(seconds=(PATIENCE - timedelta(seconds=1)).total_seconds())
        assert reader.read() == (left,)
        timer.move(seconds=1)
        assert reader.read() == ()
    for lease in lab.ctr("leases", "ls", "-q").split():
        lab.ctr("leases", "rm", "--sync", lease)


def test_a_pull_that_is_stopped(lab: Lab) -> None:
    """A pull without progress for the patience counts no more, and again as soon as it continues."""
    image, timer = publish(lab, "stopped", *layers(600, 4)), FakeTimer()
    with (
        reader_of(parse_endpoint(lab.endpoint), timer, timedelta(minutes=1)) as reader,
        pulling(lab, image.reference(REGISTRY), until=HALF_WAY) as (road, (pull,)),
    ):
        wait_until(lambda: unpacking(reader.read()) == 1, "the pull counts")
        road.wait_until_stopped()

        def given_up() -> bool:
            """Whether nothing moved in the minute: what was fetched already may still be unpacked in it."""
            before = reader.read(), used(lab)
            timer.move(minutes=1)
            after = reader.read()
            assert after == () or (after, used(lab)) != before, "nothing moved in a minute, and the pull still counts"
            return after == ()

        wait_until(given_up, "the stopped pull counts no more")
        road.set_rate(math.inf)
        road.stop_at(math.inf)
        wait_until(lambda: bool(reader.read()) or pull.done(), "the pull continues")
        assert pull.result() == image.image_id
        assert reader.read() == ()


def test_a_pull_by_another_client(lab: Lab, readers: Readers) -> None:
    """What `ctr` pulls is projected as well: by the transfer service in 2.x, before that unpacked once all is there."""
    image = publish(lab, "transferred", *layers(700, 4))
    begun = used(lab)
    stops = stops_in(sum(layer.size_bytes for layer in image.layers[-4:]))
    with lab.throttled(RATE) as road, ThreadPoolExecutor(1) as pool:
        road.stop_at(stops[0])
        reference = f"{road.address}/{image.spec.repository}:{image.spec.tag}"
        pull = pool.submit(lab.ctr, "images", "pull", "--plain-http", reference)
        readings = read_at(lab, readers, road, stops, [pull])
        pull.result()
    own, _ = worst_of(f"containerd {lab.version}, a pull by ctr", readings, begun, used(lab))
    assert len(readings) >= STOPS
    assert own <= TOLERANCE


def unpacking(pulls: Sequence[Pull]) -> int:
    """How many of them have still to be unpacked."""
    return len([pull for pull in pulls if pull.snapshot_bytes])
