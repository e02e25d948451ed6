"""`cleaner demo`: the real daemon on a simulated node.

Refuses to touch the machine that it runs on.
"""

import argparse
import sys
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from cleaner import Environ
from cleaner.commands import DONE
from cleaner.config import default_config
from cleaner.core.model import Mode
from cleaner.daemon import Daemon, Host
from cleaner.node.clock import SystemTimer
from cleaner.node.passing_ledger import PassingLedger
from cleaner.outlets import tables
from cleaner.outlets.progress import Progress
from cleaner.outlets.samples import read_samples
from cleaner.simulation.demo import DEMO_POLICY, build_demo
from cleaner.simulation.until import UntilSwept
from cleaner.sweep import Node
from cleaner.wiring import LateUsage, daemon_settings_of, metrics_of


def execute(_arguments: argparse.Namespace, environ: Environ) -> int:
    """The daemon on a simulated node, until its disk is at or below the low mark."""
    config = attrs.evolve(default_config({}), mode=Mode.PRESSURE, policy=DEMO_POLICY, startup_delay=timedelta(0))
    with TemporaryDirectory(prefix="cleaner-demo-") as directory:
        until = UntilSwept()
        simulated = build_demo(Path(directory), SystemTimer())
        node = Node(simulated, simulated, simulated.timer, until, PassingLedger())
        metrics = metrics_of(config, environ, LateUsage(node).read)
        before = read_samples(metrics.registry)
        settings = daemon_settings_of(config, environ)
        host = Host(node.timer, until, node.ledger)
        Daemon(lambda: node, settings, host, [Progress(sys.stdout), metrics, until]).run()
        tables.print_sweep(until.report, sys.stdout)
        tables.print_changes(before, read_samples(metrics.registry), sys.stdout)
    return DONE
