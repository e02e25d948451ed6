"""The lab itself: what the other e2e tests stand on, on every containerd that it serves."""

import hashlib
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lab import LEFTOVERS, VERSIONS, ImageSpec, Lab, LabError, Layer, Pod
from lab.bare_disk import bare_disk
from lab.claim import OWNER, claim_folder
from lab.config import Folders
from lab.disk import Ballast, DiskSpec, read_usage
from lab.mirror import Mirror, find_mirror
from lab.node import Node
from lab.shell import run
from lab.toolbox import fetch_toolbox
from lab.waiting import DEADLINE_SECONDS, wait_until

APP = ImageSpec("golem-ai/app", "v1", (Layer(300_000, 1), Layer(200_000, 2, compressible=True)), "1970-01-01T00:00:00Z")
MIB = 1 << 20
OTHER = ImageSpec("golem-ai/other", "v1", (Layer(300_000, 1), Layer(1_000, 3, files=10)))
TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module", params=VERSIONS)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with Lab(version=request.param) as lab:
        yield lab


def left_behind(base: Path) -> list[str]:
    """List what still names a lab's folder: mounts, loop devices, living processes, cgroups, the folder."""
    mounts = mounts_of("self")
    loops = "".join(text_of(path) for path in Path("/sys/block").glob("loop*/loop/backing_file"))
    found = [name for name, text in {"mounts": mounts, "loop devices": loops}.items() if str(base) in text]
    found += [f"process {pid}" for pid in Path("/proc").glob("[0-9]*") if names(pid, base)]
    # os.walk skips folders that are removed meanwhile; Path.glob raises.
    found += [f"{parent}/{base.name}" for parent, folders, _ in os.walk("/sys/fs/cgroup") if base.name in folders]
    return found + ([str(base)] if base.exists() else [])


def mounts_of(process: str) -> str:
    """Return a process's mounts, with the spaces that the kernel writes in octal."""
    return text_of(Path("/proc", process, "mounts")).replace("\\040", " ")


def text_of(path: Path) -> str:
    """Return a file's text, or nothing if it is gone, since other processes end while a test searches."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def names(process: Path, base: Path) -> bool:
    """Say whether a process has a folder in its arguments, or stands on an overlay of that folder."""
    roots = (line for line in mounts_of(process.name).splitlines() if " / " in line)
    return str(base) in text_of(process / "cmdline") or any(str(base) in line for line in roots)


def test_version_is_the_one_asked_for(lab: Lab) -> None:
    """A lab's version is what containerd says, of the series that was asked for."""
    assert lab.version.split(".")[0] in ("1", "2")
    assert lab.ctr("version").count(lab.version) >= 1


def test_a_throttled_pull(lab: Lab) -> None:
    """A pull through the slow road lasts as its rate says, stops at a rate of 0, and fails where the road is cut."""
    slow, broken = lab.push(
        ImageSpec("golem-ai/slow", layers=(Layer(MIB, 70),)), ImageSpec("golem-ai/broken", layers=(Layer(MIB, 71),))
    )
    with lab.throttled(0) as road, ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        pull = pool.submit(lab.pull, slow.reference("registry.gitlab.com"))
        road.set_rate(4 * MIB)
        assert pull.result() == slow.image_id
        assert road.served_bytes >= MIB
        assert time.monotonic() - began >= 0.8 * road.served_bytes / (4 * MIB)
        road.set_rate(0)
        pull = pool.submit(lab.pull, broken.reference("registry.gitlab.com"))
        road.cut()
        with pytest.raises(LabError, match="PullImage"):
            pull.result()
    assert lab.pull(broken.reference("registry.gitlab.com")) == broken.image_id


def test_a_stopped_pull(lab: Lab) -> None:
    """A stopped pull gets an image's manifest and config, but only the beginning of its layers."""
    [image] = lab.push(ImageSpec("golem-ai/stopped", layers=(Layer(MIB, 73),)))
    with lab.throttled(math.inf) as road, ThreadPoolExecutor(1) as pool:
        road.stop_at(0)
        pull = pool.submit(lab.pull, image.reference("registry.gitlab.com"))
        try:
            wait_until(lambda: image.image_id in lab.ctr("content", "ls", "-q"), "the config is there")
            assert not pull.done()
            assert road.served_bytes < MIB
        finally:
            road.stop_at(math.inf)
        assert pull.result() == image.image_id


