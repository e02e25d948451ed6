"""A container that lives two seconds is noticed on real containerds, and nothing else wakes the watching thread."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleaner.core.model import Container
from cleaner.runtime.client import CriRuntime
from lab import BuiltImage, ImageSpec, Lab, Layer
from lab.waiting import wait_until
from support.containerd_ctr import create_container
from support.daemon_process import wait_for
from support.lab_node import runtime_of

COMPANY = "registry.gitlab.com"
QUIET_SECONDS = 3.0
"""Nothing happens in them, however busy the machine is."""
CLOSE_SECONDS = 5.0
"""A client that is closed waits for its thread no longer."""


@pytest.fixture
def image(lab: Lab) -> BuiltImage:
    [image] = lab.push(ImageSpec("golem-ai/job", "v1", (Layer(20_000, 1),)))
    lab.pull(image.reference(COMPANY))
    return image


@pytest.fixture
def runtime(lab: Lab) -> Iterator[CriRuntime]:
    with runtime_of(lab) as runtime:
        runtime.watch_created_containers()
        wait_until(lambda: runtime._uses.connected, "containerd has read the subscription")
        yield runtime


def uses_of(image: BuiltImage, uses: tuple[Container, ...]) -> set[str]:
    """Containers that have the id of an image among their names."""
    return {container.id for container in uses if image.image_id in container.image_names}


def live_shortly(lab: Lab, reference: str) -> str:
    """A pod that is removed again, with its container; gives the container's id."""
    pod = lab.start_pod(reference)
    pod.stop()
    pod.remove()
    return pod.container_id


def wait_until_reported(runtime: CriRuntime, container_id: str) -> None:
    """Events come on their own way: a call that ended later than a container was made may be answered before."""
    wait_until(lambda: container_id in runtime._uses._made, f"the thread is told of {container_id}")


@pytest.mark.parametrize("named", ["by tag", "by id"])
def test_short_life(lab: Lab, image: BuiltImage, runtime: CriRuntime, named: str) -> None:
    """A container that is removed before an inspection is reported with its image, however it named that, and once."""
    runtime.disconnect()
    container_id = live_shortly(lab, image.reference(COMPANY) if named == "by tag" else image.image_id)
    wait_until_reported(runtime, container_id)
    assert container_id not in {container.id for container in runtime.list_containers()}
    assert uses_of(image, runtime.drain_created_containers()) == {container_id}
    assert runtime.drain_created_containers() == ()


def test_container_outside_cri(lab: Lab, image: BuiltImage, runtime: CriRuntime) -> None:
    """A container that CRI does not know is reported as well, if it is of CRI's namespace."""
    create_container(lab, image.reference(COMPANY), "past-cri")
    lab.ctr("containers", "rm", "past-cri")
    wait_until_reported(runtime, "past-cri")
    assert uses_of(image, runtime.drain_created_containers()) == {"past-cri"}


def test_restart(lab: Lab, image: BuiltImage, runtime: CriRuntime) -> None:
    """After containerd was restarted, or crashed, what is made is reported again."""
    for end in (lab.stop, lab.kill):
        end()
        wait_until(lambda: not runtime._uses.connected, "the end is noticed")
        lab.start()
        wait_until(lambda: runtime._uses.connected, "containerd is watched again")
        assert uses_of(image, runtime.drain_created_containers()) == set()
        container_id = live_shortly(lab, image.reference(COMPANY))
        wait_until_reported(runtime, container_id)
        assert uses_of(image, runtime.drain_created_containers()) == {container_id}


def test_nothing_else_wakes_it(lab: Lab, image: BuiltImage, runtime: CriRuntime) -> None:
    """In quiet seconds, and while probes run, images come and containers stop, the thread does not wake once."""
    pod = lab.start_pod(image.reference(COMPANY))
    wait_until_reported(runtime, pod.container_id)
    settled = wakings_of(runtime)
    threading.Event().wait(QUIET_SECONDS)
    assert wakings_of(runtime) == settled
    for number in range(5):
        lab.ctr("tasks", "exec", "--exec-id", f"probe-{number}", pod.container_id, "/bin/busybox", "true")
    lab.tag(image.reference(COMPANY), "quay.io/golem-ai/job:v1")
    lab.pull(image.reference(COMPANY))
    pod.stop()
    assert wakings_of(runtime) == settled
    pod.remove()
    assert uses_of(image, runtime.drain_created_containers()) == {pod.container_id}


