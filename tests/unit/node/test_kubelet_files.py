"""The kubelet's files on a node: read, merged, missing, broken, and never quoted."""

import json
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.core.kubelet import KubeletConfig, KubeletSettings
from cleaner.node.kubelet_files import LARGEST_KUBELET_FILE_BYTES, MOST_ENTRIES, KubeletFiles

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


def test_a_yaml_mapping_in_braces_is_read(file: Path) -> None:
    """It begins like JSON, and the kubelet reads it."""
    file.write_text("{kind: KubeletConfiguration, imageGCHighThresholdPercent: 70}")
    assert KubeletFiles(str(file)).read().settings.gc_high_percent == 70


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
        (b'{"kind": "KubeletConfiguration",\n hunter2', "is no JSON: see line 2"),
        (b'{"a":' * 5000, "is no JSON that makes sense"),
        (b'{"kind": ' + b"9" * 5000 + b"}", "is no JSON that makes sense"),
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


def test_a_file_that_fails_while_it_is_read_is_named() -> None:
    """The system names a file that cannot be opened, and none that cannot be read."""
    assert reason(Path("/proc/self/mem")) == ("cannot be read: Input/output error", True)


@dataclass(frozen=True)
class Folder:
    """A kubelet's --config-dir."""

    path: Path

    def write(self, name: str, text: str = "", *, high: int | None = None) -> None:
        """A drop-in of this text, or one that sets when images are collected."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text if high is None else f"{KIND}imageGCHighThresholdPercent: {high}\n")

    def read(self, config: Path | None = None, *, may_lack_config: bool = False) -> KubeletConfig:
        """What the agent makes of it."""
        name = None if config is None else str(config)
        return KubeletFiles(name, str(self.path), may_lack_config=may_lack_config).read()

    def order(self, found: KubeletConfig) -> list[str]:
        """The files that were read, by their names below the folder."""
        return [str(Path(file).relative_to(self.path)) for file in found.files]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    path = tmp_path / "kubelet.conf.d"
    path.mkdir()
    return Folder(path)


def test_drop_ins_are_merged_by_their_names(file: Path, folder: Folder) -> None:
    """`*.conf` only, folders in their place; without a kind of its own each of them is a fault."""
    file.write_text(KIND)
    for name, high in {"10-a.conf": 50, "30-more/x.conf": 70, "20-b.conf": 60, "90-c.yaml": 90}.items():
        folder.write(name, high=high)
    found = folder.read(file)
    assert found.settings.gc_high_percent == 70
    assert found.files == (
        str(file),
        *(f"{folder.path}/{name}" for name in ("10-a.conf", "20-b.conf", "30-more/x.conf")),
    )
    for text in ("imageGCHighThresholdPercent: 80\n", "kind: KubeProxyConfiguration\n", ""):
        folder.write("99-d.conf", text)
        assert folder.read(file).reason == f"{folder.path}/99-d.conf is no KubeletConfiguration"
        assert folder.read(file).broken is True
        assert folder.read(file).settings == KubeletSettings()


def test_which_entries_of_a_folder_are_drop_ins(folder: Folder, tmp_path: Path) -> None:
    """Hidden files, links to files and what lies in a folder, whatever its name; no link to a folder, no other file."""
    for name in (".hidden.conf", "dir.conf/a.conf", "b/c/d.conf", "e.conf.bak", "f.CONF", "g.conf~", ".conf", "h.yaml"):
        folder.write(name, high=50)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.conf").write_text(f"{KIND}imageGCHighThresholdPercent: 60\n")
    (folder.path / "i.conf").symlink_to(tmp_path / "elsewhere" / "x.conf")
    (folder.path / "j").symlink_to(tmp_path / "elsewhere")
    found = folder.read()
    assert folder.order(found) == [".conf", ".hidden.conf", "b/c/d.conf", "dir.conf/a.conf", "i.conf"]
    assert found.settings.gc_high_percent == 60


def test_a_mounted_config_map_is_read_as_the_kubelet_reads_it(folder: Folder) -> None:
    """Its files lie in a hidden folder and are links beside it: both are read, the link last."""
    folder.write("..2026_12_01/10-gc.conf", high=70)
    (folder.path / "..data").symlink_to("..2026_12_01")
    (folder.path / "10-gc.conf").symlink_to("..data/10-gc.conf")
    found = folder.read()
    assert (folder.order(found), found.settings.gc_high_percent) == (["..2026_12_01/10-gc.conf", "10-gc.conf"], 70)


def test_links_that_lead_to_no_file_are_said(folder: Folder, tmp_path: Path) -> None:
    """A kubelet would not start with them: one to nothing, as in a mount that lacks the target; one to a folder."""
    link = folder.path / "a.conf"
    link.symlink_to(tmp_path / "gone")
    assert folder.read().reason == f"{link} is not there, or not mounted"
    link.unlink()
    link.symlink_to(tmp_path)
    found = folder.read()
    assert (found.reason, found.broken) == (
        f"{link} is no file; where the mount made a directory of it, mount it as a File",
        True,
    )


def test_a_folder_without_drop_ins(file: Path, folder: Folder) -> None:
    """Beside a file it changes nothing; alone it is no configuration."""
    file.write_text(f"{KIND}imageGCHighThresholdPercent: 70\n")
    (folder.path / "README").write_text("no drop-in")
    found = folder.read(file)
    assert (found.files, found.settings.gc_high_percent, found.reason) == ((str(file),), 70, None)
    for alone in (folder.read(), folder.read(file.parent / "none.yaml", may_lack_config=True)):
        assert (alone.reason, alone.broken) == (f"{folder.path} holds no file *.conf", False)
        assert alone.settings == KubeletSettings()
    assert folder.read().path == str(folder.path)


def test_what_is_no_folder_is_a_fault(tmp_path: Path) -> None:
    """A file in its place."""
    file = tmp_path / "kubelet.conf.d"
    file.write_text(KIND)
    found = KubeletFiles(None, str(file)).read()
    assert (found.reason, found.broken) == (f"{file} cannot be read: Not a directory", True)


def test_a_folder_of_something_else_is_not_read(folder: Folder) -> None:
    """`/` as the folder would hold up the daemon: a thousand entries are enough to see that it is another folder."""
    for number in range(MOST_ENTRIES - 2):
        (folder.path / f"{number}.txt").touch()
    folder.write("deep/a.conf", high=70)
    assert folder.read().settings.gc_high_percent == 70
    (folder.path / "deep" / "b.txt").touch()
    found = folder.read()
    assert (found.reason, found.broken) == (f"{folder.path} holds more than 1000 files: it is not the kubelet's", True)


def test_drop_ins_are_limited_together(folder: Folder) -> None:
    """As one file is: YAML of more than that holds up the loop."""
    text = f"{KIND}imageGCHighThresholdPercent: 70\n"
    half = LARGEST_KUBELET_FILE_BYTES // 2
    folder.write("a.conf", text + "#" * (half - len(text)))
    folder.write("b.conf", text + "#" * (half - len(text)))
    assert folder.read().settings.gc_high_percent == 70
    folder.write("c.conf", KIND)
    found = folder.read()
    assert (found.reason, found.broken) == (f"{folder.path}/c.conf and those before it are larger than 256 KiB", True)


def test_a_folder_of_drop_ins_that_is_not_there_is_said(file: Path, tmp_path: Path) -> None:
    """Half of a configuration is none."""
    file.write_text(f"{KIND}imageGCHighThresholdPercent: 70\n")
    missing = f"{tmp_path}/config.d is not there, or not mounted"
    for config, reason, broken in ((str(file), f"{missing}, so nothing else is read", True), (None, missing, False)):
        found = KubeletFiles(config, str(tmp_path / "config.d")).read()
        assert (found.reason, found.broken) == (reason, broken)
        assert found.settings == KubeletSettings()


def test_a_file_that_was_named_must_be_there(folder: Folder, tmp_path: Path) -> None:
    """The drop-ins alone are half of what the operator wrote."""
    folder.write("a.conf", high=70)
    found = folder.read(tmp_path / "none.yaml")
    assert (found.reason, found.files) == (
        f"{tmp_path}/none.yaml is not there, or not mounted, so nothing else is read",
        (),
    )
    assert found.settings == KubeletSettings()


def test_the_default_path_may_be_missing_beside_drop_ins(folder: Folder, tmp_path: Path) -> None:
    """They count, merged into the defaults that a file would have, with a word on what is missing."""
    folder.write("a.conf", f"{KIND}evictionHard: {{imagefs.available: 20%}}\n")
    found = folder.read(tmp_path / "none.yaml", may_lack_config=True)
    assert (folder.order(found), found.reason, found.broken) == (["a.conf"], None, False)
    assert found.caveat == (
        f"{tmp_path}/none.yaml is not there, or not mounted; "
        "where the kubelet has no --config, set kubelet.config to null"
    )
    assert [str(threshold) for threshold in found.settings.thresholds][:2] == [
        "imagefs.available<20%",
        "imagefs.inodesFree<5%",
    ]
    broken = tmp_path / "none.yaml"
    broken.write_text("kind: [")
    assert folder.read(broken, may_lack_config=True).broken is True
    assert KubeletFiles(str(tmp_path / "x"), may_lack_config=True).read().reason == (
        f"{tmp_path}/x is not there, or not mounted"
    )


K3S_DEFAULTS = f"""\
{KIND}address: 0.0.0.0
authentication:
  anonymous: {{enabled: false}}
  webhook: {{cacheTTL: 2m0s, enabled: true}}
  x509: {{clientCAFile: /var/lib/rancher/{{name}}/agent/client-ca.crt}}
