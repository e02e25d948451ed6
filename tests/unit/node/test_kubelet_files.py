"""The kubelet's files on a node: read, merged, missing, broken, and never quoted."""

import json
import os
from pathlib import Path

import pytest

from cleaner.core.kubelet import KubeletSettings
from cleaner.node.kubelet_files import LARGEST_KUBELET_FILE_BYTES, KubeletFiles

KIND = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
SECRET = "hunter2"  # noqa: S105 - to see that it is not quoted


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def reason(file: Path) -> tuple[str | None, bool]:
    """Why the defaults are assumed, without the path before it, and whether that is a fault."""
    found = KubeletFiles(str(file)).read()
    assert found.path == str(file)
    assert found.settings == KubeletSettings()
    assert found.reason is not None
    assert SECRET not in found.reason
    return found.reason.replace(f"{file} ", "", 1), found.broken


def test_a_file_is_read_in_yaml_and_json(file: Path) -> None:
    """Its settings are read, and other keys are ignored."""
    text = f"{KIND}staticPodURLHeader: {{token: [{SECRET}]}}\nimageGCHighThresholdPercent: 70\n"
    for written in (text, json.dumps({"kind": "KubeletConfiguration", "imageGCHighThresholdPercent": 70}, indent="\t")):
        file.write_text(written)
        found = KubeletFiles(str(file)).read()
        assert (found.reason, found.broken, found.settings.gc_high_percent) == (None, False, 70)


@pytest.mark.parametrize("more", ["a: &hunter2 1\nb: &hunter2 2\n", "a: 1e5\n"])
def test_a_file_is_read_without_warnings(file: Path, more: str) -> None:
    """What ruamel.yaml warns of, a repeated anchor and a number of YAML 1.1, is of no concern; here it would raise."""
    file.write_text(f"%YAML 1.1\n---\n{KIND}imageGCHighThresholdPercent: 70\n{more}")
    found = KubeletFiles(str(file)).read()
    assert (found.reason, found.settings.gc_high_percent) == (None, 70)


def test_an_unknown_version_of_yaml_is_one_line(file: Path) -> None:
    """ruamel.yaml fails on it with an assertion."""
    file.write_text(f"%YAML 1.3\n---\n{KIND}")
    assert reason(file) == ("is no YAML that makes sense", True)


def test_a_file_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    """Most pods do not have it mounted."""
    assert reason(tmp_path / "none.yaml") == ("is not there, or not mounted", False)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no KubeletConfiguration"),
        (b"- a\n", "is no KubeletConfiguration"),
        (b"kind: KubeProxyConfiguration\n", "is no KubeletConfiguration"),
        (b"kind: KubeletConfiguration\na: [\n", "is no YAML: see line 3"),
        (b"kind: KubeletConfiguration\na: hunter2\na: hunter2\n", "is no YAML: see line 3"),
        (b"a: 1\n---\nb: hunter2\n", "is no YAML: see line 2"),
        (b"a: \x01\n", "is no YAML that makes sense"),
        (b"a: 2024-99-99\n", "is no YAML that makes sense"),
        (b"[" * 5000, "is no YAML that makes sense"),
        (b'{"kind": "KubeletConfiguration",\n hunter2}', "is no JSON: see line 2"),
        (b"kind: \xff\n", "is no UTF-8 at byte 6"),
        (KIND.encode() + b"evictionHard: {imagefs.available: many}\n", "imagefs.available: 'many' is no percentage"),
        (KIND.encode() + b"#" * LARGEST_KUBELET_FILE_BYTES, "is larger than 256 KiB"),
    ],
)
def test_a_file_that_makes_no_sense_is_one_line(file: Path, content: bytes, says: str) -> None:
    """The reason does not quote the file's content, and the defaults count."""
    file.write_bytes(content)
    said, broken = reason(file)
    assert broken is True
    assert said is not None
    assert said.startswith(says)


def test_a_file_of_the_largest_size_is_read(file: Path) -> None:
    """One byte more is too much."""
    text = f"{KIND}imageGCHighThresholdPercent: 70\n"
    file.write_text(text + "#" * (LARGEST_KUBELET_FILE_BYTES - len(text)))
    assert KubeletFiles(str(file)).read().settings.gc_high_percent == 70


def test_what_is_no_file_is_not_read(file: Path) -> None:
    """A directory that a mount made of it, a pipe without a writer, a loop of links."""
    os.mkfifo(file)
    assert reason(file) == ("is no file; where the mount made a directory of it, mount it as a File", True)
    file.unlink()
    file.mkdir()
    assert reason(file)[0] == "is no file; where the mount made a directory of it, mount it as a File"
    file.rmdir()
    file.symlink_to(file)
    assert reason(file) == ("cannot be read: Too many levels of symbolic links", True)


def test_drop_ins_are_merged_by_their_names(file: Path, tmp_path: Path) -> None:
    """`*.conf` only, folders in their place; without a kind of its own each of them is a fault."""
    folder = tmp_path / "config.d"
    (folder / "30-more").mkdir(parents=True)
    file.write_text(KIND)
    for name, high in {"10-a.conf": 50, "30-more/x.conf": 70, "20-b.conf": 60, "90-c.yaml": 90}.items():
        (folder / name).write_text(f"{KIND}imageGCHighThresholdPercent: {high}\n")
    files = KubeletFiles(str(file), str(folder))
    assert files.read().settings.gc_high_percent == 70
    (folder / "99-d.conf").write_text("imageGCHighThresholdPercent: 80\n")
    assert files.read().reason == f"{folder}/99-d.conf is no KubeletConfiguration"
    assert files.read().broken is True


def test_a_folder_of_drop_ins_that_is_not_there_is_said(file: Path, tmp_path: Path) -> None:
    """Half of a configuration is none."""
    file.write_text(f"{KIND}imageGCHighThresholdPercent: 70\n")
    found = KubeletFiles(str(file), str(tmp_path / "config.d")).read()
    assert found.reason == f"{tmp_path}/config.d is not there, or not mounted"
    assert found.settings == KubeletSettings()
