"""The LogQL of the pages, applied to lines as Loki would: just what they use of it.

A stage that is not known here is an error, so a query cannot be half applied.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

Labels = dict[str, str]
_STRING = r'(?:"(?:[^"\\]|\\.)*"|`[^`]*`)'
_STAGES = (
    ("contains", re.compile(rf"\s*\|=\s*({_STRING})")),
    ("matches", re.compile(rf"\s*\|~\s*({_STRING})")),
    ("json", re.compile(r"\s*\|\s*(json)\b")),
    ("line_format", re.compile(rf"\s*\|\s*line_format\s+({_STRING})")),
    ("unwrap", re.compile(r"\s*\|\s*unwrap\s+(\w+)")),
    ("is", re.compile(rf"\s*\|\s*(\w+\s*=\s*{_STRING})")),
    ("is_like", re.compile(rf"\s*\|\s*(\w+\s*=~\s*{_STRING})")),
)
_SUM = re.compile(r"sum by \((\w+)\) \(sum_over_time\((.*)\[\w+\]\s*\)\)", re.DOTALL)
_FIELD = re.compile(r"\{\{\.(\w+)\}\}")


def logql_in(path: Path) -> list[str]:
    """The LogQL of a document's blocks."""
    return re.findall(r"^```logql\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class LogQuery:
    """A pipeline, or a sum of what one unwraps."""

    streams: Mapping[str, str]
    """The labels that a stream has to have."""
    stages: tuple[tuple[str, str], ...]
    by: str | None = None
    """The label that is summed by; None of a pipeline that shows lines."""

    @property
    def keys(self) -> set[str]:
        """All keys of the log's lines that it reads."""
        found = {self.by} if self.by else set()
        for kind, text in self.stages:
            if kind in ("is", "is_like", "unwrap"):
                found.add(re.split(r"\W", text)[0])
            elif kind == "line_format":
                found.update(_FIELD.findall(text))
        return found - {"__error__"}

    def words(self, label: str) -> set[str]:
        """What a label is asked for, each alternative of a pattern."""
        asked = (
            text.partition("=")[2] for kind, text in self.stages if kind in ("is", "is_like") and text.startswith(label)
        )
        return {word for text in asked for word in re.findall(r"\w+", text)}

    def lines(self, lines: Iterable[str]) -> list[str]:
        """What it shows."""
        return [line for line, _ in self._pass(lines)]

    def sums(self, lines: Iterable[str]) -> dict[str, float]:
        """By label, the sum of what is unwrapped; a line without it counts for nothing."""
        (unwrapped,) = (text for kind, text in self.stages if kind == "unwrap")
        sums: Counter[str] = Counter()
        for _, labels in self._pass(lines):
            sums[labels.get(self.by or "", "")] += int(labels[unwrapped])
        return dict(sums)

    def _pass(self, lines: Iterable[str]) -> Iterator[tuple[str, Labels]]:
        for line in lines:
            text: str | None = line
            labels: Labels = {}
            for kind, argument in self.stages:
                text = _apply(kind, argument, text, labels) if text is not None else None
            if text is not None:
                yield text, labels


def parse_logql(text: str) -> LogQuery:
    """The query of a text; ValueError for what is not known here."""
    whole = _SUM.fullmatch(text.strip())
    pipeline = whole[2].strip() if whole else text.strip()
    selector = re.match(r"\{([^}]*)\}", pipeline)
    if selector is None:
        raise ValueError(f"no stream selector: {pipeline}")
    rest, stages = pipeline[selector.end() :].rstrip(), []
    while rest:
        kind, match = next(((kind, match) for kind, stage in _STAGES if (match := stage.match(rest))), (None, None))
        if kind is None or match is None:
            raise ValueError(f"not known: {rest}")
        stages.append((kind, match[1]))
        rest = rest[match.end() :]
    streams = dict(re.findall(r'(\w+)="([^"]*)"', selector[1]))
    return LogQuery(streams, tuple(stages), whole[1] if whole else None)


def _apply(kind: str, argument: str, line: str, labels: Labels) -> str | None:
    """The line after a stage, None where it goes no further; `json` adds to the labels."""
    match kind:
        case "contains":
            return line if _unquoted(argument) in line else None
        case "matches":
            return line if re.search(_unquoted(argument), line) else None
        case "json":
            labels |= _labels_of(json.loads(line))
            return line
        case "line_format":
            return _FIELD.sub(lambda field: labels.get(field[1], ""), _unquoted(argument))
        case "unwrap":
            return line if labels.get(argument) else None
        case _:
            label, value = re.split(r"\s*=~?\s*", argument, maxsplit=1)
            pattern = _unquoted(value) if kind == "is_like" else re.escape(_unquoted(value))
            return line if re.fullmatch(pattern, labels.get(label, "")) else None


def _labels_of(document: Mapping[str, object], before: str = "") -> Labels:
    """As Loki's `json` makes them: no label for a list or null, and one for each key inside an object."""
    labels: Labels = {}
    for key, value in document.items():
        if isinstance(value, dict):
            labels |= _labels_of(value, f"{before}{key}_")
        elif value is not None and not isinstance(value, list):
            labels[before + key] = value if isinstance(value, str) else json.dumps(value)
    return labels


def _unquoted(text: str) -> str:
    return text[1:-1] if text.startswith("`") else str(json.loads(text))
