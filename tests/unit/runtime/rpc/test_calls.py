"""Calls: errors in core's terms, deadlines, retries, reports, and lists too large for one message."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules
from time import monotonic
from typing import Any

import grpc
import pytest

from cleaner.core.errors import ImageInUseError, RuntimeRejectedError, RuntimeUnavailableError, StopRequestedError
from cleaner.core.model import RuntimeVersion
from cleaner.runtime import pb
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.rpc import methods
from cleaner.runtime.rpc.channel import Channels
from cleaner.runtime.rpc.endpoint import Endpoint
from cleaner.runtime.rpc.failures import bounded_line, failure_of
from cleaner.runtime.rpc.methods import Socket, Span
from cleaner.runtime.rpc.retry import READ_ATTEMPTS
from lab.waiting import DEADLINE_SECONDS, wait_until
from support.crio_server import CrioServer, ServedContainer, ServedImage

Code = grpc.StatusCode
Connect = Callable[..., CriRuntime]

PATIENT = dict.fromkeys(Span, timedelta(seconds=DEADLINE_SECONDS))


class Failed(grpc.RpcError):
    """A failed call as gRPC raises it."""

    def __init__(self, code: grpc.StatusCode, details: str | None) -> None:
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._details


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_error_kinds(code: grpc.StatusCode) -> None:
    """A call without an answer is a runtime that is unavailable; any other failure is its no."""
    unanswered = code in {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED}
    failure = failure_of("ListImages", Failed(code, "why"))
    assert isinstance(failure, RuntimeUnavailableError if unanswered else RuntimeRejectedError)
    assert str(failure) == f"ListImages: {code.name}: why"


@pytest.mark.parametrize("details", ["image used by 1: image is in use by a container", "Image is in use"])
def test_in_use_text(details: str) -> None:
    """Only a rejected removal can mean that the image is in use, and only its words tell."""
    assert isinstance(failure_of("RemoveImage", Failed(Code.UNKNOWN, details)), ImageInUseError)
    assert not isinstance(failure_of("RemoveImage", Failed(Code.UNKNOWN, "disk error")), ImageInUseError)
    assert not isinstance(failure_of("ListImages", Failed(Code.UNKNOWN, details)), ImageInUseError)


def test_one_line() -> None:
    """Details become one line without control characters."""
    assert bounded_line(" a\n\tb\x1b[31m \u2028c ") == "a b [31m c"
    assert str(failure_of("Status", Failed(Code.INTERNAL, None))) == "Status: INTERNAL: no details"


def test_length_of_details() -> None:
    """Details of up to 300 characters are whole, longer ones are cut to that."""
    assert bounded_line("x" * 300) == "x" * 300
    assert bounded_line("x" * 301) == "x" * 299 + "…"


def test_method_table() -> None:
    """Every method that can be called is one of the API's, with the types that the API gives it."""
    names = (found.name for found in iter_modules(pb.__path__, f"{pb.__name__}."))
    files = [import_module(name).DESCRIPTOR for name in names if name.endswith("_pb2")]
    known = {
        f"/{service.full_name}/{call.name}": (call.input_type.full_name, call.output_type.full_name)
        for file in files
        for service in file.services_by_name.values()
        for call in service.methods
    }
    table = [value for value in vars(methods).values() if isinstance(value, methods.Method)]
    assert {row.path: (row.request.DESCRIPTOR.full_name, row.answer.DESCRIPTOR.full_name) for row in table} == known
    assert len({row.name for row in table}) == len(known)


def test_version(crio: CrioServer, connect: Connect) -> None:
    """A runtime tells its name and version."""
    assert connect(crio).read_version() == RuntimeVersion("cri-o", "1.36.0")


def test_version_is_not_retried(crio: CrioServer, connect: Connect, stop: Any) -> None:
    """The sign of life is asked for once, so that an unavailable runtime is known at once."""
    crio.fail("Version", Code.UNAVAILABLE)
    with pytest.raises(RuntimeUnavailableError, match="Version: UNAVAILABLE: broken"):
        connect(crio).read_version()
    assert crio.count("Version") == 1
    assert stop.waits == []


def test_no_server(crio: CrioServer, connect: Connect) -> None:
    """A socket that is not there is a runtime that is unavailable, and one that is there again is used again."""
    runtime = connect(crio)
    crio.stop()
    with pytest.raises(RuntimeUnavailableError):
        runtime.read_version()
    crio.start()
    assert _eventually(runtime.read_version) == RuntimeVersion("cri-o", "1.36.0")


def _eventually(read: Callable[[], RuntimeVersion]) -> RuntimeVersion:
    """The first answer, of a channel that tries the runtime once in a while."""
    answers: list[RuntimeVersion] = []

    def answered() -> bool:
        with suppress(RuntimeUnavailableError):
            answers.append(read())
        return bool(answers)

    wait_until(answered, "the runtime is found again")
    return answers[0]


