"""Exit statuses, and what a command prints beside its tables."""

import json
import sys
from collections.abc import Mapping

DONE, FAILED, BAD_USAGE, UNUSABLE = 0, 1, 2, 3


def complain(*lines: str) -> None:
    """Tell a person what is wrong, a line each, where no program reads."""
    for line in lines:
        print(f"cleaner: {line}", file=sys.stderr)


def print_json(document: Mapping[str, object]) -> None:
    """For programs."""
    print(json.dumps(document, indent=2))
