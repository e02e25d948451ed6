"""Run the daemon in a network namespace of its own, where the kernel's settings for IPv6 can be changed.

    unshare --net own_network.py CONFIG [SETTING=VALUE...]

Prints which loopback addresses answer for /livez at the default port. It needs root, and reaches nothing but itself.
"""

import fcntl
import http.client
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

PORT = 10099
"""The default of `web.listen`, which is free in a new namespace."""
_CLEANER = Path(sys.executable).with_name("cleaner")
_SECONDS = 60.0
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1


def answering() -> list[str]:
    """The loopback addresses at which the daemon is alive."""
    return [host for host in ("127.0.0.1", "::1") if _is_alive(host)]


def _is_alive(host: str) -> bool:
    connection = http.client.HTTPConnection(host, PORT, timeout=_SECONDS)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _prepare(settings: list[str]) -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    for setting in settings:
        name, _, value = setting.partition("=")
        Path("/proc/sys", *name.split(".")).write_text(value, encoding="ascii")


def main() -> None:
    """Serve, ask both addresses, end."""
    config, *settings = sys.argv[1:]
    _prepare(settings)
    daemon = subprocess.Popen([_CLEANER, "run", "--config", config], env=os.environ)
    try:
        deadline = time.monotonic() + _SECONDS
        while not (hosts := answering()) and daemon.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        print(*hosts)
    finally:
        daemon.kill()
        daemon.wait()


if __name__ == "__main__":
    main()