cgroupDriver: systemd
clusterDNS: [10.43.0.10]
containerRuntimeEndpoint: unix:///run/k3s/containerd/containerd.sock
evictionHard:
  imagefs.available: 5%
  nodefs.available: 5%
evictionMinimumReclaim:
  imagefs.available: 10%
  nodefs.available: 10%
failSwapOn: false
imageMaximumGCAge: 0s
imageMinimumGCAge: 2m0s
shutdownGracePeriod: 0s
staticPodPath: /var/lib/rancher/{{name}}/agent/pod-manifests
"""
"""What k3s and RKE2 write at each start: no threshold of inodes, and no image collection settings."""


@pytest.mark.parametrize("name", ["k3s", "rke2"])
def test_a_node_of_k3s_or_rke2(tmp_path: Path, name: str) -> None:
    """No --config, and a folder with their defaults; an operator's drop-in, and one copied from a flag, come later."""
    folder = Folder(tmp_path / f"var/lib/rancher/{name}/agent/etc/kubelet.conf.d")
    folder.write(f"00-{name}-defaults.conf", K3S_DEFAULTS.replace("{name}", name))
    found = folder.read()
    assert (folder.order(found), found.reason) == ([f"00-{name}-defaults.conf"], None)
    assert [str(threshold) for threshold in found.settings.thresholds] == [
        "imagefs.available<5%",
        "nodefs.available<5%",
    ]
    assert (found.settings.gc_high_percent, found.settings.maximum_age) == (85, None)
    folder.write("50-images.conf", f"{KIND}imageGCHighThresholdPercent: 70\nevictionHard: {{imagefs.available: 12%}}\n")
    folder.write("20-cli-config-dir/10-age.conf", f"{KIND}imageMaximumGCAge: 168h\n")
    found = folder.read()
    assert folder.order(found) == [f"00-{name}-defaults.conf", "20-cli-config-dir/10-age.conf", "50-images.conf"]
    assert (found.settings.gc_high_percent, found.settings.maximum_age) == (70, timedelta(days=7))
    assert str(found.settings.thresholds[0]) == "imagefs.available<12%"


def test_a_node_of_eks(tmp_path: Path) -> None:
    """AL2023: JSON, a drop-in of JSON, and thresholds without imagefs, which are off then."""
    config = tmp_path / "etc/kubernetes/kubelet/config.json"
    folder = Folder(tmp_path / "etc/kubernetes/kubelet/config.json.d")
    keys = {"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1"}
    hard = {"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%"}
    user = {"maxPods": 110, "imageGCHighThresholdPercent": 75, "evictionHard": {"nodefs.available": "12%"}}
    folder.write("40-nodeadm.conf", json.dumps(keys | user, indent=4))
    config.write_text(json.dumps(keys | {"evictionHard": hard, "serializeImagePulls": False}, indent=4))
    found = folder.read(config)
    assert (found.files, found.reason) == ((str(config), str(folder.path / "40-nodeadm.conf")), None)
    assert found.settings.gc_high_percent == 75
    assert [str(threshold) for threshold in found.settings.thresholds] == [
        "nodefs.available<12%",
        "nodefs.inodesFree<5%",
    ]
    assert KubeletFiles(str(config)).read().settings.gc_high_percent == 85
