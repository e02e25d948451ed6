"""A simulated node: images as records over layers, layers as real files in a directory with a size limit.

It must not be kinder than containerd: a removal succeeds also for an image in use, and a container's layers outlive
their image.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.core.errors import DiskUnreadableError, RuntimeRejectedError
from cleaner.core.model import Container, Image, RuntimeVersion
from cleaner.core.ports import Timer
from cleaner.core.pressure import PendingLayer, Pull, project_pulls
from cleaner.core.read_state import AVAILABLE, ReadState
from cleaner.core.reclaim import Layers, Size
from cleaner.core.references import parse_reference
from cleaner.simulation.records import Build, SimulatedRecords, digest_of

__all__ = ["Build", "SimulatedNode"]


@dataclass(slots=True)
class SimulatedNode:
    """Implements core.ports.Runtime and core.ports.Disk, and lets its owner pull images and run containers."""

    directory: Path
    capacity_bytes: int
    timer: Timer
    inodes: int = 10_000
    sandbox_image: str = "registry.k8s.io/pause:3.9"
    measures_removals: bool = True
    layers_error: str | None = None
    pulls_state: ReadState | None = AVAILABLE
    container_events_state: ReadState | None = AVAILABLE
    _records: SimulatedRecords = field(default_factory=SimulatedRecords)
    _containers: dict[str, Container] = field(default_factory=dict)
    _held: dict[str, Build] = field(default_factory=dict)
    _pulling: dict[str, Build] = field(default_factory=dict)
    _made: list[Container] = field(default_factory=list)
    """All containers that were ever started: the position in the stream of events is their number."""

    # What happens on a node

    def pull(self, reference: str, build: Build, *, pinned: bool = False) -> str:
        """Pull a build by tag or digest; gives the image id. A tag that pointed elsewhere moves.

        As CRI does: without a tag `latest` is meant, and beside a digest a tag is not kept.
        """
        parsed = parse_reference(reference)
        if parsed is None or parsed.digest not in {None, build.manifest_digest}:
            raise ValueError(f"{reference!r} is no reference to this build")
        self._pulling.pop(reference, None)
        self._write_layers(build)
        tag = None if parsed.digest else parsed.tag or "latest"
        self._records.pulled(parsed.full_repository, tag, build, self.timer.now())
        if pinned:
            self._records.pin(build.image_id)
        return build.image_id

    def begin_pull(self, reference: str, build: Build) -> None:
        """A pull that has not fetched a byte yet: it continues until `pull` has the same reference, or `abort_pull`."""
        self._pulling[reference] = build

    def abort_pull(self, reference: str) -> None:
        """End a pull that was begun, without an image."""
        del self._pulling[reference]

    def load(self, reference: str, build: Build) -> str:
        """Import a build under a tag, without a digest: no registry has it."""
        return self._add([build.image_id, reference], build)

    def load_by_digest(self, name: str, build: Build) -> str:
        """Import a build as `ctr images import --digests` does: a digest of a name makes its only reference."""
        return self._add([build.image_id, f"{name}@{build.manifest_digest}"], build)

    def tag(self, image_id: str, name: str) -> None:
        """Give an image another record, which leaves no evidence; the name need not be in full."""
        self._records.add([name], self._records.build_of(image_id), self.timer.now())

    def label(self, name: str, key: str, value: str) -> None:
        """Label a record."""
        self._records.label(name, key, value)

    def start_container(self, reference: str, *, volumes: Iterable[str] = ()) -> str:
        """Start a container of an image that is there; gives its id. Exited or not, it is in the list until removed."""
        build = self._records.build_of(reference)
        return self._create(build, {reference, build.image_id, *volumes})

    def start_outside_cri(self, reference: str) -> str:
        """Start a container that only containerd lists: it has its image, whatever becomes of the tag."""
        build = self._records.build_of(reference)
        return self._create(build, {build.image_id})

    def remove_container(self, container_id: str) -> None:
        """Remove a container, and the layers that only it held."""
        del self._containers[container_id]
        del self._held[container_id]
        self._collect_garbage()

    def write_file(self, name: str, size_bytes: int) -> None:
        """Add non-image data to the disk."""
        self._write(self.directory / f"other-{name}", size_bytes)

    def remove_file(self, name: str) -> None:
        """Remove non-image data from the disk."""
        (self.directory / f"other-{name}").unlink()

    # core.ports.Runtime

    def disconnect(self) -> None:
        """It is in this process."""

    def read_version(self) -> RuntimeVersion:
        """A name that cannot be mistaken for a real runtime."""
        return RuntimeVersion("simulated", "1")

    def read_filesystems(self) -> Mapping[Filesystem, str]:
        """The directory itself."""
        return {Filesystem.IMAGES: str(self.directory)}

    def list_images(self) -> tuple[Image, ...]:
        """All images, by id."""
        return self._records.images()

    def list_containers(self) -> tuple[Container, ...]:
        """All containers, by id."""
        return tuple(self._containers[container_id] for container_id in sorted(self._containers))

    def drain_created_containers(self) -> tuple[Container, ...]:
        """Nothing watches containers here."""
        return ()

    def probe_container_events(self) -> ReadState:
        """As the state is set: it is always known here."""
        return self.container_events_state or AVAILABLE

    def event_position(self) -> int:
        """The number of containers that were ever started."""
        return len(self._made)

    def created_since(self, position: int) -> tuple[Container, ...]:
        """Those that were started since then."""
        return tuple(self._made[position:])

    def list_sandbox_images(self) -> frozenset[str]:
        """The pause image."""
        return frozenset({self.sandbox_image})

    def read_image(self, image_id: str) -> Image | None:
        """One image, from its records."""
        return self._records.find(image_id)

    def remove_image(self, image_id: str) -> None:
        """Remove an image, in use or not, but for records whose names CRI changes; an unknown id is no error."""
        self._records.remove(image_id)
        self._collect_garbage()

    def read_layers(self, images: tuple[Image, ...]) -> Layers:
        """One blob per layer; an image's records hold its layers, those of an image that is not listed too."""
        listed = {image.id for image in images}
        builds = self._records.builds()
        known = [*builds.values(), *self._held.values()]
        return Layers(
            sizes={name: Size(size_bytes, 1) for build in known for name, size_bytes in build.layers},
            edges={},
            images={i: frozenset(dict(build.layers)) for i, build in builds.items() if i in listed},
            containers=frozenset(name for build in self._held.values() for name, _ in build.layers),
            other_namespaces=frozenset(),
            unlisted=frozenset(name for i, build in builds.items() if i not in listed for name, _ in build.layers),
        )

    def read_pulls(self) -> tuple[Pull, ...]:
        """Layers that are not there yet; here they are unpacked as they are fetched, and take their size once."""
        return project_pulls(
            {
                build.manifest_digest: [
                    PendingLayer(layer, "", size_bytes, fetched_bytes=0)
                    for layer, size_bytes in build.layers
                    if not self._layer_file(layer).exists()
                ]
                for build in self._pulling.values()
            },
            ratio=1.0,
        )

    def list_leftovers(self, image: Image) -> tuple[str, ...]:
        """Names of the records that a removal left."""
        return self._records.strays_of(image.id)

    # core.ports.Disk

    @property
    def path(self) -> str:
        """The directory."""
        return str(self.directory)

    @property
    def unseen(self) -> tuple[str, ...]:
        """There is no other."""
        return ()

    def read_usage(self) -> Usage:
        """What the files take, of the size limit."""
        try:
            sizes = [file.stat().st_size for file in self.directory.iterdir()]
        except OSError as error:
            raise DiskUnreadableError(f"cannot read {self.directory}: {error.strerror}") from error
        available = max(0, self.capacity_bytes - sum(sizes))
        return Usage(self.path, self.capacity_bytes, available, self.inodes, self.inodes - len(sizes), available)

    def read_settled_usage(self, *, hurried: bool = False) -> Usage:  # noqa: ARG002 - of the port
        """As `read_usage`: here nothing frees late."""
        return self.read_usage()

    def _create(self, build: Build, names: Iterable[str]) -> str:
        container_id = digest_of(f"container {len(self._made)}").removeprefix("sha256:")
        self._containers[container_id] = Container(container_id, frozenset(names))
        self._made.append(self._containers[container_id])
        self._held[container_id] = build
        return container_id

    def _add(self, names: Iterable[str], build: Build) -> str:
        self._write_layers(build)
        self._records.add(names, build, self.timer.now())
        return build.image_id

    def _write_layers(self, build: Build) -> None:
        for layer, size_bytes in build.layers:
            self._write(self._layer_file(layer), size_bytes)

    def _write(self, file: Path, size_bytes: int) -> None:
        if file.exists():
            return
        if size_bytes > self.read_usage().available_bytes:
            raise RuntimeRejectedError(f"no space left on the simulated disk for {file.name}")
        with file.open("wb") as handle:
            handle.truncate(size_bytes)

    def _collect_garbage(self) -> None:
        builds = [*self._records.builds().values(), *self._held.values()]
        kept = {self._layer_file(layer) for build in builds for layer, _ in build.layers}
        for file in self.directory.glob("layer-*"):
            if file not in kept:
                file.unlink()

    def _layer_file(self, layer: str) -> Path:
        return self.directory / f"layer-{layer}"
