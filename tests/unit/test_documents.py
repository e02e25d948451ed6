"""The pages lead to each other: no link is dead, and no anchor."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def links_of(page: Path) -> Iterator[tuple[Path, str]]:
    """File and anchor of each link to another page, or to a place on the same one."""
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        path, _, anchor = target.partition("#")
        if "://" not in target:
            yield (page.parent / path).resolve() if path else page, anchor


def anchors_of(page: Path) -> set[str]:
    """What the headings of a page are called in links: lower case, without punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each file that is linked is there, and each anchor is a heading of it."""
    for path, anchor in links_of(page):
        assert path.exists(), path
        assert not anchor or anchor in anchors_of(path), f"{path}#{anchor}"


def test_readers_find_metrics_and_log() -> None:
    """README, alerts, boards and the log lead to the metrics, and the metrics to the keys of an eviction."""
    docs = ROOT / "docs"
    for page in (ROOT / "README.md", docs / "alerts.md", docs / "dashboards.md", docs / "logs.md"):
        assert docs / "metrics.md" in {path for path, _ in links_of(page)}, page
    assert (docs / "logs.md", "eviction") in set(links_of(docs / "metrics.md"))
