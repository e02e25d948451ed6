"""The gRPC channel to one socket, set up for a daemon that is idle nearly always.

Refuses gRPC's defaults where they suit data centres: long back-off, proxies, retries of its own.
"""

import grpc

from cleaner.runtime.endpoint import Endpoint

_MEBIBYTE = 1024 * 1024

_OPTIONS = (
    # Python's default of 4 MiB is less than a busy node's list; containerd itself sends up to 16 MiB.
    ("grpc.max_receive_message_length", 32 * _MEBIBYTE),
    # A runtime that restarts is back in a second: the default would look for it after up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # In spite of its name, how long one attempt to connect may take.
    ("grpc.min_reconnect_backoff_ms", 5000),
    # Retries are this package's, for reads only: gRPC's would include a removal.
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    # Go's gRPC server refuses an authority that is no host name, which a socket's path is not.
    ("grpc.default_authority", "localhost"),
    # Connections of its own, so that closing the channel closes them.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(endpoint: Endpoint) -> grpc.Channel:
    """A channel that connects with its first call; no check that anybody is there."""
    return grpc.insecure_channel(endpoint.target, options=_OPTIONS)
