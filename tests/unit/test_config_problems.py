"""What a configuration file may not say, and how each problem is reported: path, value, rule."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from cleaner.config.document import LARGEST_CONFIG_BYTES
from cleaner.config.durations import LONGEST, duration_text, parse_duration
from cleaner.config.settings import default_config, effective, load_config
from cleaner.config.values import share
from cleaner.core.errors import ConfigError, ConfigFileError
from cleaner.core.regret import RegretLimit

RULE = '{name: a, match: ["ghcr.io/**"], max_age: 30d}'


def problems_in(tmp_path: Path, text: str | bytes) -> tuple[str, ...]:
    """The lines about a file; none where it is fine."""
    path = tmp_path / "cleaner.yaml"
    path.write_bytes(text.encode(errors="surrogatepass") if isinstance(text, str) else text)
    try:
        load_config(path, {}, rules_required=True)
    except ConfigError as error:
        return error.problems
    return ()


def with_rule(text: str) -> str:
    return f"policy: {{rules: [{RULE}]}}\n{text}\n"


def of_rule(text: str) -> str:
    return f"policy: {{rules: [{{{text}}}]}}\n"


REJECTED = [
    ("mode: ful", 'mode: "ful": is unknown here; write full'),
    ("mode: none", 'mode: "none": is unknown here; write observe or pressure or full'),
    ("mode: null", "mode: null: is unknown here; write observe or pressure or full"),
    ("log: {level: WARN}", 'log.level: "WARN": is unknown here; write warning'),
    ("log: {format: [json]}", "log.format: [...]: is unknown here; write json or console or auto"),
    ("runtime: {endpoint: 'tcp://h:1'}", 'runtime.endpoint: "tcp://h:1": is no unix socket'),
    ("runtime: {endpoint: null}", "runtime.endpoint: null: is empty; write text"),
    ("runtime: {image_endpoint: ''}", 'runtime.image_endpoint: "": is empty; write some text'),
    ("nightly: {windw: 4h}", "nightly.windw: (unknown key): write window"),
    ("polcy: {}", "polcy: (unknown key): write policy"),
    ("secret: {path: /secret}", "secret: (unknown key): remove it, or write one of mode, runtime, policy, "),
    ("1: x", "1: (unknown key): remove it, or write one of mode, "),
    ("? [a]\n: x", '"(tuple)": (unknown key): remove it'),
    ("nightly: []", "nightly: []: is a list; write keys with values"),
    ("nightly: 4h", 'nightly: "4h": is text; write keys with values'),
    ("pressure: {bytes: 75}", "pressure.bytes: 75: is a number; write keys with values"),
    ("startup_delay: 30", "startup_delay: 30: has no unit; write 30s, 30m, 30h or 30d"),
    ("startup_delay: 0", "startup_delay: 0: has no unit; write a duration such as 0s or 30d"),
    ("startup_delay: 40000", "startup_delay: 40000: has no unit; write a duration such as 0s or 30d"),
    ("startup_delay: 1.5", "startup_delay: 1.5: is a number with a point; write a duration such as 90s or 30d"),
    ("startup_delay: true", "startup_delay: true: is a boolean; write a duration such as 90s or 30d"),
    ("startup_delay: ", "startup_delay: null: is empty; write a duration such as 90s or 30d"),
    ("startup_delay: 1h30m", 'startup_delay: "1h30m": is no duration; write one whole number and one of s, m, h or d'),
    ("startup_delay: -5s", 'startup_delay: "-5s": is no duration; '),
    ("startup_delay: 2024-99-99", 'startup_delay: "2024-99-99": is no duration; '),
    ("startup_delay: 2024-01-31", 'startup_delay: "2024-01-31": is no duration; '),
    ("startup_delay: !!int x", 'startup_delay: "x": is no duration; '),
    ("startup_delay: 36501d", 'startup_delay: "36501d": is longer than a century; write 36500d or less'),
    ("startup_delay: !!binary aGk=", "startup_delay: (bytes): is of a type that no key has; write a duration"),
    ("pressure: {check_every: 0s}", 'pressure.check_every: "0s": is too short; write 1s or more'),
    ("pressure: {check_every: 121s}", 'pressure.check_every: "121s": is too long; write 2m or less'),
    ("nightly: {window: 0s, splay: 0s}", 'nightly.window: "0s": is too short; write 1s or more'),
    ("nightly: {evictions_per_night: 0}", "nightly.evictions_per_night: 0: is too small; write 1 or more"),
    ("nightly: {evictions_per_night: true}", "nightly.evictions_per_night: true: is a boolean; write a whole number"),
    ("nightly: {evictions_per_night: '9'}", 'nightly.evictions_per_night: "9": is text; write a whole number, 1 or'),
    ("registries: {check: 1}", "registries.check: 1: is a number; write true or false"),
    ("registries: {chek: true}", "registries.chek: (unknown key): write check"),
    (
        "registries: {ca_file: ca.pem}",
        'registries.ca_file: "ca.pem": is relative; write the whole path, such as /ca.pem',
    ),
    (
        "registries: {also: [r.io]}",
        "registries.also: [...]: is a list; write REGISTRY: [MIRROR, ...] for each registry",
    ),
    ("registries: {also: {r.io: m.io}}", 'registries.also."r.io": "m.io": is text; write a list, in brackets or'),
    ("registries: {also: {5: [m.io]}}", "registries.also[5]: [...]: is a number; write text, in quotes where YAML"),
    ("registries: {also: {golem: [m.io]}}", "registries.also.golem: [...]: is no registry; write host[:port], such as"),
    ("registries: {also: {r.io: [https://m.io]}}", 'registries.also."r.io"[0]: "https://m.io": is a URL; write its'),
    (
        "registries: {also: {r.io: ['https://u:secret@m.io']}}",
        'registries.also."r.io"[0]: "https://***@m.io": has a password or a token in it; write it without',
    ),
    ("registries: {plain_http: r.io}", 'registries.plain_http: "r.io": is text; write a list'),
    ("registries: {plain_http: [r.io/a]}", 'registries.plain_http[0]: "r.io/a": is more than a registry; write its'),
    ("registries: {plain_http: [u@r.io]}", 'registries.plain_http[0]: "***@r.io": is more than a registry; write its'),
    ("registries: {plain_http: ['*.r.io']}", 'registries.plain_http[0]: "*.r.io": is no registry; write host[:port],'),
    ("registries: {plain_http: [R.io]}", 'registries.plain_http[0]: "R.io": is not as references have it; write r.io'),
    (
        "registries: {plain_http: [index.docker.io]}",
        'registries.plain_http[0]: "index.docker.io": is not as references have it; write docker.io',
    ),
    (
        "registries: {plain_http: ['r.io:0']}",
        'registries.plain_http[0]: "r.io:0": has a port that does not exist; write',
    ),
    ("registries: {plain_http: ['r.io:65536']}", 'registries.plain_http[0]: "r.io:65536": has a port that does not ex'),
    ("pressure: {ignore_registries: maybe}", 'pressure.ignore_registries: "maybe": is text; write true or false'),
    ("limits: {failures_per_sweep: 0}", "limits.failures_per_sweep: 0: is too small; write 1 or more"),
    ("limits: {failures_per_sweep: 1.0}", "limits.failures_per_sweep: 1.0: is a number with a point; write a whole"),
    ("nightly: {schedule: '0 0 * *'}", 'nightly.schedule: "0 0 * *": has 4 fields; write five: minute, hour, '),
    ("nightly: {schedule: '0 0 0 * * *'}", 'nightly.schedule: "0 0 0 * * *": has 6 fields; write five'),
    ("nightly: {schedule: '61 0 * * *'}", 'nightly.schedule: "61 0 * * *": is no cron schedule (Bad minute); write'),
    ("nightly: {schedule: '0 0 30 2 *'}", 'nightly.schedule: "0 0 30 2 *": is no cron schedule (Bad day-of-month)'),
    ("nightly: {schedule: '0 0 */31 * 1#5'}", 'nightly.schedule: "0 0 */31 * 1#5": never comes; write a schedule'),
    ("nightly: {timezone: Europe/Pariss}", 'nightly.timezone: "Europe/Pariss": is no time zone; write Europe/Paris'),
    ("nightly: {timezone: qqqqqqqq}", 'nightly.timezone: "qqqqqqqq": is no time zone; write an IANA name such as'),
    ("nightly: {timezone: ../etc}", 'nightly.timezone: "../etc": is no time zone; write '),
    ("nightly: {timezone: Europe}", 'nightly.timezone: "Europe": is no time zone; write '),
    (
        "nightly: {splay: 4h}",
        'nightly.splay: "4h": is not below window, which is 4h by default; write',
    ),
    ("nightly: {window: 2h, splay: 2h}", 'nightly.splay: "2h": is not below window, which is 2h; write less'),
    ("nightly: {window: 2h, splay: 7201s}", 'nightly.splay: "7201s": is not below window, which is 2h; write less'),
    (
        "nightly: {window: 1h}",
        'nightly.window: "1h": is not above splay, which is 1h by default; write',
    ),
    (
        "nightly: {overdue: 4h}",
        'nightly.overdue: "4h": is not above window, which is 4h by default; write more, or a window ',
    ),
    (
        "nightly: {window: 2d}",
        'nightly.window: "2d": is not below overdue, which is 2d by default; write less',
    ),
    ("nightly: {window: 2h, overdue: 2h}", 'nightly.window: "2h": is not below overdue, which is 2h; write less'),
    ("nightly: {window: 2h, overdue: 7199s}", 'nightly.window: "2h": is not below overdue, which is 7199s; write less'),
    ("nightly: {overdue: 0s}", 'nightly.overdue: "0s": is too short; write 1s or more'),
    ("nightly: {overdue: 48}", "nightly.overdue: 48: has no unit; write 48s, 48m, 48h or 48d"),
    ("pressure: {bytes: {high: 70, low: 70}}", "pressure.bytes.low: 70: is not below high, which is 70; write less"),
    ("pressure: {bytes: {high: 70, low: 70.1}}", "pressure.bytes.low: 70.1: is not below high, which is 70; write"),
    ("pressure: {inodes: {low: 80}}", "pressure.inodes.low: 80: is not below high, which is 80 by default"),
    ("pressure: {inodes: {high: 75}}", "pressure.inodes.high: 75: is not above low, which is 75 by default"),
    ("pressure: {horizon: 3601s}", 'pressure.horizon: "3601s": is too long; write 1h or less'),
    ("pressure: {bytes: {high_available: 40}}", "pressure.bytes.high_available: 40: is no size; write a number with a"),
    ("pressure: {bytes: {high_available: 40GB}}", 'pressure.bytes.high_available: "40GB": is no size; write a number'),
    ("pressure: {bytes: {high_available: 0GiB}}", 'pressure.bytes.high_available: "0GiB": is no size that a disk has'),
    ("pressure: {bytes: {high_available: -1GiB}}", 'pressure.bytes.high_available: "-1GiB": is no size; '),
    (
        "pressure: {bytes: {low_available: 1GiB}}",
        'pressure.bytes.low_available: "1GiB": counts with high_available only',
    ),
    (
        "pressure: {bytes: {high_available: 1GiB, low_available: 1GiB}}",
        'pressure.bytes.high_available: "1GiB": is not below low_available, which is ',
    ),
    (
        "pressure: {bytes: {high_available: 1025MiB, low_available: 1GiB}}",
        'pressure.bytes.high_available: "1025MiB": is not below low_available, which is ',
    ),
    ("pressure: {bytes: {low: 0}}", "pressure.bytes.low: 0: is no share of a whole; write a number from 1 to 100"),
    ("pressure: {bytes: {low: 0.001}}", "pressure.bytes.low: 0.001: is no share of a whole; write a number from 1 to"),
    ("pressure: {bytes: {low: 0.009}}", "pressure.bytes.low: 0.009: is no share of a whole; write a number from 1 to"),
    ("pressure: {bytes: {low: 0.01}}", "pressure.bytes.low: 0.01: is less than one percent; write 1"),
    ("pressure: {bytes: {high: 0.8}}", "pressure.bytes.high: 0.8: is less than one percent; write 80"),
    ("pressure: {bytes: {high: 0.29}}", "pressure.bytes.high: 0.29: is less than one percent; write 29"),
    ("pressure: {bytes: {high: 0.999}}", "pressure.bytes.high: 0.999: is less than one percent; write 99.9"),
    (
        "pressure: {bytes: {high: 1.0}}",
        "pressure.bytes.high: 1.0: could mean 1 % or 100 %; write 1 or 100",
    ),
    ("pressure: {inodes: {low: 0.75}}", "pressure.inodes.low: 0.75: is less than one percent; write 75"),
    ("pressure: {inodes: {high: 0.8}}", "pressure.inodes.high: 0.8: is less than one percent; write 80"),
    ("pressure: {bytes: {high: -0.8}}", "pressure.bytes.high: -0.8: is no share of a whole; write a number from 1 to"),
    ("pressure: {bytes: {high: 1}}", "pressure.bytes.high: 1: is not above low, which is 65 by default"),
    ("pressure: {bytes: {high: 100.1}}", "pressure.bytes.high: 100.1: is no share of a whole; "),
    ("pressure: {bytes: {high: .nan}}", "pressure.bytes.high: NaN: is no share of a whole; "),
    ("pressure: {bytes: {high: .inf}}", "pressure.bytes.high: Infinity: is no share of a whole; "),
    ("pressure: {bytes: {high: true}}", "pressure.bytes.high: true: is a boolean; write a number of percent"),
    ("pressure: {bytes: {high: 75%}}", 'pressure.bytes.high: "75%": is text; write a number of percent without a sign'),
    (f"pressure: {{bytes: {{high: 0x{'f' * 5000}}}}}", "pressure.bytes.high: (huge number): is no share of a whole"),
    ("filesystem: {path: var/lib}", 'filesystem.path: "var/lib": is relative; write the whole path, such as /var/lib'),
    ("kubelet: {config: config.yaml}", 'kubelet.config: "config.yaml": is relative; write the whole path'),
    ("kubelet: {config_dir: 7}", "kubelet.config_dir: 7: is a number; write text, in quotes"),
    ("filesystem: {path: ''}", 'filesystem.path: "": is empty; write some text'),
    ('filesystem: {path: "/a\\0b"}', 'filesystem.path: "/a\\u0000b": has blanks around it or control characters'),
    ("state: {path: ledger.db}", 'state.path: "ledger.db": is relative; write the whole path, such as /'),
    ("state: {path: null}", "state.path: null: is empty; write text"),
    ("state: {path: ''}", 'state.path: "": is empty; write some text'),
    ("state: {sample_every: 0s}", 'state.sample_every: "0s": is too short; write 1s or more'),
    ("state: {sample_every: 61s}", 'state.sample_every: "61s": is too long; write 1m or less'),
    ("state: {sample_every: 1}", "state.sample_every: 1: has no unit; write 1s, 1m, 1h or 1d"),
    ("state: {keep: 604799s}", 'state.keep: "604799s": is too short; write 7d or more'),
    ("state: {keep: 6d}", 'state.keep: "6d": is too short; write 7d or more'),
    ("state: {kep: 90d}", "state.kep: (unknown key): write keep"),
    ("state: /var/lib/cleaner", 'state: "/var/lib/cleaner": is text; write keys with values'),
    ("web: {listen: 10099}", 'web.listen: 10099: is no address to listen on; write ":10099" for all addresses, or '),
    ("web: {listen: ''}", 'web.listen: "": is no address to listen on; '),
    ("web: {listen: ':'}", 'web.listen: ":": is no address to listen on; '),
    ("web: {listen: '*:10099'}", 'web.listen: "*:10099": is no address to listen on; write ":10099" for all'),
    ("web: {listen: '[]:10099'}", 'web.listen: "[]:10099": is no address to listen on; '),
    ("web: {listen: ':65536'}", 'web.listen: ":65536": has a port that does not exist; write one'),
    ("web: {listen: '::1:10099'}", 'web.listen: "::1:10099": is no address to listen on; '),
    ("web: {listen: '[127.0.0.1]:1'}", 'web.listen: "[127.0.0.1]:1": is no address to listen on; '),
    ("web: {listen: '999.0.0.1:1'}", 'web.listen: "999.0.0.1:1": is no address to listen on; '),
    ("web: {listen: 'localhost:65536'}", 'web.listen: "localhost:65536": has a port that does not exist; write one'),
]

NO_SHARE = 'is no share; write a number with its sign, such as "5%"'
REJECTED_REGRETS = [
    ("limit: 5", f"policy.regret.limit: 5: {NO_SHARE}"),
    ("limit: 0.05", f"policy.regret.limit: 0.05: {NO_SHARE}"),
    ("limit: '5'", f'policy.regret.limit: "5": {NO_SHARE}'),
    ("limit: '5 %'", f'policy.regret.limit: "5 %": {NO_SHARE}'),
    ("limit: '-1%'", f'policy.regret.limit: "-1%": {NO_SHARE}'),
    ("limit: .5%", f'policy.regret.limit: ".5%": {NO_SHARE}'),
    ("limit: 1.2345%", f'policy.regret.limit: "1.2345%": {NO_SHARE}'),
    ("limit: \u0665%", f'policy.regret.limit: "\u0665%": {NO_SHARE}'),
    ("limit: null", f"policy.regret.limit: null: {NO_SHARE}"),
    ("limit: true", f"policy.regret.limit: true: {NO_SHARE}"),
    ("limit: 100.001%", 'policy.regret.limit: "100.001%": is more than the whole; write 100% or less'),
    ("limit: 999%", 'policy.regret.limit: "999%": is more than the whole; write 100% or less'),
    ("hold: 72", "policy.regret.hold: 72: has no unit; write 72s, 72m, 72h or 72d"),
    ("hold: never", 'policy.regret.hold: "never": is no duration; '),
    ("share: 5%", "policy.regret.share: (unknown key): "),
]

REJECTED_RULES = [
    ('match: ["ghcr.io/**"], max_age: 1d', "policy.rules[0].name: (absent): is required; write name: company"),
    ("name: a, max_age: 1d", "policy.rules[0].match: (absent): is required; write match: ["),
    ('name: a, match: ["ghcr.io/**"]', "policy.rules[0].max_age: (absent): is required; write max_age: 30d"),
    ("name: a, match: [], max_age: 1d", "policy.rules[0].match: []: matches nothing; write at least one pattern"),
    ("name: a, match: , max_age: 1d", "policy.rules[0].match: null: matches nothing; write at least one pattern"),
    ("name: a, match: 'ghcr.io/**', max_age: 1d", 'policy.rules[0].match: "ghcr.io/**": is text; write a list'),
    ("name: a, match: [7], max_age: 1d", "policy.rules[0].match[0]: 7: is a number; write a pattern in quotes"),
    (
        'name: a, match: ["ghcr.io/**", golem-ai/app], max_age: 1d',
        'policy.rules[0].match[1]: "golem-ai/app": names no registry; write docker.io/golem-ai/app',
    ),
    ("name: '', match: ['**'], max_age: 1d", 'policy.rules[0].name: "": is empty; write some text'),
    ("name: 2024, match: ['**'], max_age: 1d", "policy.rules[0].name: 2024: is a number; write text, in quotes"),
    ("name: ' a', match: ['**'], max_age: 1d", 'policy.rules[0].name: " a": has blanks around it'),
    ('name: "a\\nb", match: ["**"], max_age: 1d', 'policy.rules[0].name: "a\\nb": has blanks around it or control'),
    ("name: a, match: ['**'], max_age: 30", "policy.rules[0].max_age: 30: has no unit; write 30s, 30m, 30h or 30d"),
    (
        "name: a, match: ['**'], max_age: 1d, age_from: used",
        'policy.rules[0].age_from: "used": is unknown here; write ',
    ),
    ("name: a, match: ['**'], max_age: 1d, keep_newest: -1", "policy.rules[0].keep_newest: -1: is too small; write 0"),
    ("name: a, match: ['**'], max_age: 1d, keep_newest: no", 'policy.rules[0].keep_newest: "no": is text; write a'),
    ("name: a, match: ['**'], max_age: 1d, local: 1", "policy.rules[0].local: 1: is a number; write true or false"),
    ("name: a, match: ['**'], maxAge: 1d, max_age: 1d", "policy.rules[0].maxAge: (unknown key): write max_age"),
]

ACCEPTED = [
    "startup_delay: 36500d",
    "pressure: {check_every: 1s}",
    "pressure: {check_every: 2m}",
    "pressure: {horizon: 0s}",
    "pressure: {horizon: 1h}",
    "pressure: {bytes: {high_available: 1023MiB, low_available: 1GiB}}",
    "pressure: {bytes: {high_available: 1.5Gi}}",
    "pressure: {bytes: {high_available: null, low_available: null}}",
    "nightly: {window: 1s, splay: 0s}",
    "nightly: {window: 2h, splay: 7199s}",
    "nightly: {evictions_per_night: 1}",
    "nightly: {schedule: '*/5 1-4 L * mon'}",
    "limits: {failures_per_sweep: 1}",
    "nightly: {overdue: 14401s}",
    "nightly: {window: 172799s}",
    "nightly: {window: 2h, overdue: 7201s}",
    "state: {path: /x, sample_every: 1s, keep: 7d}",
    "state: {sample_every: 60s, keep: 604800s}",
    "pressure: {bytes: {high: 70, low: 69.9}}",
    "pressure: {bytes: {high: 100, low: 99.999}}",
    "pressure: {bytes: {low: 1}}",
    "pressure: {bytes: {low: 1.001}}",
    "runtime: {image_endpoint: null}",
    "registries: {plain_http: ['r.io:1', '[::1]:65535', localhost], also: {docker.io: []}, ca_file: null}",
    "runtime: {endpoint: unix:///run/crio/crio.sock}",
    "runtime: {endpoint: /run/crio/crio.sock}",
    "filesystem: {path: null}",
    "kubelet: {config: null}",
    "kubelet: {config: null, config_dir: /var/lib/rancher/rke2/agent/etc/kubelet.conf.d}",
    "kubelet: {config_dir: /var/lib/rancher/k3s/agent/etc/kubelet.conf.d}",
    "kubelet: {config: /etc/kubernetes/kubelet/config.json, config_dir: /etc/kubernetes/kubelet/config.json.d}",
    "web: {listen: 'localhost:65535'}",
    "web: {listen: '[::1]:0'}",
]


@pytest.mark.parametrize(("text", "line"), REJECTED)
def test_a_rejected_value_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    """One wrong value is one line that begins with its path, the value and what is wrong."""
    (problem,) = problems_in(tmp_path, with_rule(text))
    assert problem.startswith(line)


@pytest.mark.parametrize(("text", "line"), REJECTED_RULES)
def test_a_rejected_rule_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    """One mistake in a rule is one line that begins with its path, the value and what is wrong."""
    (problem,) = problems_in(tmp_path, of_rule(text))
    assert problem.startswith(line)


@pytest.mark.parametrize(("text", "line"), REJECTED_REGRETS)
def test_a_rejected_regret_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    """A share is written with its sign, and is none of more than the whole."""
    (problem,) = problems_in(tmp_path, f"policy: {{regret: {{{text}}}, rules: [{RULE}]}}\n")
    assert problem.startswith(line)


@pytest.mark.parametrize("limit", ["0%", "0.001%", "5%", "05%", "99.999%", "100%", "100.000%"])
def test_the_last_accepted_shares(tmp_path: Path, limit: str) -> None:
    """From nothing to the whole, with three digits after the point."""
    assert problems_in(tmp_path, f"policy: {{regret: {{limit: {limit}, hold: 0s}}, rules: [{RULE}]}}\n") == ()


@pytest.mark.parametrize(
    ("duty_cycle", "line"),
    [
        ("20", f"20: {NO_SHARE}"),
        ("0%", '"0%": is nothing; write more than 0%, such as "20%"'),
        ("0.000%", '"0.000%": is nothing; write more than 0%, such as "20%"'),
        ("100.001%", '"100.001%": is more than the whole; write 100% or less'),
    ],
)
def test_a_rejected_duty_cycle_is_one_line(tmp_path: Path, duty_cycle: str, line: str) -> None:
    """A sweep that never worked would never end."""
    assert problems_in(tmp_path, with_rule(f"nightly: {{duty_cycle: {duty_cycle}}}")) == (
        f"nightly.duty_cycle: {line}",
    )


@pytest.mark.parametrize("duty_cycle", ["0.001%", "20%", "100%"])
def test_the_last_accepted_duty_cycles(tmp_path: Path, duty_cycle: str) -> None:
    """From next to nothing to the whole."""
    assert problems_in(tmp_path, with_rule(f"nightly: {{duty_cycle: {duty_cycle}}}")) == ()


@pytest.mark.parametrize("text", ACCEPTED)
def test_the_last_accepted_value(tmp_path: Path, text: str) -> None:
    """Values next to a rejected one are accepted."""
    assert problems_in(tmp_path, with_rule(text)) == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("policy: 3", "policy: 3: is a number; write keys with values"),
        ("policy: {rules: all}", 'policy.rules: "all": is text; write a list, in brackets or as lines'),
        ("policy: {rules: {}}", "policy.rules: {}: is a mapping; write a list"),
        ("policy: {rules: [x]}", 'policy.rules[0]: "x": is text; write keys with values'),
        ("policy: {rules: [null]}", "policy.rules[0]: null: is empty; write keys with values"),
        (f"policy: {{protect: nginx, rules: [{RULE}]}}", 'policy.protect: "nginx": is text; write a list'),
        (f"policy: {{protect: [nginx], rules: [{RULE}]}}", 'policy.protect[0]: "nginx": names no registry; write '),
        (f"policy: {{rules: [{RULE}, {RULE}]}}", 'policy.rules[1].name: "a": is the name of policy.rules[0] too'),
    ],
)
def test_a_rejected_policy_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    """What is no policy, no list or no rule is reported once, and not as missing rules."""
    (problem,) = problems_in(tmp_path, text)
    assert problem.startswith(line)


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """One run tells every problem, cross-field ones beside wrong fields of the same section."""
    text = """
