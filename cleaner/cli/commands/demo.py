"""`cleaner demo`: the real daemon on a simulated node.

It must not touch the machine that it runs on.
"""

import argparse
import sys
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from cleaner import Environ
from cleaner.cli.console import DONE
from cleaner.cli.wiring import LateUsage, daemon_settings_of, metrics_of
from cleaner.config import default_config
from cleaner.core.model import Mode
from cleaner.core.ports import Node
from cleaner.daemon import Daemon, Host
from cleaner.ledger import InMemoryLedger
from cleaner.node import SystemTimer
from cleaner.outlets.terminal import ProgressLines, print_changes, print_sweep, read_samples
from cleaner.simulation import DEMO_POLICY, UntilSwept, build_demo


def execute(_arguments: argparse.Namespace, environ: Environ) -> int:
    """The daemon on a simulated node, until its disk is at or below the low watermark."""
    config = attrs.evolve(default_config({}), mode=Mode.PRESSURE, policy=DEMO_POLICY, startup_delay=timedelta(0))
    with TemporaryDirectory(prefix="cleaner-demo-") as directory:
        until = UntilSwept()
        simulated = build_demo(Path(directory), SystemTimer())
        node = Node(simulated, simulated, simulated.timer, until, InMemoryLedger())
        metrics = metrics_of(config, environ, LateUsage(node).read)
        before = read_samples(metrics.registry)
        settings = daemon_settings_of(config, environ)
        host = Host(node.timer, until, node.ledger)
        Daemon(lambda: node, settings, host, [ProgressLines(sys.stdout), metrics, until]).run()
        print_sweep(until.report, sys.stdout)
        print_changes(before, read_samples(metrics.registry), sys.stdout)
    return DONE
