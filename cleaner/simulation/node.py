"""A simulated node: images as records over layers, layers as real files in a directory with a size limit.

It must not be kinder than containerd: a removal succeeds also for an image in use, and a container's layers outlive
their image.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.core.errors import DiskUnreadableError, RuntimeRejectedError
from cleaner.core.model import Container, Image, RuntimeVersion
from cleaner.core.ports import Timer
from cleaner.core.pressure import PendingLayer, Pull, project_pulls
from cleaner.core.reclaim import Layers, Size
from cleaner.core.references import parse_reference


@dataclass(frozen=True, slots=True)
class Build:
    """What a registry holds: the same build has the same id everywhere."""

    layers: tuple[tuple[str, int], ...]
    """Name and bytes of each; builds that name the same layer share it."""
    created_at: datetime | None = None
    note: str = ""
    """Makes builds of the same layers differ."""

    @property
    def image_id(self) -> str:
        """Stands for the digest of the config."""
        return _digest(f"config {self}")

    @property
    def manifest_digest(self) -> str:
        """Stands for the digest of the manifest."""
        return _digest(f"manifest {self}")


@dataclass(frozen=True, slots=True)
class _Record:
    """One of containerd's image records: what a name points to, and since when."""

    build: Build
    image_id: str
    updated_at: datetime


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
    pulls_error: str | None = None
    _records: dict[str, _Record] = field(default_factory=dict)
    _containers: dict[str, Container] = field(default_factory=dict)
    _held: dict[str, Build] = field(default_factory=dict)
    _pulling: dict[str, Build] = field(default_factory=dict)
    _started: int = 0
    _made: list[Container] = field(default_factory=list)
    """All containers that were ever started: the position in the stream of events is their number."""
    _pinned: set[str] = field(default_factory=set)

    # What happens on a node

    def pull(self, reference: str, build: Build, *, pinned: bool = False) -> str:
        """Pull a build by tag or digest; gives the image id. A tag that pointed elsewhere moves.

        As CRI does: without a tag `latest` is meant, and beside a digest a tag is not kept.
        """
        parsed = parse_reference(reference)
        if parsed is None or parsed.digest not in {None, build.manifest_digest}:
            raise ValueError(f"{reference!r} is no reference to this build")
        self._pulling.pop(reference, None)
        by_tag = [] if parsed.digest else [f"{parsed.full_repository}:{parsed.tag or 'latest'}"]
        by_digest = f"{parsed.full_repository}@{build.manifest_digest}"
        return self._add([build.image_id, by_digest, *by_tag], build, pinned=pinned)

    def begin_pull(self, reference: str, build: Build) -> None:
        """A pull that has not fetched a byte yet: it continues until `pull` has the same reference, or `abort_pull`."""
        self._pulling[reference] = build

    def abort_pull(self, reference: str) -> None:
        """End a pull that was begun, without an image."""
        del self._pulling[reference]

    def load(self, reference: str, build: Build) -> str:
        """Import a build under a tag, without a digest: no registry has it."""
        return self._add([build.image_id, reference], build, pinned=False)

    def tag(self, image_id: str, reference: str) -> None:
        """Give an image another tag."""
        self._records[reference] = _Record(self._records[image_id].build, image_id, self.timer.now())

    def start_container(self, reference: str, *, volumes: Iterable[str] = ()) -> str:
        """Start a container of an image that is there; gives its id. Exited or not, it is in the list until removed."""
        self._started += 1
        container_id = _digest(f"container {self._started}").removeprefix("sha256:")
        build = self._records[reference].build
        names = frozenset({reference, build.image_id, *volumes})
        self._containers[container_id] = Container(container_id, names)
        self._made.append(self._containers[container_id])
        self._held[container_id] = build
        return container_id

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
        records: dict[str, dict[str, _Record]] = {}
        for name, record in self._records.items():
            records.setdefault(record.image_id, {})[name] = record
        return tuple(self._image(image_id, records[image_id]) for image_id in sorted(records))

    def list_containers(self) -> tuple[Container, ...]:
        """All containers, by id."""
        return tuple(self._containers[container_id] for container_id in sorted(self._containers))

    def drain_created_containers(self) -> tuple[Container, ...]:
        """Nothing watches containers here."""
        return ()

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
        records = {name: record for name, record in self._records.items() if record.image_id == image_id}
        return self._image(image_id, records) if records else None

    def remove_image(self, image_id: str) -> None:
        """Remove all records of an image, in use or not; an unknown id is no error."""
        self._records = {n: r for n, r in self._records.items() if r.image_id != image_id}
        self._collect_garbage()

    def read_layers(self, images: tuple[Image, ...]) -> Layers:
        """One blob per layer; an image's records hold its layers, those of an image that is not listed too."""
        listed = {image.id for image in images}
        builds = {record.image_id: record.build for record in self._records.values()}
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

    def list_leftovers(self, _image: Image) -> tuple[str, ...]:
        """Here a removal removes all records."""
        return ()

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

    def _image(self, image_id: str, records: dict[str, _Record]) -> Image:
        build = next(iter(records.values())).build
        return Image(
            id=image_id,
            tags=tuple(sorted(name for name in records if "@" not in name and name != image_id)),
            digests=tuple(sorted(name for name in records if "@" in name)),
            size_bytes=sum(size for _, size in build.layers),
            pinned=image_id in self._pinned,
            created_at=build.created_at,
            pulled_at=max(record.updated_at for record in records.values()),
        )

    def _add(self, names: list[str], build: Build, *, pinned: bool) -> str:
        for layer, size_bytes in build.layers:
            self._write(self._layer_file(layer), size_bytes)
        image_id, now = build.image_id, self.timer.now()
        self._records |= {name: _Record(build, image_id, now) for name in names}
        self._pinned |= {image_id} if pinned else set()
        return image_id

    def _write(self, file: Path, size_bytes: int) -> None:
        if file.exists():
            return
        if size_bytes > self.read_usage().available_bytes:
            raise RuntimeRejectedError(f"no space left on the simulated disk for {file.name}")
        with file.open("wb") as handle:
            handle.truncate(size_bytes)

    def _collect_garbage(self) -> None:
        builds = [record.build for record in self._records.values()] + list(self._held.values())
        kept = {self._layer_file(layer) for build in builds for layer, _ in build.layers}
        for file in self.directory.glob("layer-*"):
            if file not in kept:
                file.unlink()

    def _layer_file(self, layer: str) -> Path:
        return self.directory / f"layer-{layer}"


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