log: {level: loud}
nightly:
  schedule: never
  splay: 5h
  window: 4h
  window: 6h
pressure:
  check_every: 0s
  bytes: {high: 60, low: 61, midle: 1}
policy:
  rules:
    - {name: a, match: [nginx, "ghcr.io"], max_age: 30}
    - {name: a, match: ["**"]}
webb: {}
limits: {failures_per_sweep: true}
"""
    assert [line.rpartition(": ")[0] for line in problems_in(tmp_path, text)] == [
        'log.level: "loud"',
        'nightly.schedule: "never": has 1 field; write five',
        'nightly.splay: "5h"',
        "nightly.window: (duplicate key)",
        'pressure.check_every: "0s"',
        "pressure.bytes.low: 61",
        "pressure.bytes.midle: (unknown key)",
        'policy.rules[0].match[0]: "nginx"',
        'policy.rules[0].match[1]: "ghcr.io"',
        "policy.rules[0].max_age: 30",
        "policy.rules[1].max_age: (absent): is required; write max_age",
        'policy.rules[1].name: "a"',
        "webb: (unknown key)",
        "limits.failures_per_sweep: true",
    ]


def test_missing_rules_come_with_the_other_problems(tmp_path: Path) -> None:
    """A file without rules that is wrong elsewhere gets both lines."""
    assert [line.split(":")[0] for line in problems_in(tmp_path, "mode: x\nlimits: 3")] == [
        "mode",
        "policy.rules",
        "limits",
    ]


def test_a_variable_comes_after_the_file(tmp_path: Path) -> None:
    """A bad variable is reported together with what is wrong in the file."""
    path = tmp_path / "cleaner.yaml"
    path.write_text("mode: x")
    with pytest.raises(ConfigError) as raised:
        load_config(path, {"CONTAINER_RUNTIME_ENDPOINT": "http://x"}, rules_required=False)
    assert [line.split(":")[0] for line in raised.value.problems] == ["mode", "CONTAINER_RUNTIME_ENDPOINT"]


def test_each_duplicate_key_has_its_lines(tmp_path: Path) -> None:
    """Keys that are written twice are reported with both lines, in sections and in rules, all of them."""
    rule = 'policy:\n  rules:\n  - name: a\n    match: ["**"]\n    max_age: 1d\n    name: b\n'
    assert problems_in(tmp_path, f"{rule}mode: full\nmode: full\n'mode': full\n") == (
        "policy.rules[0].name: (duplicate key): is in line 3 and again in line 6; write it once",
        "mode: (duplicate key): is in line 7 and again in line 8; write it once",
        "mode: (duplicate key): is in line 7 and again in line 9; write it once",
    )


def test_a_repeated_anchor_is_a_problem(tmp_path: Path) -> None:
    """An anchor that is written twice is reported with both lines and without its name; YAML's warning is not shown."""
    text = "nightly: {window: &hunter2 2h,\n  overdue: &hunter2 3d}\nlimits: &b\n  failures_per_sweep: &hunter2 3\n"
    assert problems_in(tmp_path, with_rule(text)) == tuple(
        f"{key}: (repeated anchor): is in line 2 and again in line {line}; write another name for one of them"
        for key, line in (("nightly.overdue", 3), ("limits.failures_per_sweep", 5))
    )