def test_short_outage(crio: CrioServer, connect: Connect, stop: Any) -> None:
    """A read without a server for a moment is made again, after growing pauses."""
    crio.fail("ListContainers", Code.UNAVAILABLE, times=3)
    assert connect(crio).list_containers() == ()
    assert stop.waits == pytest.approx([0.1, 0.2, 0.4])


def test_starting_runtime(containerd: CrioServer, connect: Connect) -> None:
    """A containerd that has not read its state yet rejects calls in words only, and is asked again."""
    containerd.fail("ListImages", Code.UNKNOWN, "server is not initialized yet", times=2)
    assert connect(containerd).list_images() == ()
    assert containerd.count("ListImages") == 3


def test_long_outage(crio: CrioServer, connect: Connect, stop: Any) -> None:
    """A read without a server is given up after about ten seconds."""
    crio.fail("ListImages", Code.UNAVAILABLE)
    with pytest.raises(RuntimeUnavailableError, match="ListImages: UNAVAILABLE"):
        connect(crio).list_images()
    assert crio.count("ListImages") == READ_ATTEMPTS
    assert sum(stop.waits) == pytest.approx(9.1)


def test_stop_before_a_pause(crio: CrioServer, connect: Connect, stop: Any) -> None:
    """Once a stop is requested a read is not asked again."""
    crio.fail("ListImages", Code.UNAVAILABLE)
    stop.requested_at_wait = 0
    with pytest.raises(RuntimeUnavailableError, match="ListImages: UNAVAILABLE"):
        connect(crio).list_images()
    assert (crio.count("ListImages"), stop.waits) == (1, [])


def test_stop_during_a_pause(crio: CrioServer, connect: Connect, stop: Any) -> None:
    """A stop request in a pause ends the read at once, without another call."""
    crio.fail("ListImages", Code.UNAVAILABLE)
    stop.requested_at_wait = 2
    with pytest.raises(StopRequestedError, match="a stop was requested"):
        connect(crio).list_images()
    assert crio.count("ListImages") == 2


@pytest.mark.parametrize("code", [Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.CANCELLED])
def test_other_failures_are_not_retried(crio: CrioServer, connect: Connect, code: grpc.StatusCode) -> None:
    """Asking again helps if there was no server; after any other failure it does not."""
    crio.fail("ImageFsInfo", code)
    with pytest.raises((RuntimeUnavailableError, RuntimeRejectedError), match=code.name):
        connect(crio).read_filesystems()
    assert crio.count("ImageFsInfo") == 1


def test_deadline(crio: CrioServer, connect: Connect) -> None:
    """A call that hangs ends at its deadline."""
    crio.hang("Version")
    with pytest.raises(RuntimeUnavailableError, match="Version: DEADLINE_EXCEEDED"):
        connect(crio, hasty=True).read_version()


def test_deadlines() -> None:
    """Reads have short deadlines; a removal, which collects garbage, has a long one."""
    assert dict(methods.DEADLINES) == {
        methods.Span.STATUS: timedelta(seconds=5),
        methods.Span.LISTING: timedelta(seconds=10),
        methods.Span.REMOVAL: timedelta(seconds=120),
    }
    assert methods.REMOVE_IMAGE.span is methods.Span.REMOVAL
    assert signature(CriRuntime).parameters["deadlines"].default is methods.DEADLINES


def test_reports(crio: CrioServer, connect: Connect, observed: Any) -> None:
    """Every call is reported with its duration, each attempt for itself."""
    crio.fail("ImageFsInfo", Code.UNAVAILABLE, times=1)
    runtime = connect(crio)
    began = monotonic()
    runtime.read_version()
    runtime.read_filesystems()
    took = monotonic() - began
    calls = observed.calls
    assert [(method, ok) for method, _, ok in calls] == [
        ("Version", True),
        ("ImageFsInfo", False),
        ("ImageFsInfo", True),
        ("Introspection.Plugins", True),
    ]
    assert all(seconds > 0 for _, seconds, _ in calls)
    assert sum(seconds for _, seconds, _ in calls) <= took


def test_reports_of_answers(crio: CrioServer, connect: Connect, observed: Any) -> None:
    """An image that is removed or in use is no failure of a call."""
    crio.images["a"] = ServedImage("a")
    crio.containers["c"] = ServedContainer("c", image_id="a")
    crio.gone.add("c")
    runtime = connect(crio)
    runtime.list_containers()
    with pytest.raises(ImageInUseError):
        runtime.remove_image("a")
    assert all(ok for _, _, ok in observed.calls)


