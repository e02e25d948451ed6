"""`make package-graph`: draw the packages of `cleaner/` into docs/packages.md, and say what the layers forbid."""

import sys
from pathlib import Path

from package_graph.imports import cycle_in, module_graph, package_graph, upward
from package_graph.page import page_of

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Write the page and print the figures; 1 for an upward import or a circle, 2 for a module that cannot be read."""
    package = ROOT / "cleaner"
    try:
        graph = package_graph(package)
    except (SyntaxError, ValueError) as error:
        print(f"cannot read the imports: {error}", file=sys.stderr)
        return 2
    (ROOT / "docs" / "packages.md").write_text(page_of(graph), "utf-8")
    against, circle = upward(graph), cycle_in(graph) or cycle_in(module_graph(package))
    print(f"{len(graph)} packages and modules at the top level of cleaner/")
    print(f"{len(against)} upward arrows{': ' * bool(against)}{', '.join(against)}")
    print(f"{'a cycle: ' + ' -> '.join(circle) if circle else 'no cycle, between packages or between modules'}")
    return 1 if against or circle else 0


if __name__ == "__main__":
    sys.exit(main())