def test_yaml_prints_no_warning(tmp_path: Path) -> None:
    """YAML 1.1, in which ruamel.yaml warns of numbers, is read without a word; a warning would be an error here."""
    (line,) = problems_in(tmp_path, f"%YAML 1.1\n---\n{with_rule('startup_delay: 1e5')}")
    assert line.startswith("startup_delay: 100000.0: is a number with a point")


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    """What YAML can share is shared, and a key beside a merge wins without being a duplicate."""
    text = f"policy:\n  rules:\n  - &one {RULE}\n  - {{<<: *one, name: b, max_age: 7}}\n"
    (problem,) = problems_in(tmp_path, text)
    assert problem.startswith("policy.rules[1].max_age: 7: has no unit")


def test_long_values_are_cut(tmp_path: Path) -> None:
    """A value uses at most 80 characters of its line, and a proposal that repeats it at most 240."""
    (problem,) = problems_in(tmp_path, of_rule(f"name: a, match: [{'a/' * 5000}a], max_age: 1d"))
    _, shown, rule = problem.split(": ")
    assert (len(shown), len(rule)) == (80, 240)


def test_the_content_of_lists_and_mappings_is_not_shown(tmp_path: Path) -> None:
    """A secret in a section that is not known here does not get into a log."""
    lines = problems_in(
        tmp_path, with_rule("alertmanagr: {token: hunter2}\nmode: [hunter2]\nweb: {listen: {a: hunter2}}")
    )
    assert len(lines) == 3
    assert "hunter2" not in "".join(lines)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("mode: a: b", "line 1, column 8: mapping values are not allowed here; correct the YAML there"),
        ("a: 1\n\tb: 2", "line 2, column 1: "),
        ("a: 'x\nb: 2\n", "line 3, column 1 (of what begins in line 1): while scanning a quoted scalar, found "),
        ("a: 1\n---\nb: 2", "line 2, column 1 (of what begins in line 1): expected a single document in the stream, "),
        ("a: *b", "line 1, column 4: found undefined alias 'b'; correct"),
        ("mode: !secret x", "line 1, column 7: could not determine a constructor for the tag (not shown); correct"),
        ("a: !'b'c x", "line 1, column 4: could not determine a constructor for the tag (not shown); correct the YAML"),
        (
            "a: [b\nc: d",
            "line 2, column 2 (of what begins in line 1): while parsing a flow sequence, expected ',' or ']', ",
        ),
        ("%YAML 1.3\n---\na: 1", "asks for a version of YAML that is not known; remove the line with %YAML"),
        ("{a: 1}: 2", "line 1, column 1: while constructing a mapping, found unhashable key; correct"),
        ("a: 1\nb: \0", "line 2, column 4: is a character that YAML does not allow; remove it"),
        ("[" * 500, "is nested too deep; write it as docs/configuration.md shows"),
        ("", "is empty; write at least policy.rules, as docs/configuration.md shows"),
        ("# only a comment\n", "is empty; write at least policy.rules"),
        ("---\n", "is empty; write at least policy.rules"),
        ("- a\n", "is no mapping; write keys with values"),
        ("just text", "is no mapping; write keys with values"),
        ("&a [*a]", "is no mapping; write keys with values"),
        (b"mode: \xff", "byte 6 is no UTF-8; save the file as UTF-8"),
        ("mode: full".encode("utf-16"), "byte 0 is no UTF-8; save the file as UTF-8"),
        (b"#" * (LARGEST_CONFIG_BYTES + 1), "is larger than 1 MiB; name the configuration file with --config"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str | bytes, line: str) -> None:
    """What cannot be read as one mapping is one line with the file, the place and what to do."""
    (problem,) = problems_in(tmp_path, text)
    assert problem.startswith(f"{tmp_path / 'cleaner.yaml'}: {line}")


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    """A file that a Windows editor saved is read."""
    assert problems_in(tmp_path, f"\ufeff{with_rule('')}") == ()


