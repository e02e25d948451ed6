"""Reads a YAML file into plain values, with the place of each, and finds keys and anchors that are written twice.

A file that is no UTF-8 text of one YAML mapping is an error, with one line that says what to do.
"""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from attrs import field, frozen
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.nodes import Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from cleaner.config.problems import KeyPath, Problem
from cleaner.core.credentials import without_credentials
from cleaner.core.errors import ConfigFileError

LARGEST_CONFIG_BYTES = 1024 * 1024
"""More does not fit into a ConfigMap, and a device file has no end."""

LONGEST_YAML_REASON = 160
LONGEST_PATH = 240

Position = tuple[int, int]
"""Line and column, from 1 on, as editors count."""

_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"
_DATE = "tag:yaml.org,2002:timestamp"
_QUOTE = re.compile(r"['\"]")
_HARMLESS = re.compile(r"'(?:\\?.|<[a-z ]+>)'")


@frozen
class Document:
    """A file as values, and what the values no longer tell."""

    tree: dict[object, object] = field(factory=dict)
    places: dict[KeyPath, Position] = field(factory=dict)
    problems: tuple[Problem, ...] = ()

    def place(self, path: KeyPath) -> tuple[Position, int]:
        """Where a path, or what is there of it, stands in the file; a key to sort by."""
        known = next((path[:end] for end in range(len(path), 0, -1) if path[:end] in self.places), ())
        return self.places.get(known, (1, 1)), len(path)


def read_document(path: Path) -> Document:
    """The document of a YAML file; FileNotFoundError where there is none, ConfigFileError for what is no mapping."""
    text = _read_text(path)
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True  # all of them are found here, and not only the first
    walk = _Walk(YAML(typ="safe", pure=True).constructor)  # another one: constructors keep what they made
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of anchors and numbers, with lines of the file; they are problems here
            node = yaml.compose(text)
            problems = tuple(walk.problems_in(node, ())) if node else ()
            tree = yaml.constructor.construct_document(node) if node else None
    except YAMLError as error:
        raise ConfigFileError(f"{shown_path(path)}: {_syntax_text(error, text)}") from error
    except RecursionError as error:
        raise ConfigFileError(
            f"{shown_path(path)}: is nested too deep; write it as docs/configuration.md shows"
        ) from error
    except AssertionError as error:  # ruamel.yaml knows no other versions, and does not say so in an error of its own
        raise ConfigFileError(
            f"{shown_path(path)}: asks for a version of YAML that is not known; remove the line with %YAML"
        ) from error
    if tree is None:
        raise ConfigFileError(
            f"{shown_path(path)}: is empty; write at least policy.rules, as docs/configuration.md shows"
        )
    if not isinstance(tree, dict):
        raise ConfigFileError(
            f"{shown_path(path)}: is no mapping; write keys with values, as docs/configuration.md shows"
        )
    return Document(tree, walk.places, problems)


