"""The words of the project: rejected ones appear nowhere, and a word means the same in every output."""

import argparse
import ast
import io
import json
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import cleaner
from cleaner.cli.arguments import parser

ROOT = Path(__file__).parents[2]
PACKAGE = Path(cleaner.__file__).parent
CODE = sorted(
    path
    for folder in ("cleaner", "tests", "tools", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "pb" not in path.parts
)
TEXTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "alerts/*.yaml", "manifests/**/*.yaml", "dashboards/*.json", "Makefile")
    for path in ROOT.glob(pattern)
)
REJECTED = re.compile(
    r"\b(?:fore(?:told|tells?|sees?|seen|sight)|vanish\w*|census|outlook|lookout|standstill|untold|whom"
    r"|so\s+long|(?:high|low)[\s_-]marks?)\b",
    re.IGNORECASE,
)
"""Words that docs, help texts, messages, alerts, boards, docstrings, comments and names do not use."""
BECAUSE_AS_A_KEY = re.compile(r"\bbecause(?=[\"'`=}])|(?<=[`{])because\b|\bby \([^)]*\bbecause\b")
EXCEPTIONS = {
    "docs/renames.md": "it lists the old names",
    "tests/unit/test_vocabulary.py": "it lists the rejected words",
    "tests/unit/test_renames.py": "it tests the list of old names",
    "tools/renames/__main__.py": "it names a golden file of before",
}
UNSEARCHABLE = {"note", "look", "take", "of", "tell", "go", "learn", "remember", "count", "on"}
"""Names of functions and methods that a search finds everywhere."""
SAME_NAME_IN_SEVERAL_MODULES = {"execute": "the one function of each command, which `cli/main.py` calls"}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(code: str) -> str:
    """A module as text, in which a comment of several lines is one."""
    return re.sub(r"\n\s*#", "\n", code)


def names_in(code: str) -> set[str]:
    """The names that a module defines or uses."""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def help_texts() -> Iterator[str]:
    """The help of every command."""
    root = parser("1.0.0")
    yield root.format_help()
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from (command.format_help() for command in action.choices.values())


def rejected_in(text: str) -> list[str]:
    """Rejected words of a text, each as it is written."""
    return REJECTED.findall(text) + BECAUSE_AS_A_KEY.findall(text)


@pytest.mark.parametrize("path", TEXTS, ids=_name)
def test_texts_use_the_words_of_the_vocabulary(path: Path) -> None:
    """No page, alert, manifest, board or make target has a rejected word."""
    if _name(path) not in EXCEPTIONS:
        assert rejected_in(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", CODE, ids=_name)
def test_code_uses_the_words_of_the_vocabulary(path: Path) -> None:
    """No docstring, comment, message or name has a rejected word, and nothing is called `because`."""
    if _name(path) not in EXCEPTIONS:
        code = path.read_text("utf-8")
        assert rejected_in(text_of(code)) == []
        assert "because" not in names_in(code)


def test_help_uses_the_words_of_the_vocabulary() -> None:
    """No command's help has a rejected word."""
    texts = list(help_texts())
    assert len(texts) > 1
    assert [word for text in texts for word in rejected_in(text)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Bytes that were foretold.", ["foretold"]),
        ("it is so\n    long ago", ["so\n    long"]),
        ("the Low mark and high_mark", ["Low mark", "high_mark"]),
        ("images_vanished", []),
        ("sum by (node, because) (x)", ["by (node, because"]),
        ('x{because="done"}', ["because"]),
        ("It failed because the disk is full.", []),
        ("a low watermark", []),
    ],
)
def test_rejected_words_are_found(text: str, found: list[str]) -> None:
    """In any case, across lines, and with an underscore; `because` as a key only."""
    assert rejected_in(text) == found


def test_exceptions_are_needed() -> None:
    """Each exception is a file that has a rejected word."""
    for name in EXCEPTIONS:
        assert rejected_in((ROOT / name).read_text("utf-8")), name


def _definitions() -> Iterator[tuple[str, ast.stmt]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if "pb" not in path.relative_to(PACKAGE).parts and path.name != "__init__.py":
            yield from ((path.stem, node) for node in ast.parse(path.read_text("utf-8")).body)


def _public_names(node: ast.stmt) -> Iterator[str]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        targets = [ast.Name(node.name)]
    elif isinstance(node, ast.Assign):
        targets = [name for target in node.targets for name in getattr(target, "elts", [target])]
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    yield from (name.id for name in targets if isinstance(name, ast.Name) and not name.id.startswith("_"))


def test_no_two_modules_have_a_public_name_in_common() -> None:
    """A search for a public name finds one definition."""
    modules: dict[str, list[str]] = defaultdict(list)
    for module, node in _definitions():
        for name in _public_names(node):
            modules[name].append(module)
    shared = {name: found for name, found in modules.items() if len(found) > 1}
    assert shared.keys() == SAME_NAME_IN_SEVERAL_MODULES.keys(), json.dumps(shared, indent=1)


def test_functions_have_names_that_can_be_searched_for() -> None:
    """No public function or method is called like every other word."""
    names = {part.name for _, node in _definitions() for part in ast.walk(node) if isinstance(part, ast.FunctionDef)}
    assert not names & UNSEARCHABLE
