"""argv and environ -> configuration -> wired objects -> exit status: the only place that builds adapters.

Refuses decisions: it builds the parts and lets them do their work.
"""

import argparse
import gc
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import attrs

from cleaner.arguments import parser
from cleaner.checks import check_node, check_rules, check_schedule
from cleaner.config import Config, default_config, effective, load_config, missing_in
from cleaner.core.errors import (
    CleanerError,
    ConfigError,
    DiskUnreadableError,
    EnvironmentUnusableError,
    RuntimeUnavailableError,
)
from cleaner.core.events import SweepEnded, SweepReport
from cleaner.core.findings import Finding, Grade
from cleaner.core.foresight import foresee, holders_of
from cleaner.core.model import EvictionOutcome, Mode, Policy, Trigger, Usage
from cleaner.core.policy import plan
from cleaner.core.ports import Outlet, Stop
from cleaner.core.triggers import Triggers
from cleaner.core.window import calendar_of
from cleaner.daemon import Daemon, DaemonSettings
from cleaner.node.allocator import TrimAfterCounts, hold_little_memory
from cleaner.node.clock import NeverStop, SignalStop, SystemTimer, pause
from cleaner.node.disk import open_disk
from cleaner.node.recollection import ProcessRecollection
from cleaner.outlets import documents, tables
from cleaner.outlets.logger import configure_logging
from cleaner.outlets.logs import Logs
from cleaner.outlets.metrics import Metrics
from cleaner.outlets.notices import memory_notices, mode_notices
from cleaner.outlets.progress import Progress
from cleaner.outlets.samples import read_samples
from cleaner.outlets.web import Health, WebServer
from cleaner.runtime.calls import ObserveCall
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.endpoint import Endpoint, diagnose_endpoint, parse_endpoint
from cleaner.simulation.demo import DEMO_POLICY, build_demo
from cleaner.simulation.until import UntilSwept
from cleaner.sweep import Node, Sweep, SweepRequest, SweepSettings, observe

DISTRIBUTION = "node-image-cleaner"
DONE, FAILED, BAD_USAGE, UNUSABLE = 0, 1, 2, 3

Environ = Mapping[str, str]


def main(argv: Sequence[str] | None = None, environ: Environ = os.environ) -> int:
    """Run one command; the exit status is documented in `cleaner --help`."""
    arguments = parser(version(DISTRIBUTION)).parse_args(argv)
    try:
        return COMMANDS[arguments.command](arguments, environ)
    except ConfigError as error:
        _complain(f"{arguments.config}: {len(error.problems)} to correct", *error.problems)
        return BAD_USAGE
    except CleanerError as error:
        _complain(str(error))
        return UNUSABLE if isinstance(error, EnvironmentUnusableError | RuntimeUnavailableError) else FAILED
    except BrokenPipeError:
        # The reader has seen enough (`| head`); what Python would still flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return 130


def _complain(*lines: str) -> None:
    for line in lines:
        print(f"cleaner: {line}", file=sys.stderr)


def _run(arguments: argparse.Namespace, environ: Environ) -> int:
    """The daemon: its port first, then the runtime, however long that is away."""
    hold_little_memory()
    stop = SignalStop()
    config = load_config(arguments.config, environ, rules_required=True)
    timer = SystemTimer()
    usage = _LateUsage()
    metrics = _metrics_of(config, environ, usage)
    logger = configure_logging(config.log.level, config.log.format, sys.stderr, metrics.record_log)
    health = Health(timer.monotonic)
    web = WebServer(config.web.host, config.web.port, metrics.registry, health)
    web.start()
    runtime = _runtime_of(config, stop, metrics.record_runtime_call)

    def connect() -> Node:
        node = _connect(config, environ, runtime, stop)
        usage.node = node
        return node

    gc.freeze()  # what is there by now stays: no collection has to walk through it again
    try:
        Daemon(
            connect,
            _daemon_settings_of(config, environ),
            timer,
            stop,
            [Logs(logger), metrics, health, TrimAfterCounts()],
        ).run()
    finally:
        runtime.close()
        web.close()
    return DONE


