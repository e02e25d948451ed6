"""Each fault that can be ordered happens to the calls that it was ordered for, and to no other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic

import grpc
import pytest

from cleaner.core.errors import RuntimeRejectedError, RuntimeUnavailableError
from cleaner.node.clock import NeverStop
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.pb import containerd_images_pb2 as records_pb
from cleaner.runtime.pb import containerd_images_pb2_grpc as records_grpc
from cleaner.runtime.pb import cri_pb2 as pb
from cleaner.runtime.pb import cri_pb2_grpc as cri_grpc
from cleaner.runtime.rpc.endpoint import Endpoint
from cleaner.runtime.rpc.methods import Span
from contract import Build
from lab.waiting import DEADLINE_SECONDS
from support.faulty_runtime import FaultyBench, Kind, Point

Code = grpc.StatusCode
APP = Build("shop/app")


@pytest.fixture
def image_id(bench: FaultyBench) -> str:
    bench.publish(APP)
    return bench.pull(APP.reference())


@contextmanager
def images_of(bench: FaultyBench) -> Iterator[cri_grpc.ImageServiceStub]:
    """Calls without the product's client."""
    with grpc.insecure_channel(f"unix:{bench.server.socket}") as channel:
        yield cri_grpc.ImageServiceStub(channel)  # type: ignore[no-untyped-call]


def status_of(images: cri_grpc.ImageServiceStub, name: str) -> pb.Image:
    request = pb.ImageStatusRequest(image=pb.ImageSpec(image=name))
    answer: pb.ImageStatusResponse = images.ImageStatus(request, timeout=DEADLINE_SECONDS)
    return answer.image


def test_fails_for_one_subject_and_so_many_times(bench: FaultyBench, image_id: str) -> None:
    """A failure is ordered for one image, and for the first two calls."""
    bench.server.faults.when("ImageStatus", subject=image_id, times=2).fail(Code.INTERNAL, "disk on fire")
    with images_of(bench) as images:
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as caught:
                status_of(images, image_id)
            assert (caught.value.code(), caught.value.details()) == (Code.INTERNAL, "disk on fire")
            assert status_of(images, bench.pause_reference).id
        assert status_of(images, image_id).id == image_id


def test_fails_for_some_subjects(bench: FaultyBench, image_id: str) -> None:
    """Which calls fail can be a question that is asked of each subject."""
    bench.server.faults.when("ImageStatus", subject=lambda name: name.startswith("sha256:")).fail(Code.INTERNAL)
    with images_of(bench) as images:
        with pytest.raises(grpc.RpcError):
            status_of(images, image_id)
        assert status_of(images, APP.reference()).id == image_id


def test_fails_from_the_nth_call_on(bench: FaultyBench, image_id: str) -> None:
    """The calls before are answered."""
    bench.server.faults.when("ImageStatus", after=2, times=1).fail(Code.INTERNAL)
    with images_of(bench) as images:
        assert [status_of(images, image_id).id for _ in range(2)] == [image_id] * 2
        with pytest.raises(grpc.RpcError):
            status_of(images, image_id)
        assert status_of(images, image_id).id == image_id


def test_fails_after_it_did_it(bench: FaultyBench, image_id: str) -> None:
    """A removal can be done and answered with an error, or not done and answered with success."""
    bench.server.faults.when("RemoveImage", times=1).answer(pb.RemoveImageResponse())
    bench.runtime.remove_image(image_id)
    assert bench.runtime.read_image(image_id) is not None
    bench.server.faults.when("RemoveImage").fail(Code.RESOURCE_EXHAUSTED, at=Point.READ)
    with pytest.raises(RuntimeRejectedError, match="RESOURCE_EXHAUSTED"):
        bench.runtime.remove_image(image_id)
    assert bench.runtime.read_image(image_id) is None


def test_list_over_the_limit_of_a_message(bench: FaultyBench) -> None:
    """A list of records is refused as one that is too large, as often as it is asked for."""
    bench.server.faults.when("Images.List").fail(Code.RESOURCE_EXHAUSTED, "message larger than max")
    with grpc.insecure_channel(f"unix:{bench.server.socket}") as channel:
        records = records_grpc.ImagesStub(channel)  # type: ignore[no-untyped-call]
        for _ in range(2):
            with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
                records.List(records_pb.ListImagesRequest())


def test_answers_about_another(bench: FaultyBench, image_id: str) -> None:
    """The answer has the id of another image."""
    (pause,) = [image for image in bench.runtime.list_images() if bench.pause_reference in image.tags]
    bench.server.faults.when("ImageStatus", subject=image_id).ask_about(pause.id)
    with images_of(bench) as images:
        assert status_of(images, image_id).id == pause.id


def test_not_found_for_what_was_just_listed(bench: FaultyBench, image_id: str) -> None:
    """A container and a sandbox stay listed, and their status is not found."""
    container_id = bench.start(image_id)
    (sandbox_id,) = bench.server.node.sandboxes
    bench.server.faults.when("ContainerStatus", subject=container_id).fail(Code.NOT_FOUND)
    bench.server.faults.when("PodSandboxStatus", subject=sandbox_id).fail(Code.NOT_FOUND)
    with grpc.insecure_channel(f"unix:{bench.server.socket}") as channel:
        cri = cri_grpc.RuntimeServiceStub(channel)  # type: ignore[no-untyped-call]
        assert [one.id for one in cri.ListContainers(pb.ListContainersRequest()).containers] == [container_id]
        assert [one.id for one in cri.ListPodSandbox(pb.ListPodSandboxRequest()).items] == [sandbox_id]
        with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
            cri.ContainerStatus(pb.ContainerStatusRequest(container_id=container_id))
        with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
            cri.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id))