def shown_path(path: Path) -> str:
    """The path of a configuration file on one line that is not too long, without what may be a password in it."""
    shown = without_credentials(str(path))
    shown = shown if shown.isprintable() else ascii(shown)[1:-1]
    return shown if len(shown) <= LONGEST_PATH else f"{shown[: LONGEST_PATH - 3]}..."


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_CONFIG_BYTES + 1)
        if len(content) > LARGEST_CONFIG_BYTES:
            raise ConfigFileError(
                f"{shown_path(path)}: is larger than 1 MiB; name the configuration file with --config"
            )
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise
    except IsADirectoryError as error:
        raise ConfigFileError(f"{shown_path(path)}: is a directory; name a file in it with --config") from error
    except PermissionError as error:
        raise ConfigFileError(
            f"{shown_path(path)}: may not be read by this user; change its owner or its mode"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigFileError(f"{shown_path(path)}: byte {error.start} is no UTF-8; save the file as UTF-8") from error
    except ValueError as error:  # the system's own paths have neither zero bytes nor lone surrogates
        raise ConfigFileError(f"{shown_path(path)}: is no path; name another file with --config") from error
    except OSError as error:
        raise ConfigFileError(
            f"{shown_path(path)}: cannot be read ({error.strerror}); name another file with --config"
        ) from error


def _syntax_text(error: YAMLError, text: str) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        line, column = _place_of(error.problem_mark)
        begun = _place_of(error.context_mark)[0] if error.context_mark else line
        where = f"line {line}, column {column}" + (f" (of what begins in line {begun})" if begun != line else "")
        reason = ", ".join(" ".join(said.split()) for said in (error.context, error.problem) if said)
        reason = _without_quotations(reason)
        return f"{where}: {reason[:LONGEST_YAML_REASON]}; correct the YAML there"
    position = error.position if isinstance(error, ReaderError) and isinstance(error.position, int) else 0
    before = text[:position]
    line, column = before.count("\n") + 1, position - before.rfind("\n")
    return f"line {line}, column {column}: is a character that YAML does not allow; remove it"


def _without_quotations(reason: str) -> str:
    """Without the names and texts of the file that YAML's reasons repeat, such as those of tags and aliases.

    Single characters and the names of tokens stay: `expected ',' or ']', but got '<scalar>'`.
    """
    if _QUOTE.search(_HARMLESS.sub("", reason)):
        return f"{_QUOTE.split(reason)[0]}(not shown)"
    return reason


def _place_of(mark: StringMark) -> Position:
    return mark.line + 1, mark.column + 1


class _Walk:
    """One walk over the nodes: collects the place of each path, yields the keys and anchors that are written twice."""

    def __init__(self, constructor: SafeConstructor) -> None:
        self.places: dict[KeyPath, Position] = {}
        self._constructor = constructor
        self._seen: set[int] = set()
        self._anchors: dict[str, int] = {}

    def problems_in(self, node: Node, path: KeyPath) -> Iterator[Problem]:
        """Each node once, however many aliases it has: aliases of aliases grow without bounds."""
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        yield from self._of_anchor(node, path)
        if isinstance(node, ScalarNode):
            self._keep_as_text(node)
        elif isinstance(node, SequenceNode):
            for index, item in enumerate(node.value):
                self._store_position((*path, index), item)
                yield from self.problems_in(item, (*path, index))
        else:
            yield from self._of_mapping(node, path)

    def _of_mapping(self, node: Node, path: KeyPath) -> Iterator[Problem]:
        lines: dict[object, int] = {}
        for key, value in node.value:
            yield from self.problems_in(key, (*path, None))
            name = key.value if isinstance(key, ScalarNode) else id(key)
            line = _place_of(key.start_mark)[0]
            if name in lines:
                rule = f"is in line {lines[name]} and again in line {line}; write it once"
                yield Problem((*path, name), "(duplicate key)", rule)
            lines.setdefault(name, line)
            self._store_position((*path, name), key)
            yield from self.problems_in(value, (*path, name))

    def _of_anchor(self, node: Node, path: KeyPath) -> Iterator[Problem]:
        """YAML lets an anchor move on; but then what an alias means depends on where it stands."""
        line = _place_of(node.start_mark)[0]
        if node.anchor and (first := self._anchors.setdefault(node.anchor, line)) != line:
            rule = f"is in line {first} and again in line {line}; write another name for one of them"
            yield Problem(path, "(repeated anchor)", rule)

    def _store_position(self, path: KeyPath, node: Node) -> None:
        self.places.setdefault(path, _place_of(node.start_mark))

    def _keep_as_text(self, node: ScalarNode) -> None:
        """Dates, and what looks like a number but is none (`._`, 2024-99-99), stay the text that was written."""
        if node.tag == _MERGE:
            return
        try:
            self._constructor.construct_object(node)
            is_text = node.tag == _DATE
        except (ValueError, LookupError):
            is_text = True
        if is_text:
            node.tag = _TEXT
