"""`cleaner history`: what was evicted, when and why, and what went without us.

Refuses to change anything, and to need a runtime.
"""

import argparse
import sys

from cleaner import Environ
from cleaner.commands import DONE, print_json
from cleaner.config import load_config
from cleaner.ledgers import history_of
from cleaner.node.clock import SystemTimer
from cleaner.outlets import history, vanished
from cleaner.outlets.wanted import matching


def execute(arguments: argparse.Namespace, _environ: Environ) -> int:
    """What the ledger tells of evictions; reads only."""
    config = load_config(arguments.config, {}, rules_required=False)
    ledger = history_of(config)
    since = SystemTimer().now() - arguments.since if arguments.since else None
    past = ledger.observed_history(since) if arguments.observed else ledger.history(since)
    found = matching(past, arguments.image)
    gone = () if arguments.observed else matching(ledger.vanished_history(since), arguments.image)
    if arguments.output == "json":
        document = history.history_document(found, observed=arguments.observed)
        print_json(document | {"vanished": vanished.vanished_document(gone)})
    else:
        history.print_history(found, sys.stdout, observed=arguments.observed, all_rows=arguments.all)
        vanished.print_vanished(gone, sys.stdout, all_rows=arguments.all)
    return DONE
