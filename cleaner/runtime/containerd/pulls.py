"""Which images are being pulled, and how far: from the leases of their pulls, and what containerd is writing.

It must not guess: an image counts once its manifest and its config are there and its snapshotter is known, and no
longer once its pull has made no progress for 10 minutes. containerd keeps a lease for each pull, from before the first
blob until the image's record is there or the pull failed, and it names all blobs, ingests and snapshots of that pull
(measured on 1.6, 1.7 and 2.1).
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cleaner.core.disk_usage import Filesystem
from cleaner.core.errors import CleanerError
from cleaner.core.pressure import DEFAULT_RATIO, Movement, PendingLayer, Pull, project_pulls
from cleaner.core.read_state import AVAILABLE, ReadState, not_offered, unavailable
from cleaner.core.reclaim import Layers
from cleaner.runtime.containerd.gc_labels import EXPIRE, FLAT, snapshot_key
from cleaner.runtime.containerd.lookups import find_blobs, find_snapshots
from cleaner.runtime.containerd.manifests import is_size
from cleaner.runtime.containerd.pulled_images import ImageLayer, PulledImage, PulledImages
from cleaner.runtime.containerd.snapshot_sizes import size_of
from cleaner.runtime.containerd.snapshotters import TRUSTED, Snapshotters
from cleaner.runtime.containerd.unpack_ratio import read_ratio, read_snapshotter
from cleaner.runtime.pb import containerd_content_pb2 as content_pb
from cleaner.runtime.pb import containerd_leases_pb2 as leases_pb
from cleaner.runtime.pb import containerd_snapshots_pb2 as snapshots_pb
from cleaner.runtime.rpc import ContainerdApi, MissingApiError, NotServingError, methods

PATIENCE = timedelta(minutes=10)
"""A pull without progress for 10 minutes has ended: a lease outlives a containerd that was killed by a day."""

SLOW_SECONDS = 0.25
"""Snapshots whose usage took at least this long count as whole from then on, so nothing more is projected for them."""

_EXTRACT = "extract-"
"""Before the name of a snapshot that a layer is being unpacked to: `extract-NUMBER CHAIN_ID` (containerd,
`snapshots.UnpackKeyFormat`)."""
_WHOLE = 1 << 62
"""Bytes that no layer exceeds."""
_LAYER_REF = "layer-"
"""Before the digest, in the name of a layer's ingest (containerd, `remotes.MakeRefKey`)."""


@dataclass(frozen=True, slots=True)
class _Lease:
    """What one pull holds so far."""

    blobs: frozenset[str]
    ingests: frozenset[str]
    snapshots: frozenset[str]
    """Names; those of one that is being unpacked to begin with `extract-`."""
    snapshotters: frozenset[str]

    def snapshotter(self, usual: str | None) -> str | None:
        """What unpacks its image: the usual one before it does, as while another pull unpacks the base of both.

        None where that is not known, or its usage is no files on this disk.
        """
        found = next(iter(self.snapshotters), usual)
        return found if found in TRUSTED and len(self.snapshotters) <= 1 else None


@dataclass(frozen=True, slots=True)
class _Ingest:
    """A layer's blob that is being written."""

    offset_bytes: int
    total_bytes: int
    """0 where it is not known."""


_Pending = tuple[PendingLayer, ...]
_Key = tuple[str, str]
"""Snapshotter and name."""


