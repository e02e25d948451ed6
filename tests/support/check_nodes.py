"""Nodes for the golden outputs of `check`: distributions as they are, below a directory that stands for `/`.

The folders in `tests/unit/golden/nodes` hold the kubelet's files of each. Runtimes answer on real sockets, and the
clock and the disk do not move, so that the output is the same each time.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from cleaner.cli.arguments import parser
from cleaner.cli.commands import check
from cleaner.cli.wiring import Machine
from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.node import NeverStop
from cleaner.runtime import CriRuntime, Endpoint
from contract import MIB, Build
from support.crio_server import CrioServer, ServedContainer, ServedImage, crio_image
from support.fakes import FakeTimer
from support.faulty_runtime import FaultyRuntime, Version
from support.ledgers import make_ledger

FILES = Path(__file__).parents[1] / "unit" / "golden" / "nodes"
GIB = 1024 * MIB
CAPACITY = 80 * GIB
OVERLAYFS = "io.containerd.snapshotter.v1.overlayfs"
IMPORTED = {"io.cattle.k3s.pinned": "pinned", "io.cri-containerd.pinned": "pinned"}
"""What k3s and RKE2 write on the records of images that they import."""


@dataclass(frozen=True)
class CheckedDisk:
    """A disk whose usage a test decides."""

    read: Callable[[], Usage]
    path: str
    unseen: tuple[str, ...] = ()
    measures_removals: bool = True
    snapshotters: Mapping[str, Filesystem | None] = field(default_factory=dict)

    def read_usage(self) -> Usage:
        return self.read()

    def read_settled_usage(self, *, hurried: bool = False) -> Usage:
        return self.read()


@dataclass(frozen=True)
class CheckedNode:
    """One node, and the command that checks it."""

    root: Path
    socket: Path
    disk: CheckedDisk
    timer: FakeTimer

    def check(self, config: str, *, output: str = "table") -> int:
        """Run `cleaner check` with this configuration, `{root}` in it being this node's; give its exit status."""
        file = self.root / "etc" / "cleaner" / "cleaner.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        state = f"state: {{path: {self.root}/var/lib/cleaner/ledger.db}}\n"
        file.write_text(config.replace("{root}", str(self.root)) + state)
        arguments = parser("0").parse_args(["check", "--config", str(file), "-o", output])
        environ = {"NODE_NAME": "node-1", "CONTAINER_RUNTIME_ENDPOINT": f"unix://{self.socket}"}
        return check.execute(arguments, environ, machine=Machine(self.timer, lambda *_, **__: self.disk))

    def watch(self, days: int) -> None:
        """Let the agent have watched this node for some days, as its ledger tells."""
        folder, now = self.root / "var" / "lib" / "cleaner", self.timer.wall
        folder.mkdir(parents=True)
        ledger = make_ledger(folder, self.timer)
        with CriRuntime(Endpoint(str(self.socket)), NeverStop()) as runtime:
            images = runtime.list_images()
        for day in range(days, -1, -1):
            self.timer.wall = now - timedelta(days=day)
            ledger.store_images(images, frozenset(), self.timer.wall)
        ledger.close()


@dataclass(frozen=True)
class Containerd(CheckedNode):
    """One with a containerd."""

    server: FaultyRuntime

    def pull(self, reference: str, megabytes: int, days: float) -> None:
        """An image built and pulled so many days ago; its bytes are its own, as content and unpacked."""
        now = self.timer.wall
        self.timer.wall = now - timedelta(days=days)
        self.server.node.registry.publish(self._build(reference, megabytes), base=False)
        self.server.node.pull(reference)
        self.timer.wall = now

    def load(self, reference: str, megabytes: int, days: float, labels: dict[str, str]) -> None:
        """An image that was imported so many days ago."""
        now = self.timer.wall
        self.timer.wall = now - timedelta(days=days)
        self.server.node.load(self._build(reference, megabytes), reference, labels=labels)
        self.timer.wall = now

    def start(self, *references: str) -> None:
        """Start a pod of each."""
        for reference in references:
            self.server.node.start_pod(reference)

    def _build(self, reference: str, megabytes: int) -> Build:
        name, _, tag = reference.partition("/")[2].rpartition(":")
        layers = ((reference, megabytes * MIB),)
        return Build(name, tag, layers, created=self.timer.wall.isoformat())


@contextmanager
def containerd_node(
    root: Path, files: str, socket: str, data: str, *, version: str, pause: str
) -> Iterator[Containerd]:
    """A node whose containerd has only the image of sandboxes."""
    shutil.copytree(FILES / files, root, dirs_exist_ok=True)
    path, directory, timer = root / socket, root / data / OVERLAYFS, FakeTimer()
    path.parent.mkdir(parents=True)
    directory.mkdir(parents=True)
    speaks = Version(version, labels_foreign_records=True)
    with FaultyRuntime(
        path, directory, now=timer.now, version=speaks, capacity_bytes=CAPACITY, pause_reference=pause
    ) as server:
        disk = CheckedDisk(server.storage.read_usage, server.storage.path)
        yield Containerd(root, path, disk, timer, server)


