"""The images behind the manifests and configs that pulls have fetched, before there is a record of them.

It must not read anything twice: a digest fixes what it names, so each document is parsed once, also one that is no
image's manifest.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cleaner.runtime.containerd.gc_labels import CHILD
from cleaner.runtime.containerd.lookups import find_blobs
from cleaner.runtime.containerd.manifests import (
    MOST_DOCUMENT_BYTES,
    Manifest,
    ManifestLayer,
    parse_chain_ids,
    parse_manifest,
)
from cleaner.runtime.pb import containerd_content_pb2 as pb
from cleaner.runtime.rpc import READ_CONTENT, CallRejectedError, ContainerdApi


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """A layer of an image, and the name of the snapshot that it is unpacked to."""

    blob: ManifestLayer
    chain_id: str


PulledImage = tuple[ImageLayer, ...]


class PulledImages:
    """Keeps what it read for as long as it is asked about."""

    def __init__(self, api: ContainerdApi) -> None:
        """Know nothing yet."""
        self._api = api
        self._manifests: dict[str, Manifest | None] = {}
        self._images: dict[str, PulledImage | None] = {}

    def read(self, blobs: frozenset[str]) -> Mapping[str, PulledImage]:
        """By the digest of the manifest, those images of which manifest and config are among these blobs."""
        self._manifests = {digest: known for digest, known in self._manifests.items() if digest in blobs}
        self._images = {digest: known for digest, known in self._images.items() if digest in blobs}
        for digest, document in self._read_new_manifests(blobs):
            self._manifests[digest] = parse_manifest(document)
        for digest, manifest in self._manifests.items():
            if manifest is not None and manifest.config_digest in blobs and digest not in self._images:
                self._read_image(digest, manifest)
        return {digest: image for digest, image in self._images.items() if image is not None}

    def _read_new_manifests(self, blobs: frozenset[str]) -> Iterator[tuple[str, bytes]]:
        """What refers to other blobs: it bears their names as labels before the first of them is fetched.

        What bears none is asked about again, since it may bear them only a moment after it is there.
        """
        children = frozenset[str]().union(*(known.children for known in self._manifests.values() if known))
        new = sorted(blobs - self._manifests.keys() - children)
        for blob in find_blobs(self._api, new):
            if blob is not None and any(label.startswith(CHILD) for label in blob.labels):
                document = self._read_blob(blob.digest, blob.size)
                if document is not None:
                    yield blob.digest, document

    def _read_image(self, digest: str, manifest: Manifest) -> None:
        config = self._read_blob(manifest.config_digest, manifest.config_bytes)
        if config is not None:
            chain_ids = parse_chain_ids(config) or ()
            whole = len(chain_ids) == len(manifest.layers)
            self._images[digest] = tuple(map(ImageLayer, manifest.layers, chain_ids)) if whole else None

    def _read_blob(self, digest: str, size_bytes: int) -> bytes | None:
        """A document, empty where it is larger than any; None where it is gone."""
        if not 0 < size_bytes <= MOST_DOCUMENT_BYTES:
            return b""
        try:
            return self._api.read_stream(READ_CONTENT, pb.ReadContentRequest(digest=digest, size=size_bytes), _join)
        except CallRejectedError as error:
            if error.not_found:
                return None
            raise


def _join(parts: Iterable[pb.ReadContentResponse]) -> bytes:
    """All that came, or as much of it as shows that it is too large."""
    document = bytearray()
    for part in parts:
        document += part.data
        if len(document) > MOST_DOCUMENT_BYTES:
            return b""
    return bytes(document)
