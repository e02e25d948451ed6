"""Why no runtime answers at a socket: what lies at its path, who may connect, and where other runtimes have theirs."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cleaner.core.errors import EnvironmentUnusableError, RuntimeUnavailableError
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.rpc.endpoint import Endpoint
from cleaner.runtime.rpc.failures import NotServingError
from cleaner.runtime.rpc.known_sockets import KNOWN_SOCKETS, advice_beside
from cleaner.runtime.rpc.reachability import diagnose_endpoint, explaining, require_listener
from unit.runtime.conftest import ScriptedStop

DIAGNOSE = (
    "import sys; from cleaner.runtime import diagnose_endpoint, parse_endpoint; "
    "diagnose_endpoint(parse_endpoint(sys.argv[1]))"
)
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose rights are taken away")


def make_socket(path: Path) -> None:
    """A socket without a listener."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def problem_of(path: Path | str, machine: Path = Path("/")) -> str:
    """The permanent problem."""
    with pytest.raises(EnvironmentUnusableError) as caught:
        diagnose_endpoint(Endpoint(str(path)), machine)
    assert str(caught.value).startswith(f"unix://{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"unix://{path}: ")


def unavailable(path: Path | str, machine: Path = Path("/")) -> tuple[str, str]:
    """What is said of a runtime that may answer later, without its beginning, and what is advised."""
    diagnose_endpoint(Endpoint(str(path)), machine)
    with pytest.raises(RuntimeUnavailableError) as caught:
        require_listener(Endpoint(str(path)), machine)
    begin = f"the container runtime does not answer at unix://{path}: "
    assert str(caught.value).startswith(begin)
    assert caught.value.advised == f"{caught.value} ({caught.value.advice})"
    return str(caught.value).removeprefix(begin), caught.value.advice


def test_a_link_to_a_directory_that_is_not_mounted_is_permanent(folder: Path) -> None:
    """The link, its end and the directory to mount are named; a relative link and a link to a link end there too."""
    target = folder / "k3s" / "containerd.sock"
    (folder / "absolute").symlink_to(target)
    (folder / "relative").symlink_to("k3s/containerd.sock")
    (folder / "twice").symlink_to(folder / "relative")
    for name in ("absolute", "relative", "twice"):
        assert problem_of(folder / name) == (
            f"{folder}/{name} is a link that ends at {target}, and there is no directory {folder}/k3s here; mount the "
            f"host's {folder}/k3s at the same path, or set runtime.endpoint"
        )


def test_a_directory_can_be_a_link_that_leads_nowhere(folder: Path) -> None:
    """The directory in which the socket would be is named, and the link in its place."""
    (folder / "run").symlink_to(folder / "k3s" / "containerd")
    said = problem_of(folder / "run" / "containerd.sock")
    assert said.startswith(f"{folder}/run is a link that ends at {folder}/k3s/containerd, and there is no directory ")
    assert f"mount the host's {folder}/k3s/containerd at the same path" in said


def test_a_link_to_a_socket_that_is_not_there_yet_is_transient(folder: Path) -> None:
    """Its directory is there: the socket comes when its runtime starts."""
    (folder / "k3s").mkdir()
    (folder / "link").symlink_to(folder / "k3s" / "containerd.sock")
    said, advice = unavailable(folder / "link")
    assert said == f"{folder}/link is a link that ends at {folder}/k3s/containerd.sock, which is not there"
    assert f"mount {folder}/k3s of the host" in advice
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "k3s" / "containerd.sock"))
        listener.listen()
        require_listener(Endpoint(str(folder / "link")))


def test_a_link_that_leads_to_a_directory_link_is_no_dangling_one(folder: Path) -> None:
    """/var/run is a link to /run: a socket that is missing below it is missing, and no link is to blame."""
    (folder / "run").mkdir()
    (folder / "var-run").symlink_to(folder / "run")
    assert unavailable(folder / "var-run" / "crio.sock")[0] == "no such socket"


@pytest.mark.parametrize("name", ["a", "a/containerd.sock"])
def test_links_in_a_circle_are_permanent(folder: Path, name: str) -> None:
    """No runtime can make a socket there."""
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    assert problem_of(folder / name) == "its links lead round in a circle; correct the link, or set runtime.endpoint"


