"""Under which name CRI keeps a record, as it was measured on real containerds."""

import pytest

from cleaner.runtime.containerd.record_names import cri_name

HEX = "c1" * 32


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("app:v1", "docker.io/library/app:v1"),
        ("foo", "docker.io/library/foo"),
        ("acme/hub:v1", "docker.io/acme/hub:v1"),
        ("acme/hub", "docker.io/acme/hub"),
        ("docker.io/foo:v1", "docker.io/library/foo:v1"),
        ("docker.io/foo", "docker.io/library/foo"),
        ("index.docker.io/acme/x:v1", "docker.io/acme/x:v1"),
        (f"import-2026-01-31@sha256:{HEX}", f"docker.io/library/import-2026-01-31@sha256:{HEX}"),
        (f"foo:tag@sha256:{HEX}", f"docker.io/library/foo:tag@sha256:{HEX}"),
        (HEX, f"sha256:{HEX}"),
    ],
)
def test_renamed(name: str, known: str) -> None:
    """RemoveImage left the records of these names behind, on containerd 1.6.20, 1.7.24 and 2.1.9."""
    assert cri_name(name) == known


@pytest.mark.parametrize(
    "name",
    [
        "An Odd Name",
        'we"ird\\na:me',
        "",
        "registry.example.com/acme/untagged",
        "registry.example.com/acme/app:v1",
        f"registry.example.com/acme/x:v1@sha256:{HEX}",
        "REGISTRY.example.com/acme/x:v1",
        "registry.example.com/Acme/x:v1",
        "localhost/x:v1",
        "localhost:5000/x:v1",
        "[::1]:5000/x:v1",
        "a_b.c/x:v1",
        "Host/x:v1",
        "docker.io/acme/hub:v1",
        "docker.io/library/foo:v1",
        f"docker.io/library/foo@sha256:{HEX}",
        f"sha256:{HEX}",
        f"sha512:{HEX}{HEX}",
        "app@sha256:abc",
    ],
)
def test_kept(name: str) -> None:
    """RemoveImage removed the records of these names, or CRI lists them as they are."""
    assert cri_name(name) == name
