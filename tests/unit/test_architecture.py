"""The layers of docs/architecture.md, read from the imports themselves."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import cleaner
from package_graph.imports import (
    LAYERS,
    cycle_in,
    module_graph,
    modules_of,
    name_of,
    names_imported_by,
    package_graph,
    upward,
)
from package_graph.page import page_of

PACKAGE = Path(cleaner.__file__).parent
ROOT = Path(__file__).parents[2]
MODULES = modules_of(PACKAGE)
MOST_AT_THE_TOP = 14
WITH_INTERFACE = {name_of(m, PACKAGE) for m in MODULES if m.name == "__init__.py"} - {
    "cleaner",
    "cleaner.cli",
    "cleaner.cli.commands",
    "cleaner.core",
    "cleaner.outlets",
}
"""All packages but those whose modules are imported directly."""
CORE_MAY_IMPORT = {
    "bisect",
    "collections",
    "contextlib",
    "cronsim",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "hashlib",
    "itertools",
    "math",
    "re",
    "typing",
    "zoneinfo",
}
"""Nothing that reads, waits, writes, logs or draws lots."""


def parts_of(module: Path) -> tuple[str, ...]:
    """`core/model.py` -> ("core", "model")."""
    return module.relative_to(PACKAGE).with_suffix("").parts


def test_imports_follow_the_layers() -> None:
    """No package imports one above it, or beside it; the page of the graph is up to date."""
    graph = package_graph(PACKAGE)
    assert upward(graph) == []
    assert graph.keys() - {"__init__"} == LAYERS.keys()
    assert len(graph) <= MOST_AT_THE_TOP
    assert (ROOT / "docs" / "packages.md").read_text("utf-8") == page_of(graph)


def test_there_is_no_cycle() -> None:
    """Neither packages nor modules import each other in a circle."""
    assert cycle_in(package_graph(PACKAGE)) == []
    assert cycle_in(module_graph(PACKAGE)) == []


def test_the_graph_sees_what_is_wrong() -> None:
    """An upward import and a cycle are found."""
    assert upward({"core": frozenset({"sweep"}), "sweep": frozenset({"core"})}) == ["core -> sweep"]
    assert upward({"node": frozenset({"runtime", "core"})}) == ["node -> runtime"]
    graph = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"b"})}
    assert cycle_in(graph) == ["b", "c", "b"]


def test_the_rpc_folder_knows_no_caller() -> None:
    """What makes calls does not import what uses them, nor containerd's folder the client."""
    graph = module_graph(PACKAGE)
    callers = {name for name in graph if name.startswith("cleaner.runtime.containerd")} | {"cleaner.runtime.client"}
    for name, targets in graph.items():
        if name.startswith("cleaner.runtime.rpc"):
            assert not targets & callers, name
        if name.startswith("cleaner.runtime.containerd"):
            assert "cleaner.runtime.client" not in targets, name


@pytest.mark.parametrize("module", MODULES, ids=lambda module: "/".join(parts_of(module)))
def test_packages_are_imported_by_their_public_interface(module: Path) -> None:
    """From outside of a package only what its `__init__.py` exports is imported."""
    own = name_of(module, PACKAGE)
    for imported, name in names_imported_by(module):
        package = _outermost_package(imported, own)
        if package is not None:
            assert imported == package, f"{own} imports {imported}; import from {package}"
            assert name in importlib.import_module(package).__all__, f"{package} does not export {name}"


def _outermost_package(imported: str, importer: str) -> str | None:
    """The outermost package with an interface that contains what is imported, and not the importer."""
    around = (p for p in WITH_INTERFACE if _lies_in(imported, p) and not _lies_in(importer, p))
    return min(around, key=len, default=None)


def _lies_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("module", [m for m in MODULES if parts_of(m)[0] == "core"], ids=lambda m: m.stem)
def test_the_core_is_pure(module: Path) -> None:
    """The core imports nothing that could read, wait or write."""
    outside = {name.split(".")[0] for name, _ in names_imported_by(module)} - {"cleaner"}
    assert outside <= CORE_MAY_IMPORT


@pytest.mark.parametrize("module", MODULES, ids=lambda module: "/".join(parts_of(module)))
def test_modules_and_functions_stay_small(module: Path) -> None:
    """No module over 300 lines, no function over 40."""
    text = module.read_text("utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_add_"):
            assert (node.end_lineno or 0) - node.lineno < 40, node.name


@pytest.mark.parametrize("module", MODULES, ids=lambda module: "/".join(parts_of(module)))
def test_every_module_says_what_it_is_for(module: Path) -> None:
    """Each module opens with a docstring; nobody sleeps."""
    tree = ast.parse(module.read_text("utf-8"))
    assert ast.get_docstring(tree)
    assert ("time", "sleep") not in set(names_imported_by(module))
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Attribute) and call.attr == "sleep"]


def test_the_daemon_does_not_load_what_only_tables_need() -> None:
    """Importing the daemon leaves rich alone, which is 5 MiB on every node."""
    code = "import sys, cleaner.cli.commands.run; sys.exit('rich' in sys.modules or 'rich.console' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("command", "unneeded"),
    [("history", "grpc"), ("history", "h2"), ("run", "cleaner.simulation"), ("run", "requests"), ("check", "requests")],
)
def test_a_command_loads_only_its_own_parts(command: str, unneeded: str) -> None:
    """Memory and time are paid for what is used: history asks no runtime; without alerts `requests` is not loaded."""
    code = f"import sys, cleaner.cli.commands.{command}; sys.exit({unneeded!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
