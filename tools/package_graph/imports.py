"""Reads the imports of `cleaner/` and finds those that go against the layers.

The layers are those of docs/architecture.md: `cli -> daemon -> sweep -> core`, and adapters that import `core` only.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ADAPTERS = ("config", "ledger", "node", "outlets", "registries", "runtime", "simulation")
LAYERS: Mapping[str, frozenset[str]] = {
    "core": frozenset(),
    "sweep": frozenset({"core"}),
    "daemon": frozenset({"core", "sweep"}),
    **dict.fromkeys(ADAPTERS, frozenset({"core"})),
    "cli": frozenset({"core", "sweep", "daemon", *ADAPTERS}),
    "__main__": frozenset({"cli"}),
}
"""By package or module at the top level of `cleaner/`: what it may import of the others."""

Graph = Mapping[str, frozenset[str]]
"""By importer: what it imports."""


def modules_of(package: Path) -> list[Path]:
    """Every module of the package, sorted, without the generated stubs."""
    return sorted(path for path in package.rglob("*.py") if "pb" not in path.relative_to(package).parts)


def name_of(module: Path, package: Path) -> str:
    """`core/model.py` -> `cleaner.core.model`; `core/__init__.py` -> `cleaner.core`."""
    parts = (package.name, *module.relative_to(package).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def names_imported_by(module: Path) -> Iterator[tuple[str, str | None]]:
    """Each import of a module, those inside functions too: the module, and the name imported from it."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{module}: line {node.lineno} has a relative import; write the full name")
            yield from ((node.module or "", alias.name) for alias in node.names)


def module_graph(package: Path) -> Graph:
    """The imports between the modules of the package."""
    modules = {name_of(module, package): module for module in modules_of(package)}
    graph = {}
    for importer, path in modules.items():
        targets = set()
        for module, name in names_imported_by(path):
            submodule = f"{module}.{name}"
            targets |= {submodule if submodule in modules else module} & modules.keys()
        graph[importer] = frozenset(targets - {importer})
    return graph


def package_graph(package: Path) -> Graph:
    """The imports between what lies at the top level of the package."""
    graph: dict[str, set[str]] = {}
    for importer, targets in module_graph(package).items():
        own = _top(importer)
        graph.setdefault(own, set()).update({_top(target) for target in targets} - {own, "__init__"})
    return {name: frozenset(targets) for name, targets in sorted(graph.items())}


def upward(graph: Graph) -> list[str]:
    """Imports that the layers do not allow, as `importer -> imported`."""
    return [f"{name} -> {target}" for name in graph for target in sorted(graph[name] - LAYERS.get(name, frozenset()))]


def cycle_in(graph: Graph) -> list[str]:
    """A cycle, its first name repeated at its end; empty where there is none."""
    done: set[str] = set()
    for start in graph:
        if found := _cycle_from(graph, start, [], done):
            return found
    return []


def _cycle_from(graph: Graph, name: str, path: list[str], done: set[str]) -> list[str]:
    if name in path:
        return [*path[path.index(name) :], name]
    if name in done:
        return []
    for target in sorted(graph.get(name, ())):
        if found := _cycle_from(graph, target, [*path, name], done):
            return found
    done.add(name)
    return []


def _top(name: str) -> str:
    _, *rest = name.split(".")
    return rest[0] if rest else "__init__"
