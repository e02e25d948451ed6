"""Making calls: deadlines, retries of reads, a report of each, and errors in `core`'s terms.

It must not know what a call is for, see `client.py` and `containerd`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import Any, ParamSpec, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from cleaner.core.errors import CleanerError, RuntimeRejectedError, RuntimeUnavailableError, StopRequestedError
from cleaner.core.ports import Stop
from cleaner.runtime.rpc.channel import Channels
from cleaner.runtime.rpc.cutoff import Cutoff
from cleaner.runtime.rpc.decoding import decode
from cleaner.runtime.rpc.failures import CallRejectedError, NotServingError, bounded_line, failure_of, is_an_answer
from cleaner.runtime.rpc.methods import Answer, Method, Request, Span
from cleaner.runtime.rpc.missing_service import missing_service
from cleaner.runtime.rpc.retry import retrying

_Part = TypeVar("_Part", bound=Message)
_Value = TypeVar("_Value")

_TOGETHER = 64
"""Calls under way at once: 1,500 of `Snapshots.Usage` take 0.33 s so, 0.55 s one by one; 250 only more memory."""

_CLOSE_SECONDS = 1.0
_MEBIBYTE = 1024 * 1024
_LARGEST_STREAM_BYTES = 256 * _MEBIBYTE
"""Of which little is kept: 10,000 images have about 50 MiB in the content store's list."""
_LARGEST_LIST_BYTES = 64 * _MEBIBYTE
"""Of a stream that is kept as a whole; one message may have half of it."""
_BYTES_PER_PART = 256
"""What a part of a stream costs beside its own bytes, about."""

ObserveCall = Callable[[str, float, bool], None]
"""Method name, seconds, and whether the runtime answered; must not raise."""


def observe_nothing(_method: str, _seconds: float, _answered: bool) -> None:  # noqa: FBT001 - ObserveCall's shape
    """Leave calls unreported."""


class Calls:
    """All calls to one runtime; used from one thread."""

    outages: int
    """How often nobody served a call: what a runtime is like is asked anew when this changed."""

    def __init__(
        self,
        channels: Channels,
        deadlines: Mapping[Span, timedelta],
        stop: Stop,
        observe_call: ObserveCall,
    ) -> None:
        self.outages = 0
        self._channels = channels
        self._deadlines = deadlines
        self._retrying = retrying(stop)
        self._cutoff = Cutoff(stop, channels.cut)
        self._observe_call = observe_call
        self._stubs: dict[str, Callable[..., Any]] = {}

    def ask(self, method: Method[Request, Answer], request: Request) -> Answer:
        """Call once."""
        with self._ended_in_time(method), self._reported(method):
            stub = self._stub(method)
            return self._decode(method, stub(request, timeout=self._seconds(method), metadata=method.metadata))

    def read(self, method: Method[Request, Answer], request: Request) -> Answer:
        """Call something that changes nothing; again, for a while, where nobody serves it."""
        answer: Answer = self._retrying(self.ask, method, request)
        return answer

    def read_many(self, method: Method[Request, Answer], requests: Sequence[Request]) -> list[Answer | None]:
        """Many reads of one kind, under way together; answers in the given order, None for what is not there."""
        batches = (requests[start : start + _TOGETHER] for start in range(0, len(requests), _TOGETHER))
        return [answer for batch in batches for answer in self._retrying(self._ask_together, method, batch)]

    def read_stream(
        self, method: Method[Request, Answer], request: Request, digest: Callable[[Iterator[Answer]], _Value]
    ) -> _Value:
        """What `digest` makes of a stream's parts as they arrive; it begins anew where the stream failed."""
        value: _Value = self._retrying(self._digest, method, request, digest, _LARGEST_STREAM_BYTES)
        return value

    def read_list(self, whole: Method[Any, Answer], parts: Method[Any, _Part]) -> list[Answer] | list[_Part]:
        """A list in one answer, or in the answers of a stream where one message cannot hold it.

        The next list begins with one message again: this one may have shrunk, and only new runtimes stream.
        """
        try:
            return [self.read(whole, whole.request())]
        except CallRejectedError as error:
            if not error.too_large:
                raise
            return self._read_parts(whole, parts, error)

    def _read_parts(
        self, whole: Method[Any, Any], parts: Method[Any, _Part], failure: CallRejectedError
    ) -> list[_Part]:
        try:
            answers: list[_Part] = self._retrying(self._digest, parts, parts.request(), list, _LARGEST_LIST_BYTES)
        except CallRejectedError as error:
            if not error.not_offered:
                raise
            message = f"{whole.name}: the list exceeds the limit of one message, and this runtime has no {parts.name}"
            raise RuntimeRejectedError(f"{message} ({failure})") from error
        return answers

    def disconnect(self) -> None:
        """End the connections until the next call, in bounded time."""
        self._stubs.clear()
        with self._cutoff.watch("disconnect", _CLOSE_SECONDS, stoppable=False):
            self._channels.disconnect()

    def close(self) -> None:
        """End the connections, and what watches over calls."""
        self._channels.cut()
        self.disconnect()
        self._cutoff.close()

    def _digest(
        self,
        method: Method[Request, Answer],
        request: Request,
        digest: Callable[[Iterator[Answer]], _Value],
        most_bytes: int,
    ) -> _Value:
        with self._ended_in_time(method), self._reported(method):
            stub = self._stub(method, stream=True)
            stream = stub(request, timeout=self._seconds(method), metadata=method.metadata)
            try:
                return digest(self._parts(method, stream, most_bytes))
            finally:
                stream.cancel()

    def _parts(self, method: Method[Any, Answer], stream: Iterator[bytes], most_bytes: int) -> Iterator[Answer]:
        """The parts of a stream, as many as this process can hold: a stream may be endless."""
        size = 0
        for part in stream:
            size += len(part) + _BYTES_PER_PART
            if size > most_bytes:
                raise RuntimeRejectedError(f"{method.name}: the list exceeds {most_bytes // _MEBIBYTE} MiB")
            yield self._decode(method, part)

    def _ask_together(self, method: Method[Request, Answer], requests: Sequence[Request]) -> list[Answer | None]:
        with self._ended_in_time(method):
            start, seconds = self._stub(method).future, self._seconds(method)  # type: ignore[attr-defined]
            futures = [start(request, timeout=seconds, metadata=method.metadata) for request in requests]
            try:
                return [self._result(method, future) for future in futures]
            finally:
                for future in futures:
                    future.cancel()

    def _result(self, method: Method[Any, Answer], future: "grpc.Future[bytes]") -> Answer | None:
        """What it waited for this one is reported, so that the reports of a batch add up to its time."""
        try:
            with self._reported(method):
                return self._decode(method, future.result())
        except CallRejectedError as error:
            if error.not_found:
                return None
            raise

    def _decode(self, method: Method[Any, Answer], data: bytes) -> Answer:
        """Decode here, and not within gRPC, which would log a traceback and call it an internal error."""
        try:
            return decode(method.answer, data)
        except DecodeError as error:
            where = self._channels.endpoint_of(method.socket)
            text = f"{method.name}: the answer of {where} cannot be decoded: {bounded_line(str(error))}"
            raise RuntimeRejectedError(text) from error

    @contextmanager
    def _ended_in_time(self, method: Method[Any, Any]) -> Iterator[None]:
        """End a call at its deadline whatever the peer does, and a read soon after a stop request.

        A connection on which an answer was late is given up: what else the peer does with it is not known.
        """
        in_time = True
        try:
            with self._cutoff.watch(method.name, self._seconds(method), stoppable=method.span is not Span.REMOVAL):
                try:
                    yield
                finally:
                    in_time = self._cutoff.failure is None
        except NotServingError:
            raise
        except RuntimeUnavailableError:
            in_time = False
            raise
        finally:
            if method.span is Span.REMOVAL:
                self._cutoff.renew_grace()
            if not in_time:
                self._channels.cut()
                self.disconnect()

    @contextmanager
    def _reported(self, method: Method[Any, Any]) -> Iterator[None]:
        started = monotonic()
        try:
            yield
        except grpc.RpcError as error:
            failure = self._failure_of(method, error)
            if not isinstance(failure, StopRequestedError):
                answered = is_an_answer(failure, optional=method.optional)
                self._observe_call(method.name, monotonic() - started, answered)
            raise failure from error
        except RuntimeRejectedError:
            self._observe_call(method.name, monotonic() - started, False)  # noqa: FBT003 - a Callable has no keywords
            raise
        self._observe_call(method.name, monotonic() - started, True)  # noqa: FBT003

    def _failure_of(self, method: Method[Any, Any], error: grpc.RpcError) -> CleanerError:
        """Why a call failed; where it was ended from here, what gRPC makes of that is of no interest."""
        failure = self._cutoff.failure or failure_of(method.name, error)
        self.outages += isinstance(failure, NotServingError)
        return missing_service(method, self._channels.endpoint_of(method.socket), failure)

    def _stub(self, method: Method[Any, Any], *, stream: bool = False) -> Callable[..., Any]:
        if method.path not in self._stubs:
            channel = self._channels.channel_for(method.socket)
            connect = channel.unary_stream if stream else channel.unary_unary
            self._stubs[method.path] = connect(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=None,
            )
        return self._stubs[method.path]

    def _seconds(self, method: Method[Any, Any]) -> float:
        return self._deadlines[method.span].total_seconds()


