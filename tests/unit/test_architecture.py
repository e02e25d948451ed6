"""The layers of docs/architecture.md, read from the imports themselves."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterable
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
NAMES = {name_of(module, PACKAGE) for module in MODULES}
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
    """What makes calls imports nothing of the runtime but the stubs, and containerd's folder not the client."""
    graph = module_graph(PACKAGE)
    for name, targets in graph.items():
        if _lies_in(name, "cleaner.runtime.rpc"):
            of_the_runtime = {target for target in targets if _lies_in(target, "cleaner.runtime")}
            assert [target for target in of_the_runtime if not _lies_in(target, "cleaner.runtime.rpc")] == [], name
        if _lies_in(name, "cleaner.runtime.containerd"):
            assert "cleaner.runtime.client" not in targets, name


@pytest.mark.parametrize("module", MODULES, ids=lambda module: "/".join(parts_of(module)))
def test_packages_are_imported_by_their_public_interface(module: Path) -> None:
    """From outside of a package only what its `__init__.py` exports is imported."""
    assert past_an_interface(names_imported_by(module), name_of(module, PACKAGE)) == []


def past_an_interface(imports: Iterable[tuple[str, str | None]], importer: str) -> list[str]:
    """The imports of a module that go past the public interface of a package, as `module.name`."""
    found = []
    for imported, name in imports:
        target = f"{imported}.{name}"
        # A module that is imported as an object gives all that is in it.
        package = _outermost_package(target if target in NAMES else imported, importer)
        exported = imported == package and name in importlib.import_module(package).__all__
        if (package is not None and not exported) or (imported, name) == ("cleaner", None):
            found.append(target)
    return found


@pytest.mark.parametrize(
    ("imported", "name"),
    [
        ("cleaner.sweep.sweep", "Sweep"),
        ("cleaner.sweep", "_private"),
        ("cleaner", "sweep"),
        ("cleaner.sweep", None),
        ("cleaner", None),
        ("cleaner.core", "pressure"),
        ("cleaner.core.pressure", "watermarks"),
        ("cleaner.outlets", "metrics"),
    ],
)
def test_an_import_past_an_interface_is_found(imported: str, name: str | None) -> None:
    """Each form that Python has for such an import is found."""
    assert past_an_interface([(imported, name)], "cleaner.daemon.loop")


def test_an_import_of_what_a_package_exports_is_allowed() -> None:
    """Exports, modules of a package without an interface, and the importer's own package."""
    allowed = [
        ("cleaner.sweep", "Sweep"),
        ("cleaner.core", "policy"),
        ("cleaner", "Environ"),
        ("cleaner.daemon", "inventory"),
    ]
    assert past_an_interface(allowed, "cleaner.daemon.loop") == []


def test_only_the_command_line_imports_by_a_name_at_run_time() -> None:
    """An import that no reader of the code sees would pass all tests of this module."""
    importers = [m for m in MODULES if {"import_module", "__import__"} & _calls_in(m)]
    assert [name_of(module, PACKAGE) for module in importers] == ["cleaner.cli.main"]


def _calls_in(module: Path) -> set[str]:
    """The functions and methods that a module calls, by their last name."""
    calls = [node.func for node in ast.walk(ast.parse(module.read_text("utf-8"))) if isinstance(node, ast.Call)]
    return {call.attr for call in calls if isinstance(call, ast.Attribute)} | {
        call.id for call in calls if isinstance(call, ast.Name)
    }


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
    assert not _calls_in(module) & {"open", "print", "input", "eval", "exec"}


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
    assert "sleep" not in _calls_in(module)


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
