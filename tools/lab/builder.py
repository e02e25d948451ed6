"""Builds images into a folder of blobs that a registry's storage can be.

It builds each layer once: a thousand images over one base pay for it once.
"""

import json
import platform
from collections.abc import Callable
from pathlib import Path

from lab.images import (
    BuiltImage,
    ImageSpec,
    Layer,
    LayerBlob,
    base_tar,
    compress,
    digest_of,
    layer_tar,
    pause_tar,
)

_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
_LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Longer than any test, and every busybox can parse it.
_SLEEP = "2147483647"
PAUSE = ImageSpec("pause", "3.9", created="2022-06-22T22:26:44Z")


class Builder:
    """Turns specs into blobs on disk."""

    def __init__(self, blobs: Path, busybox: Path) -> None:
        """Build into the blobs folder of a registry's storage."""
        self._blobs = blobs
        self._busybox = busybox
        self._layers: dict[Layer | str, LayerBlob] = {}

    def build(self, spec: ImageSpec) -> BuiltImage:
        """Write an image's blobs and return its digests; again gives the same."""
        base = (self._layer("base", lambda: base_tar(self._busybox.read_bytes()), 6),) if spec.base else ()
        entrypoint = ["/bin/busybox", "sleep", _SLEEP] if spec.base else []
        return self._assemble(spec, base + tuple(self._content_layer(layer) for layer in spec.layers), entrypoint)

    def build_pause(self) -> BuiltImage:
        """Write the sandboxes' image, which shares no layer with any other."""
        layer = self._layer("pause", lambda: pause_tar(self._busybox.read_bytes()), 6)
        return self._assemble(PAUSE, (layer,), ["/sleep", _SLEEP])

    def blob(self, digest: str) -> Path:
        """Return where a blob lies."""
        value = digest.removeprefix("sha256:")
        return self._blobs / "sha256" / value[:2] / value / "data"

    def _content_layer(self, layer: Layer) -> LayerBlob:
        # Random bytes cannot shrink: storing them is thirty times as fast as trying.
        return self._layer(layer, lambda: layer_tar(layer), 6 if layer.compressible or layer.repeats > 1 else 0)

    def _layer(self, key: Layer | str, tar: Callable[[], bytes], level: int) -> LayerBlob:
        if key not in self._layers:
            content = tar()
            packed = compress(content, level=level)
            self._layers[key] = LayerBlob(self._put(packed), digest_of(content), len(packed))
        return self._layers[key]

    def _assemble(self, spec: ImageSpec, layers: tuple[LayerBlob, ...], entrypoint: list[str]) -> BuiltImage:
        config = _encode(_config(spec, layers, entrypoint))
        manifest = _encode(_manifest(config, layers))
        return BuiltImage(spec, self._put(config), self._put(manifest), len(manifest), layers)

    def _put(self, content: bytes) -> str:
        digest = digest_of(content)
        path = self.blob(digest)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return digest


def manifest_descriptor(image: BuiltImage) -> dict[str, object]:
    """Return how an index names an image's manifest."""
    return {"mediaType": _MANIFEST_TYPE, "digest": image.manifest_digest, "size": image.manifest_bytes}


def _config(spec: ImageSpec, layers: tuple[LayerBlob, ...], entrypoint: list[str]) -> dict[str, object]:
    machine = platform.machine()
    config: dict[str, object] = {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        # The label keeps the ids of images with equal layers apart.
        "config": {"Entrypoint": entrypoint, "Labels": {"lab.image": f"{spec.repository}:{spec.tag}"}},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    return config if spec.created is None else {**config, "created": spec.created}


def _manifest(config: bytes, layers: tuple[LayerBlob, ...]) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": {"mediaType": _CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": _LAYER_TYPE, "digest": layer.digest, "size": layer.size_bytes} for layer in layers],
    }


def _encode(document: dict[str, object]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()
