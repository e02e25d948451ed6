"""`cleaner sweep`: one sweep now.

It must not sweep while another process does: it waits its turn.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TextIO

from cleaner import Environ
from cleaner.cli.configuration import config_of
from cleaner.cli.console import DONE, FAILED, complain, print_json
from cleaner.cli.ledgers import ledger_of, memory_of
from cleaner.cli.sweeps import reserves_of, sweep_of
from cleaner.cli.wiring import node_of, runtime_of
from cleaner.config import Config
from cleaner.core.errors import CleanerError
from cleaner.core.events import SweepEnded
from cleaner.core.model import EvictionOutcome, Mode, Trigger
from cleaner.core.ports import Ledger, Outlet, Stop
from cleaner.core.report import SweepReport
from cleaner.node import SignalStop
from cleaner.outlets.log import Logs, configure_logging
from cleaner.outlets.terminal import (
    ProgressLines,
    memory_notices,
    mode_notices,
    print_sweep,
    reserve_notices,
    sweep_document,
)
from cleaner.sweep import Sweep

TURN_SECONDS = 0.5
"""Between two questions whether another sweep is over."""


def execute(arguments: argparse.Namespace, environ: Environ) -> int:
    """One sweep now; a signal ends it after the present removal."""
    stop = SignalStop()
    config = config_of(arguments, environ, rules_required=True)
    trigger = Trigger(arguments.trigger)
    dry_run = arguments.dry_run or config.mode is Mode.OBSERVE
    ledger = memory_of(config) if dry_run else ledger_of(config)
    outlets = [ledger, _outlet_of(config, sys.stderr)]
    with runtime_of(config, stop) as runtime, closing(ledger), _turn(ledger, stop, wait=not dry_run):
        if not dry_run:
            # For the final checks; `runtime_of` ends it.
            runtime.watch_created_containers()
        node = node_of(config, environ, runtime, stop, ledger)
        sweep = sweep_of(config, environ, node, trigger, dry_run=dry_run, limit=arguments.limit, grace=arguments.grace)
        report = _report_of(sweep, outlets)
    reserves = reserves_of(config, report.plan, report.filesystem_before) if report.plan else ()
    notices = (
        *reserve_notices(reserves),
        *mode_notices(config.mode, trigger),
        *memory_notices(report.plan),
    )
    if arguments.output == "json":
        print_json(sweep_document(report, notices))
    else:
        print_sweep(report, sys.stdout, notices=notices, all_rows=arguments.all)
    return FAILED if any(e.outcome is EvictionOutcome.FAILED for e in report.evictions) else DONE


def _outlet_of(config: Config, stream: TextIO) -> Outlet:
    """Progress for a person in front of a terminal, the log for everything else."""
    if stream.isatty():
        return ProgressLines(stream)
    return Logs(configure_logging(config.log.level, config.log.format, stream, lambda _level: None))


@contextmanager
def _turn(ledger: Ledger, stop: Stop, *, wait: bool) -> Iterator[None]:
    """Wait for a sweep's turn; a sweep that evicts nothing needs none."""
    told = False
    while wait:
        with ledger.sweep_turn() as ours:
            if ours:
                yield
                return
        if not told:
            complain("another process sweeps this node; this sweep waits until that is over")
            told = True
        if stop.wait(TURN_SECONDS):
            raise CleanerError("it was told to stop while it waited for another sweep")
    yield


def _report_of(sweep: Sweep, outlets: Sequence[Outlet]) -> SweepReport:
    """Run a sweep to its end."""
    for event in sweep.events():
        for outlet in outlets:
            outlet.record(event)
        if isinstance(event, SweepEnded):
            return event.report
    raise AssertionError("a sweep ends with its report")
