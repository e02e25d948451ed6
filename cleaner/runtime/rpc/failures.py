"""What a failed call means, in `core`'s errors.

gRPC's own errors must not leave this folder.
"""

import errno
import os

import grpc

from cleaner.core.errors import CleanerError, ImageInUseError, RuntimeRejectedError, RuntimeUnavailableError

_LONGEST_TEXT = 300

_UNANSWERED = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED},
)

_IN_USE_TEXTS = ("image is in use", "image used by")
"""CRI-O answers with the code UNKNOWN, so only its words tell (measured on 1.36)."""

_STARTING_TEXT = "server is not initialized yet"
"""containerd accepts calls before it has read its state, and answers with UNKNOWN (measured on 1.6, 1.7, 2.1)."""


_NO_CONNECTION = "failed to connect to all addresses"
_CONNECTION_PROBLEMS = (
    (os.strerror(errno.ENOENT), "there is no such socket"),
    (os.strerror(errno.ECONNREFUSED), "nothing listens on its socket"),
    ("http1.x server", "its socket speaks HTTP/1 as Docker's API does, and no gRPC"),
    ("Delayed close", "its socket accepts connections and closes them"),
)
"""What gRPC's core says of a connection that failed, after its addresses and states (1.62 and later)."""


class NotServingError(RuntimeUnavailableError):
    """No connection, or a runtime that is still starting: the one failure after which asking again soon helps."""


class CallRejectedError(RuntimeRejectedError):
    """The runtime answered a call with an error."""

    def __init__(self, text: str, code: grpc.StatusCode, details: str) -> None:
        super().__init__(text)
        self.code = code
        self._details = details

    @property
    def not_found(self) -> bool:
        """Whether what was asked about is not there."""
        return self.code is grpc.StatusCode.NOT_FOUND

    @property
    def too_large(self) -> bool:
        """Whether the answer exceeds what one message may hold, on either side."""
        return self.code is grpc.StatusCode.RESOURCE_EXHAUSTED

    @property
    def not_offered(self) -> bool:
        """Whether the runtime has no such call at all."""
        unknown_service = self.code is grpc.StatusCode.UNKNOWN and self._details.startswith("unknown service")
        return self.code is grpc.StatusCode.UNIMPLEMENTED or unknown_service


def failure_of(method_name: str, error: grpc.RpcError) -> CleanerError:
    """The error to raise for a failed call; its text is one line of bounded length."""
    code = error.code()
    details = bounded_line(_said(code, error.details() or "no details"))
    text = f"{method_name}: {code.name}: {details}"
    if code is grpc.StatusCode.UNAVAILABLE or _STARTING_TEXT in details:
        return NotServingError(text)
    if code in _UNANSWERED:
        return RuntimeUnavailableError(text)
    if method_name == "RemoveImage" and any(words in details.lower() for words in _IN_USE_TEXTS):
        return ImageInUseError(text)
    return CallRejectedError(text, code, details)


def _said(code: grpc.StatusCode, details: str) -> str:
    """In words of our own where gRPC itself speaks and not the runtime."""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and details.casefold() == "deadline exceeded":
        return "no answer in time"
    if not details.startswith(_NO_CONNECTION):
        return details
    known = (ours for theirs, ours in _CONNECTION_PROBLEMS if theirs in details)
    return next(known, f"no connection: {details.rpartition(': ')[2]}")


def is_an_answer(failure: CleanerError, *, optional: bool = False) -> bool:
    """Whether a failed call only says what things are like: gone, in use, or an optional service that is not there.

    Metrics count no failure then.
    """
    if isinstance(failure, CallRejectedError):
        return failure.not_found or (optional and failure.not_offered)
    return isinstance(failure, ImageInUseError)


def require_answer_about(asked: str, told: str, method_name: str) -> None:
    """Raise RuntimeRejectedError where an answer is about something else, or does not say what it is about."""
    if told != asked:
        raise RuntimeRejectedError(
            f"{method_name}: asked about {asked}, it answers about {bounded_line(told) or 'none'}"
        )


def bounded_line(text: str) -> str:
    """Without line breaks and control characters, and not longer than a person reads."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _LONGEST_TEXT else f"{line[: _LONGEST_TEXT - 1]}…"
