"""What manifests and configs say of layers, and which are refused."""

import hashlib
import json

import pytest

from cleaner.runtime.containerd.manifests import (
    Manifest,
    ManifestLayer,
    chain_ids,
    is_size,
    parse_chain_ids,
    parse_manifest,
)

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
TIB = 1 << 40


def descriptor(digest: object, size: object, media_type: object = GZIP) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def document(*layers: object, config: object = None) -> bytes:
    return json.dumps({"config": config or descriptor(C, 10), "layers": layers}).encode()


@pytest.mark.parametrize(
    ("media_type", "compressed"),
    [
        (GZIP, True),
        ("application/vnd.oci.image.layer.v1.tar+zstd", True),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", True),
        ("application/vnd.oci.image.layer.v1.tar", False),
        ("application/vnd.docker.image.rootfs.diff.tar", False),
        ("", True),
        (None, True),
    ],
)
def test_manifest(media_type: str | None, compressed: bool) -> None:
    """A manifest has its config and its layers, in order, and says which are compressed."""
    parsed = parse_manifest(document(descriptor(A, 1, media_type), descriptor(B, 0)))
    assert parsed == Manifest(C, 10, (ManifestLayer(A, 1, compressed), ManifestLayer(B, 0, compressed=True)))
    assert parsed.children == {A, B, C}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"7",
        b"[" * 100_000,
        json.dumps({"manifests": [descriptor(A, 1)]}).encode(),
        json.dumps({"layers": [descriptor(A, 1)]}).encode(),
        json.dumps({"config": descriptor(C, 1), "layers": "none"}).encode(),
        document(),
        document("layer"),
        document(descriptor("sha256:short", 1)),
        document(descriptor(f"{A}\n", 1)),
        document(descriptor(None, 1)),
        document(descriptor(A, -1)),
        document(descriptor(A, 1.5)),
        document(descriptor(A, True)),
        document(descriptor(A, "1")),
        document(descriptor(A, TIB + 1)),
        document(descriptor(A, TIB), descriptor(B, 1)),
        document(descriptor(A, 1), config=descriptor(C, -1)),
        document(*[descriptor(A, 1)] * 1001),
    ],
)
def test_no_manifest(text: bytes) -> None:
    """An index, an artifact without layers, and what is malformed or absurd is no image's manifest."""
    assert parse_manifest(text) is None


def test_largest_manifest() -> None:
    """A thousand layers, or a tebibyte in one, are still an image."""
    assert parse_manifest(document(*[descriptor(A, 1)] * 1000)) is not None
    assert parse_manifest(document(descriptor(A, TIB))) is not None


@pytest.mark.parametrize(
    ("value", "taken"),
    [(-1, False), (0, True), (1, True), (TIB, True), (TIB + 1, False), (1.0, False), (None, False), (True, False)],
)
def test_size(value: object, taken: bool) -> None:
    """A size is a whole number of bytes of which a disk can have so many."""
    assert is_size(value) is taken


def test_chain_ids() -> None:
    """The lowest layer's name is its own; each above is named by the digest of the one below and its own."""
    second = f"sha256:{hashlib.sha256(f'{A} {B}'.encode()).hexdigest()}"
    third = f"sha256:{hashlib.sha256(f'{second} {C}'.encode()).hexdigest()}"
    assert chain_ids([A, B, C]) == (A, second, third)
    assert chain_ids([]) == ()
    assert parse_chain_ids(json.dumps({"rootfs": {"diff_ids": [A, B]}}).encode()) == (A, second)


@pytest.mark.parametrize(
    "config",
    [b"", b"{}", b'{"rootfs": 1}', b'{"rootfs": {}}', b'{"rootfs": {"diff_ids": 3}}', b'{"rootfs": {"diff_ids": [3]}}'],
)
def test_no_config(config: bytes) -> None:
    """What has no list of layers is no image's config."""
    assert parse_chain_ids(config) is None
