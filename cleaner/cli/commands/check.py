"""`cleaner check`: the configuration and the environment.

It must not change anything.
"""

import argparse
import sys
from pathlib import Path

from cleaner import Environ
from cleaner.cli.arguments import DEFAULT_CONFIG
from cleaner.cli.configuration import config_of, is_there
from cleaner.cli.console import DONE, UNUSABLE, print_json
from cleaner.cli.ledgers import memory_of
from cleaner.cli.node_checks import check_node, check_rules, check_schedule
from cleaner.cli.wiring import THIS_MACHINE, Machine, alertmanager_apis_of, node_of, runtime_of, triggers_of
from cleaner.config import effective, hints_in, missing_in
from cleaner.core.errors import CleanerError, ConfigError
from cleaner.core.findings import Finding, Grade
from cleaner.ledger import lacks_space
from cleaner.node import NeverStop
from cleaner.outlets.terminal import check_document, print_check


def execute(arguments: argparse.Namespace, environ: Environ, *, machine: Machine = THIS_MACHINE) -> int:
    """Findings on the configuration and the node; the status is that of the first error, and 0 without one."""
    config = config_of(arguments, environ)
    triggers = triggers_of(config, environ)
    findings = [check_rules(config.mode, config.policy, missing_in(config))]
    if not is_there(arguments):
        detail = f"{DEFAULT_CONFIG} does not exist, so every setting has its default"
        findings.append(Finding("configuration", Grade.NOTE, detail))
    findings += [Finding("configuration", Grade.NOTE, hint) for hint in hints_in(config)]
    try:
        with runtime_of(config, NeverStop()) as runtime:
            node = node_of(config, environ, runtime, NeverStop(), memory_of(config), machine=machine)
            for finding in check_node(node, config.policy, triggers):
                findings.append(finding)
    except ConfigError:
        raise  # an endpoint that is no address: bad usage, as in every command
    except CleanerError as error:
        findings.append(Finding(error.kind.value, Grade.ERROR, error.advised))
    if lacks_space(Path(config.state.path)):
        detail = f"the disk of {config.state.path} is full: while the daemon cannot write its ledger, it suspends "
        findings.append(Finding("ledger", Grade.WARNING, f"{detail}nightly sweeps; free at least 2 MiB"))
    findings += [api.check() for api in alertmanager_apis_of(config)]
    findings.append(check_schedule(triggers, machine.timer.now()))
    if arguments.output == "json":
        print_json(check_document(findings, effective(config), config.hash))
    else:
        print_check(findings, effective(config), sys.stdout)
    return UNUSABLE if any(finding.grade is Grade.ERROR for finding in findings) else DONE
