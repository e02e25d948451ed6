"""Run a program as on a machine without IPv4, or without IPv6 (the boot option `ipv6.disable=1`).

    without_family.py AF_INET6[,AF_INET] PROGRAM [ARGUMENT...]

A seccomp filter makes socket(2) fail for these families; the program cannot lift it. It needs no root.
"""

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

SYSTEM_CALL = {"x86_64": 41, "aarch64": 198}
"""The number of socket(2)."""

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _FIRST_ARGUMENT = 0, 16
"""Offsets in `struct seccomp_data`."""
_FAIL_WITH, _ALLOW = 0x00050000, 0x7FFF0000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def disable(family: socket.AddressFamily) -> None:
    """Let socket(2) of this family fail with EAFNOSUPPORT in this process from now on."""
    instructions = b"".join(
        struct.pack("=HBBI", code, if_true, if_false, value)
        for code, if_true, if_false, value in (
            (_LOAD, 0, 0, _NUMBER),
            (_JUMP_IF_EQUAL, 0, 3, SYSTEM_CALL[platform.machine()]),
            (_LOAD, 0, 0, _FIRST_ARGUMENT),
            (_JUMP_IF_EQUAL, 0, 1, family),
            (_RETURN, 0, 0, _FAIL_WITH | errno.EAFNOSUPPORT),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    program = _Program(len(instructions) // 8, instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        sys.exit(f"no seccomp filter here: errno {ctypes.get_errno()}")


def command_without(*families: str) -> list[str]:
    """What runs a command, put behind it, without these families."""
    return [sys.executable, __file__, ",".join(families)]


if __name__ == "__main__":
    for name in sys.argv[1].split(","):
        disable(socket.AddressFamily[name])
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the program to run is this script's argument