def position_of(runtime: CriRuntime) -> int:
    """The position, once the stream can be relied on."""
    return wait_for(runtime.event_position, "the stream can be relied on")


def created_since(runtime: CriRuntime, position: int) -> tuple[Container, ...]:
    """What was created since; the stream was whole."""
    created = runtime.created_since(position)
    assert created is not None
    return created


def test_created_since(lab: Lab, image: BuiltImage, runtime: CriRuntime) -> None:
    """A container is reported since the position before it, with its image, whether or not it was drained."""
    before = position_of(runtime)
    assert created_since(runtime, before) == ()
    container_id = live_shortly(lab, image.reference(COMPANY))
    wait_until_reported(runtime, container_id)
    for _ in range(2):
        assert uses_of(image, created_since(runtime, before)) == {container_id}
        runtime.drain_created_containers()
    assert created_since(runtime, position_of(runtime)) == ()


def test_container_that_is_being_created(lab: Lab, image: BuiltImage, runtime: CriRuntime) -> None:
    """A snapshot that is prepared for a container names its image before there is a container, until it is removed."""
    before = position_of(runtime)
    pod = lab.start_pod(image.reference(COMPANY))
    wait_until_reported(runtime, pod.container_id)
    creations = runtime._uses.created_since(before)
    assert creations is not None
    parent = creations.parent_by_container[pod.container_id]
    pod.remove()
    after, key = position_of(runtime), "ab" * 32
    lab.ctr("snapshots", "prepare", key, parent.name)
    wait_until(lambda: key in runtime._uses._log._prepared, "the thread is told of the snapshot")
    [container] = created_since(runtime, after)
    assert container == Container(key, frozenset({image.image_id}))
    lab.ctr("snapshots", "rm", key)
    wait_until(lambda: not runtime._uses._log._prepared, "the thread is told of the end")
    assert created_since(runtime, after) == ()


def test_position_before_a_restart(lab: Lab, runtime: CriRuntime) -> None:
    """Since a position before a restart some may be missing."""
    before = position_of(runtime)
    lab.restart()
    wait_until(lambda: runtime.created_since(position_of(runtime)) == (), "containerd is watched again")
    assert runtime.created_since(before) is None


def wakings_of(runtime: CriRuntime) -> int:
    """How often the thread fell asleep, once it sleeps until containerd says something.

    A thread that waits for a lock, such as the interpreter's own, sleeps too, and is about to wake: so it has to be
    in a system call whose first argument is its connection. Before and after that the count must be the same: then it
    belongs to this sleep, and to none that began meanwhile.
    """
    thread, wire = runtime._uses._thread, runtime._uses._wire
    assert thread is not None
    assert wire is not None
    task, connection = Path(f"/proc/self/task/{thread.native_id}"), f"{wire.fileno():#x}"

    def asleep() -> int | None:
        before = switches_of(task)
        call = (task / "syscall").read_text("ascii").split()
        return before if connection in call[1:2] and switches_of(task) == before else None

    return wait_for(asleep, "the thread waits for containerd")


def switches_of(task: Path) -> int:
    """How often a thread gave up the processor by itself."""
    lines = (task / "status").read_text("utf-8").splitlines()
    return int(dict(line.split(":\t", 1) for line in lines)["voluntary_ctxt_switches"])


def test_stopping(runtime: CriRuntime) -> None:
    """The thread ends with the client, which waits for that, but not for ever, as the machine may be busy."""
    thread = runtime._uses._thread
    began = time.monotonic()
    runtime.close()
    waited_long_enough = time.monotonic() - began >= CLOSE_SECONDS
    assert waited_long_enough or thread not in threading.enumerate()
    wait_until(lambda: thread not in threading.enumerate(), "the thread ends")
