"""The parts that a configuration asks for: whether, and from where, the kubelet's configuration is read."""

from pathlib import Path

import pytest

from cleaner.cli.wiring import kubelet_of
from cleaner.config import Config, load_config

KIND = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"


def configured(tmp_path: Path, kubelet: str) -> Config:
    """A configuration whose section `kubelet` is this."""
    file = tmp_path / "cleaner.yaml"
    file.write_text(f"kubelet: {kubelet}\n")
    return load_config(file, {}, rules_required=False)


@pytest.fixture
def drop_ins(tmp_path: Path) -> Path:
    folder = tmp_path / "kubelet.conf.d"
    folder.mkdir()
    (folder / "10-gc.conf").write_text(f"{KIND}imageGCHighThresholdPercent: 70\n")
    return folder


def test_a_kubelet_that_is_not_to_be_read(tmp_path: Path) -> None:
    """Both null."""
    assert kubelet_of(configured(tmp_path, "{config: null}")) is None


def test_a_folder_of_drop_ins_alone_is_read(tmp_path: Path, drop_ins: Path) -> None:
    """Whether null says that there is no file, or nothing was said and the default path has none."""
    null = kubelet_of(configured(tmp_path, f"{{config: null, config_dir: {drop_ins}}}"))
    unsaid = kubelet_of(configured(tmp_path, f"{{config_dir: {drop_ins}}}"))
    assert null is not None
    assert unsaid is not None
    assert (null.read().settings.gc_high_percent, null.read().caveat) == (70, None)
    assert null.read().files == (f"{drop_ins}/10-gc.conf",)
    assert unsaid.read().settings.gc_high_percent == 70


def test_a_file_that_was_named_must_be_there(tmp_path: Path, drop_ins: Path) -> None:
    """The drop-ins beside it do not stand in for it."""
    kubelet = kubelet_of(configured(tmp_path, f"{{config: {tmp_path}/none.yaml, config_dir: {drop_ins}}}"))
    assert kubelet is not None
    assert kubelet.read().reason == f"{tmp_path}/none.yaml is not there, or not mounted, so nothing else is read"
