"""The sweep that a command line asks for: `plan` shows it, `sweep` carries it out, both through here.

It must not run a sweep: a command does.
"""

from dataclasses import replace
from datetime import timedelta

from cleaner import Environ
from cleaner.cli.wiring import sweep_settings_of, triggers_of, with_grace
from cleaner.config import Config
from cleaner.core.disk_usage import Usage
from cleaner.core.kubelet import read_of, threshold_of
from cleaner.core.model import Plan, Trigger
from cleaner.core.ports import Node
from cleaner.core.pressure import KubeletThreshold, Reserve, reserves_in_the_way
from cleaner.sweep import Sweep, SweepRequest


def sweep_of(  # noqa: PLR0913 - keywords, each of which says what it means
    config: Config,
    environ: Environ,
    node: Node,
    trigger: Trigger,
    *,
    dry_run: bool,
    limit: int | None = None,
    grace: timedelta | None = None,
) -> Sweep:
    """One sweep of this node; `limit` and `grace` are those of the command line."""
    settings = replace(sweep_settings_of(config), policy=with_grace(config.policy, trigger, grace))
    if trigger is Trigger.NIGHTLY:
        left = _nightly_evictions_left(config, environ, node)
        limit = left if limit is None else min(left, limit)
    kubelet = _kubelet_threshold(config, node)
    return Sweep(node, settings, SweepRequest(trigger, dry_run=dry_run, limit=limit, kubelet=kubelet))


def reserves_of(config: Config, planned: Plan, usage: Usage) -> tuple[Reserve, ...]:
    """The reserves that put the low watermark out of a sweep's reach; other triggers than pressure do not aim at it."""
    freed = planned.most_reclaimable if planned.trigger is Trigger.PRESSURE else None
    return reserves_in_the_way(usage, config.watermarks, freed)


def _nightly_evictions_left(config: Config, environ: Environ, node: Node) -> int:
    """How many images nightly sweeps may still evict for the latest occurrence; without a ledger, all."""
    occurrence = triggers_of(config, environ).calendar.latest(node.timer.now())
    evicted = node.ledger.evicted_since(occurrence) if occurrence else None
    return max(0, config.nightly.evictions_per_night - (evicted or 0))


def _kubelet_threshold(config: Config, node: Node) -> KubeletThreshold:
    """The usage above which the kubelet acts; its defaults where the agent is not to read its configuration."""
    if node.kubelet is None:
        return KubeletThreshold()
    return threshold_of(read_of(node.kubelet.read(), config.watermarks, node.disk.read_usage()))