@contextmanager
def plain_node(root: Path) -> Iterator[Containerd]:
    """A kubeadm node: images of two registries, an old and a young one of the company's, one in use."""
    with containerd_node(
        root,
        "containerd",
        "run/containerd/containerd.sock",
        "var/lib/containerd",
        version="v2.1.5",
        pause="registry.k8s.io/pause:3.10.1",
    ) as node:
        node.pull("registry.k8s.io/kube-proxy:v1.36.2", 30, 40)
        node.pull("ghcr.io/acme/metrics:1.4", 50, 40)
        node.pull("registry.example.com/shop/api:v41", 300, 60)
        node.pull("registry.example.com/shop/api:v42", 300, 12)
        node.pull("registry.example.com/shop/web:v7", 200, 45)
        node.start("registry.k8s.io/kube-proxy:v1.36.2", "registry.example.com/shop/api:v42")
        yield node


@contextmanager
def k3s_node(root: Path) -> Iterator[Containerd]:
    """k3s: containerd below its own data directory, images imported and pinned at its start."""
    agent = "var/lib/rancher/k3s/agent"
    with containerd_node(
        root,
        "k3s",
        "run/k3s/containerd/containerd.sock",
        f"{agent}/containerd",
        version="v2.1.5-k3s1",
        pause="docker.io/rancher/mirrored-pause:3.6",
    ) as node:
        for name in ("mirrored-coredns-coredns:1.14.3", "klipper-helm:v0.9.14", "local-path-provisioner:v0.0.32"):
            node.load(f"docker.io/rancher/{name}", 40, 40, IMPORTED)
        node.pull("registry.example.com/shop/api:v41", 300, 60)
        node.pull("registry.example.com/shop/api:v42", 300, 2)
        node.load("registry.example.com/shop/tool:v1", 100, 40, {})
        node.start("docker.io/rancher/mirrored-coredns-coredns:1.14.3", "registry.example.com/shop/api:v42")
        yield node


@contextmanager
def rke2_node(root: Path) -> Iterator[Containerd]:
    """RKE2: the socket of k3s, and a kubelet that has a --config-dir and no --config."""
    agent = "var/lib/rancher/rke2/agent"
    with containerd_node(
        root,
        "rke2",
        "run/k3s/containerd/containerd.sock",
        f"{agent}/containerd",
        version="v2.1.5-k3s1",
        pause="docker.io/rancher/mirrored-pause:3.6",
    ) as node:
        node.load("docker.io/rancher/hardened-kubernetes:v1.36.2-rke2r1", 200, 40, IMPORTED)
        node.load("docker.io/rancher/hardened-etcd:v3.6.7-k3s1", 60, 40, IMPORTED)
        for number in range(1, 5):
            node.pull(f"registry.example.com/shop/api:v{number}", 250, 60 - 10 * number)
        node.start("docker.io/rancher/hardened-kubernetes:v1.36.2-rke2r1", "registry.example.com/shop/api:v4")
        yield node


@contextmanager
def eks_node(root: Path) -> Iterator[Containerd]:
    """EKS on AL2023: images of ECR, and the image of sandboxes under a name that no registry has."""
    eks = "602401143452.dkr.ecr.eu-west-1.amazonaws.com"
    own = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
    with containerd_node(
        root,
        "eks",
        "run/containerd/containerd.sock",
        "var/lib/containerd",
        version="2.1.5",
        pause="localhost/kubernetes/pause:latest",
    ) as node:
        node.pull(f"{eks}/amazon-k8s-cni:v1.21.1-eksbuild.1", 60, 40)
        node.pull(f"{eks}/eks/kube-proxy:v1.36.2-eksbuild.1", 40, 40)
        node.pull(f"{own}/shop/api:v41", 300, 60)
        node.pull(f"{own}/shop/api:v42", 300, 2)
        node.start(
            f"{eks}/amazon-k8s-cni:v1.21.1-eksbuild.1",
            f"{eks}/eks/kube-proxy:v1.36.2-eksbuild.1",
            f"{own}/shop/api:v42",
        )
        yield node


@contextmanager
def crio_node(
    root: Path, images: Sequence[ServedImage], containers: Sequence[ServedContainer]
) -> Iterator[CheckedNode]:
    """A node with CRI-O, which tells sizes only."""
    shutil.copytree(FILES / "crio", root, dirs_exist_ok=True)
    path, timer = root / "var/run/crio/crio.sock", FakeTimer()
    path.parent.mkdir(parents=True)
    with CrioServer(path, images=images, containers=containers) as server:
        server.version = ("cri-o", "1.36.3")
        storage = f"{root}/var/lib/containers/storage/overlay-images"
        server.mountpoints = (storage,)
        used = 62 * GIB
        usage = Usage(storage, CAPACITY, CAPACITY - used, 1_000_000, 900_000, CAPACITY - used)
        yield CheckedNode(root, path, CheckedDisk(lambda: usage, storage), timer)


def crio_images() -> tuple[list[ServedImage], list[ServedContainer]]:
    """Four of the company's, one of them in use and one built on the node; the image of sandboxes is pinned."""
    names = [
        "registry.example.com/shop/api:v41",
        "registry.example.com/shop/api:v42",
        "registry.example.com/shop/web:v7",
        "localhost/shop/tool:v1",
        "registry.k8s.io/pause:3.10.1",
    ]
    images = [
        crio_image(
            f"{number:064x}",
            [name],
            f"sha256:{number + 100:064x}",
            size_bytes=number * 100 * MIB,
            created="2026-03-01T00:00:00Z",
        )
        for number, name in enumerate(names, 1)
    ]
    images[-1] = replace(images[-1], pinned=True)
    used = images[1]
    return images, [ServedContainer("c" * 64, image_id=used.id, image_ref=used.digests[0], image=used.tags[0])]
