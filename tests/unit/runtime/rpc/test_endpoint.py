"""Which addresses are accepted, and which problems of a socket only a person can solve."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cleaner.core.errors import ConfigError, EnvironmentUnusableError
from cleaner.runtime.rpc.endpoint import Endpoint, parse_endpoint
from cleaner.runtime.rpc.reachability import diagnose_endpoint


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("unix:///run/containerd/containerd.sock", "/run/containerd/containerd.sock"),
        ("unix:/run/crio/crio.sock", "/run/crio/crio.sock"),
        ("/run/k3s/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock"),
        ("unix:///run/a%20b.sock", "/run/a b.sock"),
        ("/" + "a" * 106, "/" + "a" * 106),
    ],
)
def test_socket_paths(value: str, path: str) -> None:
    """An endpoint is a Unix socket's path, with a scheme or without, of up to 107 bytes."""
    assert parse_endpoint(value) == Endpoint(path)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "tcp://127.0.0.1:1234",
        "http://localhost/run/crio.sock",
        "npipe:////./pipe/containerd-containerd",
        "unix://run/containerd.sock",
        "unix://",
        "run/containerd.sock",
        "unix:///run/containerd/",
        "unix:///run/crio.sock?x=1",
        "/run/crio.sock#x",
        "/run/\x00.sock",
        "/run/%0a.sock",
        "http://[::1",
        "/" + "a" * 107,
    ],
)
def test_other_addresses(value: str) -> None:
    """Anything but an absolute path of a socket is a configuration error, said in one line with its source."""
    with pytest.raises(ConfigError) as caught:
        parse_endpoint(value, "CONTAINER_RUNTIME_ENDPOINT")
    text = str(caught.value)
    assert text.startswith(f"CONTAINER_RUNTIME_ENDPOINT: {value.replace('?x=1', '?***')!r} ")
    assert "unix:///run/containerd/containerd.sock" in text
    assert "\n" not in text


def test_written_form() -> None:
    """An endpoint is shown with its scheme, and handed to gRPC with special characters escaped."""
    endpoint = Endpoint("/run/a b%.sock")
    assert (str(endpoint), endpoint.target) == ("unix:///run/a b%.sock", "unix:/run/a%20b%25.sock")


def test_listening_socket(folder: Path) -> None:
    """A socket that accepts connections is fine."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        diagnose_endpoint(Endpoint(str(folder / "s")))


def test_missing_socket(folder: Path) -> None:
    """A missing socket in a directory that exists is an unavailable runtime."""
    diagnose_endpoint(Endpoint(str(folder / "s")))


def test_refused_connection(folder: Path) -> None:
    """A socket without a listener is an unavailable runtime."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "s"))
    diagnose_endpoint(Endpoint(str(folder / "s")))


def test_missing_directory(folder: Path) -> None:
    """A missing directory does not come by itself."""
    with pytest.raises(EnvironmentUnusableError, match=f"no directory {folder}/none; mount"):
        diagnose_endpoint(Endpoint(f"{folder}/none/s"))


def test_file_for_directory(folder: Path) -> None:
    """A file in place of the directory does not disappear by itself."""
    (folder / "file").touch()
    with pytest.raises(EnvironmentUnusableError, match="no directory"):
        diagnose_endpoint(Endpoint(f"{folder}/file/s"))


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir], ids=["file", "directory"])
def test_no_socket(folder: Path, make: Callable[[Path], None]) -> None:
    """A file, or a directory that a hostPath mount left, is no socket and will not become one."""
    path = folder / "s"
    make(path)
    with pytest.raises(EnvironmentUnusableError, match="is no socket"):
        diagnose_endpoint(Endpoint(str(path)))


def test_datagram_socket(folder: Path) -> None:
    """A socket of another type, such as a log daemon's, is a wrong address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(folder / "s"))
        with pytest.raises(EnvironmentUnusableError, match="another type"):
            diagnose_endpoint(Endpoint(str(folder / "s")))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's rights, where the tests have them."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_no_permission(folder: Path) -> None:
    """Without permission on the socket nothing will connect until somebody grants it."""
    folder.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        (folder / "s").chmod(0)
        with as_nobody(), pytest.raises(EnvironmentUnusableError, match="no permission to connect"):
            diagnose_endpoint(Endpoint(str(folder / "s")))


def test_slashes_are_one() -> None:
    """GRPC would take what follows two slashes for a host."""
    assert parse_endpoint("unix:////run/x.sock").path == "/run/x.sock"


def test_a_comma_is_no_part_of_a_path() -> None:
    """GRPC would take it for a list of addresses."""
    with pytest.raises(ConfigError, match="has more than a path in it"):
        parse_endpoint("unix:///run/a,b.sock")
