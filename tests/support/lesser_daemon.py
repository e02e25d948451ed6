"""The daemon without its forecasts, to measure what each of its parts is worth.

The product has no switches for that: this daemon is built from the same parts, and some of them are left out.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from cleaner.cli.ledgers import ledger_of
from cleaner.cli.wiring import LateUsage, daemon_settings_of, endpoints_of, metrics_of, node_of
from cleaner.config.settings import Config, load_config
from cleaner.core.disk_usage import Usage
from cleaner.core.ports import Node, Outlet
from cleaner.core.pressure.pulls import Pull
from cleaner.daemon.forecaster import NodeForecaster
from cleaner.daemon.loop import Daemon
from cleaner.daemon.settings import DaemonSettings, Host
from cleaner.node.clock import SignalStop, SystemTimer
from cleaner.outlets.log.logger import configure_logging
from cleaner.outlets.log.outlet import Logs
from cleaner.outlets.web import Health, WebServer
from cleaner.runtime.client import CriRuntime


class NoPulls(CriRuntime):
    """A runtime that reports no pulls, as one that is not containerd."""

    def read_pulls(self) -> tuple[Pull, ...]:
        return ()


class EvenForecaster(NodeForecaster):
    """Checks as often as configured, however near a watermark is."""

    def seconds_to_next_check(self, usage: Usage, longest: timedelta) -> float:
        return longest.total_seconds()


class EvenDaemon(Daemon):
    """A daemon that never checks sooner."""

    def __init__(
        self, connect: Callable[[], Node], settings: DaemonSettings, host: Host, outlets: Iterable[Outlet]
    ) -> None:
        super().__init__(connect, settings, host, outlets)
        self._forecaster = EvenForecaster(settings.sweep.watermarks, settings.horizon, self._timer, self._emit)


def run(config: Config, daemon_type: type[Daemon]) -> None:
    """As `cleaner run` does, from the same parts, until it is told to stop."""
    stop, timer, usage, environ = SignalStop(), SystemTimer(), LateUsage(), MappingProxyType(os.environ)
    metrics, health = metrics_of(config, environ, usage.read), Health(timer.monotonic)
    logger = configure_logging(config.log.level, config.log.format, sys.stderr, metrics.record_log)
    web = WebServer(config.web.host, config.web.port, metrics.registry, health)
    web.start()
    ledger = ledger_of(config, daemon=True)
    ledger.hold_for_life()
    runtime_endpoint, image_endpoint = endpoints_of(config)
    runtime = NoPulls(runtime_endpoint, stop, image_endpoint=image_endpoint, observe_call=metrics.record_runtime_call)

    def connect() -> Node:
        usage.node = node_of(config, environ, runtime, stop, ledger)
        return usage.node

    runtime.watch_created_containers()
    outlets: list[Outlet] = [ledger, Logs(logger), metrics, health]
    daemon_type(connect, daemon_settings_of(config, environ), Host(timer, stop, ledger), outlets).run()
    for close in (runtime.close, web.close, ledger.close):
        close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--even", action="store_true")
    options = parser.parse_args()
    config = load_config(options.config, os.environ, rules_required=True)
    run(config, EvenDaemon if options.even else Daemon)


if __name__ == "__main__":
    main()
