"""The configuration: a YAML file and the environment -> one frozen `Config` that cannot be invalid.

It must not guess, nor stop at the first mistake: one ConfigError holds a line per problem, in the file's order.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import attrs
from attrs import frozen

from cleaner.config.alerting import AlertmanagerKeys
from cleaner.config.document import Document, read_document, shown_path
from cleaner.config.durations import duration_text
from cleaner.config.keys import (
    FileKeys,
    KubeletKeys,
    LogKeys,
    PolicyKeys,
    PressureKeys,
    RegistriesKeys,
    RuleKeys,
    StateKeys,
)
from cleaner.config.problems import ABSENT, RULES_REQUIRED, Problem, read_tree, rule_for, show
from cleaner.config.values import Listen, endpoint, size_text
from cleaner.core.errors import ConfigError, ConfigFileError
from cleaner.core.model import Mode, Policy, Rule
from cleaner.core.nightly import Nightly
from cleaner.core.pressure import AvailableWatermarks, WatermarkPair, Watermarks
from cleaner.core.regret import RegretLimit

RUNTIME_VARIABLE = "CONTAINER_RUNTIME_ENDPOINT"
IMAGE_VARIABLE = "IMAGE_SERVICE_ENDPOINT"
"""The names that crictl reads too."""

HASH_DIGITS = 12
LOW_SHARE = 1.4
"""Where only `high_available` is written, the low watermark is this many times as much: as 35 % is to 25 %."""


@frozen
class RuntimeEndpoints:
    """Where the container runtime listens, as it was written."""

    endpoint: str
    image_endpoint: str | None
    """None where images are served at the same socket."""


@frozen
class Config:
    """Everything that a person can set, checked."""

    mode: Mode
    runtime: RuntimeEndpoints
    policy: Policy
    nightly: Nightly
    watermarks: Watermarks
    check_every: timedelta
    horizon: timedelta
    registries: RegistriesKeys
    failures_per_sweep: int
    filesystem_path: str | None
    """None where the runtime is to say it."""
    kubelet: KubeletKeys
    state: StateKeys
    web: Listen
    startup_delay: timedelta
    log: LogKeys
    alertmanager: AlertmanagerKeys | None = None
    """None where no alert is to be sent."""
    hash: str = ""
    """Of the effective settings: the same for files that mean the same."""


def load_config(path: Path, environ: Mapping[str, str], *, rules_required: bool, may_be_absent: bool = False) -> Config:
    """The configuration of a file; ConfigError with every problem.

    With `may_be_absent` a file that does not exist counts as one that says nothing; a link that leads nowhere exists.
    """
    try:
        document = read_document(path)
    except FileNotFoundError as error:
        is_link = path.is_symlink()
        if may_be_absent and not is_link:
            return default_config(environ)
        problem = "is a link to a file that does not exist" if is_link else "does not exist"
        rule = f"{problem}; create it with at least policy.rules, or name another file with --config"
        raise ConfigFileError(f"{shown_path(path)}: {rule}") from error
    return _config_of(document, environ, rules_required=rules_required)


def default_config(environ: Mapping[str, str]) -> Config:
    """The configuration without a file: there are no rules, so nothing may be evicted."""
    return _config_of(Document(), environ, rules_required=False)


def missing_in(config: Config) -> tuple[str, ...]:
    """A line for each setting that the daemon would not start without."""
    return () if config.policy.rules else (str(_rules_missing()),)


def effective(config: Config) -> dict[str, object]:
    """The settings in the shape of the file, for JSON: defaults filled in, the environment heeded."""
    return {
        "mode": config.mode.value,
        "runtime": attrs.asdict(config.runtime),
        "policy": {
            "grace": duration_text(config.policy.grace),
            "protect": [pattern.text for pattern in config.policy.protect],
            "regret": {
                "limit": _share_text(config.policy.regret.share),
                "hold": duration_text(config.policy.regret.hold),
            },
            "rules": [_rule_settings(rule) for rule in config.policy.rules],
        },
        "nightly": _nightly_settings(config.nightly),
        "pressure": {
            "check_every": duration_text(config.check_every),
            "bytes": _watermark_settings(config.watermarks.bytes) | _available_settings(config.watermarks.available),
            "inodes": _watermark_settings(config.watermarks.inodes),
            "grace": duration_text(config.policy.pressure_grace),
            "horizon": duration_text(config.horizon),
            "ignore_registries": config.policy.pressure_ignores_registries,
        },
        "registries": _registries_settings(config.registries),
        "limits": {"failures_per_sweep": config.failures_per_sweep},
        "filesystem": {"path": config.filesystem_path},
        "kubelet": attrs.asdict(config.kubelet),
        "state": {
            "path": config.state.path,
            "sample_every": duration_text(config.state.sample_every),
            "keep": duration_text(config.state.keep),
        },
        "web": {"listen": str(config.web)},
        "startup_delay": duration_text(config.startup_delay),
        "log": {"level": config.log.level.value, "format": config.log.format.value},
        "alertmanager": _alertmanager_settings(config.alertmanager) if config.alertmanager else None,
    }


def _config_of(document: Document, environ: Mapping[str, str], *, rules_required: bool) -> Config:
    keys, found = read_tree(document.tree)
    problems = [*document.problems, *found]
    if rules_required and _says_no_rules(document.tree):
        problems.append(_rules_missing())
    problems.sort(key=lambda problem: document.place(problem.path))
    from_environ, wrong_in_environ = _read_environ(environ)
    problems += wrong_in_environ
    if problems or keys is None:
        raise ConfigError(*map(str, problems))
    return _with_hash(_build(keys, from_environ))


def _read_environ(environ: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    """Endpoints by their key; an empty variable counts as unset."""
    values, problems = {}, []
    for key, variable in (("endpoint", RUNTIME_VARIABLE), ("image_endpoint", IMAGE_VARIABLE)):
        if written := environ.get(variable):
            try:
                values[key] = endpoint(written)
            except ValueError as error:
                problems.append(Problem((variable,), show(written), rule_for(written, str(error))))
    return values, problems


def _says_no_rules(tree: Mapping[object, object]) -> bool:
    """Whether there is nothing where the rules belong; what is wrong there has its own line."""
    policy = tree.get("policy")
    return policy is None or (isinstance(policy, dict) and policy.get("rules") in (None, []))


def _rules_missing() -> Problem:
    return Problem(("policy", "rules"), ABSENT, RULES_REQUIRED)


def _build(keys: FileKeys, from_environ: Mapping[str, str]) -> Config:
    pressure = keys.pressure
    runtime = RuntimeEndpoints(keys.runtime.endpoint, keys.runtime.image_endpoint)
    return Config(
        mode=keys.mode,
        runtime=attrs.evolve(runtime, **from_environ),
        policy=_policy(keys.policy, pressure),
        nightly=Nightly(**attrs.asdict(keys.nightly, recurse=False)),
        watermarks=_watermarks(pressure),
        check_every=pressure.check_every,
        horizon=pressure.horizon,
        registries=keys.registries,
        failures_per_sweep=keys.limits.failures_per_sweep,
        filesystem_path=keys.filesystem.path,
        kubelet=keys.kubelet,
        state=keys.state,
        web=keys.web.listen,
        startup_delay=keys.startup_delay,
        log=keys.log,
        alertmanager=keys.alertmanager,
    )


def _watermarks(keys: PressureKeys) -> Watermarks:
    high, low = keys.bytes.high_available, keys.bytes.low_available
    available = None if high is None else AvailableWatermarks(high, low or round(high * LOW_SHARE))
    return Watermarks(
        WatermarkPair(keys.bytes.high, keys.bytes.low), WatermarkPair(keys.inodes.high, keys.inodes.low), available
    )


def _policy(keys: PolicyKeys, pressure: PressureKeys) -> Policy:
    regret = RegretLimit(keys.regret.limit, keys.regret.hold)
    rules = tuple(map(_rule, keys.rules))
    return Policy(rules, keys.protect, regret, keys.grace, pressure.grace, pressure.ignore_registries)


def _rule(keys: RuleKeys) -> Rule:
    return Rule(**attrs.asdict(keys, recurse=False))


def _with_hash(config: Config) -> Config:
    settings = json.dumps(effective(config), sort_keys=True)
    return attrs.evolve(config, hash=hashlib.sha256(settings.encode()).hexdigest()[:HASH_DIGITS])


def _rule_settings(rule: Rule) -> dict[str, object]:
    return {
        "name": rule.name,
        "match": [pattern.text for pattern in rule.match],
        "max_age": duration_text(rule.max_age),
        "age_from": rule.age_from.value,
        "keep_newest": rule.keep_newest,
        "local": rule.local,
    }


def _nightly_settings(nightly: Nightly) -> dict[str, object]:
    return {
        "schedule": nightly.schedule,
        "timezone": nightly.timezone.key,
        "window": duration_text(nightly.window),
        "splay": duration_text(nightly.splay),
        "overdue": duration_text(nightly.overdue),
        "evictions_per_night": nightly.evictions_per_night,
        "duty_cycle": _share_text(nightly.duty_cycle),
    }


def _alertmanager_settings(keys: AlertmanagerKeys) -> dict[str, object]:
    return attrs.asdict(keys) | {
        "url": list(keys.url),
        "timeout": duration_text(keys.timeout),
        "repeat_every": duration_text(keys.repeat_every),
        "runtime_down_for": duration_text(keys.runtime_down_for),
    }


def _registries_settings(registries: RegistriesKeys) -> dict[str, object]:
    return {
        "check": registries.check,
        "plain_http": list(registries.plain_http),
        "also": {registry: list(mirrors) for registry, mirrors in registries.also.items()},
        "ca_file": registries.ca_file,
    }


def _watermark_settings(watermark: WatermarkPair) -> dict[str, object]:
    return {"high": _number(watermark.high), "low": _number(watermark.low)}


def _available_settings(watermark: AvailableWatermarks | None) -> dict[str, object]:
    return {
        "high_available": watermark and size_text(watermark.high_bytes),
        "low_available": watermark and size_text(watermark.low_bytes),
    }


def _share_text(share: float) -> str:
    """`5%`, as the file has it."""
    return f"{100 * share:g}%"


def _number(value: float) -> float:
    """Whole percents without a fraction, as people write them."""
    return int(value) if value.is_integer() else value
