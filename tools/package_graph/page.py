"""The page docs/packages.md: the graph as a Mermaid diagram."""

from package_graph.imports import Graph

_INTRODUCTION = """\
# Packages

<!-- Made by `make package-graph` from the imports of cleaner/. -->

Each arrow is an import. `tests/unit/test_architecture.py` fails if an arrow is not allowed, if the
arrows form a cycle, or if this page is out of date. Each `__init__.py` and
[architecture](architecture.md) say what a package is for.

"""


def page_of(graph: Graph) -> str:
    """The whole page; names and arrows are sorted."""
    arrows = [f"  {name} --> {target}" for name in graph for target in sorted(graph[name])]
    return _INTRODUCTION + "\n".join(["```mermaid", "flowchart TD", *arrows, "```", ""])
