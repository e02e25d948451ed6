"""Lists of containerd's image records, in parts where one message cannot hold them all.

containerd sends at most 16 MiB, and has no stream of records: 40,000 of them, or fewer with long labels, are refused
with RESOURCE_EXHAUSTED. Then it is asked for the records of each first digit of their targets' digests, and of each
second digit where one of these parts is still too large. Every filter makes containerd read all records, so the whole
list always comes first. A record whose target changes between two parts may be in both of them, or in neither.

It must not return a part for the whole: where even the smallest part is too large, that is an error.
"""

import json
from collections.abc import Iterable, Sequence

from cleaner.runtime.pb import containerd_images_pb2 as pb
from cleaner.runtime.rpc import LIST_RECORDS, CallRejectedError, ContainerdApi

_DIGITS = "0123456789abcdef"
_MOST_DIGITS = 2
"""256 parts hold 4 GiB."""


def list_records(api: ContainerdApi) -> Sequence[pb.Image]:
    """Every image record of CRI's namespace; MissingApiError and other errors at once, not while they are read."""
    return _list_or_split(api, (), "")


def list_records_of(api: ContainerdApi, targets: Sequence[str]) -> Sequence[pb.Image]:
    """The records with one of these targets; asked for in halves where they are too large together."""
    if not targets:
        return ()
    try:
        return _list(api, [*map(_target_filter, targets)])
    except CallRejectedError as error:
        if not error.too_large or len(targets) == 1:
            raise
    half = len(targets) // 2
    return [*list_records_of(api, targets[:half]), *list_records_of(api, targets[half:])]


def list_records_matching(api: ContainerdApi, names: Iterable[str], targets: Iterable[str]) -> list[pb.Image]:
    """The records that bear one of these names or have one of these targets, in one call."""
    names, targets = set(names), set(targets)
    filters = [*(f"name=={_quoted(name)}" for name in sorted(names)), *map(_target_filter, sorted(targets))]
    # A runtime that takes no notice of the filters must not make another image's record count for this one.
    return [record for record in _list(api, filters) if record.name in names or record.target.digest in targets]


def _list_or_split(api: ContainerdApi, filters: Sequence[str], digits: str) -> Sequence[pb.Image]:
    """What these filters match, all of it of digests that begin with these digits."""
    try:
        return _list(api, filters)
    except CallRejectedError as error:
        if not error.too_large or len(digits) == _MOST_DIGITS:
            raise
    records = list(_list(api, _filters_of_the_rest(digits)))
    for digit in _DIGITS:
        longer = digits + digit
        records += _list_or_split(api, [_filter_of(longer)], longer)
    return records


def _list(api: ContainerdApi, filters: Sequence[str]) -> Sequence[pb.Image]:
    answer = api.read(LIST_RECORDS, pb.ListImagesRequest(filters=filters))
    return answer.images if answer else ()


def _target_filter(target: str) -> str:
    """The syntax is containerd's own, see its `filters/parser.go`; of several filters one has to match."""
    return f"target.digest=={_quoted(target)}"


def _quoted(text: str) -> str:
    """As Go reads it too."""
    return json.dumps(text, ensure_ascii=False)


def _filter_of(digits: str) -> str:
    return f'target.digest~="^[^:]*:{digits}"'


def _filters_of_the_rest(digits: str) -> list[str]:
    """For what no longer row of digits matches, so that a digest of another form is not left out."""
    rest = [f'target.digest~="^[^:]*:{digits}([^{_DIGITS}]|$)"']
    return rest if digits else [*rest, 'target.digest~="^[^:]*$"']
