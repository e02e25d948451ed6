"""`cleaner plan`: what a sweep would do, and why.

It must not change anything, not even the ledger.
"""

import argparse
import sys

from cleaner import Environ
from cleaner.cli.console import DONE, print_json
from cleaner.cli.ledgers import memory_of
from cleaner.cli.wiring import node_of, runtime_of
from cleaner.config import load_config, missing_in
from cleaner.core.model import Trigger
from cleaner.core.pressure import limit_to_targets, targets_now
from cleaner.core.space import holders_of
from cleaner.node import NeverStop
from cleaner.outlets.terminal import (
    memory_notices,
    mode_notices,
    plan_document,
    print_holders,
    print_plan,
    registry_notices,
    watch_notices,
)
from cleaner.sweep import inspect_node, plan_within_reach


def execute(arguments: argparse.Namespace, environ: Environ) -> int:
    """What a sweep would do; reads only."""
    config = load_config(arguments.config, environ, rules_required=False)
    trigger = Trigger(arguments.trigger)
    with runtime_of(config, NeverStop()) as runtime:
        node = node_of(config, environ, runtime, NeverStop(), memory_of(config))
        usage = node.disk.read_usage()
        inspection, now = inspect_node(node), node.timer.now()
        planned, asked = plan_within_reach(inspection, config.policy, trigger, now, node.registries)
    if trigger is Trigger.PRESSURE:
        planned = limit_to_targets(planned, usage, targets_now(usage, config.watermarks))
    held = holders_of(inspection, planned, usage)
    notices = (
        *missing_in(config),
        *mode_notices(config.mode, trigger),
        *watch_notices(inspection.memory, config.mode, trigger, config.policy.grace, now),
        *memory_notices(planned),
        *registry_notices(asked),
    )
    if arguments.output == "json":
        print_json(plan_document(planned, usage, held, notices))
    else:
        print_plan(planned, usage, notices, sys.stdout, all_rows=arguments.all)
        print_holders(held, sys.stdout)
    return DONE
