"""The image records of a simulated containerd, and the images that CRI makes of them.

It must not be kinder than containerd: CRI writes names in full, and RemoveImage leaves records whose names it changes;
only a pull leaves evidence that a registry has an image.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from cleaner.core.model import Image
from cleaner.core.references import parse_reference

_PINNED = "io.cri-containerd.pinned"


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
        return digest_of(f"config {self}")

    @property
    def manifest_digest(self) -> str:
        """Stands for the digest of the manifest."""
        return digest_of(f"manifest {self}")


@dataclass(frozen=True, slots=True)
class _Record:
    """What a name points to, and since when."""

    build: Build
    updated_at: datetime
    labels: frozenset[tuple[str, str]] = frozenset()
    listed: bool = True
    """False where CRI no longer knows the name: RemoveImage removed another record of the same name in full."""


@dataclass(slots=True)
class SimulatedRecords:
    """Records by name; a name points to one build."""

    _records: dict[str, _Record] = field(default_factory=dict)
    _pulled: dict[str, set[str]] = field(default_factory=dict)
    """By manifest digest, the repositories that it was pulled from."""

    def pulled(self, repository: str, tag: str | None, build: Build, now: datetime) -> None:
        """What a pull writes: records named by id and digest, and by tag where it was pulled by tag."""
        by_tag = [f"{repository}:{tag}"] if tag else []
        self.add([build.image_id, f"{repository}@{build.manifest_digest}", *by_tag], build, now)
        self._pulled.setdefault(build.manifest_digest, set()).add(repository)

    def add(self, names: Iterable[str], build: Build, now: datetime) -> None:
        """Write records under these names; one that exists keeps its labels."""
        for name in names:
            labels = self._records[name].labels if name in self._records else frozenset[tuple[str, str]]()
            self._records[name] = _Record(build, now, labels)
        self._forget_pulls()

    def label(self, name: str, key: str, value: str) -> None:
        """Add a label to a record."""
        record = self._records[name]
        self._records[name] = replace(record, labels=record.labels | {(key, value)})

    def pin(self, image_id: str) -> None:
        """Label an image as pinned."""
        self.label(image_id, _PINNED, "pinned")

    def build_of(self, name: str) -> Build:
        """What a record points to."""
        return self._records[name].build

    def builds(self) -> dict[str, Build]:
        """All builds that a record holds, by image id, listed or not."""
        return {record.build.image_id: record.build for record in self._records.values()}

    def images(self) -> tuple[Image, ...]:
        """All images that CRI lists, by id."""
        return tuple(image for image_id in sorted(self.builds()) if (image := self.find(image_id)))

    def find(self, image_id: str) -> Image | None:
        """One image as CRI lists it; None where it knows none of its names."""
        records = {name: record for name, record in self._records.items() if record.build.image_id == image_id}
        if not any(record.listed for record in records.values()):
            return None
        build = next(iter(records.values())).build
        names = {_name_in_full(name) for name, record in records.items() if record.listed} - {image_id}
        labels = {label for record in records.values() for label in record.labels}
        return Image(
            id=image_id,
            tags=tuple(sorted(name for name in names if "@" not in name)),
            digests=tuple(sorted(name for name in names if "@" in name)),
            size_bytes=sum(size for _, size in build.layers),
            pinned=(_PINNED, "pinned") in labels,
            created_at=build.created_at,
            pulled_at=max(record.updated_at for record in records.values()),
            local=not names or not all(self._was_pulled(name, build) for name in names),
            imported=any(key.startswith("io.cattle.") and key.endswith(".pinned") for key, _ in labels),
            stray_records=self.strays_of(image_id),
        )

    def strays_of(self, image_id: str) -> tuple[str, ...]:
        """Names of an image's records that CRI changes, sorted."""
        records = self._records.items()
        return tuple(sorted(n for n, r in records if r.build.image_id == image_id and _name_in_full(n) != n))

    def remove(self, image_id: str) -> None:
        """Remove all records of an image but those whose names CRI changes; an unknown id is no error."""
        strays = self.strays_of(image_id)
        own = {name for name, record in self._records.items() if record.build.image_id == image_id} - set(strays)
        for name in strays:
            if _name_in_full(name) in own:
                self._records[name] = replace(self._records[name], listed=False)
        for name in own:
            del self._records[name]
        self._forget_pulls()

    def _was_pulled(self, name: str, build: Build) -> bool:
        reference = parse_reference(name)
        pulled = self._pulled.get(build.manifest_digest, set())
        return reference is not None and reference.full_repository in pulled

    def _forget_pulls(self) -> None:
        """What is known of pulls goes with the content."""
        kept = {record.build.manifest_digest for record in self._records.values()}
        self._pulled = {digest: pulled for digest, pulled in self._pulled.items() if digest in kept}


def _name_in_full(name: str) -> str:
    """As CRI writes it; a name that is no reference stays."""
    reference = parse_reference(name)
    return name if reference is None else str(reference)


def digest_of(text: str) -> str:
    """A digest that a text has alone."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
