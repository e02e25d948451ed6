"""Why no runtime answers at a socket, in words of our own: what lies at its path, and what a connection meets.

A permanent problem is an EnvironmentUnusableError; a runtime that may answer later is a RuntimeUnavailableError. gRPC
does not tell the two apart, and its sentence names neither the link nor the directory that is missing.
"""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cleaner.core.errors import EnvironmentUnusableError, RuntimeUnavailableError
from cleaner.core.paths import shown
from cleaner.runtime.rpc.endpoint import Endpoint
from cleaner.runtime.rpc.failures import NotServingError
from cleaner.runtime.rpc.known_sockets import advice_beside

_CONNECT_SECONDS = 1.0
_SYSTEM = Path("/")
_DAC_OVERRIDE = 1 << 1
"""capabilities(7), CAP_DAC_OVERRIDE: root without it is bound by owner and mode."""


_WRONG_LINKS = {
    errno.ELOOP: "its links lead round in a circle",
    errno.ENAMETOOLONG: "a link on its way leads to a name that is too long",
}


@dataclass(frozen=True, slots=True)
class _Link:
    """A symbolic link on the way to a socket whose target is not there."""

    path: str
    target: str
    """Where it ends, through further links."""
    directory: str
    """Where the socket would be."""


def diagnose_endpoint(endpoint: Endpoint, machine: Path = _SYSTEM) -> None:
    """Raise EnvironmentUnusableError for a permanent problem.

    A runtime is only unavailable where its socket is missing in a directory that exists, or a connection is refused or
    unanswered. `machine`: where /proc and other runtimes' sockets are looked for.
    """
    try:
        _connect(endpoint.path)
    except OSError as error:
        if problem := _permanent_problem(endpoint.path, error, machine):
            raise EnvironmentUnusableError(f"{endpoint}: {problem}") from error


@contextmanager
def explaining(endpoint: Endpoint, machine: Path = _SYSTEM) -> Iterator[None]:
    """Say of a call without an answer what lies at the socket; the error's type stays."""
    try:
        yield
    except RuntimeUnavailableError as error:
        kind = NotServingError if isinstance(error, NotServingError) else RuntimeUnavailableError
        raise kind(*_explained(endpoint, error, machine)) from error


def require_listener(endpoint: Endpoint, machine: Path = _SYSTEM) -> None:
    """RuntimeUnavailableError where no connection is accepted at a socket."""
    try:
        _connect(endpoint.path)
    except OSError as error:
        raise RuntimeUnavailableError(*_text_of(endpoint, _transient_problem(endpoint.path, error, machine))) from error


def _explained(endpoint: Endpoint, failure: RuntimeUnavailableError, machine: Path) -> tuple[str, str]:
    """The text and the advice; what the failed call met counts where a connection works."""
    try:
        _connect(endpoint.path)
    except OSError as error:
        return _text_of(endpoint, _transient_problem(endpoint.path, error, machine))
    advice = "it may hang or still be starting: see its log; or is this no container runtime's socket?"
    return _text_of(endpoint, (str(failure), advice))


def _text_of(endpoint: Endpoint, problem: tuple[str, str]) -> tuple[str, str]:
    said, advice = problem
    return f"the container runtime does not answer at {endpoint}: {said}", advice


def _permanent_problem(path: str, error: OSError, machine: Path) -> str | None:
    if isinstance(error, PermissionError):
        return _permission_problem(path, error, machine)
    if problem := _WRONG_LINKS.get(error.errno or 0):
        return f"{problem}; correct the link, or set runtime.endpoint"
    if link := _dangling_link(path):
        return _dangling_problem(link)
    directory = os.path.dirname(path)  # noqa: PTH120 - no Path is used here otherwise
    if not os.path.isdir(directory):  # noqa: PTH112
        advice = advice_beside(path, machine)
        return (
            f"there is no directory {directory}; mount the host's directory there, or choose another socket: {advice}"
        )
    return _wrong_kind(path, error)


