"""Reserves ports of 127.0.0.1 for programs that need a port number before they start.

Another server, or an outgoing connection, can take a free port before its server binds it. So a socket of this process
stays bound to the port and never listens. Linux lets a second socket bind the port and listen if both set SO_REUSEADDR,
as all servers here do. The kernel gives the port to nobody else. Until a server listens, connections are refused.
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
