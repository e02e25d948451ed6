"""`cleaner run`: the daemon.

Refuses to wait for the runtime before its port is served.
"""

import argparse
import gc
import sys

from cleaner import Environ
from cleaner.commands import DONE
from cleaner.config import load_config
from cleaner.core.errors import CleanerError
from cleaner.daemon import Daemon, Host
from cleaner.ledgers import ledger_of
from cleaner.node.allocator import TrimAfterCounts, hold_little_memory
from cleaner.node.clock import SignalStop, SystemTimer
from cleaner.outlets.logger import configure_logging
from cleaner.outlets.logs import Logs
from cleaner.outlets.web import Health, WebServer
from cleaner.sweep import Node
from cleaner.wiring import (
    LateUsage,
    alertmanagers_of,
    daemon_settings_of,
    in_turn,
    metrics_of,
    node_of,
    runtime_of,
)


def execute(arguments: argparse.Namespace, environ: Environ) -> int:
    """The daemon: its port first, then the runtime, however long that is away."""
    hold_little_memory()
    stop = SignalStop()
    config = load_config(arguments.config, environ, rules_required=True)
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
            usage.node = node_of(config, environ, runtime, stop, ledger)
        except CleanerError:
            runtime.disconnect()
            raise
        return usage.node

    runtime.watch_uses()
    alertmanagers = alertmanagers_of(config, environ, timer, logger)
    gc.freeze()  # what is there by now stays: no collection has to walk through it again
    try:
        Daemon(
            connect,
            daemon_settings_of(config, environ),
            Host(timer, stop, ledger),
            [ledger, Logs(logger), metrics, health, TrimAfterCounts(), *alertmanagers],
        ).run()
    finally:
        for close in (*(outlet.close for outlet in alertmanagers), runtime.close, web.close, ledger.close):
            close()
    return DONE