def _wrong_kind(path: str, error: OSError) -> str | None:
    if error.errno == errno.EPROTOTYPE:
        return "this is a socket of another type; correct the endpoint"
    if _is_something_else(path):
        # A hostPath mount of a socket that did not exist yet leaves a directory in its place.
        return "this is no socket; mount the directory of the socket and not its file, or correct the endpoint"
    return None


def _dangling_problem(link: _Link) -> str | None:
    """None where only the socket itself is missing, which comes with its runtime."""
    if os.path.isdir(link.directory):  # noqa: PTH112
        return None
    missing = shown(link.directory)
    return (
        f"{link.path} is a link that ends at {shown(link.target)}, and there is no directory {missing} here; mount the "
        f"host's {missing} at the same path, or set runtime.endpoint"
    )


def _transient_problem(path: str, error: OSError, machine: Path) -> tuple[str, str]:
    """What is said and what is advised."""
    if isinstance(error, TimeoutError | BlockingIOError):
        return "its socket accepts no more connections", "it hangs, or has too many clients: see its log"
    if error.errno == errno.ECONNREFUSED:
        advice = advice_beside(path, machine)
        return "nothing listens on this socket", f"start the runtime, or choose another socket: {advice}"
    if error.errno == errno.ENOENT and (link := _dangling_link(path)):
        ends = f"{link.path} is a link that ends at {shown(link.target)}, which is not there"
        return ends, f"is that runtime running? mount {shown(link.directory)} of the host, or set runtime.endpoint"
    if error.errno == errno.ENOENT:
        return "no such socket", f"is it running? {advice_beside(path, machine)}"
    return error.strerror or str(error), "see the runtime's log"


def _permission_problem(path: str, error: OSError, machine: Path) -> str:
    said = f"no permission to connect ({error.strerror})"
    if os.geteuid() != 0:
        return f"{said}; run as root, or as a member of the socket's group"
    if not _is_initial_namespace(machine):
        return (
            f"{said}: this root is that of a user namespace and not the node's; {_owner_of(path)}; run in the node's "
            f"user namespace (hostUsers: true), or give its root the socket"
        )
    if not _has_dac_override(machine):
        return (
            f"{said}: this root has no CAP_DAC_OVERRIDE, so owner and mode count; {_owner_of(path)}; add the "
            f"capability DAC_OVERRIDE, or run as the socket's owner or group"
        )
    return (
        f"{said}, though this is root{_confinement(machine)}: SELinux or AppArmor forbids it, see the node's audit "
        f"log; with SELinux run the container as seLinuxOptions type spc_t, with AppArmor as Unconfined"
    )


def _owner_of(path: str) -> str:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return "a directory above the socket may not be searched"
    return f"the socket belongs to {found.st_uid}:{found.st_gid} with mode {stat.S_IMODE(found.st_mode):04o}"


def _is_initial_namespace(machine: Path) -> bool:
    """Whether user 0 here is user 0 of the node (user_namespaces(7)); where nothing tells, it is taken to be."""
    return _read(machine / "proc/self/uid_map").split() in ([], ["0", "0", "4294967295"])


def _has_dac_override(machine: Path) -> bool:
    status = dict(line.split(":", 1) for line in _read(machine / "proc/self/status").splitlines() if ":" in line)
    effective = status.get("CapEff", "").strip()
    return not effective or bool(int(effective, 16) & _DAC_OVERRIDE)


def _confinement(machine: Path) -> str:
    """The label of a security module, where there is one."""
    label = _read(machine / "proc/self/attr/current").strip("\0\n ")
    return f" (it runs as {shown(label)})" if label else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _dangling_link(path: str) -> _Link | None:
    """The first link on the way whose target is not there."""
    parts = path.strip("/").split("/")
    for end in range(1, len(parts) + 1):
        prefix = "/" + "/".join(parts[:end])
        if os.path.islink(prefix) and not os.path.exists(prefix):  # noqa: PTH110, PTH114
            return _Link(prefix, os.path.realpath(prefix), os.path.dirname(os.path.realpath(path)))  # noqa: PTH120
    return None


def _connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        probe.connect(path)


def _is_something_else(path: str) -> bool:
    try:
        return not stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        return False
