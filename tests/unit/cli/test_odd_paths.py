"""Paths from outside that no file system holds, or that lead to no plain file: each ends in one line, in each command.

Every key that takes a path and every path that the runtime names meets every oddity. Nothing may end in a traceback.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest

from cleaner.cli.main import main
from support.crio_server import CrioServer, Record, ServedImage
from support.daemon_process import NO_NIGHT, DaemonProcess

COMMANDS = ("plan", "sweep", "check", "run", "history")
UNEXPECTED = ("loop_error", "thread_crashed")
"""Events of the log that no path may cause."""

UNHOLDABLE: dict[str, Callable[[Path], str]] = {
    "name of 256 bytes": lambda folder: f"{folder}/{'n' * 256}",
    "name of 256 bytes and 128 characters": lambda folder: f"{folder}/{'é' * 128}/x",
    "path of 4,096 bytes": lambda folder: f"{folder}{'/p' * 2048}"[:4096],
    "path of 4,097 bytes and fewer characters": lambda folder: f"{folder}{'/é' * 1366}",
    "NUL": lambda folder: f"{folder}/a\0b",
}
"""Paths that no file system can hold."""
UNSPEAKABLE: dict[str, Callable[[Path], str]] = {
    "newline": lambda folder: f"{folder}/a\nb",
    "control characters": lambda folder: f"{folder}/\x1b[31m\x85 ",
    "surrogate": lambda folder: f"{folder}/\udc80",
}
"""Paths that a file system can hold, and that the configuration refuses: no line can show them."""
ELSEWHERE: dict[str, Callable[[Path], str]] = {
    "circle": lambda folder: f"{folder}/circle",
    "below a circle": lambda folder: f"{folder}/circle/x",
    "pipe": lambda folder: f"{folder}/pipe",
    "socket": lambda folder: f"{folder}/dead.sock",
}
"""Paths that can be held and lead to no file, no directory and no runtime."""
NOT_HERE: dict[str, Callable[[Path], str]] = {
    "below a file": lambda folder: f"{folder}/file/x",
    "link to nowhere": lambda folder: f"{folder}/dangling",
    "file without an end": lambda _: "/proc/self/mem",
}
"""Paths that are wrong now, and may be right later."""
DIRECTORY: dict[str, Callable[[Path], str]] = {"directory": lambda folder: f"{folder}/directory"}
UNUSABLE_BY_SQLITE: dict[str, Callable[[Path], str]] = {
    "name of 221 bytes": lambda folder: f"{folder}/{'n' * 221}",
    "path of 501 bytes": lambda folder: f"{folder}/{'p/' * 300}"[:501],
    "no name": lambda _: "/",
}
EVERY = UNHOLDABLE | UNSPEAKABLE | ELSEWHERE | NOT_HERE | DIRECTORY
UNREADABLE = EVERY.keys() - UNHOLDABLE.keys() - UNSPEAKABLE.keys()

KEYS = {
    "state.path": {},
    "filesystem.path": {},
    "kubelet.config": {},
    "kubelet.config_dir": {},
    "registries.ca_file": {"registries": {"check": True}},
    "alertmanager.tls.ca_file": {"alertmanager": {}},
    "alertmanager.tls.cert_file": {"alertmanager": {"tls": {"key_file": "/dev/null"}}},
    "alertmanager.tls.key_file": {"alertmanager": {"tls": {"cert_file": "/proc/self/environ"}}},
    "alertmanager.basic.password_file": {"alertmanager": {"basic": {"username": "agent"}}},
    "alertmanager.bearer_token_file": {"alertmanager": {}},
    "runtime.endpoint": {},
    "runtime.image_endpoint": {},
}
"""Each key that takes a path, with what has to stand beside it."""
IMAGES, CONTAINERS, CONTENT, SNAPSHOTS = "image filesystem", "container filesystem", "content root", "snapshotter root"


def make_oddities(folder: Path) -> None:
    """What the paths above lead to, and a directory for images."""
    (folder / "circle").symlink_to(folder / "circle-back")
    (folder / "circle-back").symlink_to(folder / "circle")
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / "file").write_text("x")
    (folder / "directory").mkdir()
    (folder / "images").mkdir()
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "dead.sock"))


class Place:
    """A folder with a node that answers, and with oddities in it."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture
        make_oddities(folder)
        self.config = folder / "cleaner.yaml"

    def write_config(self, key: str = "", path: str = "") -> None:
        """A configuration with a path at a key."""
        sections: dict[str, object] = {
            "policy": {"rules": [{"name": "all", "match": ["**"], "max_age": "30d"}]},
            "state": {"path": f"{self.folder}/ledger.db"},
            "web": {"listen": "127.0.0.1:0"},
        }
        sections |= json.loads(json.dumps(KEYS.get(key, {})))
        *steps, last = key.split(".")
        section = sections
        for step in steps:
            section = section.setdefault(step, {})  # type: ignore[assignment]
        if key:
            section[last] = path
        if isinstance(alertmanager := sections.get("alertmanager"), dict):
            alertmanager |= {"url": "http://127.0.0.1:1", "timeout": "1s"}
        self.config.write_text(json.dumps(sections))

    def run(self, command: str, *, endpoint: Path | None) -> tuple[int, str, str]:
        """Status, output and complaints of a command."""
        environ = {} if endpoint is None else {"CONTAINER_RUNTIME_ENDPOINT": f"unix://{endpoint}"}
        status = main([command, "--config", str(self.config)], environ)
        captured = self._capture.readouterr()
        return status, captured.out, captured.err


