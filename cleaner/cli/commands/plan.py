"""`cleaner plan`: what a sweep that is started now would do, and why.

It must not change anything, not even the ledger.
"""

import argparse
import sys

from cleaner import Environ
from cleaner.cli.configuration import config_of
from cleaner.cli.console import DONE, print_json
from cleaner.cli.ledgers import memory_of
from cleaner.cli.sweeps import reserves_of, sweep_of
from cleaner.cli.wiring import node_of, runtime_of, triggers_of
from cleaner.config import missing_in
from cleaner.core.model import Trigger
from cleaner.core.space import holders_of
from cleaner.node import NeverStop
from cleaner.outlets.terminal import (
    grace_notices,
    ledger_notices,
    limit_notices,
    memory_notices,
    mode_notices,
    plan_document,
    print_holders,
    print_plan,
    reach_notices,
    registry_notices,
    reserve_notices,
    start_notices,
    watch_notices,
)


def execute(arguments: argparse.Namespace, environ: Environ) -> int:
    """What a sweep would do; reads only."""
    config = config_of(arguments, environ)
    trigger = Trigger(arguments.trigger)
    with runtime_of(config, NeverStop()) as runtime:
        ledger = memory_of(config)
        node = node_of(config, environ, runtime, NeverStop(), ledger)
        prepared = sweep_of(config, environ, node, trigger, dry_run=True).prepare()
        now = node.timer.now()
    planned, usage = prepared.plan, prepared.usage
    held = holders_of(prepared.inspection, planned, usage)
    starts = start_notices(triggers_of(config, environ), trigger, usage, now, needed=prepared.needed)
    notices = (
        *reach_notices(planned),
        *reserve_notices(reserves_of(config, planned, usage)),
        *missing_in(config),
        *mode_notices(config.mode, trigger),
        *(
            ledger_notices(ledger.error, config.mode, trigger)
            or watch_notices(prepared.inspection.memory, config.mode, trigger, config.policy.grace, now)
        ),
        *limit_notices(planned, trigger, config.nightly.evictions_per_night),
        *grace_notices(prepared.danger_grace, config.policy, trigger),
        *memory_notices(planned),
        *registry_notices(prepared.registries),
    )
    if arguments.output == "json":
        print_json(plan_document(planned, usage, held, (*starts, *notices)))
    else:
        print_plan(planned, usage, notices, sys.stdout, starts=starts, all_rows=arguments.all)
        print_holders(held, sys.stdout)
    return DONE
