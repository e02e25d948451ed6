"""What happened at a runtime, in order: calls, answers, events and removals."""

import threading
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an entry is about."""

    CALL = "call"
    """A call arrived."""
    ANSWER = "answer"
    """A call was answered; its detail is the status code."""
    EVENT = "event"
    """An event happened, whether or not it is sent."""
    REMOVAL = "removal"
    """A record, a blob, a snapshot or a container is gone."""


@dataclass(frozen=True)
class Entry:
    """One thing that happened."""

    kind: Kind
    name: str
    """Method, topic, or what kind of object was removed."""
    subject: str = ""
    """Which image, container, sandbox, record, blob or snapshot; of a list its filters, if it has any."""
    detail: str = ""


class Journal:
    """Entries in the order in which they happened; any thread adds and reads."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def add(self, kind: Kind, name: str, subject: str = "", detail: str = "") -> None:
        """Store one entry."""
        with self._lock:
            self._entries.append(Entry(kind, name, subject, detail))

    def entries(self, *kinds: Kind, name: str | None = None, subject: str | None = None) -> list[Entry]:
        """All entries of these kinds, of a name, about a subject; without a condition all of them."""
        with self._lock:
            entries = list(self._entries)
        return [
            entry
            for entry in entries
            if _is_among(entry.kind, kinds) and name in {None, entry.name} and subject in {None, entry.subject}
        ]

    def calls(self, name: str, subject: str | None = None) -> int:
        """How often a method was called."""
        return len(self.entries(Kind.CALL, name=name, subject=subject))

    def position(self, kind: Kind, name: str, subject: str | None = None) -> int:
        """Index of the last such entry; ValueError where there is none."""
        (*_, last) = [
            index
            for index, entry in enumerate(self.entries())
            if (entry.kind, entry.name) == (kind, name) and subject in {None, entry.subject}
        ]
        return last


def _is_among(kind: Kind, kinds: Collection[Kind]) -> bool:
    return not kinds or kind in kinds
