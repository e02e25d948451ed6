"""A node in memory, as a containerd with CRI has it: pulls, imports, pods and removals, each with its events.

The order of records and events is that of real containerds, see `tests/recordings`.
"""

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from cleaner.core.references import parse_reference
from contract import KIB, Build
from support.containerd_services import Ingest, Lease, OwnContainer
from support.crio_server import ServedContainer, ServedSandbox
from support.faulty_runtime.artifacts import SNAPSHOTTER, Artifact, Registry, artifact_of, digest_of
from support.faulty_runtime.journal import Kind
from support.faulty_runtime.store import PINNED, ImageStore, source_labels

EXPIRY = {"containerd.io/gc.expire": "2999-01-01T00:00:00Z"}
_PAUSE = Build("pause", "3.9", (("pause", 64 * KIB),), created="2022-06-22T22:26:44Z")


class MissingError(Exception):
    """An image or a sandbox is not there."""


@dataclass
class FaultyNode:
    """What a kubelet and an administrator do to a node. Nothing here is slow or fails on order: see `faults.py`."""

    store: ImageStore
    pause_reference: str = "registry.k8s.io/pause:3.9"
    registry: Registry = field(default_factory=Registry)
    containers: dict[str, ServedContainer] = field(default_factory=dict)
    """CRI's, by id."""
    sandboxes: dict[str, ServedSandbox] = field(default_factory=dict)
    _sandbox_of: dict[str, str] = field(default_factory=dict)
    _pulling: dict[str, Artifact] = field(default_factory=dict)
    _numbers: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    def start(self) -> None:
        """Pull the image of sandboxes, as the first of all."""
        named = parse_reference(self.pause_reference)
        assert named is not None
        self.registry.publish(replace(_PAUSE, repository=named.repository, tag=named.tag or "latest"), base=False)
        self.pull(self.pause_reference, labels=PINNED if self.store.version.pins_sandbox_image else {})

    # Images

    def pull(self, reference: str, *, labels: dict[str, str] | None = None) -> str:
        """Pull what is published, by tag or digest; give its image id.

        A tag beside a digest is not kept, and `latest` is meant where there is neither. NoSpaceError leaves no image.
        """
        artifact = self.registry.find(reference)
        self.begin_pull(reference)
        try:
            self._fetch(reference, artifact)
            self.store.unpack(artifact)
            self._record(reference, artifact, labels or {})
        finally:
            self.abort_pull(reference)
        return artifact.image_id

    def begin_pull(self, reference: str) -> None:
        """A pull that has manifest and config, and begins to fetch the first layer."""
        artifact, lease = self.registry.find(reference), f"pull {reference}"
        store = self.store
        if reference in self._pulling:
            return
        self._pulling[reference] = artifact
        known = {blob.digest for blob in store.own.blobs}
        missing = [layer for layer in artifact.layers if layer.digest not in known]
        resources = {artifact.digest: "content", artifact.image_id: "content"}
        if missing:
            resources[f"layer-{missing[0].digest}"] = "ingests"
            ingest = Ingest(f"layer-{missing[0].digest}", 0, missing[0].size_bytes)
            store.own.ingests = [*store.own.ingests, ingest]
        # The lease comes before what it holds.
        store.set_leases([*store.own.leases, Lease(lease, resources, EXPIRY)])
        store.write_documents(artifact, self._source(reference, artifact.digest))

    def abort_pull(self, reference: str) -> None:
        """End a pull that was begun; what it fetched without making an image is collected."""
        artifact, own = self._pulling.pop(reference), self.store.own
        refs = {f"layer-{layer.digest}" for layer in artifact.layers}
        own.ingests = [ingest for ingest in own.ingests if ingest.ref not in refs]
        self.store.set_leases([lease for lease in own.leases if lease.id != f"pull {reference}"])
        self.store.collect_garbage()

    def load(self, build: Build, *names: str, labels: dict[str, str] | None = None) -> str:
        """Import a build that no registry has, under names as they are given; give its image id."""
        artifact = artifact_of(build)
        lease = Lease("import", {artifact.digest: "content"}, EXPIRY)
        self.store.set_leases([*self.store.own.leases, lease])
        self.store.write_documents(artifact, {})
        for layer in artifact.layers:
            self.store.write_blob(layer.digest, layer.size_bytes, {})
        self.store.unpack(artifact)
        for name in names:
            self.store.put_record(name, artifact.digest, labels or {})
            self._adopt(name, artifact)
        self.store.set_leases([known for known in self.store.own.leases if known.id != "import"])
        self.store.collect_garbage()
        return artifact.image_id

    def tag(self, source: str, target: str) -> None:
        """Give an image another record, as `ctr images tag` does: under any name, normalised or not."""
        artifact = self.find(source)
        self.store.put_record(target, artifact.digest)
        self._adopt(target, artifact)

    def remove_image(self, name: str) -> None:
        """As CRI: all records under normalised names, then the garbage, in use or not; fine where there is no image."""
        artifact = self.store.find(name)
        if artifact is None:
            return
        for record in self.store.removable_names(artifact.image_id):
            self.store.delete_record(record)
        self.store.collect_garbage()
        if artifact.image_id not in self.store.images():
            self.store.journal.add(Kind.REMOVAL, "image", artifact.image_id)

    def find(self, name: str) -> Artifact:
        """The image behind a record's name or an image id; MissingError where there is none."""
        artifact = self.store.find(name)
        if artifact is None:
            raise MissingError(f"image {name!r}: not found")
        return artifact

    # Pods

    def run_sandbox(self) -> str:
        """Start a sandbox; give its id."""
        info = json.dumps({"pid": 4711, "image": self.pause_reference})
        sandbox_id = self._new_id("sandbox")
        self._make_container(sandbox_id, self.find(self.pause_reference))
        with self.store.lock:
            self.sandboxes = {**self.sandboxes, sandbox_id: ServedSandbox(sandbox_id, info)}
        return sandbox_id

    def create_container(self, sandbox_id: str, reference: str, *, volumes: tuple[str, ...] = ()) -> str:
        """Create a container in a sandbox; give its id. MissingError where there is no image or no sandbox."""
        if sandbox_id not in self.sandboxes:
            raise MissingError(f"sandbox {sandbox_id!r}: not found")
        artifact, container_id = self.find(reference), self._new_id("container")
        self._make_container(container_id, artifact)
        image_id = artifact.image_id
        served = ServedContainer(container_id, image_id, image_id, image=reference, volumes=volumes)
        with self.store.lock:
            self._sandbox_of[container_id] = sandbox_id
            self.containers = {**self.containers, container_id: served}
        return container_id

    def start_pod(self, reference: str, *, volumes: tuple[str, ...] = ()) -> str:
        """Create a container in a sandbox of its own; give its id. MissingError leaves no sandbox."""
        sandbox_id = self.run_sandbox()
        try:
            return self.create_container(sandbox_id, reference, volumes=volumes)
        except MissingError:
            self.remove_sandbox(sandbox_id)
            raise

    def remove_container(self, container_id: str) -> None:
        """Remove a container; its sandbox stays. Fine where it is gone."""
        self._remove_listed(container_id)
        self.store.collect_garbage()

    def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove a sandbox with its containers."""
        for container_id in [known for known, owner in self._sandbox_of.items() if owner == sandbox_id]:
            self._remove_listed(container_id)
            del self._sandbox_of[container_id]
        if sandbox_id in self.sandboxes:
            self._remove_container(sandbox_id)
            with self.store.lock:
                self.sandboxes = {known: one for known, one in self.sandboxes.items() if known != sandbox_id}
        self.store.collect_garbage()

    def remove_pod(self, container_id: str) -> None:
        """Remove a container's sandbox, and so the container."""
        self.remove_sandbox(self._sandbox_of[container_id])

    def create_outside_cri(self, name: str) -> str:
        """Create a container that CRI does not list, as `ctr containers create` does; give its id."""
        container_id = self._new_id("outside")
        self._make_container(container_id, self.find(name), image=name)
        return container_id

    def remove_outside_cri(self, container_id: str) -> None:
        """Remove a container that CRI does not list."""
        self._remove_container(container_id)
        self.store.collect_garbage()

    def _new_id(self, kind: str) -> str:
        return digest_of(f"{kind} {next(iter(self._numbers))}".encode()).removeprefix("sha256:")

    def _make_container(self, container_id: str, artifact: Artifact, image: str | None = None) -> None:
        """First the snapshot, then containerd's container; CRI lists it only after that."""
        store = self.store
        name = image or store.names_of(artifact.image_id)[0]
        store.prepare_snapshot(container_id, artifact.top)
        with store.lock:
            made = OwnContainer(container_id, name, container_id, SNAPSHOTTER)
            store.own.containers = [*store.own.containers, made]
        store.events.announce("/containers/create", container_id, image=name)

    def _remove_listed(self, container_id: str) -> None:
        if container_id in self.containers:
            self._remove_container(container_id)
            with self.store.lock:
                self.containers = {known: one for known, one in self.containers.items() if known != container_id}

    def _remove_container(self, container_id: str) -> None:
        store = self.store
        store.remove_snapshot(container_id)
        with store.lock:
            store.own.containers = [known for known in store.own.containers if known.id != container_id]
        store.journal.add(Kind.REMOVAL, "container", container_id)
        store.events.announce("/containers/delete", container_id)

    def _source(self, reference: str, digest: str) -> dict[str, str]:
        known = next((blob.labels for blob in self.store.own.blobs if blob.digest == digest), {})
        return source_labels(reference, known)

    def _fetch(self, reference: str, artifact: Artifact) -> None:
        held = {layer.digest: "content" for layer in artifact.layers}
        leases = [
            replace(lease, resources={**lease.resources, **held}) if lease.id == f"pull {reference}" else lease
            for lease in self.store.own.leases
        ]
        self.store.set_leases(leases)
        for layer in artifact.layers:
            self.store.write_blob(layer.digest, layer.size_bytes, self._source(reference, layer.digest))

    def _record(self, reference: str, artifact: Artifact, labels: dict[str, str]) -> None:
        parsed = parse_reference(reference)
        assert parsed is not None
        digest = f"{parsed.full_repository}@{artifact.digest}"
        name = digest if parsed.digest else f"{parsed.full_repository}:{parsed.tag or 'latest'}"
        self.store.put_record(name, artifact.digest, labels)
        others = dict.fromkeys([artifact.image_id, name, digest])
        self.store.complete_records(others, artifact.digest, labels)

    def _adopt(self, name: str, artifact: Artifact) -> None:
        """What CRI does with a record that another client made."""
        if artifact.image_id not in self.store.records:
            self.store.put_record(artifact.image_id, artifact.digest)
        if self.store.version.labels_foreign_records:
            record = self.store.records[name]
            self.store.put_record(name, record.target, record.labels)
