"""A lab as the product sees it: its runtime, its disk, its node, and the installed command run against it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.core.ports import Disk, Node
from cleaner.ledger.in_memory import InMemoryLedger
from cleaner.node.clock import NeverStop, SystemTimer, pause
from cleaner.node.disk import MountedDisk, open_disk
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.rpc.endpoint import parse_endpoint
from lab import Lab
from lab.waiting import DEADLINE_SECONDS
from support.machine_environment import changes_results

CLEANER = Path(sys.executable).parent / "cleaner"
"""The command that the built wheel installed."""


def runtime_of(lab: Lab) -> CriRuntime:
    """The product's own client; close it, or use it in a with-block."""
    return CriRuntime(parse_endpoint(lab.endpoint), NeverStop())


def disk_of(lab: Lab) -> MountedDisk:
    """The disk as the product finds it: through what the runtime says."""
    with runtime_of(lab) as runtime:
        paths = runtime.read_filesystems()
        return open_disk(paths, runtime.snapshotters.read_roots(paths[Filesystem.IMAGES]), in_pod=False, pause=pause)


@dataclass
class PromptDisk:
    """A node's disk for tests in which it never settles, since the node changes all the time: nothing waits for it."""

    inner: Disk

    @property
    def path(self) -> str:
        return self.inner.path

    @property
    def unseen(self) -> tuple[str, ...]:
        return ()

    @property
    def measures_removals(self) -> bool:
        return False

    def read_usage(self) -> Usage:
        return self.inner.read_usage()

    def read_settled_usage(self, *, hurried: bool = False) -> Usage:
        return self.inner.read_usage()


@contextmanager
def node_of(lab: Lab) -> Iterator[Node]:
    """All that a sweep needs, on the real clocks."""
    with runtime_of(lab) as runtime:
        disk = disk_of(lab)
        runtime.snapshotters.place(disk.snapshotters)
        yield Node(runtime, disk, SystemTimer(), NeverStop(), InMemoryLedger())


def config_text(**sections: object) -> str:
    """A configuration file of these sections: `policy={"rules": [...]}, pressure={...}`. JSON is YAML."""
    return json.dumps(sections)


def environment_of(endpoint: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a cleaner that asks the runtime at `endpoint`, and registries without a proxy."""
    others = {name for name in os.environ if name == "IMAGE_SERVICE_ENDPOINT" or changes_results(name)}
    inherited = {name: value for name, value in os.environ.items() if name not in others}
    return inherited | {"CONTAINER_RUNTIME_ENDPOINT": endpoint, "NO_COLOR": "1"} | dict(more or {})


def run_cleaner(
    arguments: Sequence[str], lab: Lab, config_text: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `cleaner` to its end against a lab, whatever its exit status; nothing waits longer than DEADLINE_SECONDS."""
    config = lab.folder / "cleaner.yaml"
    sections = json.loads(config_text)
    sections.setdefault("state", {"path": str(lab.folder / "ledger.db")})
    config.write_text(json.dumps(sections), encoding="utf-8")
    return run_cleaner_at(arguments, lab.endpoint, config, environment)


def run_cleaner_at(
    arguments: Sequence[str], endpoint: str, config: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `cleaner COMMAND ... --config FILE` to its end against any socket."""
    return subprocess.run(
        [str(CLEANER), *arguments, "--config", str(config)],
        env=environment_of(endpoint, environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )
