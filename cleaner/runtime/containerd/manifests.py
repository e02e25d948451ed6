"""What a manifest and a config of containerd's store say of an image's layers.

A document that no image can have is parsed as None, and no pull is projected from it. Sources: OCI image specification,
`manifest.md` and `config.md`; Docker's schema 2 has the same fields.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeGuard

MOST_DOCUMENT_BYTES = 1 << 20
"""Hundreds of layers take less than a tenth of it, and in memory a document is many times its size."""
_MOST_LAYERS = 1000
_MOST_IMAGE_BYTES = 1 << 40

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class ManifestLayer:
    """One layer as a manifest names it."""

    digest: str
    size_bytes: int
    compressed: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an image consists of."""

    config_digest: str
    config_bytes: int
    layers: tuple[ManifestLayer, ...]

    @property
    def children(self) -> frozenset[str]:
        """Digests of all that it names."""
        return frozenset({self.config_digest, *(layer.digest for layer in self.layers)})


def is_size(value: object) -> bool:
    """Whether it can be what a blob of an image has, in bytes."""
    return type(value) is int and 0 <= value <= _MOST_IMAGE_BYTES


def parse_manifest(document: bytes) -> Manifest | None:
    """An image's manifest; None for an index, and for what cannot be one."""
    found = _parse(document)
    config, layers = found.get("config"), found.get("layers")
    if not isinstance(layers, list) or not 0 < len(layers) <= _MOST_LAYERS:
        return None
    if not _is_descriptor(config) or not all(_is_descriptor(layer) for layer in layers):
        return None
    if sum(layer["size"] for layer in layers) > _MOST_IMAGE_BYTES:
        return None
    return Manifest(config["digest"], config["size"], tuple(_layer_of(layer) for layer in layers))


def parse_chain_ids(document: bytes) -> tuple[str, ...] | None:
    """Names of the snapshots that an image's layers are unpacked to, lowest first; None where it is no config."""
    rootfs = _parse(document).get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or not all(_is_digest(diff_id) for diff_id in diff_ids):
        return None
    return chain_ids(diff_ids)


def chain_ids(diff_ids: Iterable[str]) -> tuple[str, ...]:
    """Each layer's name with all below it. Source: OCI image specification, `config.md`, "Layer ChainID"."""

    def above(chain_id: str, diff_id: str) -> str:
        return f"sha256:{hashlib.sha256(f'{chain_id} {diff_id}'.encode()).hexdigest()}"

    return tuple(accumulate(diff_ids, above))


def _parse(document: bytes) -> dict[str, object]:
    """The object that it holds; empty where it holds none."""
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_descriptor(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and _is_digest(value.get("digest")) and is_size(value.get("size"))


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _layer_of(layer: dict[str, Any]) -> ManifestLayer:
    """Its media type ends in `+gzip`, `.gzip` or `+zstd`, or in `.tar` where it is not compressed."""
    compressed = not str(layer.get("mediaType", "")).endswith(".tar")
    return ManifestLayer(layer["digest"], layer["size"], compressed)
