"""Draws the committed boards as Grafana shows them: its own components in a browser, with a real Prometheus.

The Prometheus holds the generated fleet of the tests, and serves the page too. The modules of the page, 500 MB, are
installed into the cache folder. Chromium and npm must be on PATH.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from lab.fetch import cache_folder
from lab.toolbox import PROMETHEUSES
from support.boards import FOLDER
from support.fleet_history import STEP_SECONDS, lookback, make_blocks
from support.fleet_nodes import DAY, END, HOUR, MINUTE, START
from support.prometheus_server import PrometheusServer

SOURCE = Path(__file__).with_name("page")
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
LAST = END - 6 * HOUR
"""Not midnight: the axis would end with half a date."""
NEEDED = {
    "npm": ("npm",),
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
}


@dataclass(frozen=True)
class Shot:
    """The part of a board that a picture shows."""

    board: str
    start: int
    scrape_seconds: int = STEP_SECONDS
    sections: int = 3
    """How many rows of panels, from the top."""
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def query(self) -> str:
        """The query of the page's address; times in milliseconds."""
        span = {"from": self.start * 1000, "to": LAST * 1000, "scrape": self.scrape_seconds, "sections": self.sections}
        return urlencode({"board": self.board} | span | {f"var-{k}": word for k, word in self.variables.items()})


SHOTS = (
    Shot("impact", START, sections=2),
    Shot("fleet", LAST - 7 * DAY, scrape_seconds=10 * MINUTE),
    Shot("node", LAST - 7 * DAY, scrape_seconds=10 * MINUTE, variables={"instance": "staging-b"}),
)


def main() -> int:
    """Draw one picture for each board, or report the missing programs."""
    programs = {name: next(filter(None, map(shutil.which, names)), None) for name, names in NEEDED.items()}
    missing = [name for name, program in programs.items() if program is None]
    if missing:
        print(f"not on PATH: {', '.join(missing)} (on Debian: apt-get install {' '.join(missing)})", file=sys.stderr)
        return 2
    page = _build_page(str(programs["npm"]))
    for shot in SHOTS:
        _draw(shot, page, str(programs["chromium"]))
    return 0


def _draw(shot: Shot, page: Path, chromium: str) -> None:
    """Draw one picture from a Prometheus that has the time shown and a day before it."""
    picture = PICTURES / f"board-{shot.board}.png"
    flags = (lookback(shot.scrape_seconds), f"--web.user-assets={page / 'dist'}")
    with tempfile.TemporaryDirectory() as temporary:
        history = Path(temporary)
        make_blocks(history, max(START, shot.start - DAY), shot.scrape_seconds)
        with PrometheusServer(history, PROMETHEUSES[-1], *flags) as server:
            address = f"{server.url}/user/index.html?{shot.query}"
            subprocess.run(["node", "shoot.mjs", chromium, address, str(picture)], cwd=page, check=True)


def _build_page(npm: str) -> Path:
    """Build the page and return its folder; modules are reinstalled when the lock file changed."""
    folder = cache_folder() / "board-pictures"
    lock, stamp = (SOURCE / "package-lock.json").read_bytes(), folder / "node_modules" / "installed-lock"
    shutil.copytree(SOURCE, folder, dirs_exist_ok=True)
    if not stamp.exists() or stamp.read_bytes() != lock:
        print(f"installing Grafana's components into {folder}", file=sys.stderr)
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True
        )
        stamp.write_bytes(lock)
    shutil.rmtree(folder / "dist", ignore_errors=True)
    subprocess.run([npm, "run", "--silent", "build"], cwd=folder, check=True)
    shutil.copytree(folder / "node_modules/@grafana/ui/dist/public", folder / "dist" / "build")
    for file in (folder / "index.html", *FOLDER.glob("*.json")):
        shutil.copy(file, folder / "dist")
    return folder


if __name__ == "__main__":
    sys.exit(main())
