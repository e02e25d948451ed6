"""A container that lives two seconds is noticed on real containerds, and nothing else wakes who watches."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleaner.core.model import Container
from cleaner.runtime.client import CriRuntime
from lab import BuiltImage, ImageSpec, Lab, Layer
from lab.waiting import wait_until
from support.containerd_ctr import create_container
from support.lab_node import runtime_of

COMPANY = "registry.gitlab.com"
QUIET_SECONDS = 3.0
RECONNECT_SECONDS = 30.0


@pytest.fixture
def image(lab: Lab) -> BuiltImage:
    [image] = lab.push(ImageSpec("golem-ai/job", "v1", (Layer(20_000, 1),)))
    lab.pull(image.reference(COMPANY))
    return image


@pytest.fixture
def runtime(lab: Lab) -> Iterator[CriRuntime]:
    with runtime_of(lab) as runtime:
        runtime.watch_uses()
        wait_until(lambda: runtime._uses.connected, "containerd has read the subscription")
        yield runtime


def uses_of(image: BuiltImage, uses: tuple[Container, ...]) -> set[str]:
    """Containers that have the id of an image among their names."""
    return {container.id for container in uses if image.image_id in container.image_names}


def live_shortly(lab: Lab, reference: str) -> str:
    """A pod that is gone again, with its container; gives the container's id."""
    pod = lab.start_pod(reference)
    pod.stop()
    pod.remove()
    return pod.container_id


@pytest.mark.parametrize("named", ["by tag", "by id"])
def test_short_life(lab: Lab, image: BuiltImage, runtime: CriRuntime, named: str) -> None:
    """A container that is gone before anybody looks is told with its image, however it named that, and once."""
    runtime.disconnect()
    container_id = live_shortly(lab, image.reference(COMPANY) if named == "by tag" else image.image_id)
    assert container_id not in {container.id for container in runtime.list_containers()}
    assert uses_of(image, runtime.take_uses()) == {container_id}
    assert runtime.take_uses() == ()


def test_container_past_cri(lab: Lab, image: BuiltImage, runtime: CriRuntime) -> None:
    """A container that CRI does not know is told as well, if it is of CRI's namespace."""
    create_container(lab, image.reference(COMPANY), "past-cri")
    lab.ctr("containers", "rm", "past-cri")
    assert uses_of(image, runtime.take_uses()) == {"past-cri"}


def test_restart(lab: Lab, image: BuiltImage, runtime: CriRuntime) -> None:
    """After containerd was restarted, or crashed, what is made is told again."""
    for end in (lab.stop, lab.kill):
        end()
        wait_until(lambda: not runtime._uses.connected, "the end is noticed")
        lab.start()
        wait_until(lambda: runtime._uses.connected, "containerd is watched again", RECONNECT_SECONDS)
        assert uses_of(image, runtime.take_uses()) == set()
        container_id = live_shortly(lab, image.reference(COMPANY))
        assert uses_of(image, runtime.take_uses()) == {container_id}


def test_nothing_else_wakes_it(lab: Lab, image: BuiltImage, runtime: CriRuntime) -> None:
    """In quiet seconds, and while probes run, images come and containers end, the thread does not wake once."""
    pod = lab.start_pod(image.reference(COMPANY))
    wait_until(lambda: pod.container_id in runtime._uses._made, "the pod's container is told")
    settled = wakings_of(runtime)
    threading.Event().wait(QUIET_SECONDS)
    assert wakings_of(runtime) == settled
    for number in range(5):
        lab.ctr("tasks", "exec", "--exec-id", f"probe-{number}", pod.container_id, "/bin/busybox", "true")
    lab.tag(image.reference(COMPANY), "quay.io/golem-ai/job:v1")
    lab.pull(image.reference(COMPANY))
    pod.stop()
    pod.remove()
    assert wakings_of(runtime) == settled
    assert uses_of(image, runtime.take_uses()) == {pod.container_id}


def wakings_of(runtime: CriRuntime) -> int:
    """How often the thread went to sleep, once it sleeps."""
    thread = runtime._uses._thread
    assert thread is not None
    status = Path(f"/proc/self/task/{thread.native_id}/status")

    def read() -> dict[str, str]:
        return dict(line.split(":\t", 1) for line in status.read_text("utf-8").splitlines())

    wait_until(lambda: read()["State"].startswith("S"), "the thread sleeps")
    return int(read()["voluntary_ctxt_switches"])


def test_stopping(runtime: CriRuntime) -> None:
    """The thread ends with the client, at once."""
    thread = runtime._uses._thread
    runtime.close()
    assert thread not in threading.enumerate()
