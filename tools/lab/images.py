"""What an image of the lab is: plain values, and the layers' bytes that follow from them.

It uses neither chance nor clocks: the same value gives the same bytes, so the same digests, in every run.
"""

import gzip
import hashlib
import io
import random
import tarfile
from dataclasses import dataclass

_PATTERN_BYTES = 4096
_BUSYBOX = "bin/busybox"


@dataclass(frozen=True)
class Layer:
    """One layer; equal values are one shared blob and one shared snapshot."""

    size_bytes: int
    seed: int
    compressible: bool = False
    # Compressible content repeats: small as a blob, whole as a snapshot.
    files: int = 1
    # How many files the content is spread over, one inode each.
    repeats: int = 1
    # How often each block of random content comes in a row: about so many times larger is the snapshot than the blob.


@dataclass(frozen=True)
class ImageSpec:
    """One image as a build would give it."""

    repository: str
    # Without a registry: "golem-ai/app".
    tag: str = "v1"
    layers: tuple[Layer, ...] = ()
    created: str | None = None
    # Written as it is into the image's config; None leaves the key out.
    base: bool = True
    # Whether the shared layer with busybox lies below; without it no pod can start.


@dataclass(frozen=True)
class LayerBlob:
    """A layer as a manifest and a config name it."""

    digest: str
    diff_id: str
    size_bytes: int
    # Of the compressed blob.


@dataclass(frozen=True)
class BuiltImage:
    """An image that has its digests."""

    spec: ImageSpec
    image_id: str
    # The config's digest, which CRI calls the image's id.
    manifest_digest: str
    manifest_bytes: int
    layers: tuple[LayerBlob, ...]

    def reference(self, registry: str) -> str:
        """Return the reference by tag under a registry's name."""
        return f"{registry}/{self.spec.repository}:{self.spec.tag}"

    def digest_reference(self, registry: str) -> str:
        """Return the reference by digest under a registry's name."""
        return f"{registry}/{self.spec.repository}@{self.manifest_digest}"


def layer_tar(layer: Layer) -> bytes:
    """Return a layer's uncompressed tar: its files in a folder named by the seed."""
    generator = random.Random(layer.seed)  # noqa: S311 - content, not a secret
    share, rest = divmod(layer.size_bytes, layer.files)
    sizes = [share + (1 if index < rest else 0) for index in range(layer.files)]
    names = (f"layer-{layer.seed}/{index:06d}" for index in range(layer.files))
    contents = (_content(generator, size, layer) for size in sizes)
    return pack(dict(zip(names, contents, strict=True)))


def base_tar(busybox: bytes) -> bytes:
    """Return the tar of the layer that all images share, and that pods start from."""
    return pack({_BUSYBOX: busybox})


def pause_tar(busybox: bytes) -> bytes:
    """Return the pause image's tar: not the base layer, which must be removable together with its images."""
    return pack({"pause": b"", "sleep": busybox})


def compress(tar: bytes, *, level: int) -> bytes:
    """Return a gzip of a tar without a time stamp; level 0 stores."""
    return gzip.compress(tar, compresslevel=level, mtime=0)


def digest_of(content: bytes) -> str:
    """Return a content's address, as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def pack(files: dict[str, bytes]) -> bytes:
    """Return a tar of executable files, in the given order, without times or owners."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o755
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _content(generator: random.Random, size_bytes: int, layer: Layer) -> bytes:
    if layer.compressible:
        pattern = generator.randbytes(min(size_bytes, _PATTERN_BYTES))
        return (pattern * (size_bytes // max(len(pattern), 1) + 1))[:size_bytes]
    if layer.repeats == 1:
        return generator.randbytes(size_bytes)
    blocks = range(-(-size_bytes // (_PATTERN_BYTES * layer.repeats)))
    return b"".join(generator.randbytes(_PATTERN_BYTES) * layer.repeats for _ in blocks)[:size_bytes]
