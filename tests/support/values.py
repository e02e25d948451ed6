"""Builders of the core's values, and a slow second opinion on patterns."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from cleaner.core.disk_usage import Usage
from cleaner.core.model import Clock, Container, Image, Inspection, Memory, Plan, Policy, Rule, Verdict
from cleaner.core.reclaim import Layers
from cleaner.core.references import parse_pattern

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
COMPANY = "registry.gitlab.com/golem-ai"


def make_hex(number: int) -> str:
    return f"{number:064x}"


def make_digest(number: int) -> str:
    """A manifest's digest; never the id of an image made here."""
    return f"sha256:{number:x}".ljust(71, "d")


def make_image(
    number: int = 1,
    references: Iterable[str] | None = None,
    *,
    created: timedelta | None = 90 * DAY,
    pulled: timedelta | None = 60 * DAY,
    readable: bool = True,
    pinned: bool = False,
) -> Image:
    """An image of the company's, `created` and `pulled` this long before NOW."""
    if references is None:
        references = (f"{COMPANY}/app{number}:1", f"{COMPANY}/app{number}@{make_digest(number)}")
    texts = sorted(references)
    return Image(
        id=f"sha256:{make_hex(number)}",
        tags=tuple(text for text in texts if "@" not in text),
        digests=tuple(text for text in texts if "@" in text),
        created_at=None if created is None else NOW - created,
        pulled_at=None if pulled is None else NOW - pulled,
        readable=readable,
        pinned=pinned,
    )


def make_rule(
    *match: str,
    name: str = "company",
    max_age: timedelta = 30 * DAY,
    age_from: Clock = Clock.CREATED,
    keep_newest: int = 0,
    local: bool = False,
) -> Rule:
    patterns = tuple(map(parse_pattern, match or (f"{COMPANY}/**",)))
    return Rule(name, patterns, max_age, age_from, keep_newest, local)


def make_policy(*rules: Rule, protect: Iterable[str] = ()) -> Policy:
    return Policy(rules or (make_rule(),), tuple(map(parse_pattern, protect)))


def make_inspection(
    *images: Image,
    used: Iterable[str] = (),
    sandbox: Iterable[str] = (),
    first_seen: Mapping[str, datetime] | None = None,
    last_used: Mapping[str, datetime] | None = None,
    layers: Layers | None = None,
) -> Inspection:
    """A node with these images, and a container for each name in `used`."""
    containers = tuple(Container(f"container-{name}", frozenset({name})) for name in used)
    memory = Memory(NOW - 365 * DAY, first_seen or {}, last_used or {})
    return Inspection(images, containers, frozenset(sandbox), memory, layers)


def verdicts_by_id(plan: Plan) -> dict[str, Verdict]:
    verdicts = (*plan.evictions, *plan.kept)
    by_id = {verdict.image.id: verdict for verdict in verdicts}
    assert len(by_id) == len(verdicts), "an image ended twice"
    return by_id


def make_usage(used_percent: float, inodes_used_percent: float | None = 0) -> Usage:
    """A filesystem of 1,000,000 bytes and as many inodes, so that a percent is a whole number of both."""
    inodes = 0 if inodes_used_percent is None else 1_000_000
    return Usage(
        path="/images",
        capacity_bytes=1_000_000,
        available_bytes=1_000_000 - round(used_percent * 10_000),
        inodes=inodes,
        inodes_available=inodes - round((inodes_used_percent or 0) * 10_000),
        free_bytes=1_000_000 - round(used_percent * 10_000),
    )


def star_covers(pattern: str, text: str) -> bool:
    """Whether a pattern with `*` covers all of a text, by trying everything."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(star_covers(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return text[:1] == pattern[0] and star_covers(pattern[1:], text[1:])


def parts_cover(pattern: list[str], parts: list[str]) -> bool:
    """Whether path parts with `*` and `**` cover all of a path, by trying everything."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(parts_cover(pattern[1:], parts[start:]) for start in range(len(parts) + 1))
    return bool(parts) and star_covers(pattern[0], parts[0]) and parts_cover(pattern[1:], parts[1:])