def test_the_largest_file_is_read(tmp_path: Path) -> None:
    """A file of just 1 MiB is read."""
    rule = with_rule("").encode()
    assert problems_in(tmp_path, rule + b"#" * (LARGEST_CONFIG_BYTES - len(rule))) == ()


def test_a_missing_file(tmp_path: Path) -> None:
    """A missing file is rejected, unless it may be absent: then it means the defaults."""
    path = tmp_path / "cleaner.yaml"
    for rules_required in (True, False):
        with pytest.raises(ConfigFileError) as raised:
            load_config(path, {}, rules_required=rules_required)
        rule = "does not exist; create it with at least policy.rules, or name another file with --config"
        assert raised.value.problems == (f"{path}: {rule}",)
    assert load_config(path, {}, rules_required=False, may_be_absent=True) == default_config({})


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    """A link is there, wherever it leads: it is rejected also where the file may be absent."""
    path = tmp_path / "cleaner.yaml"
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigFileError) as raised:
        load_config(path, {}, rules_required=False, may_be_absent=True)
    assert raised.value.problems[0].startswith(f"{path}: is a link to a file that does not exist; create it")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a" * 256, "cannot be read (File name too long); name another file with --config"),
        ("a/" * 2100, "cannot be read (File name too long); name another file with --config"),
        ("a\0b", "/a\\x00b: is no path; name another file with --config"),
        ("a\nb", "/a\\nb: does not exist; create it with at least policy.rules"),
        ("\ud800", "is no path; name another file with --config"),
        ("https://user:hunter2@host/a.yaml", "***@host/a.yaml: does not exist; create it"),
    ],
)
def test_a_path_that_is_none_is_one_line(tmp_path: Path, name: str, line: str) -> None:
    """Whatever stands in place of a path, the answer is one line that is not too long."""
    for path in (tmp_path / name, Path(name)):
        with pytest.raises(ConfigFileError) as raised:
            load_config(path, {}, rules_required=False, may_be_absent=False)
        (problem,) = raised.value.problems
        assert line.removeprefix("/") in problem
        assert problem.isprintable()
        assert len(problem) < 400
        assert "hunter2" not in problem


