"""The gRPC channels to a runtime's sockets, set up for a daemon that is idle nearly always.

It replaces gRPC's defaults where they suit data centres: long backoff, proxies, retries of its own.
"""

import os
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress

import grpc

from cleaner.runtime.rpc.endpoint import Endpoint
from cleaner.runtime.rpc.methods import Socket

_MEBIBYTE = 1024 * 1024

_OPTIONS = (
    # Python's default of 4 MiB is less than a busy node's list; containerd itself sends up to 16 MiB.
    ("grpc.max_receive_message_length", 32 * _MEBIBYTE),
    # A runtime that restarts is back in a second: the default would try again after up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # In spite of its name, how long one attempt to connect may take.
    ("grpc.min_reconnect_backoff_ms", 5000),
    # Retries are this package's, for reads only: gRPC's would include a removal.
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    # Go's gRPC server rejects an authority that is no host name, which a socket's path is not.
    ("grpc.default_authority", "localhost"),
    # Connections of its own, so that closing the channel closes them.
    ("grpc.use_local_subchannel_pool", 1),
)


class Channels:
    """Channels that are open only from a first call to the next `disconnect`.

    An open one keeps gRPC's threads, up to one a core, looking for work ten times a second: 3 s of CPU an hour on two
    cores, against 1.3 ms for opening it again.
    """

    def __init__(self, endpoints: Mapping[Socket, Endpoint]) -> None:
        """Nothing is opened yet."""
        self._endpoints = endpoints
        self._others: frozenset[int] = frozenset()
        """Inodes of the sockets that were there before a channel was opened: not gRPC's."""
        self._left: frozenset[int] = frozenset()
        """Inodes of the sockets that came while one was open, since the last one is closed."""
        self._open: dict[Endpoint, grpc.Channel] = {}

    def endpoint_of(self, socket: Socket) -> Endpoint:
        """Where a socket is."""
        return self._endpoints[socket]

    def channel_for(self, socket: Socket) -> grpc.Channel:
        """The channel of a socket, which connects with its first call; one for both where they are the same."""
        endpoint = self._endpoints[socket]
        if not self._open:
            # What closing has left behind has had its time since.
            self.cut()
            self._others = _inodes()
        if endpoint not in self._open:
            self._open[endpoint] = grpc.insecure_channel(endpoint.target, options=_OPTIONS)
        return self._open[endpoint]

    def disconnect(self) -> None:
        """Close what is open, and with the last channel gRPC's threads; fine where nothing is.

        Nothing is cut here: that costs gRPC half a millisecond of CPU. While a peer floods this may wait until `cut`.
        """
        if self._open:
            self._left = _inodes() - self._others
        for endpoint, channel in tuple(self._open.items()):
            channel.close()
            del self._open[endpoint]

    def cut(self) -> None:
        """Shut down the connections under gRPC, from any thread: whatever it waits for has ended then.

        While a peer floods, closing a channel waits for ever, or returns and leaves the connection behind, with a file
        and six threads (seen with gRPC 1.85).
        """
        for descriptor, inode in _sockets():
            if inode not in self._others if self._open else inode in self._left:
                with suppress(OSError):
                    _shut_down(descriptor)


def _sockets() -> Iterator[tuple[int, int]]:
    """Descriptor and inode of each socket of this process; none where they cannot be listed at this moment."""
    try:
        names = os.listdir("/proc/self/fd")  # noqa: PTH208 - names are all that is needed
    except OSError:
        return
    for name in names:
        # Another thread may have closed it by now, as the listing itself has closed its own.
        with suppress(OSError):
            status = os.fstat(int(name))
            if stat.S_ISSOCK(status.st_mode):
                yield int(name), status.st_ino


def _inodes() -> frozenset[int]:
    return frozenset(inode for _, inode in _sockets())


def _shut_down(descriptor: int) -> None:
    """Shut down a connection if it is one of gRPC's: it never blocks, and its other end is a server with a path.

    The stream of container events blocks. A copy of the descriptor is safe where the original is closed meanwhile, and
    its number given to something else.
    """
    copy = os.dup(descriptor)
    try:
        connection = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    with connection:
        if connection.family == socket.AF_UNIX and not os.get_blocking(copy) and connection.getpeername():
            connection.shutdown(socket.SHUT_RDWR)
