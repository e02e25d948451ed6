"""Writes every board into dashboards/, the folder that users import from."""

import sys
from pathlib import Path

from dashboards.boards import BOARDS
from dashboards.render import render

FOLDER = Path(__file__).parents[2] / "dashboards"


def main() -> int:
    """Write each board to the folder that Grafana's provisioning and the kustomization read."""
    for name, board in BOARDS.items():
        file = FOLDER / f"{name}.json"
        file.write_text(render(board), "utf-8")
        print(f"{file.relative_to(FOLDER.parent)}: {file.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
