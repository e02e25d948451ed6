"""`cleaner history`: what was evicted, when and why, and what was removed externally.

It must not change anything, nor need a runtime.
"""

import argparse
import sys

from cleaner import Environ
from cleaner.cli.configuration import config_of
from cleaner.cli.console import DONE, print_json
from cleaner.cli.image_filter import matching
from cleaner.cli.ledgers import history_of
from cleaner.node import SystemTimer
from cleaner.outlets.terminal import (
    history_document,
    print_history,
    print_removed_externally,
    removed_externally_document,
)


def execute(arguments: argparse.Namespace, _environ: Environ) -> int:
    """What the ledger says of evictions; reads only."""
    config = config_of(arguments, {})
    ledger = history_of(config)
    since = SystemTimer().now() - arguments.since if arguments.since else None
    past = ledger.observed_history(since) if arguments.observed else ledger.history(since)
    found = matching(past, arguments.image)
    gone = () if arguments.observed else matching(ledger.external_removal_history(since), arguments.image)
    if arguments.output == "json":
        document = history_document(found, observed=arguments.observed)
        print_json(document | {"removed_externally": removed_externally_document(gone)})
    else:
        print_history(found, sys.stdout, observed=arguments.observed, all_rows=arguments.all)
        print_removed_externally(gone, sys.stdout, all_rows=arguments.all)
    return DONE