_Parameters = ParamSpec("_Parameters")


class MissingApiError(RuntimeRejectedError):
    """The runtime has no such service; its callers can do without."""


class ContainerdApi:
    """Reads of services that may be missing; a missing one is not asked again until a call finds no runtime.

    After that another runtime may have come.
    """

    def __init__(self, calls: Calls) -> None:
        """Nothing is known to be missing yet."""
        self._calls = calls
        self._missing_since: dict[str, int] = {}

    def read(self, method: Method[Request, Answer], request: Request) -> Answer | None:
        """One answer; None for what is not there."""
        try:
            return self._unless_missing(method, self._calls.read, method, request)
        except CallRejectedError as error:
            if error.not_found:
                return None
            raise

    def read_many(self, method: Method[Request, Answer], requests: Sequence[Request]) -> list[Answer | None]:
        """Many answers, in the given order; None for what is not there."""
        return self._unless_missing(method, self._calls.read_many, method, requests)

    def read_list(self, whole: Method[Any, Answer], parts: Method[Any, _Part]) -> list[Answer] | list[_Part]:
        """A list in one answer, or in many."""
        return self._unless_missing(whole, self._calls.read_list, whole, parts)

    def read_stream(
        self, method: Method[Request, Answer], request: Request, digest: Callable[[Iterator[Answer]], _Value]
    ) -> _Value:
        """What `digest` makes of a stream's parts."""
        return self._unless_missing(method, self._calls.read_stream, method, request, digest)

    def _unless_missing(
        self,
        method: Method[Any, Any],
        call: Callable[_Parameters, _Value],
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> _Value:
        if self._missing_since.get(method.service) == self._calls.outages:
            raise MissingApiError(f"{method.name}: the runtime has no such service")
        try:
            return call(*args, **kwargs)
        except CallRejectedError as error:
            if not error.not_offered:
                raise
            self._missing_since[method.service] = self._calls.outages
            raise MissingApiError(str(error)) from error
