"""Reserves ports of 127.0.0.1 for programs that have to be told theirs before they start.

A port that was only free a moment ago may be taken before its server binds it: by another server that looks for one, or
as the near end of any connection. Here the kernel keeps it: a socket of this process stays bound to the port and never
listens. Linux lets a second socket bind it, and listen, if both set SO_REUSEADDR, as every server here does; it gives
the port to no connection and to nobody who asks for any free port. Until a server listens, connections are refused.
"""

import socket

from lab.errors import LabError

_reserved: list[socket.socket] = []


def reserve_port() -> int:
    """Return a port that stays reserved until this process ends, also while its server is down."""
    placeholder = socket.socket()
    placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        placeholder.bind(("127.0.0.1", 0))
    except OSError as error:
        placeholder.close()
        raise LabError(f"no port of 127.0.0.1 can be reserved: {error}") from error
    _reserved.append(placeholder)
    return int(placeholder.getsockname()[1])
