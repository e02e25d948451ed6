"""`cleaner run`: the daemon.

It must not wait for the runtime before its port is served.
"""

import argparse
import gc
import sys

from cleaner import Environ
from cleaner.cli.configuration import config_of
from cleaner.cli.console import DONE
from cleaner.cli.ledgers import ledger_of
from cleaner.cli.wiring import (
    LateUsage,
    alertmanagers_of,
    daemon_settings_of,
    daemons_node_of,
    in_turn,
    metrics_of,
    runtime_of,
)
from cleaner.core.errors import CleanerError
from cleaner.core.ports import Node
from cleaner.daemon import Daemon, Host
from cleaner.node import SignalStop, SystemTimer, TrimAfterInventory, hold_little_memory
from cleaner.outlets.log import Logs, configure_logging
from cleaner.outlets.web import Health, WebServer


def execute(arguments: argparse.Namespace, environ: Environ) -> int:
    """The daemon: its port first, then the runtime, however long that is unavailable."""
    hold_little_memory()
    config = config_of(arguments, environ, rules_required=True)
    # Not before: a signal ends a process that waits for its file, such as a pipe.
    stop = SignalStop()
    timer = SystemTimer()
    usage = LateUsage()
    metrics = metrics_of(config, environ, usage.read)
    logger = configure_logging(config.log.level, config.log.format, sys.stderr, metrics.record_log)
    health = Health(timer.monotonic)
    web = WebServer(config.web.host, config.web.port, metrics.registry, health)
    web.start()
    ledger = ledger_of(config, daemon=True)
    ledger.hold_for_life()
    runtime = runtime_of(config, stop, in_turn(metrics.record_runtime_call, health.record_runtime_call))

    def connect() -> Node:
        try:
            usage.node = daemons_node_of(config, environ, runtime, stop, ledger)
        except CleanerError:
            runtime.disconnect()
            raise
        return usage.node

    runtime.watch_created_containers()
    alertmanagers = alertmanagers_of(config, environ, timer, logger)
    gc.freeze()  # what is there by now stays: no collection has to walk through it again
    try:
        Daemon(
            connect,
            daemon_settings_of(config, environ),
            Host(timer, stop, ledger),
            [ledger, Logs(logger), metrics, health, TrimAfterInventory(), *alertmanagers],
        ).run()
    finally:
        for close in (*(outlet.close for outlet in alertmanagers), runtime.close, web.close, ledger.close):
            close()
    return DONE