@pytest.fixture
def place(folder: Path, capsys: pytest.CaptureFixture[str], own_signals: None) -> Place:
    return Place(folder, capsys)


@contextmanager
def serving(folder: Path, *, containerd: bool = False) -> Iterator[CrioServer]:
    """A runtime with one image, which answers as CRI-O or containerd does."""
    digest = f"sha256:{1:064x}"
    name = "registry.example.com/app:v1"
    records = [Record(name, digest)] if containerd else None
    images = [ServedImage(digest, (name,), (f"registry.example.com/app@{digest}",), created="2024-01-01T00:00:00Z")]
    with CrioServer(folder / "cri.sock", images=images, records=records) as server:
        server.mountpoints = (f"{folder}/images",)
        yield server


def require_one_line(text: str, names: str) -> None:
    """One line of readable length that names where the path comes from."""
    (line,) = text.splitlines()
    assert line.isprintable()
    assert line.startswith("cleaner: ")
    assert names in line
    assert len(line) < 700, line


def require_refusal(place: Place, names: str, status: int, endpoint: Path | None) -> None:
    """Every command that meets a path ends with this status and one line."""
    for command in ("plan", "sweep", "run"):
        found, out, err = place.run(command, endpoint=endpoint)
        assert (found, out) == (status, ""), command
        said = [line for line in err.splitlines() if command != "run" or not line.startswith("{")]
        require_one_line("\n".join(said), names)
        assert not any(event in err for event in UNEXPECTED)
    found, out, err = place.run("check", endpoint=endpoint)
    assert (found, err) == (status, "")
    (line,) = [line for line in out.splitlines() if " error " in line]
    assert names in line
    assert len(line) < 700, line


@pytest.mark.parametrize(
    ("key", "odd"),
    [
        *product(KEYS, [*UNHOLDABLE, *UNSPEAKABLE]),
        *product(["state.path"], UNUSABLE_BY_SQLITE),
    ],
)
def test_a_key_with_a_path_that_no_system_can_hold_is_bad_usage(place: Place, key: str, odd: str) -> None:
    """Every command refuses it with status 2, and names the key; the path is cut to a readable length."""
    place.write_config(key, (EVERY | UNUSABLE_BY_SQLITE)[odd](place.folder))
    # A history needs no runtime, so it does not look at the rest of an endpoint.
    for command in COMMANDS[:-1] if key.startswith("runtime.") else COMMANDS:
        status, out, err = place.run(command, endpoint=None)
        first, second = err.splitlines()
        assert (status, out) == (2, ""), command
        assert first == f"cleaner: {place.config}: 1 problem"
        require_one_line(second, key)


@pytest.mark.parametrize("odd", [*ELSEWHERE, *DIRECTORY])
def test_a_state_path_where_no_ledger_can_be_is_status_3(place: Place, odd: str) -> None:
    """Also for the daemon: no permission, mount or space that comes later helps. What is there stays as it is."""
    path = EVERY[odd](place.folder)
    place.write_config("state.path", path)
    before = sorted(place.folder.rglob("*"))
    with serving(place.folder) as server:
        require_refusal(place, "state.path: ", 3, server.socket)
        status, _, err = place.run("history", endpoint=server.socket)
    assert status == 3
    require_one_line(err, path)
    assert sorted(place.folder.rglob("*")) == before