def test_a_directory(tmp_path: Path) -> None:
    """A directory is rejected, rules required or not."""
    with pytest.raises(ConfigError) as raised:
        load_config(tmp_path, {}, rules_required=False)
    assert raised.value.problems == (f"{tmp_path}: is a directory; name a file in it with --config",)


def test_a_path_through_a_file(tmp_path: Path) -> None:
    """What the system says about any other path is reported."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as raised:
        load_config(tmp_path / "file" / "cleaner.yaml", {}, rules_required=False)
    assert str(raised.value).endswith(": cannot be read (Not a directory); name another file with --config")


def test_an_unreadable_file(tmp_path: Path) -> None:
    """A file that this user may not read is rejected, rules required or not; root becomes `nobody` for a moment."""
    path = tmp_path / "cleaner.yaml"
    path.touch(mode=0)
    user = os.geteuid()
    try:
        os.seteuid(user or 65534)
        with pytest.raises(ConfigError) as raised:
            load_config(path, {}, rules_required=False)
    finally:
        os.seteuid(user)
    assert raised.value.problems == (f"{path}: may not be read by this user; change its owner or its mode",)


def test_aliases_of_aliases_do_not_grow(tmp_path: Path) -> None:
    """A small file whose aliases would unfold to a billion values is rejected at once."""
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
    lines = problems_in(tmp_path, with_rule(f"l0: &l0 [x]\n{levels}"))
    assert len(lines) == 12


@given(st.integers(0, int(LONGEST.total_seconds())))
def test_durations_round_trip(seconds: int) -> None:
    """A duration that is written out is read as the same one."""
    duration = parse_duration(f"{seconds}s")
    assert duration.total_seconds() == seconds
    assert parse_duration(duration_text(duration)) == duration


@pytest.mark.parametrize("text", ["0s", "90s", "15m", "4h", "24h", "2d", "30d", "36500d", "25h", "1m", "1h"])
def test_durations_are_written_as_people_write_them(text: str) -> None:
    """The largest unit without a remainder is used, but for a single day."""
    assert duration_text(parse_duration(text)) == text


@given(st.integers(0, 100_000))
def test_shares_round_trip(thousandths: int) -> None:
    """A share that is shown is read as the same one, to the last of its digits."""
    read = share(f"{thousandths / 1000:.3f}%")
    assert read == pytest.approx(thousandths / 100_000)
    config = default_config({})
    shown = effective(evolve(config, policy=replace(config.policy, regret=RegretLimit(read))))["policy"]
    assert isinstance(shown, dict)
    assert share(shown["regret"]["limit"]) == read


@given(st.text(max_size=12))
def test_other_durations_are_rejected(text: str) -> None:
    """Text is a duration only as one plain number and one unit."""
    plain = text[:-1].isascii() and text[:-1].isdigit() and text[-1:] in {"s", "m", "h", "d"}
    try:
        parse_duration(text)
    except ValueError as error:
        assert not plain or "century" in str(error)  # noqa: PT017
    else:
        assert plain


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["1h", "**"])
KEYS = st.sampled_from(
    [
        "mode",
        "policy",
        "rules",
        "name",
        "match",
        "max_age",
        "protect",
        "nightly",
        "window",
        "splay",
        "schedule",
        "timezone",
        "pressure",
        "bytes",
        "high",
        "low",
        "web",
        "listen",
        "log",
        "level",
        "limits",
        "runtime",
        "endpoint",
        "filesystem",
        "state",
        "keep",
        "regret",
        "limit",
        "duty_cycle",
        "path",
        "alertmanager",
        "url",
        "basic",
        "tls",
        "labels",
        "<<",
    ]
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=5),
    max_leaves=25,
)


@given(tree=st.dictionaries(KEYS, TREES, max_size=6))
def test_any_tree_is_loaded_or_reported_in_lines(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]
) -> None:
    """Whatever a file contains, it loads or each problem is one printable line."""
    lines = problems_in(tmp_path_factory.getbasetemp(), json.dumps(tree))
    assert all(line.isprintable() and len(line) < 700 for line in lines)


@given(text=st.text(alphabet="abm01:{}[]-,#&*!|>'\"%@`? \n\t._~<=\\\u2028\x00", max_size=40))
def test_any_text_is_loaded_or_reported_in_lines(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever a file says, it loads or each problem is one printable line."""
    lines = problems_in(tmp_path_factory.getbasetemp(), text)
    assert all(line.isprintable() and len(line) < 700 for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        'registries: {plain_http: ["bob:hunter2"]}\n',
        'registries: {also: {r.io: ["bob:hunter2/x"]}}\n',
        'web: {listen: "bob:hunter2"}\n',
        "state: {path: /var/lib/bob:hunter2@x/ledger.db}\n",
        "filesystem: {path: /x/bob:hunter2@y}\n",
    ],
)
def test_what_may_be_a_password_is_not_repeated(tmp_path: Path, text: str) -> None:
    """Text where a port belongs, and a login within a path."""
    path = tmp_path / "cleaner.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_config(path, {}, rules_required=False)
    assert "hunter2" not in str(raised.value)


def test_a_port_is_repeated(tmp_path: Path) -> None:
    """It is no secret, and what is wrong is easier to see with it."""
    path = tmp_path / "cleaner.yaml"
    path.write_text('web: {listen: "localhost:99999"}\n')
    with pytest.raises(ConfigError, match='"localhost:99999"'):
        load_config(path, {}, rules_required=False)
