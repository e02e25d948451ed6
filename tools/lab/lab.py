"""The lab: a private containerd on its own disk, with a registry, images and pods, and none of it left afterwards.

It uses neither the host's containerd nor the internet, and leaves other processes alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.archive import write_archive, write_docker_archive
from lab.builder import Builder
from lab.claim import claim_folder
from lab.config import Folders, containerd_config, write_hosts
from lab.disk import Ballast, DiskSpec, Usage, mount_disk, read_usage
from lab.errors import LabUnavailable
from lab.images import BuiltImage, ImageSpec
from lab.leftovers import LEFTOVERS
from lab.node import Node
from lab.pods import Pod, start_pod
from lab.registry import Registry
from lab.requirements import reason_unavailable
from lab.throttle import Throttle, road_to
from lab.toolbox import Toolbox, fetch_toolbox
from lab.waiting import wait_until

_PAUSE_REGISTRY = "registry.k8s.io"
_PULLS_AT_ONCE = 4


class Lab:
    """A node for tests; use it in a with-block, once."""

    version: str
    # As containerd says it, e.g. "1.6.20".
    pause_reference: str
    registry: Registry

    def __init__(  # noqa: PLR0913 - one keyword for each thing that a test may want different
        self,
        version: str = "1.6",
        filesystem: str = "ext4",
        size_mib: int = 600,
        inodes: int | None = None,
        *,
        content_mib: int | None = None,
        native_mib: int | None = None,
        durable: bool = False,
        reserved_percent: int = 5,
        debug: bool = False,
    ) -> None:
        """Describe a lab; entering the with-block brings it up.

        Versions are 1.6, 1.7 and 2. Content: a second disk for containerd's content store; None leaves it on the first.
        Native: a second disk, for the native snapshotter; None leaves its root on the first disk.
        Durable: a sync waits for the machine's disk, for true timings. Reserved: for root, of ext4.
        """
        self._requested_version = version
        self._disk_spec = DiskSpec(filesystem, size_mib, inodes, durable, reserved_percent)
        self._content_spec = None if content_mib is None else DiskSpec(size_mib=content_mib)
        self._native_spec = None if native_mib is None else DiskSpec(size_mib=native_mib)
        self._debug = debug
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        """Bring everything up; LabUnavailable or LabError only after all of it is removed again."""
        if reason := reason_unavailable():
            raise LabUnavailable(reason)
        LEFTOVERS.reap()
        toolbox = fetch_toolbox(self._requested_version)
        self.version = toolbox.version
        with ExitStack() as undo:
            self._folders = Folders(undo.enter_context(claim_folder()))
            undo.callback(LEFTOVERS.remove, self._folders)
            mount_disk(self._disk_spec, self._folders.disk_image, self.disk)
            if self._content_spec is not None:
                self.root.mkdir()
                mount_disk(self._content_spec, self._folders.content_image, self.content)
            if self._native_spec is not None:
                mount_disk(self._native_spec, self._folders.native_image, self.native)
            self._ballast = Ballast(self.disk)
            self._start_registry(toolbox, undo)
            self._start_node(toolbox, undo)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove everything, whatever happened; `lab.leftovers` removes later what other processes still use."""
        self._undo.close()

    def _start_registry(self, toolbox: Toolbox, undo: ExitStack) -> None:
        self.registry = Registry(toolbox.registry, self._folders.base / "registry")
        self._builder = Builder(self.registry.blobs, toolbox.busybox)
        pause = self._builder.build_pause()
        self.registry.publish(pause)
        self.pause_reference = pause.reference(_PAUSE_REGISTRY)
        undo.callback(self.registry.stop)
        self.registry.start()

    def _start_node(self, toolbox: Toolbox, undo: ExitStack) -> None:
        write_hosts(self._folders.hosts, self.registry.address)
        native = self._native_spec is not None
        config = containerd_config(self.version, self._folders, self.pause_reference, debug=self._debug, native=native)
        self._folders.config.write_text(config, encoding="utf-8")
        self._node = Node(toolbox, self._folders)
        undo.callback(self._node.kill)
        self._node.start()
        self.pull(self.pause_reference)

    @property
    def folder(self) -> Path:
        """Return the lab's own folder, off the disk: free for a test's files."""
        return self._folders.base

    @property
    def disk(self) -> Path:
        """Return the mount of the loop disk."""
        return self._folders.disk

    @property
    def root(self) -> Path:
        """Return containerd's root, on the disk."""
        return self._folders.root

    @property
    def content(self) -> Path:
        """Return containerd's content store, which may have a disk of its own."""
        return self._folders.content

    @property
    def native(self) -> Path:
        """Return the root of the native snapshotter, where it has a disk of its own."""
        return self._folders.native

    @property
    def socket(self) -> Path:
        """Return containerd's socket."""
        return self._folders.socket

    @property
    def endpoint(self) -> str:
        """Return the socket as gRPC and crictl write it."""
        return f"unix://{self.socket}"

    @property
    def log(self) -> Path:
        """Return the file that containerd writes to."""
        return self._folders.log

    @property
    def pid(self) -> int | None:
        """Return containerd's process id, None while it is down."""
        return self._node.pid

    def usage(self) -> Usage:
        """Read the disk's bytes and inodes now."""
        return read_usage(self.disk)

    def fill(self, used_percent: float) -> None:
        """Grow or shrink a ballast file until the usage is at a percentage or a hair over it."""
        self._ballast.fill(used_percent)

    def fill_completely(self) -> None:
        """Take every block, root's reserve included: the next write is ENOSPC."""
        self._ballast.fill_completely()

    def drop_ballast(self) -> None:
        """Free what fill took."""
        self._ballast.drop()

    def push(self, *specs: ImageSpec) -> list[BuiltImage]:
        """Build images and make them pullable under every registry's name, in the given order."""
        return [self._publish(spec) for spec in specs]

    def _publish(self, spec: ImageSpec) -> BuiltImage:
        image = self._builder.build(spec)
        self.registry.publish(image)
        return image

    def blob(self, digest: str) -> Path:
        """Return the file of a config, manifest or layer that was built."""
        return self._builder.blob(digest)

    @contextmanager
    def throttled(self, bytes_per_second: float) -> Iterator[Throttle]:
        """Serve all pulls that begin in the with-block at a rate; at its end those that still go on break."""
        with road_to(self.registry.address, bytes_per_second) as road:
            write_hosts(self._folders.hosts, road.address)
            try:
                yield road
            finally:
                write_hosts(self._folders.hosts, self.registry.address)

    def pull(self, reference: str) -> str:
        """Pull by CRI under a real registry's name, by tag or digest; return the id that CRI answers."""
        return self._node.cri.pull(reference)

    def pull_unpacked_by(self, snapshotter: str, reference: str) -> str:
        """Pull with ctr, unpacked by that snapshotter alone; wait until CRI has it and return its id."""
        # By default, ctr 2 lets containerd pull, which unpacks by the snapshotters of its configuration only.
        local = () if self.version.startswith("1.") else ("--local",)
        self.ctr(
            "images", "pull", *local, "--hosts-dir", str(self._folders.hosts), "--snapshotter", snapshotter, reference
        )
        wait_until(lambda: self.find_image(reference) is not None, f"CRI lists {reference}")
        return self.find_image(reference) or ""

    def pull_all(self, references: Iterable[str]) -> list[str]:
        """Pull many at once; return their ids in the given order."""
        with ThreadPoolExecutor(_PULLS_AT_ONCE) as pool:
            return list(pool.map(self.pull, references))

    def load(self, spec: ImageSpec, name: str) -> BuiltImage:
        """Import an image from a file under a name, as nodes without a registry do; wait until CRI has it."""
        image = self._import(spec, name)
        wait_until(lambda: self.find_image(name) == image.image_id, f"CRI lists {name}")
        return image

    def load_by_digest(self, spec: ImageSpec, base_name: str | None = None) -> BuiltImage:
        """Import an image from a file without a name, by its digest under a base name or ctr's own; wait for CRI."""
        base = () if base_name is None else ("--base-name", base_name)
        image = self._import(spec, None, "--digests", *base)
        wait_until(lambda: bool(self.list_references(image.image_id)), f"CRI lists {image.image_id}")
        return image

    def _import(self, spec: ImageSpec, name: str | None, *flags: str) -> BuiltImage:
        image = self._builder.build(spec)
        archive = self._folders.base / "load.tar"
        write_archive(archive, image, name, self._builder)
        self.import_archive(archive, options=flags)
        archive.unlink()
        return image

    def import_archive(self, archive: Path, *flags: str, options: Sequence[str] = ()) -> None:
        """Import an archive with ctr; `flags` are ctr's own, such as `-n` and a namespace, `options` the import's."""
        self.ctr(*flags, "images", "import", *options, str(archive))

    def import_built(self, spec: ImageSpec, *options: str, name: str | None = None, docker: bool = False) -> BuiltImage:
        """Import an image from an archive with options of ctr's import; wait until CRI has it.

        `name` is what the archive says, None for one without a name; `docker`: in the format of `docker save`.
        """
        image = self._builder.build(spec)
        archive = self._folders.base / "import.tar"
        if docker:
            write_docker_archive(archive, image, name or "", self._builder)
        else:
            write_archive(archive, image, name, self._builder)
        self.import_archive(archive, options=options)
        archive.unlink()
        wait_until(lambda: self.find_image(image.image_id) is not None, f"CRI lists {image.image_id}")
        return image

    def export_archive(self, reference: str, archive: Path) -> None:
        """Write an image into an archive with ctr."""
        # On a busy machine, ctr 2.1 ends before it has written all that containerd's transfer API streams to it: 12 of
        # 250 archives were cut short. With --local, which ctr 1.6 does not have, it reads the content itself: none was.
        local = () if self.version.startswith("1.6.") else ("--local",)
        self.ctr("images", "export", *local, str(archive), reference)

    def tag(self, source: str, target: str) -> None:
        """Give an image another name; wait until CRI has it."""
        self.ctr("images", "tag", source, target)
        wait_until(lambda: target in self.list_references(source), f"CRI lists {target}")

    def remove_tag(self, reference: str) -> None:
        """Remove one name only, past CRI; wait until CRI has noticed."""
        self.ctr("images", "rm", "--sync", reference)
        wait_until(lambda: reference not in self.list_references(reference), f"CRI drops {reference}")

    def find_image(self, reference: str) -> str | None:
        """Return the id that CRI has behind a reference, None if it has none."""
        return self._node.cri.find_image(reference)

    def list_references(self, reference: str) -> list[str]:
        """Return the tags and digests of the image behind a reference, none if there is none."""
        return self._node.cri.list_references(reference)

    def start_pod(self, reference: str, name: str | None = None, *, run: bool = True) -> Pod:
        """Start a pod from an image that is there; run=False leaves its container created, not started."""
        return start_pod(self._node, self._folders.cgroup, reference, name, run=run)

    def kill(self) -> None:
        """End containerd as a crash would; pods go on."""
        self._node.kill()

    def stop(self) -> None:
        """End containerd in order; pods go on."""
        self._node.stop()

    def start(self) -> None:
        """Start containerd again and wait until CRI answers."""
        self._node.start()

    def restart(self) -> None:
        """End containerd in order and start it again; pods go on."""
        self._node.stop()
        self._node.start()

    def ctr(self, *words: str) -> str:
        """Run ctr in CRI's namespace and return what it printed."""
        return self._node.ctr(*words)
