"""What every containerd is put through for its recording: pulls, pods, a tag that moves, and removals."""

import json
import re
from pathlib import Path
from typing import Any, Protocol

from contract import KIB, REGISTRY, Bench, Build
from support.recording.recorder import Recorder

FOLDER = Path(__file__).parents[2] / "recordings"
APP = Build("recorded/app", layers=(("recorded-app", 8 * KIB),))
MOVED = Build("recorded/app", layers=(("recorded-moved", 8 * KIB),))
DATA = Build("recorded/data", layers=(("recorded-data-1", 8 * KIB), ("recorded-data-2", 8 * KIB)))
BASE = "localhost/base:v1"
AGAIN = f"{REGISTRY}/recorded/again:v2"
SHORT = "short:v1"
"""CRI shows it under the default registry, and no record has that name."""


class RecordedBench(Bench, Protocol):
    """A bench whose events and lists can be read without the product's client."""

    @property
    def socket(self) -> Path: ...

    def collect_garbage(self) -> None:
        """Let the runtime free at once what nothing holds: an import leaves a blob that is."""
        ...

    def tag_as_is(self, source: str, name: str) -> None:
        """Give an image a record of a name that need not be a whole reference."""
        ...


def record(bench: RecordedBench) -> dict[str, Any]:
    """Play the scenario on a node where nothing else happens."""

    def put_marker(name: str) -> None:
        # No record of another image may have such a name: pods cannot start from it.
        bench.tag_as_is(BASE, name)

    bench.collect_garbage()
    with Recorder(bench.socket, put_marker) as recorder:
        for image in bench.runtime.list_images():
            name = "pause" if bench.pause_reference in image.tags else "base"
            recorder.aliases.add(image.id, f"{name} image")
        _pulls(bench, recorder)
        _pods(bench, recorder)
        _removals(bench, recorder)
    version = re.match(r"v?([\d.]+)", bench.runtime.read_version().version)
    assert version is not None
    return {"containerd": version[1], "steps": recorder.steps}


def _pull(bench: RecordedBench, recorder: Recorder, build: Build, name: str, *, by_digest: bool = False) -> str:
    digest = bench.publish(build)
    recorder.aliases.add(digest, f"{name} manifest")
    image_id = bench.pull(f"{REGISTRY}/{build.repository}@{digest}" if by_digest else build.reference())
    recorder.aliases.add(image_id, f"{name} image")
    return image_id


def _pulls(bench: RecordedBench, recorder: Recorder) -> None:
    with recorder.step("pull by tag"):
        _pull(bench, recorder, APP, "app")
    with recorder.step("pull by digest"):
        _pull(bench, recorder, DATA, "data", by_digest=True)
    with recorder.step("pull again by tag"):
        _pull(bench, recorder, APP, "app")
    with recorder.step("pull again by digest"):
        _pull(bench, recorder, DATA, "data", by_digest=True)


def _pods(bench: RecordedBench, recorder: Recorder) -> None:
    pods: list[str] = []
    with recorder.step("create a container in a pod"):
        pods.append(bench.create(APP.reference()))
    with recorder.step("create and start a container in a pod"):
        pods.append(bench.start(APP.reference()))
    with recorder.step("the container exits"):
        bench.exit(pods[1])
    for number in range(2):
        with recorder.step(f"remove pod {number + 1}"):
            bench.remove(pods[number])


def _removals(bench: RecordedBench, recorder: Recorder) -> None:
    moved: list[str] = []
    with recorder.step("the tag moves"):
        moved.append(_pull(bench, recorder, MOVED, "moved"))
    with recorder.step("a second tag"):
        bench.tag(MOVED.reference(), AGAIN)
    with recorder.step("RemoveImage of an image with two tags"):
        bench.runtime.remove_image(moved[0])
    _removal_in_use(bench, recorder)
    with recorder.step("pull what was removed"):
        _pull(bench, recorder, MOVED, "moved")
    with recorder.step("a record that CRI shows under another name"):
        bench.tag_as_is(MOVED.reference(), SHORT)
    with recorder.step("RemoveImage of that image"):
        bench.runtime.remove_image(moved[0])
    with recorder.step("start a pod by the tag that was removed"):
        bench.start(MOVED.reference())


def _removal_in_use(bench: RecordedBench, recorder: Recorder) -> None:
    pods: list[str] = []
    data = next(
        image for image in bench.runtime.list_images() if any(DATA.repository in name for name in image.digests)
    )
    with recorder.step("start a pod by digest"):
        pods.append(bench.start(data.digests[0]))
    with recorder.step("RemoveImage of an image in use"):
        bench.runtime.remove_image(data.id)
    with recorder.step("remove the pod of the image that was removed"):
        before = recorder.committed_snapshots()
        bench.remove(pods[0])
        # containerd collects garbage a moment later.
        bench.wait_until(lambda: recorder.committed_snapshots() == before - 2, "its layers are collected")


def path_of(version: str) -> Path:
    """The recording of one containerd."""
    return FOLDER / f"containerd-{version}.json"


def read(version: str) -> dict[str, Any]:
    """The recording of one containerd, as it is in the repository."""
    recording: dict[str, Any] = json.loads(path_of(version).read_text("utf-8"))
    return recording


def write(recording: dict[str, Any]) -> Path:
    """Store a recording in the repository; give its file."""
    path = path_of(recording["containerd"])
    path.write_text(json.dumps(recording, indent=1) + "\n", encoding="utf-8")
    return path