def test_a_link_to_a_name_that_is_too_long_is_permanent(folder: Path) -> None:
    """The path itself may be short."""
    (folder / "link").symlink_to("n" * 256)
    assert problem_of(folder / "link").startswith("a link on its way leads to a name that is too long")


def test_a_missing_socket_names_those_that_are_there(folder: Path) -> None:
    """Sockets of other runtimes on this machine come first; without one their usual places are said."""
    (folder / "run").mkdir()
    advice = unavailable(folder / "run" / "none.sock", folder)[1]
    assert advice.startswith("is it running? usual places: containerd at /run/containerd/containerd.sock, k3s and ")
    for known in KNOWN_SOCKETS:
        assert known.path in advice
    for number, known in enumerate(KNOWN_SOCKETS):
        place = folder / str(number) / known.path.lstrip("/")
        place.parent.mkdir(parents=True)
        make_socket(place)
        advice = unavailable(folder / "run" / "none.sock", folder / str(number))[1]
        assert advice == f"is it running? there is a socket at {known.path} ({known.whose}): set runtime.endpoint"


def test_the_socket_itself_is_not_proposed(folder: Path) -> None:
    """Neither under another name of /var/run; what is there and is no socket is not proposed either."""
    for path in ("/run/crio/crio.sock", "/var/run/crio/crio.sock"):
        assert "crio.sock" not in advice_beside(path, folder)
    assert "/run/containerd/containerd.sock" in advice_beside("/run/crio/crio.sock", folder)
    (folder / "run" / "k0s" / "containerd.sock").mkdir(parents=True)
    assert "there is a socket" not in advice_beside("/run/crio/crio.sock", folder)


def test_a_missing_directory_names_sockets_that_are_there(folder: Path) -> None:
    """On a node of k3s /run/containerd is not there: that is permanent, and its socket is named."""
    place = folder / "run" / "k3s" / "containerd"
    place.mkdir(parents=True)
    make_socket(place / "containerd.sock")
    said = problem_of(folder / "none" / "containerd.sock", folder)
    assert said.startswith(
        f"there is no directory {folder}/none; mount the host's directory there, or choose another socket: "
    )
    assert "there is a socket at /run/k3s/containerd/containerd.sock (k3s and RKE2): set runtime.endpoint" in said


def test_a_socket_without_a_listener(folder: Path) -> None:
    """A runtime that ended without removing its socket is not running."""
    make_socket(folder / "s")
    said, advice = unavailable(folder / "s", folder)
    assert said == "nothing listens on this socket"
    assert advice.startswith("start the runtime, or choose another socket: ")


def test_a_socket_with_a_full_queue(folder: Path) -> None:
    """A runtime that accepts no connection hangs, or has too many clients."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(folder / "s"))
        listener.listen(0)
        first.connect(str(folder / "s"))
        said, advice = unavailable(folder / "s")
    assert (said, advice.partition(",")[0]) == ("its socket accepts no more connections", "it hangs")


@contextmanager
def answering(path: Path, reply: bytes) -> Iterator[None]:
    """A server that answers every connection with some bytes and closes it."""

    def serve() -> None:
        while True:
            client, _ = listener.accept()
            with client:
                if not client.recv(1000):
                    return
                client.sendall(reply)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_quietly(serve), daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _quietly(serve: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            serve()
        except OSError:
            return

    return run


def test_a_server_that_speaks_http_1(folder: Path, stop: ScriptedStop) -> None:
    """Docker's API at the endpoint is told apart from a runtime that is not there."""
    path, reply = folder / "docker.sock", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    with answering(path, reply), CriRuntime(Endpoint(str(path)), stop) as runtime:
        with pytest.raises(NotServingError) as caught:
            runtime.read_version()
        assert f"at unix://{path}: Version: UNAVAILABLE: its socket speaks HTTP/1" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "says"), [(None, "there is no such socket"), (make_socket, "nothing listens on its socket")]
)
def test_a_runtime_that_goes_away_later(
    folder: Path, stop: ScriptedStop, make: Callable[[Path], None] | None, says: str
) -> None:
    """Every call says in words of our own what its connection met; gRPC's sentence with its addresses is left out."""
    if make:
        make(folder / "s")
    with CriRuntime(Endpoint(str(folder / "s")), stop) as runtime, pytest.raises(NotServingError) as caught:
        runtime.list_images()
    assert str(caught.value) == f"ListImages: UNAVAILABLE: {says}"


