"""The names under which CRI keeps containerd's image records: not always their own.

CRI writes every name that is a reference in full: the record `app:v1` becomes `docker.io/library/app:v1`. RemoveImage
deletes records by CRI's names, so a record whose name CRI changes stays. It keeps all content of an image that is gone
from CRI, whose pods cannot start any more. Names that are no reference stay as they are, and such records are removed.
Measured on containerd 1.6.20, 1.7.24 and 2.1.9 with 23 kinds of names. Source: containerd, `pkg/cri/store/image`,
which sorts an image's names with `Sort` of distribution/reference.
"""

import re

from cleaner.core.references import DEFAULT_REGISTRY, parse_reference

_BARE_HEX = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_DOCKER_HUB = frozenset({DEFAULT_REGISTRY, "index.docker.io"})


def cri_name(name: str) -> str:
    """The name under which CRI keeps the record of this name.

    In doubt it is another one: then the image counts as one that cannot be removed, and is kept.
    """
    # Nearly every name ends here: to parse each would take longer than all else that is done with a record.
    first, slash, path = name.partition("/")
    if not slash:
        unchanged = _DIGEST.fullmatch(name) is not None
    elif first in _DOCKER_HUB:
        unchanged = first == DEFAULT_REGISTRY and "/" in path
    else:
        unchanged = "." in first or ":" in first
    return name if unchanged else _full_name(name)


def _full_name(name: str) -> str:
    if _BARE_HEX.fullmatch(name):
        return f"sha256:{name}"
    reference = parse_reference(name)
    return name if reference is None else str(reference)