@pytest.mark.parametrize(("point", "listed"), [(Point.ARRIVED, True), (Point.READ, False), (Point.ANSWERED, False)])
def test_something_happens_at_a_point(bench: FaultyBench, image_id: str, point: Point, listed: bool) -> None:
    """What happens before a list is read is in its answer; what happens after that is not."""
    made: list[str] = []
    happened = threading.Event()

    def start() -> None:
        made.append(bench.start(image_id))
        happened.set()

    bench.server.faults.when("ListContainers", times=1).run(start, point)
    with grpc.insecure_channel(f"unix:{bench.server.socket}") as channel:
        cri = cri_grpc.RuntimeServiceStub(channel)  # type: ignore[no-untyped-call]
        answer = cri.ListContainers(pb.ListContainersRequest())
        assert happened.wait(DEADLINE_SECONDS)
        assert [one.id for one in answer.containers] == (made if listed else [])
        assert [one.id for one in cri.ListContainers(pb.ListContainersRequest()).containers] == made


def test_a_wait_after_reading_answers_with_the_state_before(bench: FaultyBench, image_id: str) -> None:
    """A slow answer takes its time, and is as old as that; lists that are streams too."""
    fault = bench.server.faults.when("Content.List", times=1).wait(0.05, Point.READ)
    fault.run(lambda: bench.runtime.remove_image(image_id), Point.READ)
    images = bench.runtime.list_images()
    began = monotonic()
    layers = bench.runtime.read_layers(images)
    assert monotonic() - began >= 0.05
    assert layers is not None
    assert f"blob:{image_id}" in layers.sizes
    assert bench.runtime.read_image(image_id) is None


def test_hangs_until_released(bench: FaultyBench, image_id: str) -> None:
    """A call hangs until the gate is released; others are answered meanwhile."""
    gate = bench.server.faults.when("RemoveImage").hang()
    caller = threading.Thread(target=bench.runtime.remove_image, args=(image_id,))
    caller.start()
    gate.wait_until_reached()
    with images_of(bench) as images:
        assert status_of(images, image_id).id == image_id
    gate.release()
    caller.join(DEADLINE_SECONDS)
    assert not caller.is_alive()
    assert bench.runtime.read_image(image_id) is None


def test_hangs_until_the_client_gives_up(bench: FaultyBench, image_id: str) -> None:
    """A call that its client cancels hangs no longer, and others still do."""
    ended = threading.Event()
    fault = bench.server.faults.when("ImageStatus", times=2)
    gate = fault.hang()
    fault.run(ended.set, Point.READ)
    request = pb.ImageStatusRequest(image=pb.ImageSpec(image=image_id))
    with images_of(bench) as images:
        given_up = images.ImageStatus.future(request)
        gate.wait_until_reached()
        waiting = images.ImageStatus.future(request)
        given_up.cancel()
        assert ended.wait(DEADLINE_SECONDS)
        assert not waiting.done()
        gate.release()
        assert waiting.result(DEADLINE_SECONDS).image.id == image_id


@pytest.mark.parametrize("point", [Point.ARRIVED, Point.READ])
def test_drops_the_connection(bench: FaultyBench, image_id: str, point: Point) -> None:
    """The connection ends before a removal or after it; the next call is served."""
    bench.server.faults.when("RemoveImage", times=1).drop_connection(point)
    with pytest.raises(RuntimeUnavailableError):
        bench.runtime.remove_image(image_id)
    assert (bench.runtime.read_image(image_id) is None) is (point is Point.READ)


def test_stop_ends_what_hangs(bench: FaultyBench, image_id: str) -> None:
    """A server that stops ends all waits, and keeps its state for the next start."""
    gate = bench.server.faults.when("ImageStatus", times=1).hang()
    deadlines = dict.fromkeys(Span, timedelta(seconds=DEADLINE_SECONDS))
    with CriRuntime(Endpoint(str(bench.server.socket)), NeverStop(), deadlines=deadlines) as other:
        asked = threading.Thread(target=lambda: other.read_image(image_id))
        asked.start()
        gate.wait_until_reached()
        bench.server.restart()
        asked.join(DEADLINE_SECONDS)
        assert not asked.is_alive()
    assert bench.runtime.read_image(image_id) is not None


def test_cleared_faults_do_nothing(bench: FaultyBench, image_id: str) -> None:
    """Orders can be withdrawn."""
    bench.server.faults.when("ImageStatus").fail(Code.INTERNAL)
    bench.server.faults.clear()
    assert bench.runtime.read_image(image_id) is not None


def test_the_journal_has_what_happened_in_order(bench: FaultyBench, image_id: str) -> None:
    """A removal is recorded as its call, the records with their events, the image, and the answer."""
    bench.runtime.remove_image(image_id)
    began = bench.server.journal.position(Kind.CALL, "RemoveImage", image_id)
    ended = bench.server.journal.position(Kind.ANSWER, "RemoveImage", image_id)
    found = [(entry.kind, entry.name, entry.subject) for entry in bench.server.journal.entries()[began : ended + 1]]
    digest = bench.server.node.registry.find(APP.reference()).digest
    names = [APP.reference(), f"registry.example.com/shop/app@{digest}", image_id]
    expected = [(Kind.CALL, "RemoveImage", image_id)]
    for name in names:
        expected += [(Kind.REMOVAL, "record", name), (Kind.EVENT, "/images/delete", name)]
    expected += [(Kind.REMOVAL, "blob", digest), (Kind.REMOVAL, "blob", image_id)]
    expected += [(Kind.REMOVAL, "image", image_id), (Kind.ANSWER, "RemoveImage", image_id)]
    assert found == expected
    assert bench.server.journal.calls("RemoveImage") == 1
