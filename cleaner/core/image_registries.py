"""Which registries an image came from, by its references, and whether one of them is down.

It must not ask them; see `registries/health.py`, behind the port `Registries`.
"""

from collections.abc import Iterable

from cleaner.core.model import Image, Verdict
from cleaner.core.references import Pattern, fill_in, names_of, split_suffixes

NO_REGISTRY = "localhost"
"""Builders put this, without a port, before what they built and never pushed."""


def registries_of(image: Image) -> frozenset[str]:
    """Registries of all references, as references name them: `docker.io`, `registry.example.com:5000`.

    Tags count as much as digests: whatever may hold the image is worth a question. `localhost` alone is none where no
    repo digest says that the image was ever pulled; none at all where a reference makes no sense.
    """
    found = frozenset(name.full_repository.partition("/")[0] for name in names_of(image.references) or ())
    return found if image.digests else found - {NO_REGISTRY}


def registries_of_all(verdicts: Iterable[Verdict]) -> frozenset[str]:
    """Registries of all these images."""
    return frozenset[str]().union(*(registries_of(verdict.image) for verdict in verdicts))


def is_any_down(image: Image, down: frozenset[str]) -> bool:
    """Whether a registry of the image is down; one of several is enough, since it is not known which one has it."""
    return bool(down) and not down.isdisjoint(registries_of(image))


def registry_of(pattern: Pattern) -> str | None:
    """The registry that a pattern names literally; None for one with stars, and for `<none>`."""
    name, _, _ = split_suffixes(pattern.text)
    registry = fill_in(name)[0] if "/" in name else "*"
    return None if "*" in registry else registry