def test_repeated_blocks(lab: Lab) -> None:
    """A layer of which each block comes three times in a row is a blob of a third of its size."""
    [image] = lab.push(ImageSpec("golem-ai/repeated", layers=(Layer(3 * MIB, 72, repeats=3),), base=False))
    assert image.layers[0].size_bytes == pytest.approx(MIB, rel=0.05)


def test_pull_by_tag_and_by_digest(lab: Lab) -> None:
    """An image is pulled under real registry names, by tag and by digest, and has one id."""
    [app] = lab.push(APP)
    assert lab.pull(app.reference("registry.gitlab.com")) == app.image_id
    assert lab.pull(app.digest_reference("rg.fr-par.scw.cloud")) == app.image_id
    assert set(lab.list_references(app.image_id)) == {
        app.reference("registry.gitlab.com"),
        app.digest_reference("registry.gitlab.com"),
        app.digest_reference("rg.fr-par.scw.cloud"),
    }


def test_docker_hub_and_unknown_names(lab: Lab) -> None:
    """A name that is not listed, and the name without a registry, lead to the local registry too."""
    [nginx] = lab.push(ImageSpec("library/nginx", "latest", (Layer(1_000, 4),)))
    assert lab.pull("nginx") == nginx.image_id
    assert lab.pull(nginx.reference("registry.invalid:8443")) == nginx.image_id


def test_equal_specs_are_equal_images(lab: Lab) -> None:
    """The same spec has the same digests again, and equal layers are one blob."""
    first, second, other = lab.push(APP, APP, OTHER)
    assert first == second
    assert first.image_id != other.image_id
    assert first.layers[:2] == other.layers[:2]


def test_created_is_written_as_it_is(lab: Lab) -> None:
    """The config carries created word for word, or not at all."""
    specs = [ImageSpec("golem-ai/dated", str(at), (), at) for at in ("1980-01-01T00:00:00Z", "nonsense", None)]
    for image in lab.push(*specs):
        config = lab.blob(image.image_id).read_text(encoding="utf-8")
        assert (f'"created": "{image.spec.created}"' in config) == (image.spec.created is not None)
        assert ('"created"' in config) == (image.spec.created is not None)


def test_pods_run_on_over_a_restart(lab: Lab) -> None:
    """A pod starts from a pulled image, outlives containerd's crash, and its stopped container stays."""
    [app] = lab.push(APP)
    reference = app.reference("registry.gitlab.com")
    lab.pull(reference)
    running, stopped = lab.start_pod(reference), lab.start_pod(app.image_id)
    stopped.stop()
    lab.kill()
    lab.start()
    tasks = {line.split()[0]: line.split()[2] for line in lab.ctr("tasks", "ls").splitlines()[1:]}
    assert tasks[running.container_id] == "RUNNING"
    assert tasks.get(stopped.container_id, "STOPPED") == "STOPPED"
    assert stopped.container_id in lab.ctr("containers", "ls", "-q")
    running.remove()
    assert running.container_id not in lab.ctr("containers", "ls", "-q")


def test_created_container(lab: Lab) -> None:
    """A container that is created but not started has no task."""
    [app] = lab.push(APP)
    lab.pull(app.reference("quay.io"))
    pod = lab.start_pod(app.reference("quay.io"), run=False)
    assert pod.container_id in lab.ctr("containers", "ls", "-q")
    assert pod.container_id not in lab.ctr("tasks", "ls")
    pod.remove()


def test_image_without_base_starts_no_pod(lab: Lab) -> None:
    """A pod of an image without busybox fails, and leaves no sandbox behind."""
    [bare] = lab.push(ImageSpec("golem-ai/bare", "v1", (Layer(1_000, 5),), base=False))
    lab.pull(bare.reference("quay.io"))
    before = lab.ctr("containers", "ls", "-q")
    with pytest.raises(LabError, match="CreateContainer"):
        lab.start_pod(bare.reference("quay.io"))
    assert lab.ctr("containers", "ls", "-q") == before


