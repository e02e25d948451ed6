"""Writes docs/metrics.md.

The page has no other place: what is committed there is what people read.
"""

import sys
from pathlib import Path

from metrics_page.page import render

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "metrics.md"


def main() -> int:
    """Write the page."""
    text = render()
    PAGE.write_text(text, "utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(text.splitlines())} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
