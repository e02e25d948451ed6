"""A gRPC proxy in front of a real runtime's socket, which delays or refuses calls as a test scripts it.

It knows no message: a request and its answers pass through as bytes. It must not change the order of anything that it
was not told to delay, and a stream such as the one of events passes through as it comes.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

_CALLS_AT_ONCE = 128
"""The agent has up to 64 under way; a delayed call and a stream hold a thread each."""
_MEBIBYTE = 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", 64 * _MEBIBYTE),
    ("grpc.max_send_message_length", 64 * _MEBIBYTE),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    # Go's gRPC server rejects an authority that is no host name, which a socket's path is not.
    ("grpc.default_authority", "localhost"),
    ("grpc.use_local_subchannel_pool", 1),
)
_NO_DEADLINE_SECONDS = 1e6
"""gRPC gives a call without a deadline more than that, and does not accept it for another call."""
_OWN_HEADERS = ("grpc-", "user-agent", "te", "content-type")
"""What each connection says for itself."""


@dataclass(frozen=True)
class ProxiedCall:
    """One call on its way: its method as metrics name it (`ListImages`, `Containers.List`), and its request's bytes."""

    method: str
    request: bytes

    def is_about(self, subject: str) -> bool:
        """Whether the request names this, be it an id, a reference or a key."""
        return subject.encode() in self.request


Delay = Callable[[ProxiedCall], float]
"""How many seconds to hold an answer that the runtime has given; 0: not at all."""


@dataclass
class _Refusal:
    method: str
    code: grpc.StatusCode
    details: str
    subjects: Sequence[str]
    """The call is refused if it is about one of these; none: whatever it is about."""
    count: int = 0

    def concerns(self, call: ProxiedCall) -> bool:
        return call.method == self.method and (not self.subjects or any(map(call.is_about, self.subjects)))


@dataclass
class SlowProxy:
    """Serves one socket with what another one answers; use it in a with-block, once."""

    socket: Path
    """Its own."""
    target: Path
    """The runtime's."""
    delay: Delay = lambda _call: 0.0
    """Asked once the runtime has answered completely."""
    before_call: Callable[[ProxiedCall], None] = lambda _call: None
    """Told of each call before the runtime is asked."""
    after_delay: Callable[[ProxiedCall], None] = lambda _call: None
    """Told of each call that has been delayed, just before its answer passes."""
    streams: frozenset[str] = frozenset({"Events.Subscribe"})
    """Methods whose answers pass as they come, and are never delayed."""
    mute: bool = False
    """Whether the answers of these are dropped, while their streams stay open."""
    _refusals: list[_Refusal] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Serve, in threads of this process."""
        self._channel = grpc.insecure_channel(f"unix:{self.target}", options=_OPTIONS)
        self._server = grpc.server(ThreadPoolExecutor(_CALLS_AT_ONCE), options=_OPTIONS)
        self._server.add_generic_rpc_handlers([_AnyMethod(self._forward)])
        self._server.add_insecure_port(f"unix:{self.socket}")
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; calls that are under way break."""
        self._over.set()
        self._server.stop(None).wait()
        self._channel.close()

    @property
    def endpoint(self) -> str:
        """The socket as gRPC and the agent write it."""
        return f"unix://{self.socket}"

    def refuse(self, method: str, code: grpc.StatusCode, details: str, *subjects: str) -> None:
        """Let calls of a method fail without asking the runtime: those about one of the subjects, or all."""
        self._refusals.append(_Refusal(method, code, details, subjects))

    def count_refused(self, method: str) -> int:
        """How often calls of a method were refused."""
        return sum(refusal.count for refusal in self._refusals if refusal.method == method)

    def stop_refusing(self) -> None:
        """Let all calls reach the runtime again."""
        self._refusals.clear()

    def _forward(self, path: str, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        call = ProxiedCall(_metric_name(path), request)
        self._refuse(call, context)
        self.before_call(call)
        answers = self._ask(path, request, context)
        if call.method in self.streams:
            yield from self._passed(answers, context)
            return
        whole, failure = _read_all(answers)
        self._hold(call)
        if failure is not None:
            context.abort(failure.code(), failure.details() or "")
        yield from whole

    def _refuse(self, call: ProxiedCall, context: grpc.ServicerContext) -> None:
        for refusal in self._refusals:
            if refusal.concerns(call):
                refusal.count += 1
                context.abort(refusal.code, refusal.details)

    def _ask(self, path: str, request: bytes, context: grpc.ServicerContext) -> Any:
        """The runtime's answers; whoever asked and gives up cancels the runtime's call too."""
        headers = context.invocation_metadata()
        metadata = tuple((key, value) for key, value in headers if not key.startswith(_OWN_HEADERS))
        seconds = context.time_remaining()
        timeout = seconds if seconds is not None and seconds < _NO_DEADLINE_SECONDS else None
        # To the wire, one answer and many are the same.
        ask = self._channel.unary_stream(path, request_serializer=bytes, response_deserializer=bytes)
        answers = ask(request, timeout=timeout, metadata=metadata)
        context.add_callback(answers.cancel)
        return answers

    def _passed(self, answers: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            for answer in answers:
                if not self.mute:
                    yield answer
        except grpc.RpcError as error:
            context.abort(error.code(), error.details() or "")

    def _hold(self, call: ProxiedCall) -> None:
        seconds = self.delay(call)
        if seconds > 0:
            self._over.wait(seconds)
            self.after_delay(call)


class _AnyMethod(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Handles every method with bytes; each request is one message, as it is in all calls of the agent."""

    def __init__(self, forward: Callable[[str, bytes, grpc.ServicerContext], Iterator[bytes]]) -> None:
        self._forward = forward

    def service(self, handler_call_details: Any) -> Any:
        path = handler_call_details.method
        return grpc.unary_stream_rpc_method_handler(lambda request, context: self._forward(path, request, context))


def _read_all(answers: Any) -> tuple[list[bytes], Any]:
    """All answers, and what failed after them."""
    whole: list[bytes] = []
    try:
        whole.extend(answers)
    except grpc.RpcError as error:
        return whole, error
    return whole, None


def _metric_name(path: str) -> str:
    service, method = path.strip("/").split("/")
    return f"{service.rsplit('.', 1)[-1]}.{method}" if service.startswith("containerd.") else method
