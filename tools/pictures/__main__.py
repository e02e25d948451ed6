"""Draws `cleaner demo` as an SVG, which uses the reader's own monospace font."""

import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "demo.svg"
COLUMNS = 118
COLOURS = {"evicted": "green", "kept": "cyan", "not reached": "yellow"}


def main() -> int:
    """Run the demo and draw its output, without the progress lines and metrics."""
    command: list[str | Path] = [Path(sys.executable).with_name("cleaner"), "demo"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [line for line in printed.partition("METRIC")[0].splitlines() if not line.startswith("[")]
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    for line in ["$ cleaner demo", *lines]:
        word = next((word for word in COLOURS if line.startswith(word)), "")
        console.print(Text(line, style=COLOURS.get(word, "")), soft_wrap=True)
    svg = console.export_svg(title="node-image-cleaner", unique_id="demo")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    PICTURE.write_text(svg.replace("Fira Code, monospace", "monospace"), "utf-8")
    print(f"{PICTURE.relative_to(Path.cwd())}: {len(svg)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