class PullReader:
    """Asks anew each time; manifests and configs, which a digest fixes, are read once while a lease holds them."""

    state: ReadState | None
    """How the last read went; None before the first one."""

    def __init__(
        self,
        api: ContainerdApi,
        snapshotters: Snapshotters,
        monotonic: Callable[[], float] = time.monotonic,
        patience: timedelta = PATIENCE,
    ) -> None:
        """Read nothing yet."""
        self.state = None
        self._api = api
        self._snapshotters = snapshotters
        self._monotonic = monotonic
        self._movement = Movement(patience.total_seconds())
        self._ratio = DEFAULT_RATIO
        self._snapshotter: str | None = None
        self._images = PulledImages(api)
        self._slow: set[_Key] = set()

    def calibrate(self, layers: Layers | None) -> None:
        """Project pulls by these images from now on; as before where they are not known."""
        if layers is not None:
            further = self._snapshotters.further
            self._ratio = read_ratio(layers, further)
            self._snapshotter = read_snapshotter(layers, further)

    def read(self) -> tuple[Pull, ...]:
        """What is being pulled, by digest; () where the runtime has no such API, or does not tell: see `state`.

        RuntimeUnavailableError only where nobody serves: a busy disk must not lose its check to a late answer.
        """
        try:
            pulls = self._read()
        except NotServingError as error:
            self.state = unavailable(str(error))
            raise
        except MissingApiError as error:
            self.state = not_offered(str(error))
            return ()
        except CleanerError as error:
            self.state = unavailable(str(error))
            return ()
        self.state = AVAILABLE
        return pulls

    def _read(self) -> tuple[Pull, ...]:
        leases = self._read_leases()
        ingests = self._read_ingests(leases)
        images = self._images.read(frozenset().union(*(lease.blobs for lease in leases)))
        pending = dict(self._pending_images(leases, images, ingests))
        named = {layer.blob.digest for digest in pending for layer in images[digest]}
        pending |= _pending_alone({digest: ingests[digest] for digest in ingests.keys() - named})
        return project_pulls(self._movement.moving(pending, self._monotonic()), self._ratio)

    def _read_leases(self) -> list[_Lease]:
        """Those that end by themselves, as every pull's does; what else keeps leases keeps them for good."""
        answer = self._api.read(methods.LIST_LEASES, leases_pb.ListRequest())
        leases = answer.leases if answer else ()
        ids = [lease.id for lease in leases if EXPIRE in lease.labels and FLAT not in lease.labels]
        requests = [leases_pb.ListResourcesRequest(id=known) for known in ids]
        answers = self._api.read_many(methods.LEASE_RESOURCES, requests)
        return [_lease_of(held.resources) for held in answers if held is not None]

    def _read_ingests(self, leases: Collection[_Lease]) -> dict[str, _Ingest]:
        """Of these leases, by the layer's digest; what no lease holds is about to be collected."""
        refs = frozenset[str]().union(*(lease.ingests for lease in leases))
        if not any(ref.startswith(_LAYER_REF) for ref in refs):
            return {}
        answer = self._api.read(methods.LIST_INGESTS, content_pb.ListStatusesRequest())
        return {
            status.ref.removeprefix(_LAYER_REF): _Ingest(status.offset, status.total)
            for status in (answer.statuses if answer else ())
            if status.ref in refs and status.ref.startswith(_LAYER_REF)
        }

    def _pending_images(
        self, leases: Collection[_Lease], images: Mapping[str, PulledImage], ingests: Mapping[str, _Ingest]
    ) -> Iterator[tuple[str, _Pending]]:
        # Before what is committed: what ends in between is found there afterwards.
        unpacked = self._read_unpacked(leases)
        ended = _ended_ingests(leases, ingests)
        for lease in leases:
            if (snapshotter := lease.snapshotter(self._snapshotter)) is not None:
                for digest in sorted(lease.blobs & images.keys()):
                    left = self._not_unpacked(lease, snapshotter, images[digest])
                    fetched = self._read_fetched(lease, left, ingests, ended)
                    yield digest, tuple(self._pending_layer(snapshotter, layer, fetched, unpacked) for layer in left)

    def _read_unpacked(self, leases: Iterable[_Lease]) -> dict[str, int]:
        """Bytes by key of what is being unpacked to: they are on the disk already, and part of what is used.

        Of all leases, since one pull unpacks what others wait for. What has no usage any more is whole: it is being
        committed, which shows only once it is done.
        """
        keys = [(lease.snapshotter(None), name) for lease in leases for name in sorted(lease.snapshots)]
        asked = [(snapshotter, name) for snapshotter, name in keys if snapshotter and name.startswith(_EXTRACT)]
        answers = self._read_usages(asked)
        unpacked: dict[str, int] = {}
        for (snapshotter, name), usage in zip(asked, answers, strict=True):
            key = snapshot_key(snapshotter, name.partition(" ")[2])
            size_bytes = _WHOLE if usage is None else size_of(snapshotter, usage).bytes
            unpacked[key] = min(size_bytes, unpacked.get(key, _WHOLE))
        return unpacked

    def _read_usages(self, asked: Sequence[_Key]) -> list[snapshots_pb.UsageResponse | None]:
        """None for those that took long before: containerd walks their files, and a check must not wait for that."""
        self._slow &= set(asked)
        quick = [key for key in asked if key not in self._slow]
        requests = [snapshots_pb.UsageRequest(snapshotter=snapshotter, key=name) for snapshotter, name in quick]
        began = self._monotonic()
        try:
            answers = dict(zip(quick, self._api.read_many(methods.SNAPSHOT_USAGE, requests), strict=True))
        finally:
            if self._monotonic() - began >= SLOW_SECONDS:
                self._slow |= set(quick)
        return [answers.get(key) for key in asked]

    def _not_unpacked(self, lease: _Lease, snapshotter: str, image: PulledImage) -> list[ImageLayer]:
        """Layers without a committed snapshot; the lease names those that this pull has made."""
        left = [layer for layer in image if layer.chain_id not in lease.snapshots]
        there = find_snapshots(self._api, snapshotter, [layer.chain_id for layer in left])
        return [layer for layer, found in zip(left, there, strict=True) if found is None]

    def _read_fetched(
        self, lease: _Lease, left: Iterable[ImageLayer], ingests: Mapping[str, _Ingest], ended: frozenset[str]
    ) -> dict[str, int]:
        """Bytes by the layer's digest: those that are being written, and those that are there, whoever fetched them."""
        sizes = {layer.blob.digest: layer.blob.size_bytes for layer in left}
        fetched = {digest: ingests[digest].offset_bytes for digest in sizes.keys() & ingests.keys()}
        whole = lease.blobs | ended
        unknown = sorted(sizes.keys() - fetched.keys() - whole)
        there = {blob.digest for blob in find_blobs(self._api, unknown) if blob is not None}
        return fetched | {digest: sizes[digest] for digest in there | (sizes.keys() & whole)}

    def _pending_layer(
        self, snapshotter: str, layer: ImageLayer, fetched: Mapping[str, int], unpacked: Mapping[str, int]
    ) -> PendingLayer:
        """What a layer will still write; nothing is claimed for snapshots that lie elsewhere than the images."""
        blob, snapshot = layer.blob, snapshot_key(snapshotter, layer.chain_id)
        if self._snapshotters.filesystem_of(snapshotter) is not Filesystem.IMAGES:
            snapshot = ""
        on_disk = fetched.get(blob.digest, 0), unpacked.get(snapshot, 0)
        return PendingLayer(blob.digest, snapshot, blob.size_bytes, on_disk[0], blob.compressed, on_disk[1])