def test_unset_report(crio: CrioServer, stop: Any) -> None:
    """A client works without a counter of its calls."""
    with CriRuntime(Endpoint(str(crio.socket)), stop, deadlines=PATIENT) as runtime:
        assert runtime.read_version().name == "cri-o"


def test_streamed_images(crio: CrioServer, connect: Connect) -> None:
    """A list of images that does not fit into one message is read as a stream; the next begins with one message."""
    crio.images = {name: ServedImage(name) for name in "abcde"}
    crio.streams = True
    crio.fail("ListImages", Code.RESOURCE_EXHAUSTED, "trying to send message larger than max", times=1)
    runtime = connect(crio)
    assert [image.id for image in runtime.list_images()] == list("abcde")
    assert [image.id for image in runtime.list_images()] == list("abcde")
    assert (crio.count("StreamImages"), crio.count("ListImages")) == (1, 2)


def test_streamed_containers(crio: CrioServer, connect: Connect) -> None:
    """A list of containers that does not fit into one message is read as a stream, and again if that fails."""
    crio.containers = {name: ServedContainer(name) for name in "abc"}
    crio.streams = True
    crio.fail("ListContainers", Code.RESOURCE_EXHAUSTED)
    crio.fail("StreamContainers", Code.UNAVAILABLE, times=1)
    assert [container.id for container in connect(crio).list_containers()] == list("abc")


def test_missing_stream(crio: CrioServer, connect: Connect) -> None:
    """A list that does not fit into one message, of a runtime without streams, is an error that says so."""
    crio.fail("ListImages", Code.RESOURCE_EXHAUSTED, "larger than max")
    with pytest.raises(RuntimeRejectedError) as caught:
        connect(crio).list_images()
    assert str(caught.value) == (
        "ListImages: the list exceeds the limit of one message, and this runtime has no StreamImages"
        " (ListImages: RESOURCE_EXHAUSTED: larger than max)"
    )


def test_broken_stream(crio: CrioServer, connect: Connect) -> None:
    """A stream that breaks is an error, never half a list."""
    crio.streams = True
    crio.fail("ListImages", Code.RESOURCE_EXHAUSTED)
    crio.fail("StreamImages", Code.INTERNAL)
    with pytest.raises(RuntimeRejectedError, match="StreamImages: INTERNAL"):
        connect(crio).list_images()


def test_large_list(crio: CrioServer, connect: Connect) -> None:
    """A list of more than gRPC's default of 4 MiB is received."""
    tags = tuple(f"registry.example/{'x' * 1000}:{number}" for number in range(5000))
    crio.images = {"a": ServedImage("a", tags=tags)}
    assert len(connect(crio).list_images()[0].tags) == 5000


def test_two_sockets(crio: CrioServer, containerd: CrioServer, stop: Any) -> None:
    """Images come from their own endpoint where there is one, all other answers from the runtime's."""
    containerd.images["i"] = ServedImage("i")
    crio.containers["c"] = ServedContainer("c")
    images = Endpoint(str(containerd.socket))
    with CriRuntime(Endpoint(str(crio.socket)), stop, image_endpoint=images, deadlines=PATIENT) as runtime:
        assert [image.id for image in runtime.list_images()] == ["i"]
        assert [container.id for container in runtime.list_containers()] == ["c"]
        assert runtime.read_version().name == "cri-o"
    assert not [call for call in crio.calls if "Image" in call.method]


def test_disconnected(crio: CrioServer, connect: Connect) -> None:
    """After disconnecting, also twice, calls of every kind work, and nothing fixed is read again."""
    crio.images["i"] = ServedImage("i")
    runtime = connect(crio)
    before = runtime.list_images()
    runtime.disconnect()
    runtime.disconnect()
    assert runtime.read_version().name == "cri-o"
    runtime.disconnect()
    assert runtime.list_images() == before
    assert crio.count("ImageStatus") == 1


def test_channels(crio: CrioServer) -> None:
    """One channel for one socket while it is open, a new one after, and the old one is closed."""
    endpoint = Endpoint(str(crio.socket))
    channels = Channels(dict.fromkeys(Socket, endpoint))
    first = channels.channel_for(Socket.RUNTIME)
    assert channels.channel_for(Socket.IMAGES) is first
    channels.disconnect()
    with pytest.raises(ValueError, match="closed channel"):
        first.unary_unary("/runtime.v1.RuntimeService/Version", bytes, bytes)(b"")
    assert channels.channel_for(Socket.RUNTIME) is not first
    channels.disconnect()


def test_rejected_list(crio: CrioServer, connect: Connect) -> None:
    """A list that is rejected for another reason is an error, and no stream is tried."""
    crio.streams = True
    crio.fail("ListImages", Code.INTERNAL)
    with pytest.raises(RuntimeRejectedError, match="ListImages: INTERNAL"):
        connect(crio).list_images()
    assert crio.count("StreamImages") == 0
