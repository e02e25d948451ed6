"""Compare the golden files with those of an older revision, across the renames: `make renames-check OLD=REVISION`."""

import difflib
import subprocess
import sys
from pathlib import Path

from renames.table import public_renames, renamed

ROOT = Path(__file__).parents[2]
MOVED = {"tests/unit/outlets/golden/history-vanished.txt": "tests/unit/outlets/golden/history-removed-externally.txt"}


def main(arguments: list[str]) -> int:
    """Compare each golden file of the revision; 1 where one differs by more than the table, or is gone."""
    if len(arguments) != 1:
        print("name the older revision: make renames-check OLD=6a77bd3", file=sys.stderr)
        return 2
    [revision] = arguments
    try:
        renames = public_renames((ROOT / "docs" / "renames.md").read_text("utf-8"))
    except ValueError as error:
        print(f"docs/renames.md: {error}", file=sys.stderr)
        return 2
    old_files = [name for name in _git("ls-tree", "-r", "--name-only", revision).splitlines() if "/golden/" in name]
    same = [name for name in old_files if _is_same(revision, name, renames)]
    print(f"{len(same)} of {len(old_files)} golden files of {revision} are the same")
    return 0 if old_files and same == old_files else 1


def _is_same(revision: str, name: str, renames: dict[str, str]) -> bool:
    now = ROOT / MOVED.get(name, name)
    if not now.exists():
        print(f"{name} is gone")
        return False
    expected = renamed(_git("show", f"{revision}:{name}"), renames)
    found = " ".join(now.read_text("utf-8").split())
    if expected != found:
        print(f"{name} differs by more than docs/renames.md says:")
        words = difflib.unified_diff(expected.split(), found.split(), "expected", "found", lineterm="", n=2)
        print("\n".join(words))
    return expected == found


def _git(*arguments: str) -> str:
    done = subprocess.run(("git", *arguments), cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr.strip())
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
