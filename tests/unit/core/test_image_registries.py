"""Registries of images and patterns, by their names alone."""

import pytest

from cleaner.core.image_registries import is_any_down, registries_of, registries_of_all, registry_of
from cleaner.core.model import EvictReason, Image, Verdict
from cleaner.core.references import parse_pattern
from support.values import make_digest

DIGEST = make_digest(1)


@pytest.mark.parametrize(
    ("tags", "digests", "expected"),
    [
        (["registry.gitlab.com/golem-ai/app:1"], ["registry.gitlab.com/golem-ai/app"], {"registry.gitlab.com"}),
        (["nginx:1"], ["nginx"], {"docker.io"}),
        (["index.docker.io/library/nginx:1"], ["docker.io/library/nginx"], {"docker.io"}),
        (["localhost:5000/app:1"], ["localhost:5000/app"], {"localhost:5000"}),
        (["[::1]:5000/app:1"], ["[::1]:5000/app"], {"[::1]:5000"}),
        (["Registry.Example.Com/app:1"], ["registry.example.com/app"], {"registry.example.com"}),
        (["r.io/a:1", "q.io/a:1"], ["p.io/a"], {"p.io", "q.io", "r.io"}),
        (["r.io/a:1"], [], {"r.io"}),
        (["localhost/a:1"], [], set()),
        (["localhost/a:1", "r.io/a:1"], [], {"r.io"}),
        (["localhost/a:1"], ["localhost/a"], {"localhost"}),
        (["localhost/a:1"], ["r.io/a"], {"localhost", "r.io"}),
        ([], ["r.io/a"], {"r.io"}),
        ([], [], set()),
        (["<odd>", "r.io/a:1"], ["r.io/a"], set()),
    ],
)
def test_registries_of_an_image(tags: list[str], digests: list[str], expected: set[str]) -> None:
    """All references count, with defaults filled in; `localhost` alone only for what was pulled."""
    image = Image("sha256:1", tuple(tags), tuple(f"{repository}@{DIGEST}" for repository in digests))
    assert registries_of(image) == expected
    for registry in ("r.io", "docker.io", "localhost"):
        assert is_any_down(image, frozenset({registry, "other.io"})) is (registry in expected)
    assert not is_any_down(image, frozenset())


def test_registries_of_many_images() -> None:
    """Those of all images together, each once."""
    names = ("r.io/a:1", "r.io/b:1", "q.io/a:1")
    verdicts = [Verdict(Image(name, (name,)), EvictReason.EXPIRED) for name in names]
    assert registries_of_all(verdicts) == {"r.io", "q.io"}
    assert registries_of_all([]) == set()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("registry.gitlab.com/golem-ai/**:ci-*", "registry.gitlab.com"),
        ("localhost:5000/*", "localhost:5000"),
        ("docker.io/library/nginx:1", "docker.io"),
        (f"index.docker.io/nginx@{DIGEST}", "docker.io"),
        ("*.example.com/**", None),
        ("**/app", None),
        ("**", None),
        ("<none>", None),
    ],
)
def test_the_registry_that_a_pattern_names(pattern: str, expected: str | None) -> None:
    """Only one that is written out is named."""
    assert registry_of(parse_pattern(pattern)) == expected