def test_loaded_image_and_tags(lab: Lab) -> None:
    """An imported image has no digest; a tag is added and removed without the image."""
    image = lab.load(ImageSpec("built", "here", (Layer(1_000, 6),)), "localhost/built:here")
    assert lab.list_references(image.image_id) == ["localhost/built:here"]
    lab.tag("localhost/built:here", "docker.io/golem-ai/built:too")
    lab.remove_tag("localhost/built:here")
    assert lab.list_references(image.image_id) == ["docker.io/golem-ai/built:too"]


def test_stopped_registry(lab: Lab) -> None:
    """A pull fails while the registry is stopped, and works again afterwards."""
    [image] = lab.push(ImageSpec("golem-ai/late", "v1"))
    lab.registry.stop()
    with pytest.raises(LabError, match="PullImage"):
        lab.pull(image.reference("ghcr.io"))
    lab.registry.start()
    assert lab.pull(image.reference("ghcr.io")) == image.image_id


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_fill(filesystem: str) -> None:
    """The usage rises and falls to the requested percentage, within a MiB, on a disk of its own."""
    with bare_disk(DiskSpec(filesystem, size_mib=400)) as disk:
        ballast, empty = Ballast(disk), read_usage(disk)
        for percent in (60.0, 85.0, 84.5):
            ballast.fill(percent)
            assert percent <= read_usage(disk).used_percent <= percent + 100 * MIB / empty.capacity_bytes
        ballast.drop()
        # xfs frees what was unlinked a moment later.
        wait_until(lambda: read_usage(disk).used_percent < 50, "the ballast's space is free")


def test_fill_completely(lab: Lab) -> None:
    """A disk that is completely full accepts no block more, not even from root."""
    lab.fill_completely()
    assert lab.usage().available_bytes == 0
    with pytest.raises(OSError, match="No space left"):
        (lab.disk / "one-more").write_bytes(b"x" * 4096)
    (lab.disk / "one-more").unlink()
    lab.drop_ballast()


def test_xfs_with_a_pod() -> None:
    """A lab on xfs runs a pod and fills up until the next block does not fit."""
    with Lab(version="1.7", filesystem="xfs", size_mib=400) as lab:
        [app] = lab.push(APP)
        lab.start_pod(lab.pull(app.reference("quay.io")))
        lab.fill(85.0)
        lab.fill_completely()
        with pytest.raises(OSError, match="No space left"):
            (lab.disk / "one-more").write_bytes(bytes(MIB))
        assert lab.usage().used_percent > 99.0


def test_inodes() -> None:
    """A disk has about as many inodes as asked for, and a layer of many files uses them."""
    with Lab(inodes=3000) as lab:
        assert 3000 <= lab.usage().inodes < 4000
        before = lab.usage().free_inodes
        [image] = lab.push(ImageSpec("golem-ai/files", "v1", (Layer(1_000, 8, files=1_000),)))
        lab.pull(image.reference("quay.io"))
        assert 1_000 < before - lab.usage().free_inodes < 1_100


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_left(version: str) -> None:
    """After the block, also after Ctrl-C in it, no trace of the lab is on the machine."""
    lab, pods = Lab(version=version), list[Pod]()
    with pytest.raises(KeyboardInterrupt):
        interrupt(lab, pods)
    assert_nothing_left(lab.folder)
    assert not shim_socket(lab, pods[0]).exists()


@pytest.mark.usefixtures("_alone")
def test_a_second_disk_is_removed_too() -> None:
    """A content store with a disk of its own leaves nothing behind either; blobs lie there, snapshots do not."""
    lab = Lab(version="2", content_mib=60)
    with lab:
        before = read_usage(lab.content).available_bytes, lab.usage().available_bytes
        [image] = lab.push(ImageSpec("golem-ai/apart", "v1", (Layer(6_000_000, 9),)))
        lab.pull(image.reference("quay.io"))
        after = read_usage(lab.content).available_bytes, lab.usage().available_bytes
        assert all(6_000_000 < was - now < 9_000_000 for was, now in zip(before, after, strict=True))
    assert_nothing_left(lab.folder)


