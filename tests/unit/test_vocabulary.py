"""The words of the project: rejected ones appear nowhere, and a word means the same in every output."""

import argparse
import ast
import html
import io
import json
import re
import subprocess
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import cleaner
from cleaner.cli.arguments import parser
from renames.table import public_renames

ROOT = Path(__file__).parents[2]
PACKAGE = Path(cleaner.__file__).parent
NO_TEXT = {"LICENSE", ".png"}
"""Names and suffixes of files that are not ours, or not text."""
REJECTED = re.compile(
    r"\b(?:fore(?:told|tells?|sees?|seen|sight)|vanish\w*|census|outlook|lookout|standstill|untold|whom|runway"
    r"|so\s+long|(?:high|low|kubelet(?:'s)?(?:\s+own)?)\s+marks?)\b",
    re.IGNORECASE,
)
"""Words that docs, help texts, messages, alerts, boards, docstrings, comments and names do not use."""
BECAUSE_AS_A_KEY = re.compile(
    r"\bbecause(?=[\"'`=}])|(?<=[`{])because\b|^[ -]*because:"
    r"|\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\bbecause\b",
    re.MULTILINE,
)
EXCEPTIONS = {
    "docs/renames.md": "it lists the old names",
    "tests/unit/test_vocabulary.py": "it lists the rejected words",
    "tests/unit/test_renames.py": "it tests the list of old names",
    "tools/renames/__main__.py": "it names a golden file of before",
}
STILL_USED = {
    "cleaner_*": "aliases in generated stubs begin with `cleaner_dot_`; see `_old_names`",
    "Cleaner*": "CleanerError is the base of our errors; see `_old_names`",
    "because": "a conjunction; see BECAUSE_AS_A_KEY",
    "returned": "a verb",
    "returned_at": "when an image that was removed externally was listed again",
    "FREED": "a constant of tests",
    "marks": "a verb: a line on a board marks an event",
}
"""Old names that are still used in another sense, and in which."""
UNSEARCHABLE = {"note", "look", "take", "of", "tell", "go", "learn", "remember", "count", "on"}
"""Names of functions and methods that a search finds everywhere; with an underscore before them too."""
SAME_NAME_IN_SEVERAL_MODULES = {"execute": "the one function of each command, which `cli/main.py` calls"}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _tracked() -> list[Path]:
    """Every file of ours that git knows, or would add, and that has text."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    paths = {ROOT / name for name in names if name}
    return sorted(path for path in paths if path.is_file() and not {path.name, path.suffix} & NO_TEXT)


TRACKED = _tracked()


def without_comment_marks(code: str) -> str:
    """A module as text, in which a comment of several lines is one."""
    return re.sub(r"\n\s*#", "\n", code)


def in_words(text: str) -> str:
    """A text in which the words of a name stand apart: `low_mark` and `LowMark` become `low mark` and `Low Mark`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", text)


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
    """Rejected words of a text, each as it is written, the parts of names apart."""
    return REJECTED.findall(in_words(text)) + BECAUSE_AS_A_KEY.findall(text)


@pytest.mark.parametrize("path", TRACKED, ids=_name)
def test_files_use_the_words_of_the_vocabulary(path: Path) -> None:
    """No page, alert, board, docstring, comment, message or name has a rejected word; nothing is called `because`."""
    if _name(path) not in EXCEPTIONS:
        text = path.read_text("utf-8")
        assert rejected_in(without_comment_marks(text) if path.suffix == ".py" else html.unescape(text)) == []
        if path.suffix == ".py":
            assert [name for name in names_in(text) if "because" in in_words(name).lower().split()] == []


def _old_names() -> re.Pattern[str]:
    """The old public names of docs/renames.md, but those that are a word still used."""
    names = public_renames((ROOT / "docs" / "renames.md").read_text("utf-8")).keys() - STILL_USED.keys()
    whole = "|".join(re.escape(name) for name in sorted(names) if " " not in name)
    return re.compile(rf"(?<!\w)(?:{whole}|Cleaner(?!Error\b)[A-Z]\w*|(?<!-)cleaner_(?!dot_)[a-z]\w*)(?!\w)")


OLD_NAMES = _old_names()


@pytest.mark.parametrize("path", TRACKED, ids=_name)
def test_files_use_the_new_names(path: Path) -> None:
    """No file has an old public name of docs/renames.md."""
    if _name(path) not in EXCEPTIONS:
        assert OLD_NAMES.findall(path.read_text("utf-8")) == []


def test_old_names_are_found() -> None:
    """Names of alerts, log events, keys, settings and metrics; a part of a name does not count."""
    text = "CleanerAbsent loop_broke low_mark_met nightly.duty CleanerError nightly.duty_cycle loop_broken"
    assert OLD_NAMES.findall(text) == ["CleanerAbsent", "loop_broke", "low_mark_met", "nightly.duty"]
    assert OLD_NAMES.findall("rate(cleaner_images_total[1h])") == ["cleaner_images_total"]
    assert OLD_NAMES.findall("image_cleaner_images_total") == []


def test_every_kind_of_file_is_read() -> None:
    """Every folder of the repository and every kind of file is among them."""
    assert {"cleaner", "tests", "tools", "benchmarks", "docs", "alerts", "dashboards", "manifests"} <= {
        path.relative_to(ROOT).parts[0] for path in TRACKED
    }
    assert {".py", ".md", ".yaml", ".json", ".txt", ".toml", ".ts", ".proto", ".svg"} <= {p.suffix for p in TRACKED}


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
        ("the Low mark and high_mark", ["Low mark", "high mark"]),
        ("images_vanished", ["vanished"]),
        ("class ImagesVanished:", ["Vanished"]),
        ("low_mark_reachable", ["low mark"]),
        ("the kubelet's own mark", ["kubelet's own mark"]),
        ("sum by (node, because) (x)", ["by (node, because"]),
        ("sum by(because) (x)", ["by(because"]),
        ("a / on (node, because) b", ["on (node, because"]),
        ('x{because="done"}', ["because"]),
        ("labels:\n  because: done", ["  because:"]),
        ("It failed because the disk is full.", []),
        ("a low watermark", []),
    ],
)
def test_rejected_words_are_found(text: str, found: list[str]) -> None:
    """In any case, across lines, and within names; `because` as a key only."""
    assert rejected_in(text) == found


def test_exceptions_are_needed() -> None:
    """Each exception is a file that has a rejected word."""
    for name in EXCEPTIONS:
        assert rejected_in((ROOT / name).read_text("utf-8")), name


def _definitions() -> Iterator[tuple[str, ast.stmt]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if "pb" not in path.relative_to(PACKAGE).parts:
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
    names = {
        part.name.lstrip("_")
        for _, node in _definitions()
        for part in ast.walk(node)
        if isinstance(part, ast.FunctionDef)
    }
    assert not names & UNSEARCHABLE