def _ended_ingests(leases: Iterable[_Lease], ingests: Mapping[str, _Ingest]) -> frozenset[str]:
    """Layers, by digest, whose ingest a lease names although it is gone: all of it is written.

    containerd moves a whole ingest to its blob before its database says so, and that may take as long as a busy disk
    lets a sync wait. Meanwhile neither is listed (containerd, metadata/content.go, `namespacedWriter.Commit`).
    """
    named = {ref.removeprefix(_LAYER_REF) for lease in leases for ref in lease.ingests if ref.startswith(_LAYER_REF)}
    return frozenset(named - ingests.keys())


def _lease_of(resources: Iterable[leases_pb.Resource]) -> _Lease:
    by_kind: dict[str, set[str]] = {"content": set(), "ingests": set(), "snapshots": set()}
    snapshotters = set()
    for resource in resources:
        kind, _, snapshotter = resource.type.partition("/")
        by_kind.setdefault(kind, set()).add(resource.id)
        if kind == "snapshots":
            snapshotters.add(snapshotter)
    known = {kind: frozenset(ids) for kind, ids in by_kind.items()}
    return _Lease(known["content"], known["ingests"], known["snapshots"], frozenset(snapshotters))


def _pending_alone(ingests: Mapping[str, _Ingest]) -> dict[str, _Pending]:
    """Layers of which no image is known, as far as their size is; what they are unpacked to is not claimed."""
    return {
        digest: (PendingLayer(digest, "", ingest.total_bytes, ingest.offset_bytes),)
        for digest, ingest in ingests.items()
        if is_size(ingest.total_bytes)
    }
