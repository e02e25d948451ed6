"""Look-ups of many blobs or snapshots at once, each by its name.

Every answer must be about what was asked for: RuntimeRejectedError where one is not.
"""

from collections.abc import Sequence

from cleaner.core.errors import RuntimeRejectedError
from cleaner.runtime.pb import containerd_content_pb2 as content_pb
from cleaner.runtime.pb import containerd_snapshots_pb2 as snapshots_pb
from cleaner.runtime.rpc import CONTENT_INFO, ContainerdApi, MissingApiError, methods, require_answer_about

_TOGETHER = 64
"""Blobs that are asked for at once."""
_MOST_ERRORS = 40
"""Answers with an error in one reading: about six bad blobs, each of which is found in seven steps."""


def find_blobs(api: ContainerdApi, digests: Sequence[str]) -> list[content_pb.Info | None]:
    """What the content store has of these digests, in their order; None for what is not there."""
    answers = api.read_many(CONTENT_INFO, [content_pb.InfoRequest(digest=digest) for digest in digests])
    for digest, answer in zip(digests, answers, strict=True):
        if answer is not None:
            require_answer_about(digest, answer.info.digest, CONTENT_INFO.name)
    return [None if answer is None else answer.info for answer in answers]


def find_readable_blobs(api: ContainerdApi, digests: Sequence[str]) -> dict[str, content_pb.Info | None]:
    """What the content store has, by digest, as above; without those that it rejects or answers wrongly about.

    It reads in halves where there is an error among the answers: one bad blob must not hide the others. After too many
    errors it leaves out the rest: a store that rejects everything is not asked about each blob seven times.
    """
    found: dict[str, content_pb.Info | None] = {}
    starts = range(0, len(digests), _TOGETHER)
    waiting, errors = [digests[start : start + _TOGETHER] for start in reversed(starts)], 0
    while waiting and errors < _MOST_ERRORS:
        some = waiting.pop()
        try:
            found |= dict(zip(some, find_blobs(api, some), strict=True))
        except MissingApiError:
            raise
        except RuntimeRejectedError:
            errors += 1
            half = len(some) // 2
            waiting += [some[half:], some[:half]] if half else []
    return found


def find_snapshots(api: ContainerdApi, snapshotter: str, names: Sequence[str]) -> list[snapshots_pb.Info | None]:
    """What a snapshotter has of these names, in their order; None for what is not there."""
    requests = [snapshots_pb.StatSnapshotRequest(snapshotter=snapshotter, key=name) for name in names]
    answers = api.read_many(methods.SNAPSHOT_STAT, requests)
    for name, answer in zip(names, answers, strict=True):
        if answer is not None:
            require_answer_about(name, answer.info.name, methods.SNAPSHOT_STAT.name)
    return [None if answer is None else answer.info for answer in answers]
