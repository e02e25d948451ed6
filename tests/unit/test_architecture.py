"""The arrows of docs/architecture.md, read from the imports themselves."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cleaner

PACKAGE = Path(cleaner.__file__).parent
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "pb" not in p.relative_to(PACKAGE).parts)
ADAPTERS = ("runtime", "node", "guards", "outlets", "simulation")
LOGIC = (
    "census",
    "checks",
    "daemon",
    "drive",
    "kubelet_watch",
    "lookahead",
    "pauses",
    "planning",
    "removal",
    "sweep",
    "timekeeper",
)
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


def imports_of(module: Path) -> Iterator[str]:
    """Full names of all that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports_of(module: Path) -> set[str]:
    """The part right below `cleaner` of each import from this package."""
    names = (name.split(".") for name in imports_of(module))
    return {name[1] for name in names if name[0] == "cleaner" and len(name) > 1}


def allowed_for(part: str) -> set[str] | None:
    """What a part may import of this package besides itself; None: everything."""
    if part == "core":
        return set()
    if part in LOGIC:
        return {"core", *LOGIC}
    if part in ADAPTERS or part == "config":
        return {"core"}
    return None


@pytest.mark.parametrize("module", MODULES, ids=lambda module: "/".join(parts_of(module)))
def test_every_arrow_points_to_the_core(module: Path) -> None:
    """A module imports of this package only what its folder may."""
    part = parts_of(module)[0]
    allowed = allowed_for(part)
    if allowed is not None:
        assert own_imports_of(module) <= allowed | {part}


@pytest.mark.parametrize("module", [m for m in MODULES if parts_of(m)[0] == "core"], ids=lambda m: m.stem)
def test_the_core_is_pure(module: Path) -> None:
    """The core imports nothing that could read, wait or write."""
    outside = {name.split(".")[0] for name in imports_of(module)} - {"cleaner"}
    assert outside <= CORE_MAY_IMPORT


def test_only_the_command_line_is_free() -> None:
    """Only the composition root and its parts may import everything."""
    free = {parts_of(module)[0] for module in MODULES if allowed_for(parts_of(module)[0]) is None}
    assert free <= {"__init__", "__main__", "arguments", "cli", "commands", "ledgers", "wiring"}


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
    assert "time.sleep" not in set(imports_of(module))
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Attribute) and call.attr == "sleep"]


def test_the_daemon_does_not_load_what_only_tables_need() -> None:
    """Importing the daemon leaves rich alone, which is 5 MiB on every node."""
    code = "import sys, cleaner.commands.run; sys.exit('rich' in sys.modules or 'rich.console' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("command", "unneeded"),
    [("history", "grpc"), ("history", "h2"), ("run", "cleaner.simulation"), ("run", "requests"), ("check", "requests")],
)
def test_a_command_loads_only_its_own_parts(command: str, unneeded: str) -> None:
    """Memory and time are paid for what is used: history asks no runtime, and without alerts nobody needs requests."""
    code = f"import sys, cleaner.commands.{command}; sys.exit({unneeded!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
