"""Images as a registry has them: a manifest and a config as real documents, and layers that are only a name and a size.

A build gives the same digests every time.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from cleaner.core.references import parse_reference
from contract import MIB, Build

BASE_LAYER = ("base", MIB)
"""Every image has it, as in the lab."""
SNAPSHOTTER = "overlayfs"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class ArtifactLayer:
    """One layer, compressed and unpacked; random bytes take the same space in both."""

    digest: str
    chain_id: str
    size_bytes: int


@dataclass(frozen=True)
class Artifact:
    """One image that has its digests."""

    manifest: bytes
    config: bytes
    layers: tuple[ArtifactLayer, ...]
    created: str | None

    @property
    def digest(self) -> str:
        """Of the manifest: what records point to."""
        return digest_of(self.manifest)

    @property
    def image_id(self) -> str:
        """Of the config, as CRI names the image."""
        return digest_of(self.config)

    @property
    def top(self) -> str:
        """Name of the snapshot that its containers run on."""
        return self.layers[-1].chain_id

    @property
    def size_bytes(self) -> int:
        """As CRI gives it: all of its content."""
        return len(self.manifest) + len(self.config) + sum(layer.size_bytes for layer in self.layers)

    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """By digest, the labels by which content holds other content and snapshots."""
        children = {"config": self.image_id} | {f"l.{n}": layer.digest for n, layer in enumerate(self.layers)}
        return {
            self.digest: {f"containerd.io/gc.ref.content.{name}": digest for name, digest in children.items()},
            self.image_id: {f"containerd.io/gc.ref.snapshot.{SNAPSHOTTER}": self.top},
        }


def artifact_of(build: Build, *, base: bool = True) -> Artifact:
    """A build with its digests; without the base layer it shares nothing."""
    named = (*((BASE_LAYER,) if base else ()), *build.layers)
    digests = [digest_of(f"layer {name} {size}".encode()) for name, size in named]
    diff_ids = [digest_of(f"diff {name} {size}".encode()) for name, size in named]
    chain_ids = accumulate(diff_ids, lambda below, diff_id: digest_of(f"{below} {diff_id}".encode()))
    config = {"rootfs": {"type": "layers", "diff_ids": diff_ids}, "build": f"{build.repository}:{build.tag}"}
    encoded = json.dumps(config | ({} if build.created is None else {"created": build.created})).encode()
    layers = tuple(
        ArtifactLayer(digest, chain_id, size)
        for digest, chain_id, (_, size) in zip(digests, chain_ids, named, strict=True)
    )
    manifest = {
        "schemaVersion": 2,
        "config": {"digest": digest_of(encoded), "size": len(encoded)},
        "layers": [{"mediaType": _LAYER_TYPE, "digest": one.digest, "size": one.size_bytes} for one in layers],
    }
    return Artifact(json.dumps(manifest).encode(), encoded, layers, build.created)


def digest_of(content: bytes) -> str:
    """A content's address."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Registry:
    """What can be pulled, under every registry's name."""

    published: dict[str, Artifact] = field(default_factory=dict)

    def publish(self, build: Build, *, base: bool = True) -> Artifact:
        """Make a build pullable by its tag and its digest."""
        artifact = artifact_of(build, base=base)
        self.published[f"{build.repository}:{build.tag}"] = artifact
        self.published[f"{build.repository}@{artifact.digest}"] = artifact
        return artifact

    def find(self, reference: str) -> Artifact:
        """What a reference names; KeyError where it is not published."""
        parsed = parse_reference(reference)
        if parsed is None:
            raise KeyError(reference)
        suffix = f"@{parsed.digest}" if parsed.digest else f":{parsed.tag or 'latest'}"
        return self.published[parsed.repository + suffix]