def test_a_connection_that_fails_in_another_way(folder: Path, stop: ScriptedStop) -> None:
    """The end of gRPC's sentence is the system's word."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(folder / "s"))
        with CriRuntime(Endpoint(str(folder / "s")), stop) as runtime, pytest.raises(NotServingError) as caught:
            runtime.list_images()
    assert str(caught.value) == "ListImages: UNAVAILABLE: no connection: Protocol wrong type for socket"


@pytest.mark.parametrize("kind", [NotServingError, RuntimeUnavailableError])
def test_the_failure_of_a_call_counts_where_a_connection_works(
    folder: Path, kind: type[RuntimeUnavailableError]
) -> None:
    """A runtime that accepts a connection and does not answer may hang or be starting; the error's type stays."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        with pytest.raises(kind) as caught, explaining(Endpoint(str(folder / "s"))):
            raise kind("Version: DEADLINE_EXCEEDED: no answer in time")
    assert type(caught.value) is kind
    assert str(caught.value).endswith(f"at unix://{folder}/s: Version: DEADLINE_EXCEEDED: no answer in time")
    assert "hang" in caught.value.advice


def test_a_call_that_is_answered_is_left_alone(folder: Path) -> None:
    """Neither a result nor an error of another kind is touched."""
    with explaining(Endpoint(str(folder / "none"))):
        pass
    with pytest.raises(ValueError, match="other"), explaining(Endpoint(str(folder / "none"))):
        raise ValueError("other")


def run_confined(folder: Path, *command: str) -> str:
    """What a process with fewer rights says of a socket that only its owner may use."""
    folder.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        (folder / "s").chmod(0o600)
        os.chown(folder / "s", 4711, 4711)
        done = subprocess.run(
            [*command, sys.executable, "-c", DIAGNOSE, f"unix://{folder}/s"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert "EnvironmentUnusableError" in done.stderr, done.stderr
    return done.stderr.splitlines()[-1]


@AS_ROOT
def test_root_without_the_capability(folder: Path) -> None:
    """The capability, and the socket's owner and mode, are named; to run as root is no advice for root."""
    said = run_confined(folder, "setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override")
    assert "no permission to connect (Permission denied): this root has no CAP_DAC_OVERRIDE" in said
    assert "the socket belongs to 4711:4711 with mode 0600" in said
    assert "run as root" not in said


@AS_ROOT
def test_root_of_a_user_namespace(folder: Path) -> None:
    """A root that is not the node's is told so, with the setting of a pod that changes it."""
    if subprocess.run(["unshare", "-Ur", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no user namespace")
    said = run_confined(folder, "unshare", "-Ur")
    assert "this root is that of a user namespace and not the node's; the socket belongs to 65534:65534" in said
    assert "hostUsers: true" in said


@AS_ROOT
def test_root_with_every_right_is_confined(folder: Path) -> None:
    """SELinux and AppArmor are what is left; the label that a process runs under is shown where there is one."""
    from cleaner.runtime.rpc.reachability import _permanent_problem  # noqa: PLC0415

    own = folder / "proc" / "self"
    (own / "attr").mkdir(parents=True)
    (own / "uid_map").write_text("         0          0 4294967295\n")
    (own / "status").write_text("Name:\tcleaner\nCapEff:\t00000000a80425fb\n")
    denied = PermissionError(13, "Permission denied")
    said = _permanent_problem(str(folder / "s"), denied, folder) or ""
    assert "though this is root: SELinux or AppArmor forbids it" in said
    (own / "attr" / "current").write_text("system_u:system_r:container_t:s0:c1,c2\0")
    said = _permanent_problem(str(folder / "s"), denied, folder) or ""
    assert "though this is root (it runs as system_u:system_r:container_t:s0:c1,c2): SELinux" in said


def test_the_sockets_are_those_of_the_documents() -> None:
    """The table for operators and the list in messages name the same sockets."""
    documented = (Path(__file__).parents[4] / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| `(/[^`]+\.sock)` \|$", documented, re.MULTILINE)
    assert [(whose.replace(", ", " and "), path) for whose, path in rows] == [(k.whose, k.path) for k in KNOWN_SOCKETS]