def test_a_link_can_lead_the_ledger_to_a_path_that_sqlite_refuses(place: Place) -> None:
    """SQLite counts the path without links."""
    deep = place.folder / "/".join(["p" * 50] * 11)
    deep.mkdir(parents=True)
    (place.folder / "link").symlink_to(deep)
    place.write_config("state.path", f"{place.folder}/link/ledger.db")
    with serving(place.folder) as server:
        require_refusal(place, "state.path: ", 3, server.socket)


@pytest.mark.parametrize("odd", NOT_HERE)
def test_a_state_path_that_cannot_be_used_now_suspends_nightly_sweeps_only(place: Place, odd: str) -> None:
    """What may pass is told as before, and the node is still swept."""
    place.write_config("state.path", EVERY[odd](place.folder))
    with serving(place.folder) as server:
        assert [place.run(command, endpoint=server.socket)[0] for command in ("plan", "sweep", "check")] == [0, 0, 0]
    status, _, err = place.run("history", endpoint=None)
    assert status == 3
    require_one_line(err, "ledger")


@pytest.mark.parametrize("odd", ELSEWHERE | NOT_HERE)
def test_a_filesystem_path_that_is_no_directory_is_status_3(place: Place, odd: str) -> None:
    """The key is named."""
    place.write_config("filesystem.path", EVERY[odd](place.folder))
    with serving(place.folder) as server:
        require_refusal(place, "filesystem.path: ", 3, server.socket)


@pytest.mark.parametrize("odd", ["relative", *(odd for odd in EVERY if odd not in {"directory", "surrogate"})])
def test_an_image_filesystem_that_is_no_directory_is_status_3(place: Place, odd: str) -> None:
    """Whatever the runtime answers, the calls are named, and the answer is shown on one line."""
    place.write_config()
    with serving(place.folder) as server:
        server.mountpoints = (EVERY[odd](place.folder) if odd in EVERY else "var/lib/containerd",)
        require_refusal(place, "(ImageFsInfo, Plugins): ", 3, server.socket)


@pytest.mark.parametrize("odd", [odd for odd in EVERY if odd not in {"directory", "surrogate"}])
@pytest.mark.parametrize("root", [CONTAINERS, CONTENT, SNAPSHOTS])
def test_another_filesystem_that_is_no_directory_is_left_out(place: Place, root: str, odd: str) -> None:
    """It is measured nowhere, which `check` says in one line."""
    place.write_config()
    path = EVERY[odd](place.folder)
    with serving(place.folder, containerd=True) as server:
        if root == CONTAINERS:
            server.container_mountpoints = (path,)
        else:
            server.roots |= {
                "io.containerd." + ("content.v1.content" if root == CONTENT else "snapshotter.v1.native"): path
            }
        assert [place.run(command, endpoint=server.socket)[0] for command in ("plan", "sweep")] == [0, 0]
        status, out, err = place.run("check", endpoint=server.socket)
    assert (status, err) == (0, "")
    (line,) = [line for line in out.splitlines() if "is not seen here" in line]
    assert line.isprintable()
    assert len(line) < 500


@pytest.mark.parametrize("odd", sorted(UNREADABLE))
@pytest.mark.parametrize("key", ["kubelet.config", "kubelet.config_dir"])
def test_a_kubelet_path_that_cannot_be_read_means_its_defaults(place: Place, key: str, odd: str) -> None:
    """That is documented; `check` says so in one line with the path."""
    path = EVERY[odd](place.folder)
    place.write_config(key, path)
    with serving(place.folder) as server:
        assert [place.run(command, endpoint=server.socket)[0] for command in ("plan", "sweep")] == [0, 0]
        status, out, err = place.run("check", endpoint=server.socket)
    assert (status, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("kubelet ")]
    assert path in line or key == "kubelet.config_dir"


@pytest.mark.parametrize("odd", sorted(UNREADABLE))
def test_certificates_that_cannot_be_read_are_status_3(place: Place, odd: str) -> None:
    """A pipe is not waited for."""
    place.write_config("registries.ca_file", EVERY[odd](place.folder))
    with serving(place.folder) as server:
        require_refusal(place, "registries.ca_file: ", 3, server.socket)


