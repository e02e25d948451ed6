"""Reads the table of docs/renames.md and applies it to a text."""

import re
from collections.abc import Mapping

_SECTIONS = ("## Public names", "## Sentences in golden files")
_ROW = re.compile(r"\| `(.+?)` \| `(.+?)` \|")
_HEADS = ("| old | new |", "|---|---|")


def public_renames(page: str) -> dict[str, str]:
    """New names and sentences by the old ones; ValueError where a row is malformed, or an old name stands for two."""
    found: dict[str, str] = {}
    for section in re.split(r"^(?=## )", page, flags=re.MULTILINE):
        for line in section.splitlines() if section.startswith(_SECTIONS) else ():
            if not line.lstrip().startswith("|") or line in _HEADS:
                continue
            if (row := _ROW.fullmatch(line)) is None:
                raise ValueError(f"{line!r} is not a row of the form | `old` | `new` |")
            if found.setdefault(row[1], row[2]) != row[2]:
                raise ValueError(f"{row[1]} is renamed twice")
    if not found:
        raise ValueError(f"no name is renamed in the sections {' and '.join(_SECTIONS)}")
    return found


def renamed(text: str, renames: Mapping[str, str]) -> str:
    """The text with every old name replaced once, the longest first; white space is collapsed."""
    text = " ".join(text.split())
    longest_first = sorted(renames, key=len, reverse=True)
    pattern = re.compile("|".join(f"(?P<n{number}>{_pattern(old)})" for number, old in enumerate(longest_first)))

    def new_name(match: re.Match[str]) -> str:
        old = longest_first[int(str(match.lastgroup)[1:])]
        return renames[old].removesuffix("*")

    return pattern.sub(new_name, text)


def _pattern(old: str) -> str:
    """A whole name; of a prefix, such as `cleaner_*`, only the begin."""
    if old.endswith("*"):
        return rf"(?<!\w){re.escape(old[:-1])}"
    return rf"(?<!\w){re.escape(old)}(?!\w)"