def _plan(arguments: argparse.Namespace, environ: Environ) -> int:
    """What a sweep would do; reads only."""
    config = load_config(arguments.config, environ, rules_required=False)
    trigger = Trigger(arguments.trigger)
    with _runtime_of(config, NeverStop()) as runtime:
        node = _connect(config, environ, runtime, NeverStop())
        usage = node.disk.read_usage()
        observation = observe(node)
        planned = plan(observation, config.policy, trigger, node.timer.now())
    if trigger is Trigger.PRESSURE:
        planned = foresee(planned, usage, config.marks)
    held = holders_of(observation, planned, usage)
    notices = (*missing_in(config), *mode_notices(config.mode, trigger), *memory_notices(planned))
    if arguments.output == "json":
        _print_json(documents.plan_document(planned, usage, held, notices))
    else:
        tables.print_plan(planned, usage, notices, sys.stdout, all_rows=arguments.all)
        tables.print_held(held, sys.stdout)
    return DONE


def _sweep(arguments: argparse.Namespace, environ: Environ) -> int:
    """One sweep now; a signal ends it after the present removal."""
    stop = SignalStop()
    config = load_config(arguments.config, environ, rules_required=True)
    trigger = Trigger.PRESSURE if arguments.trigger == Trigger.PRESSURE else Trigger.MANUAL
    settings = replace(_sweep_settings_of(config), policy=_with_grace(config.policy, trigger, arguments.grace))
    request = SweepRequest(trigger, dry_run=arguments.dry_run, limit=arguments.limit)
    outlet = _outlet_of(config, sys.stderr)
    with _runtime_of(config, stop) as runtime:
        node = _connect(config, environ, runtime, stop)
        report = _report_of(Sweep(node, settings, request), outlet)
    notices = memory_notices(report.plan)
    if arguments.output == "json":
        _print_json(documents.sweep_document(report, notices))
    else:
        tables.print_sweep(report, sys.stdout, notices=notices, all_rows=arguments.all)
    return FAILED if any(e.outcome is EvictionOutcome.FAILED for e in report.evictions) else DONE


def _check(arguments: argparse.Namespace, environ: Environ) -> int:
    """Findings on the configuration and the node; the status is that of the first error."""
    config = load_config(arguments.config, environ, rules_required=False)
    triggers = _triggers_of(config, environ)
    findings, status = [check_rules(config.mode, config.policy, missing_in(config))], DONE
    try:
        with _runtime_of(config, NeverStop()) as runtime:
            node = _connect(config, environ, runtime, NeverStop())
            for finding in check_node(node, config.policy, triggers):
                findings.append(finding)  # noqa: PERF402 - what was found before an error is kept
    except CleanerError as error:
        findings.append(Finding(error.kind.value, Grade.ERROR, str(error)))
        status = UNUSABLE
    findings.append(check_schedule(triggers, SystemTimer().now()))
    if arguments.output == "json":
        _print_json(documents.check_document(findings, effective(config), config.hash))
    else:
        tables.print_check(findings, effective(config), sys.stdout)
    return status


def _demo(_arguments: argparse.Namespace, environ: Environ) -> int:
    """The daemon on a simulated node, until its disk is at or below the low mark."""
    config = attrs.evolve(default_config(environ), mode=Mode.PRESSURE, policy=DEMO_POLICY, startup_delay=timedelta(0))
    with TemporaryDirectory(prefix="cleaner-demo-") as directory:
        until = UntilSwept()
        simulated = build_demo(Path(directory), SystemTimer())
        node = Node(simulated, simulated, simulated.timer, until, ProcessRecollection())
        metrics = _metrics_of(config, environ, _LateUsage(node))
        before = read_samples(metrics.registry)
        settings = _daemon_settings_of(config, environ)
        Daemon(lambda: node, settings, node.timer, until, [Progress(sys.stdout), metrics, until]).run()
        tables.print_sweep(until.report, sys.stdout)
        tables.print_changes(before, read_samples(metrics.registry), sys.stdout)
    return DONE


