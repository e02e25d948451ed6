"""The kubelet's configuration as it lies on this node: one file, a folder of files that are merged into it, or both.

Only the keys of `core/kubelet.py` are read. It must not raise, write, or show what else these files hold.
"""

import json
import os
import stat
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from cleaner.core.kubelet import KIND, KubeletConfig, Tree, kubelet_settings_of
from cleaner.core.paths import shown

LARGEST_KUBELET_FILE_BYTES = 256 * 1024
"""A hundred times what a kubelet needs, for one file and for all drop-ins together: YAML of that size takes seconds."""
MOST_ENTRIES = 1000
"""In the folder of drop-ins and the folders below it: with more, it is another folder, such as `/`."""
DROP_IN_SUFFIX = ".conf"
"""Which files of its --config-dir the kubelet reads, in the order of their names; hidden ones too."""


class KubeletFiles:
    """Where a kubelet's configuration is mounted."""

    def __init__(self, config: str | None, config_dir: str | None = None, *, may_lack_config: bool = False) -> None:
        """`config`: its --config, None where it has none. `config_dir`: its --config-dir.

        `may_lack_config`: no one said that there is a `config`, so the drop-ins count also where it is missing.
        """
        self._config = None if config is None else Path(config)
        self._config_dir = None if config_dir is None else Path(config_dir)
        self._may_lack_config = may_lack_config and config_dir is not None
        self._path = str(config if config is not None else config_dir)

    def read(self) -> KubeletConfig:
        """As it is now; the defaults, and why, where that cannot be known."""
        try:
            return self._merged()
        except FileNotFoundError as error:
            missing = f"{shown(str(error.filename or self._path))} is not there, or not mounted"
            if self._config is None or self._config_dir is None:
                return KubeletConfig(self._path, reason=missing)
            # Half of a configuration is none: the kubelet may act at other thresholds than the defaults.
            return KubeletConfig(self._path, reason=f"{missing}, so nothing else is read", broken=True)
        except OSError as error:
            reason = f"{shown(str(error.filename or self._path))} cannot be read: {error.strerror}"
            return KubeletConfig(self._path, reason=reason, broken=True)
        except ValueError as error:
            return KubeletConfig(self._path, reason=f"{error}", broken=True)

    def _merged(self) -> KubeletConfig:
        config, caveat = self._read_config()
        drop_ins = [] if self._config_dir is None else _drop_ins_in(self._config_dir)
        files = drop_ins if self._config is None or caveat else [self._config, *drop_ins]
        if not files:
            return KubeletConfig(self._path, reason=f"{self._config_dir} holds no file *{DROP_IN_SUFFIX}")
        settings = kubelet_settings_of(config, *_read_drop_ins(drop_ins))
        return KubeletConfig(self._path, settings, files=tuple(map(str, files)), caveat=caveat)

    def _read_config(self) -> tuple[Tree | None, str | None]:
        """Its file, and why that is a guess: where one may be missing, a kubelet with an empty file is the likeliest.

        A wrong guess adds thresholds: a warning too many costs less than a kubelet that acts first.
        """
        if self._config is None:
            return None, None
        try:
            return _read_tree(self._config), None
        except FileNotFoundError:
            if not self._may_lack_config:
                raise
            missing = f"{self._config} is not there, or not mounted"
            return {}, f"{missing}; where the kubelet has no --config, set kubelet.config to null"


def _drop_ins_in(folder: Path) -> list[Path]:
    """In the kubelet's order: by name, folders in their place, links to folders not followed (filepath.WalkDir)."""
    found: list[Path] = []
    pending, seen = [folder], 0
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                seen += 1
                if seen > MOST_ENTRIES:
                    raise ValueError(f"{folder} holds more than {MOST_ENTRIES} files: it is not the kubelet's")
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                elif entry.name.endswith(DROP_IN_SUFFIX):
                    found.append(Path(entry.path))
    return sorted(found)


def _read_drop_ins(paths: Iterable[Path]) -> list[Tree]:
    """All of them, unless they are too large together."""
    texts: dict[Path, str] = {}
    left = LARGEST_KUBELET_FILE_BYTES
    for path in paths:
        with _naming(path):
            texts[path] = _read_text(path)
        left -= len(texts[path])
        if left < 0:
            raise ValueError(f"{path} and those before it are larger than {LARGEST_KUBELET_FILE_BYTES // 1024} KiB")
    trees = []
    for path, text in texts.items():
        with _naming(path):
            trees.append(_tree_of(text))
    return trees


def _read_tree(path: Path) -> Tree:
    with _naming(path):
        return _tree_of(_read_text(path))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """ValueError names the file and says what is wrong, but nothing of what it holds."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{shown(str(path))} {error}") from None


def _tree_of(text: str) -> Tree:
    tree = _json_of(text) if text.lstrip().startswith("{") else _yaml_of(text)
    if not isinstance(tree, dict) or tree.get("kind") != KIND:
        raise ValueError(f"is no {KIND}")
    return tree


def _json_of(text: str) -> object:
    """JSON, which may hold tabs, or a YAML mapping in braces."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        try:
            return _yaml_of(text)
        except ValueError:
            raise ValueError(f"is no JSON: see line {error.lineno}") from None
    except (RecursionError, ValueError):
        raise ValueError("is no JSON that makes sense") from None


def _yaml_of(text: str) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of repeated anchors and the like, with lines of the file
            return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = f": see line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"is no YAML{line}") from None
    except (YAMLError, RecursionError, LookupError, TypeError, ValueError, AssertionError):
        raise ValueError("is no YAML that makes sense") from None


def _read_text(path: Path) -> str:
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("is no file; where the mount made a directory of it, mount it as a File")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_KUBELET_FILE_BYTES + 1)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error  # reading names no file by itself
    if len(content) > LARGEST_KUBELET_FILE_BYTES:
        raise ValueError(f"is larger than {LARGEST_KUBELET_FILE_BYTES // 1024} KiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is no UTF-8 at byte {error.start}") from None