def interrupt(lab: Lab, pods: list[Pod]) -> None:
    with lab:
        [app] = lab.push(APP)
        pods.append(lab.start_pod(lab.pull(app.reference("quay.io"))))
        assert {"mounts", "loop devices"} <= set(left_behind(lab.folder))
        assert shim_socket(lab, pods[0]).exists()
        raise KeyboardInterrupt


def shim_socket(lab: Lab, pod: Pod) -> Path:
    """Where the shim of a pod listens, outside the lab's folder and beside those of other labs."""
    name = hashlib.sha256(f"{lab.socket}/k8s.io/{pod.sandbox_id}".encode()).hexdigest()
    return Path("/run/containerd/s") / name


def assert_nothing_left(base: Path) -> None:
    """No trace of a lab is on the machine, but for the device that another process's mount namespace still has.

    Any process of the machine that was started with a mount namespace of its own may have a copy of the lab's mounts
    for as long as it likes; a lab's own processes would be found by its folder.
    """

    def elsewhere() -> bool:
        return "is still attached to" in why_left(base)

    if why_left(base):
        # It was said that it is late: then it is removed later, on a machine that stood still too.
        wait_until(lambda: not LEFTOVERS.reap() or not why_left(base) or elsewhere(), f"{base} is removed")
    assert set(left_behind(base)) <= ({str(base), "loop devices"} if elsewhere() else set())


def why_left(base: Path) -> str:
    """Why a lab that was waited for is still left, as the lab says it; nothing where it is not."""
    late_ones = (late for late in LEFTOVERS.late() if late.folder == base and late.removed_after_seconds is None)
    return next((late.reason for late in late_ones), "")


