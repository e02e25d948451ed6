"""Writes an image as an OCI archive, the file that a build without a registry leaves.

It compresses nothing: the archive only gathers blobs that are compressed already.
"""

import io
import json
import tarfile
from pathlib import Path

from lab.builder import Builder, manifest_descriptor
from lab.images import BuiltImage


def write_archive(path: Path, image: BuiltImage, name: str | None, builder: Builder) -> None:
    """Write an OCI archive of one image, to be imported under exactly this name; None: an archive without one."""
    annotations = {} if name is None else {"annotations": {"io.containerd.image.name": name}}
    annotated = manifest_descriptor(image) | annotations
    documents = {
        "oci-layout": {"imageLayoutVersion": "1.0.0"},
        "index.json": {"schemaVersion": 2, "manifests": [annotated]},
    }
    with tarfile.open(path, "w") as archive:
        for file_name, document in documents.items():
            content = json.dumps(document).encode()
            member = tarfile.TarInfo(file_name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for digest in {image.manifest_digest, image.image_id, *(layer.digest for layer in image.layers)}:
            archive.add(builder.blob(digest), f"blobs/sha256/{digest.removeprefix('sha256:')}")
