"""Writes an image as an archive, the file that a build without a registry leaves: OCI's, or the one of `docker save`.

It compresses nothing: the archive only gathers blobs that are compressed already.
"""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from lab.builder import Builder, manifest_descriptor
from lab.images import BuiltImage


def write_archive(path: Path, image: BuiltImage, name: str | None, builder: Builder) -> None:
    """Write an OCI archive of one image, to be imported under exactly this name; None leaves it without one."""
    annotations = {} if name is None else {"annotations": {"io.containerd.image.name": name}}
    documents: dict[str, object] = {
        "oci-layout": {"imageLayoutVersion": "1.0.0"},
        "index.json": {"schemaVersion": 2, "manifests": [manifest_descriptor(image) | annotations]},
    }
    blobs = {image.manifest_digest, image.image_id, *(layer.digest for layer in image.layers)}
    _write(path, documents, {digest: f"blobs/sha256/{_hex(digest)}" for digest in blobs}, builder)


def write_docker_archive(path: Path, image: BuiltImage, name: str, builder: Builder) -> None:
    """Write what `docker save` writes of one image: it has no manifest, the runtime makes one while it imports."""
    layers = {layer.digest: f"{_hex(layer.digest)}/layer.tar" for layer in image.layers}
    config = f"{_hex(image.image_id)}.json"
    documents = {"manifest.json": [{"Config": config, "RepoTags": [name], "Layers": list(layers.values())}]}
    _write(path, documents, {image.image_id: config, **layers}, builder)


def _write(path: Path, documents: Mapping[str, object], blobs: Mapping[str, str], builder: Builder) -> None:
    """Documents by file name; file names by blob."""
    with tarfile.open(path, "w") as archive:
        for file_name, document in documents.items():
            content = json.dumps(document).encode()
            member = tarfile.TarInfo(file_name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for digest, file_name in blobs.items():
            archive.add(builder.blob(digest), file_name)


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