@contextmanager
def running(*command: str | Path, folder: Path | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the test, ended with the block."""
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def python(*arguments: str, folder: Path | None = None) -> Iterator["subprocess.Popen[str]"]:
    """Start a Python that can import the lab, and kill it at the end of the block, also after a failed assertion."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TOOLS), *sys.path])}
    command = [sys.executable, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Put this test's labs in a claimed folder, where no other run removes them while this process lives."""
    # pytest makes its folder now; later, it would make it in the claimed one.
    tmp_path_factory.getbasetemp()
    with claim_folder() as folder:
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        monkeypatch.setenv("TMPDIR", str(folder))
        yield
        LEFTOVERS.reap()
        if [entry.name for entry in folder.iterdir()] == [OWNER]:
            (folder / OWNER).unlink()
            folder.rmdir()
    # A lab that is still in use stays with its folder. The end of the run removes it or reports it.


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not end by itself is not waited for, nor reported at the end of the run."""
    monkeypatch.setattr(LEFTOVERS, "patience_seconds", 1.0)
    monkeypatch.setattr(LEFTOVERS, "_late", {})


@pytest.fixture
def unshared() -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Start a process with a copy of all mounts of this moment; what is unmounted here stays mounted there."""
    with ExitStack() as processes:

        def start(folder: Path) -> "subprocess.Popen[bytes]":
            command = ("unshare", "--mount", "--propagation", "private", "sleep", "infinity")
            process = processes.enter_context(running(*command, folder=folder))
            wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text().strip() == "sleep", "it sleeps")
            return process

        yield start


@pytest.mark.usefixtures("_alone", "_impatient")
def test_a_disk_that_another_namespace_has(unshared: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    """A process with mounts of its own, which are a copy of the lab's too, delays nothing."""
    with Lab(version="2") as lab:
        process = unshared(Path("/"))
        assert f"/{lab.folder.name}/disk " in Path(f"/proc/{process.pid}/mountinfo").read_text()
    assert f"/{lab.folder.name}/disk " not in Path(f"/proc/{process.pid}/mountinfo").read_text()
    assert_nothing_left(lab.folder)


@pytest.mark.usefixtures("_alone", "_impatient")
def test_a_disk_that_another_namespace_uses(
    unshared: Callable[..., "subprocess.Popen[bytes]"], capfd: pytest.CaptureFixture[str]
) -> None:
    """A lab ends without a fault while such a process stands on its disk, and names it; later the lab is removed."""
    with Lab(version="2") as lab:
        process = unshared(lab.disk)
    assert f"used by process {process.pid} (sleep)" in why_left(lab.folder)
    assert f"lab: cannot remove {lab.folder} yet, will retry: /dev/loop" in capfd.readouterr().err
    assert set(left_behind(lab.folder)) == {"loop devices", str(lab.folder)}
    assert lab.folder in {late.folder for late in LEFTOVERS.reap()}
    process.kill()
    process.wait()
    assert lab.folder not in {late.folder for late in LEFTOVERS.reap_until(DEADLINE_SECONDS)}
    assert left_behind(lab.folder) == []


@pytest.mark.usefixtures("_alone", "_impatient")
def test_a_disk_that_is_in_use(capfd: pytest.CaptureFixture[str]) -> None:
    """A disk in which a process stands is left with its mount, and the process is named; the next lab removes it."""
    with ExitStack() as stack:
        with bare_disk(DiskSpec(size_mib=8)) as disk:
            process = stack.enter_context(running("sleep", "infinity", folder=disk))
        base = disk.parent
        assert f"process {process.pid} (sleep) is using {disk}" in why_left(base)
        assert f"lab: cannot remove {base} yet, will retry" in capfd.readouterr().err
        assert "mounts" in left_behind(base)
    with bare_disk(DiskSpec(size_mib=8)):
        LEFTOVERS.reap()
    assert_nothing_left(base)


@pytest.mark.parametrize("name", ["with two spaces", "link"])
def test_where_temporary_files_lie(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A lab is removed from a folder with spaces in its name, and from one behind a symbolic link."""
    folder = tmp_path / name
    if name == "link":
        (tmp_path / "target").mkdir()
        folder.symlink_to("target")
    else:
        folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with bare_disk(DiskSpec(size_mib=8)) as disk:
        assert disk.is_mount()
        assert disk == disk.resolve()
    assert_nothing_left(disk.parent)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("_alone", "_impatient")
def test_a_folder_that_cannot_be_removed() -> None:
    """A folder with a file that nothing removes is not forgotten: it is removed once it can be."""
    with bare_disk(DiskSpec(size_mib=8)) as disk:
        fixed = disk.parent / "fixed"
        fixed.touch()
        run("chattr", "+i", fixed)
    try:
        assert "its folder cannot be removed" in why_left(disk.parent)
        assert disk.parent in {late.folder for late in LEFTOVERS.reap()}
    finally:
        run("chattr", "-i", fixed)
    assert LEFTOVERS.reap() == []
    assert left_behind(disk.parent) == []


@pytest.mark.usefixtures("_alone")
def test_killed_lab_is_reaped() -> None:
    """A lab whose process was killed is removed by the next one."""
    script = (
        "import sys, time; from lab import *\n"
        "with Lab(version='2') as lab:\n"
        "    [app] = lab.push(ImageSpec('golem-ai/app'))\n"
        "    lab.start_pod(lab.pull(app.reference('quay.io')))\n"
        "    print(lab.folder, flush=True); time.sleep(3600)\n"
    )
    with python("-c", script) as child:
        assert child.stdout is not None
        base = Path(child.stdout.readline().strip())
        LEFTOVERS.reap()
        assert base.exists()
        child.kill()
    assert "mounts" in left_behind(base)
    LEFTOVERS.reap()
    assert_nothing_left(base)


@pytest.mark.usefixtures("_alone", "_impatient")
def test_labs_in_a_folder_of_a_killed_test_are_reaped() -> None:
    """The folder of a killed test is removed once its labs are, and stays while a process uses one of them."""
    script = (
        "import tempfile, time; from lab.bare_disk import bare_disk; from lab.claim import claim_folder\n"
        "from lab.disk import DiskSpec\n"
        "with claim_folder() as folder:\n"
        "    tempfile.tempdir = str(folder)\n"
        "    with bare_disk(DiskSpec(size_mib=8)) as disk:\n"
        "        print(disk, flush=True); time.sleep(3600)\n"
    )
    with python("-c", script) as child:
        assert child.stdout is not None
        disk = Path(child.stdout.readline().strip())
        base, folder = disk.parent, disk.parent.parent
        assert LEFTOVERS.reap() == []
        assert "mounts" in left_behind(base)
        child.kill()
    with running("sleep", "infinity", folder=disk):
        assert {late.folder for late in LEFTOVERS.reap()} == {base}
        assert "mounts" in left_behind(base)
    LEFTOVERS.reap_until(DEADLINE_SECONDS)
    assert_nothing_left(base)
    assert not folder.exists()


@pytest.mark.usefixtures("_alone")
def test_a_run_ends_on_sigterm(tmp_path: Path) -> None:
    """A test run that gets SIGTERM twice removes its labs and ends as after Ctrl-C."""
    ready, interrupted, second = (tmp_path / name for name in ("ready", "interrupted", "second"))
    (tmp_path / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(
        "import pathlib, time\n"
        "from lab.bare_disk import bare_disk\n"
        "from lab.disk import DiskSpec\n"
        "def test_it():\n"
        "    with bare_disk(DiskSpec(size_mib=8)) as disk:\n"
        f"        pathlib.Path({str(ready)!r}).write_text(f'{{disk}}\\n')\n"
        "        try:\n"
        "            time.sleep(3600)\n"
        "        finally:\n"
        f"            pathlib.Path({str(interrupted)!r}).touch()\n"
        f"            while not pathlib.Path({str(second)!r}).exists():\n"
        "                time.sleep(0.01)\n"
    )
    pytest_words = ("-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path))
    with python(*pytest_words, folder=tmp_path) as run_of_tests:
        wait_until(lambda: ready.exists() and ready.read_text().endswith("\n"), "the test has its disk")
        base = Path(ready.read_text().strip()).parent
        assert "mounts" in left_behind(base)
        run_of_tests.send_signal(signal.SIGTERM)
        wait_until(lambda: interrupted.exists() or run_of_tests.poll() is not None, "the test is interrupted")
        run_of_tests.send_signal(signal.SIGTERM)
        second.touch()
        told, _ = run_of_tests.communicate(timeout=DEADLINE_SECONDS)
    assert run_of_tests.returncode == pytest.ExitCode.INTERRUPTED, told
    assert "This run left nothing on the machine." in told
    assert_nothing_left(base)


@pytest.mark.usefixtures("_alone")
def test_up_ends_on_sigterm() -> None:
    """`python -m lab up` prints where the lab is, and SIGTERM removes it."""
    with python("-m", "lab", "up", "--version", "1.7") as up:
        assert up.stdout is not None
        lines = [up.stdout.readline() for _ in range(5)]
        base = Path(lines[2].split(maxsplit=1)[1].strip()).parent
        assert "loop devices" in left_behind(base)
        up.send_signal(signal.SIGTERM)
        assert up.wait(DEADLINE_SECONDS) == 0
    LEFTOVERS.reap()
    assert_nothing_left(base)


def test_boot_failure_tells_the_log(tmp_path: Path) -> None:
    """A containerd that does not come up is an error with its last words."""
    folders = Folders(tmp_path)
    folders.config.write_text("version = 'none'\n", encoding="utf-8")
    with pytest.raises(LabError, match=r"(?s)containerd ended with 1:.*unmarshal"):
        Node(fetch_toolbox("1.6"), folders).start()


def test_unknown_version() -> None:
    """A version that the lab does not serve is an error that names those it does."""
    with pytest.raises(LabError, match=r"1\.6, 1\.7, 2"), Lab(version="1.5"):
        pass


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.sources", "# mine\nTypes: deb\nURIs: http://mirror.test/debian\nSuites: bookworm\nSigned-By: /key.gpg\n"),
        ("a.list", "deb [arch=amd64 signed-by=/key.gpg] http://mirror.test/debian bookworm main # mine\n"),
    ],
)
def test_mirror_is_read_from_either_format(tmp_path: Path, name: str, text: str) -> None:
    """The mirror is found in a deb822 file and in a one-line file, past entries of other suites."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://other.test/debian bookworm-security main\n", encoding="utf-8")
    (tmp_path / "sources.list.d" / name).write_text(text, encoding="utf-8")
    assert find_mirror(tmp_path) == Mirror("http://mirror.test/debian", "/key.gpg")
