"""What to do about a socket behind which nothing serves CRI.

It must not decide whether that is permanent: a caller that starts asks again before it gives up. Run on containerd
1.6.20, 1.7.24 and 2.1.9, two starts each: a containerd that starts refuses connections, and never answers so.
"""

from typing import Any

import grpc

from cleaner.core.errors import CleanerError
from cleaner.runtime.rpc.endpoint import Endpoint
from cleaner.runtime.rpc.failures import CallRejectedError
from cleaner.runtime.rpc.methods import Method, Socket

_ADVICE = {
    Socket.RUNTIME: (
        "nothing there serves containers over CRI v1; if it is containerd, remove "
        '"cri" from disabled_plugins in its config.toml (Docker\'s package writes that) and restart it, '
        "else correct runtime.endpoint"
    ),
    Socket.IMAGES: "nothing there serves images over CRI v1; set runtime.image_endpoint to the socket that does",
}
_NO_HTTP2 = "what listens there does not speak HTTP/2, so it is no container runtime; correct "
_NO_HTTP2_TEXT = "Expected SETTINGS frame as the first frame"
"""gRPC's words, with the code UNAVAILABLE (seen with 1.85)."""
_SETTINGS = {Socket.RUNTIME: "runtime.endpoint", Socket.IMAGES: "runtime.image_endpoint"}


class ServiceMissingError(CallRejectedError):
    """What listens on a socket is no runtime, or lacks a service that the agent cannot do without."""


def missing_service(method: Method[Any, Any], endpoint: Endpoint, failure: CleanerError) -> CleanerError:
    """The failure, with what to do where the socket does not serve CRI; containerd's own services may be missing."""
    if method.optional:
        return failure
    if isinstance(failure, CallRejectedError) and failure.not_offered:
        text = f"{endpoint}: {_ADVICE[method.socket]} ({failure})"
    elif _NO_HTTP2_TEXT in str(failure):
        text = f"{endpoint}: {_NO_HTTP2}{_SETTINGS[method.socket]}"
    else:
        return failure
    return ServiceMissingError(text, grpc.StatusCode.UNIMPLEMENTED, str(failure))
