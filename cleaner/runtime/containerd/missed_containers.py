"""Whether the stream of container events tells of every container that containerd lists.

A stream that is open and silent looks like a node on which no container is created. Only a container that appears in
containerd's own list tells the two apart: the stream has been there since before the last list, the container was not
in that list, and the stream has not told of it. containerd sends the event when it has stored the container, so an
event that is late by more than 30 s is one that was lost.

A worked example: the stream begins at 0 s. The list of 60 s has `a`. The list of 120 s has `a`, `b` and `c`, and the
stream has told of `b`. So `c` is missed if the stream does not tell of it until 150 s.

It must not suspect a container that was created before the stream, in another namespace or without an image: only ids
of lists of CRI's namespace are compared, and every event with an id counts.
"""

from collections.abc import Collection

_LATE_SECONDS = 30.0
"""As long as a final check relies on the stream."""
_MOST_TOLD = 10_000
"""Containers of which the stream tells between two lists; with more the next list is compared with nothing."""


class MissedContainers:
    """Compares lists with what a stream has told; not for more than one thread at a time."""

    missed: str | None
    """The id of a container that the stream did not tell of; None once a stream tells of any container."""

    def __init__(self) -> None:
        """Nothing is listed or told yet."""
        self.missed = None
        self.begin_stream()

    def begin_stream(self) -> None:
        """Another stream begins: it does not tell of what came before it."""
        self._listed: Collection[str] | None = None
        self._listing = False
        self._told: set[str] = set()
        self._told_before: set[str] = set()
        """Before the list that is being read."""
        self._suspects: dict[str, float] = {}
        """Since when they are listed, in monotonic seconds."""

    def store_told(self, container_id: str) -> None:
        """The stream tells of a container."""
        self.missed = None
        self._suspects.pop(container_id, None)
        self._told.add(container_id)
        if len(self._told) + len(self._told_before) > _MOST_TOLD:
            self._listed, self._listing = None, False
            self._told.clear()
            self._told_before.clear()

    def begin_list(self) -> None:
        """A list is asked for, while the stream can be relied on."""
        self._told_before |= self._told
        self._told.clear()
        self._listing = True

    def end_list(self, ids: Collection[str], now_seconds: float) -> None:
        """The list that was begun is there; one that began before the stream, or failed, is ignored."""
        if not self._listing:
            return
        if self._listed is not None:
            new = set(ids).difference(self._listed, self._told_before, self._told)
            self._suspects |= dict.fromkeys(new, now_seconds)
        self._listed = frozenset(ids)
        self._told_before.clear()
        self._listing = False

    def judge(self, now_seconds: float) -> bool:
        """Whether a container turns out to be missed now; to be asked while everything that was sent is read."""
        late = [known for known, since in self._suspects.items() if now_seconds - since >= _LATE_SECONDS]
        if not late:
            return False
        self.missed = min(late)
        self._suspects.clear()
        return True