COMMANDS: Mapping[str, Callable[[argparse.Namespace, Environ], int]] = {
    "run": _run,
    "plan": _plan,
    "sweep": _sweep,
    "check": _check,
    "demo": _demo,
}


class _LateUsage:
    """The disk for the scrape, once the daemon knows which one it is."""

    def __init__(self, node: Node | None = None) -> None:
        self.node = node

    def read(self) -> Usage | None:
        """Usage as of now; None while it is not known."""
        if self.node is None:
            return None
        try:
            return self.node.disk.read_usage()
        except DiskUnreadableError:
            return None


def _metrics_of(config: Config, environ: Environ, usage: _LateUsage) -> Metrics:
    metrics = Metrics(read_usage=usage.read)
    metrics.record_build(version(DISTRIBUTION), environ.get("CLEANER_REVISION") or "unknown")
    metrics.record_config(config.mode.value, config.hash, config.marks)
    return metrics


def _triggers_of(config: Config, environ: Environ) -> Triggers:
    node_name = environ.get("NODE_NAME") or socket.gethostname()
    return Triggers(config.mode, config.marks, calendar_of(config.nightly, node_name))


def _sweep_settings_of(config: Config) -> SweepSettings:
    return SweepSettings(config.policy, config.marks, config.failures_per_sweep)


def _daemon_settings_of(config: Config, environ: Environ) -> DaemonSettings:
    return DaemonSettings(
        triggers=_triggers_of(config, environ),
        sweep=_sweep_settings_of(config),
        check_every=config.check_every,
        startup_delay=config.startup_delay,
        evictions_per_night=config.nightly.evictions_per_night,
    )


def _endpoints_of(config: Config) -> tuple[Endpoint, Endpoint]:
    """Where containers and where images are asked for."""
    runtime = parse_endpoint(config.runtime.endpoint)
    return runtime, parse_endpoint(config.runtime.image_endpoint) if config.runtime.image_endpoint else runtime


def _runtime_of(config: Config, stop: Stop, observe_call: ObserveCall = lambda *_: None) -> CriRuntime:
    runtime, images = _endpoints_of(config)
    return CriRuntime(runtime, stop, image_endpoint=images, observe_call=observe_call)


def _connect(config: Config, environ: Environ, runtime: CriRuntime, stop: Stop) -> Node:
    """The node, once its runtime answers; says what will not pass by itself."""
    for endpoint in _endpoints_of(config):
        diagnose_endpoint(endpoint)
    runtime.read_version()  # never retried: a runtime that is away is known at once
    path = config.filesystem_path or runtime.read_image_filesystem()
    disk = open_disk(path, in_pod="KUBERNETES_SERVICE_HOST" in environ, pause=pause)
    return Node(runtime, disk, SystemTimer(), stop, ProcessRecollection())


def _with_grace(policy: Policy, trigger: Trigger, grace: timedelta | None) -> Policy:
    if grace is None:
        return policy
    return replace(policy, pressure_grace=grace) if trigger is Trigger.PRESSURE else replace(policy, grace=grace)


def _outlet_of(config: Config, stream: TextIO) -> Outlet:
    """Progress for a person in front of a terminal, the log for everything else."""
    if stream.isatty():
        return Progress(stream)
    return Logs(configure_logging(config.log.level, config.log.format, stream, lambda _level: None))


def _report_of(sweep: Sweep, outlet: Outlet) -> SweepReport:
    """Run a sweep to its end."""
    for event in sweep.events():
        outlet.record(event)
        if isinstance(event, SweepEnded):
            return event.report
    raise AssertionError("a sweep ends with its report")


def _print_json(document: documents.Document) -> None:
    print(json.dumps(document, indent=2))
