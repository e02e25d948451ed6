"""The kubelet's configuration as it lies on this node: one file, and a folder of files that are merged into it.

Only the keys of `core/kubelet.py` are read. It must not raise, write, or show what else these files hold.
"""

import json
import stat
import warnings
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from cleaner.core.kubelet import KIND, KubeletConfig, Tree, kubelet_settings_of

LARGEST_KUBELET_FILE_BYTES = 256 * 1024
"""A hundred times what a kubelet needs; reading more as YAML would hold up the loop for seconds."""
DROP_INS = "*.conf"
"""Which files of its --config-dir the kubelet reads, in the order of their names."""


class KubeletFiles:
    """Where a kubelet's configuration is mounted."""

    def __init__(self, config: str, config_dir: str | None = None) -> None:
        self._config = Path(config)
        self._config_dir = None if config_dir is None else Path(config_dir)

    def read(self) -> KubeletConfig:
        """As it is now; the defaults, and why, where that cannot be known."""
        path = str(self._config)
        try:
            return KubeletConfig(
                path, kubelet_settings_of(_read_tree(self._config), *map(_read_tree, self._drop_ins()))
            )
        except FileNotFoundError as error:
            return KubeletConfig(path, reason=f"{error.filename} is not there, or not mounted")
        except OSError as error:
            reason = f"{error.filename} cannot be read: {error.strerror}"
            return KubeletConfig(path, reason=reason, broken=True)
        except ValueError as error:
            return KubeletConfig(path, reason=f"{error}", broken=True)

    def _drop_ins(self) -> list[Path]:
        """In the kubelet's order: by name, folders in their place."""
        if self._config_dir is None:
            return []
        self._config_dir.stat()
        return sorted(self._config_dir.rglob(DROP_INS))


def _read_tree(path: Path) -> Tree:
    """The mapping of one file; ValueError names the file and says what is wrong, but nothing of what it holds."""
    try:
        return _tree_of(_read_text(path))
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None


def _tree_of(text: str) -> Tree:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of repeated anchors and the like, with lines of the file
            tree = json.loads(text) if text.lstrip().startswith("{") else YAML(typ="safe", pure=True).load(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: see line {error.lineno}") from None
    except MarkedYAMLError as error:
        line = f": see line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"is no YAML{line}") from None
    except (YAMLError, RecursionError, LookupError, TypeError, ValueError, AssertionError):
        raise ValueError("is no YAML that makes sense") from None
    if not isinstance(tree, dict) or tree.get("kind") != KIND:
        raise ValueError(f"is no {KIND}")
    return tree


def _read_text(path: Path) -> str:
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("is no file; where the mount made a directory of it, mount it as a File")
    with path.open("rb") as file:
        content = file.read(LARGEST_KUBELET_FILE_BYTES + 1)
    if len(content) > LARGEST_KUBELET_FILE_BYTES:
        raise ValueError(f"is larger than {LARGEST_KUBELET_FILE_BYTES // 1024} KiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is no UTF-8 at byte {error.start}") from None