@pytest.mark.parametrize("odd", sorted(UNREADABLE))
@pytest.mark.parametrize("key", [key for key in KEYS if key.startswith("alertmanager.")])
def test_a_file_for_the_alertmanager_that_cannot_be_read_is_an_error_of_check(place: Place, key: str, odd: str) -> None:
    """Sweeps do not depend on it; a pipe is not waited for."""
    place.write_config(key, EVERY[odd](place.folder))
    with serving(place.folder) as server:
        assert [place.run(command, endpoint=server.socket)[0] for command in ("plan", "sweep")] == [0, 0]
        status, out, err = place.run("check", endpoint=server.socket)
    assert (status, err) == (3, "")
    (line,) = [line for line in out.splitlines() if " error " in line]
    assert f"{key}: " in line


@pytest.mark.parametrize(
    "odd", ["circle", "below a circle", "pipe", "below a file", "file without an end", "directory"]
)
@pytest.mark.parametrize("key", ["runtime.endpoint", "runtime.image_endpoint"])
def test_an_endpoint_where_no_runtime_can_be_is_status_3(place: Place, key: str, odd: str) -> None:
    """The daemon does not wait for it."""
    path = EVERY[odd](place.folder)
    place.write_config(key, path)
    with serving(place.folder) as server:
        require_refusal(place, f"unix://{path}: ", 3, None if key == "runtime.endpoint" else server.socket)


@pytest.mark.parametrize("odd", ["socket", "link to nowhere"])
@pytest.mark.parametrize("key", ["runtime.endpoint", "runtime.image_endpoint"])
def test_an_endpoint_without_a_runtime_is_status_3(place: Place, key: str, odd: str) -> None:
    """Commands say at once that no runtime answers there; the daemon waits for it."""
    path = EVERY[odd](place.folder)
    place.write_config(key, path)
    with serving(place.folder) as server:
        for command in ("plan", "sweep"):
            endpoint = None if key == "runtime.endpoint" else server.socket
            status, out, err = place.run(command, endpoint=endpoint)
            assert (status, out) == (3, "")
            require_one_line(err, f"the container runtime does not answer at unix://{path}: ")


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


@pytest.mark.parametrize(
    ("key", "statuses"),
    [
        ("state.path", {"plan": 0, "check": 0, "history": 3}),
        ("filesystem.path", {"plan": 3, "check": 3}),
        ("kubelet.config", {"plan": 0, "check": 0}),
        ("registries.ca_file", {"plan": 3, "check": 3}),
        ("alertmanager.bearer_token_file", {"plan": 0, "check": 3}),
    ],
)
def test_a_path_that_this_user_may_not_search(place: Place, key: str, statuses: dict[str, int]) -> None:
    """What root may do alone is told in a line; for the ledger it is the state that is documented."""
    place.folder.chmod(0o755)
    closed = place.folder / "closed"
    closed.mkdir(mode=0o700)
    closed.chmod(0)
    place.write_config(key, f"{closed}/x")
    with serving(place.folder) as server:
        server.socket.chmod(0o666)
        with as_nobody():
            for command, expected in statuses.items():
                status, out, err = place.run(command, endpoint=server.socket)
                assert status == expected, out + err
                if command != "plan" or key not in {"alertmanager.bearer_token_file", "kubelet.config"}:
                    assert "Permission denied" in out + err
                if command != "check" and expected:
                    require_one_line(err, str(closed))
    closed.chmod(0o700)


def test_the_daemon_goes_on_with_every_oddity_that_it_may_have(tmp_path: Path, folder: Path) -> None:
    """With several wrong paths at once no round fails: nothing is an unexpected error."""
    make_oddities(folder)
    with serving(folder, containerd=True) as server:
        server.container_mountpoints = (UNHOLDABLE["name of 256 bytes"](folder),)
        server.roots |= {"io.containerd.content.v1.content": UNSPEAKABLE["newline"](folder)}
        server.roots |= {"io.containerd.snapshotter.v1.native": UNHOLDABLE["path of 4,096 bytes"](folder)}
        daemon = DaemonProcess(
            tmp_path,
            f"unix://{server.socket}",
            policy={"rules": [{"name": "all", "match": ["**"], "max_age": "30d"}]},
            pressure={"check_every": "1s"},
            nightly=NO_NIGHT,
            state={"path": f"{folder}/file/ledger.db"},
            kubelet={"config": f"{folder}/circle", "config_dir": f"{folder}/file/x"},
            alertmanager={"url": "http://127.0.0.1:1", "bearer_token_file": f"{folder}/pipe"},
        )
        with daemon:
            daemon.wait_for_event("ledger_down")
            daemon.wait_for_checks(2)
            found = {line["event"] for line in daemon.lines()}
    assert not found & {*UNEXPECTED}
    assert "runtime_up" in found
