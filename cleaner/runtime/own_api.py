"""containerd's own API, on a socket that may not have it: CRI-O has none, and a proxy may serve CRI only.

Refuses to mix that up with a failure: what is missing is one error, and whatever else goes wrong stays another.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

from google.protobuf.message import Message

from cleaner.core.errors import RuntimeRejectedError
from cleaner.runtime.calls import Calls, Value
from cleaner.runtime.failures import CallRejectedError
from cleaner.runtime.methods import Answer, Method, Request

Part = TypeVar("Part", bound=Message)
_Parameters = ParamSpec("_Parameters")


class MissingApiError(RuntimeRejectedError):
    """The runtime has no such service; who asks for it can do without."""


class OwnApi:
    """Reads of services that may be missing; that one is, is remembered until nobody served a call.

    Then another runtime may have come.
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

    def read_list(self, whole: Method[Any, Answer], parts: Method[Any, Part]) -> list[Answer] | list[Part]:
        """A list in one answer, or in many."""
        return self._unless_missing(whole, self._calls.read_list, whole, parts)

    def read_stream(
        self, method: Method[Request, Answer], request: Request, digest: Callable[[Iterator[Answer]], Value]
    ) -> Value:
        """What `digest` makes of a stream's parts."""
        return self._unless_missing(method, self._calls.read_stream, method, request, digest)

    def _unless_missing(
        self,
        method: Method[Any, Any],
        call: Callable[_Parameters, Value],
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> Value:
        if self._missing_since.get(method.service) == self._calls.outages:
            raise MissingApiError(f"{method.name}: the runtime has no such service")
        try:
            return call(*args, **kwargs)
        except CallRejectedError as error:
            if not error.not_offered:
                raise
            self._missing_since[method.service] = self._calls.outages
            raise MissingApiError(str(error)) from error
