"""What a configuration file means: defaults, every key, the environment, the hash and the documented tables."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from attrs import fields
from ruamel.yaml import YAML

from cleaner.config.alerting import AlertmanagerKeys, BasicKeys, TlsKeys
from cleaner.config.keys import LogFormat, LogLevel, StateKeys
from cleaner.config.settings import Config, RuntimeEndpoints, default_config, effective, load_config, missing_in
from cleaner.config.values import Listen
from cleaner.core.errors import ConfigError
from cleaner.core.model import Clock, Mode, Policy, Rule
from cleaner.core.nightly import Nightly
from cleaner.core.pressure.watermarks import AvailableWatermarks, WatermarkPair, Watermarks
from cleaner.core.references import parse_pattern
from cleaner.core.regret import RegretLimit

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "configuration.md"

ONE_RULE = 'policy: {rules: [{name: a, match: ["ghcr.io/**"], max_age: 30d}]}\n'

EVERYTHING = """
mode: observe
runtime: {endpoint: unix:///run/crio/crio.sock, image_endpoint: unix:///run/images.sock}
policy:
  grace: 2h
  protect: ["ghcr.io/team/base:*"]
  regret: {limit: 12.5%, hold: 90m}
  rules:
    - {name: ci, match: ["ghcr.io/team/**:ci-*", "<none>"], max_age: 3d, age_from: pulled, keep_newest: 2, local: true}
    - {name: idle, match: ["ghcr.io/idle/**"], max_age: 7d, age_from: last_used}
    - {name: rest, match: ["ghcr.io/**"], max_age: 0s}
nightly:
  schedule: "30 2 * * 1-5"
  timezone: Europe/Paris
  window: 2h
  splay: 90s
  overdue: 36h
  evictions_per_night: 1
  duty_cycle: 12.5%
pressure:
  {check_every: 1s, bytes: {high: 90.5, low: 80}, inodes: {high: 100, low: 1.5}, grace: 0s, ignore_registries: false}
registries: {check: true, plain_http: ["localhost:5000"], also: {ghcr.io: ["localhost:5000"]}, ca_file: /etc/ca.pem}
limits: {failures_per_sweep: 1}
filesystem: {path: /var/lib/containerd}
state: {path: /srv/cleaner/memory.db, sample_every: 1s, keep: 7d}
web: {listen: "[::]:0"}
startup_delay: 0s
log: {level: debug, format: json}
alertmanager:
  url: [http://alertmanager-0.example.com:9093, "https://[::1]/prefix/"]
  labels: {cluster: eu-1}
  basic: {username: cleaner, password_file: /etc/alertmanager/password}
  tls: {ca_file: /tls/ca.pem, cert_file: /tls/tls.crt, key_file: /tls/tls.key}
  timeout: 1s
  repeat_every: 10m
  runtime_down_for: 0s
"""
ALERTS = 'alertmanager: {url: "http://alertmanager:9093"}\n'
"""The least that a section `alertmanager` says."""


def load(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    path = tmp_path / "cleaner.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, environ or {}, rules_required=True)


def flat(settings: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(settings, dict) and settings:
        for key, value in settings.items():
            yield from flat(value, f"{path}.{key}".removeprefix("."))
    else:
        yield path, settings


def documented() -> dict[str, str]:
    """Key and default of every row in the tables of keys."""
    rows = re.findall(
        r"^\| `([a-z_.\[\]]+)` \| [^|]+ \| ([^|]+) \| [^|]+ \|$", DOCUMENTATION.read_text("utf-8"), re.MULTILINE
    )
    return dict(rows)


def test_one_rule_is_enough(tmp_path: Path) -> None:
    """A file with one rule has the defaults for all other keys."""
    config = load(tmp_path, ONE_RULE)
    assert config.policy.rules == (Rule("a", (parse_pattern("ghcr.io/**"),), timedelta(days=30)),)
    without_rules = effective(config) | {"policy": effective(default_config({}))["policy"]}
    assert without_rules == effective(default_config({}))


def test_the_defaults() -> None:
    """Without a file nothing may be evicted, and the rest is the article's policy."""
    config = default_config({})
    assert config.mode is Mode.FULL
    assert not config.registries.check
    assert config.policy == Policy(
        (), (), RegretLimit(0.05, timedelta(hours=72)), timedelta(hours=24), timedelta(minutes=5)
    )
    assert config.nightly == Nightly(
        "0 0 * * *", ZoneInfo("UTC"), timedelta(hours=4), timedelta(hours=1), timedelta(hours=48), 200, 0.2
    )
    assert config.state == StateKeys("/var/lib/cleaner/ledger.db", timedelta(minutes=1), timedelta(days=90))
    assert config.watermarks == Watermarks(WatermarkPair(75, 65), WatermarkPair(80, 75))
    assert (config.web.host, config.web.port) == ("", 10099)


@pytest.mark.parametrize(
    ("written", "watermark", "shown"),
    [
        ("high_available: 10GiB", AvailableWatermarks(10 * 1024**3, 14 * 1024**3), ("10GiB", "14GiB")),
        (
            "high_available: 1Gi, low_available: 1.5Gi",
            AvailableWatermarks(1024**3, 3 * 512 * 1024**2),
            ("1GiB", "1536MiB"),
        ),
        ("high_available: 1KiB", AvailableWatermarks(1024, 1434), ("1KiB", "1434B")),
        ("high: 80", None, (None, None)),
    ],
)
def test_watermarks_in_bytes(
    tmp_path: Path, written: str, watermark: AvailableWatermarks | None, shown: tuple[object, ...]
) -> None:
    """They stand beside the percents, the low one 1.4 times the high one where it is not written; and are shown."""
    config = load(tmp_path, f"{ONE_RULE}pressure: {{bytes: {{{written}}}}}")
    assert config.watermarks.available == watermark
    settings = dict(flat(effective(config)))
    assert tuple(settings[f"pressure.bytes.{name}_available"] for name in ("high", "low")) == shown


@pytest.mark.parametrize(
    ("written", "horizon", "shown"),
    [("", timedelta(minutes=10), "10m"), ("pressure: {horizon: 0s}", timedelta(0), "0s")],
)
def test_the_horizon(tmp_path: Path, written: str, horizon: timedelta, shown: str) -> None:
    """Ten minutes where nothing is written; 0 where nothing is to begin early."""
    config = load(tmp_path, ONE_RULE + written)
    assert config.horizon == horizon
    assert dict(flat(effective(config)))["pressure.horizon"] == shown


def test_every_key_is_read(tmp_path: Path) -> None:
    """Each key of the file arrives where it belongs."""
    config = load(tmp_path, EVERYTHING)
    assert config.mode is Mode.OBSERVE
    assert config.runtime == RuntimeEndpoints("unix:///run/crio/crio.sock", "unix:///run/images.sock")
    ci, idle, rest = config.policy.rules
    match = (parse_pattern("ghcr.io/team/**:ci-*"), parse_pattern("<none>"))
    assert ci == Rule("ci", match, timedelta(days=3), Clock.PULLED, keep_newest=2, local=True)
    assert idle == Rule("idle", (parse_pattern("ghcr.io/idle/**"),), timedelta(days=7), Clock.LAST_USED)
    assert (rest.name, rest.max_age, rest.age_from, rest.keep_newest, rest.local) == (
        "rest", timedelta(0), Clock.CREATED, 0, False,
    )  # fmt: skip
    assert config.policy.protect == (parse_pattern("ghcr.io/team/base:*"),)
    assert (config.policy.grace, config.policy.pressure_grace) == (timedelta(hours=2), timedelta(0))
    assert config.policy.regret == RegretLimit(0.125, timedelta(minutes=90))
    assert config.nightly == Nightly(
        "30 2 * * 1-5",
        ZoneInfo("Europe/Paris"),
        timedelta(hours=2),
        timedelta(seconds=90),
        timedelta(hours=36),
        1,
        0.125,
    )
    assert config.state == StateKeys("/srv/cleaner/memory.db", timedelta(seconds=1), timedelta(days=7))
    assert config.watermarks == Watermarks(WatermarkPair(90.5, 80), WatermarkPair(100, 1.5))
    assert (config.check_every, config.failures_per_sweep) == (timedelta(seconds=1), 1)
    assert not config.policy.pressure_ignores_registries
    assert config.registries.check
    assert config.registries.plain_http == ("localhost:5000",)
    assert config.registries.also == {"ghcr.io": ("localhost:5000",)}
    assert config.registries.ca_file == "/etc/ca.pem"
    assert (config.filesystem_path, config.web) == ("/var/lib/containerd", Listen("::", 0))
    assert config.startup_delay == timedelta(0)
    assert (config.log.level, config.log.format) == (LogLevel.DEBUG, LogFormat.JSON)
    assert config.alertmanager == AlertmanagerKeys(
        ("http://alertmanager-0.example.com:9093", "https://[::1]/prefix/"),
        {"cluster": "eu-1"},
        BasicKeys("cleaner", "/etc/alertmanager/password"),
        None,
        TlsKeys("/tls/ca.pem", "/tls/tls.crt", "/tls/tls.key"),
        timedelta(seconds=1),
        timedelta(minutes=10),
        timedelta(0),
    )


def test_an_alertmanager_by_its_address_alone(tmp_path: Path) -> None:
    """One address is enough, and may stand without a list; without the section no alert is sent."""
    assert load(tmp_path, ONE_RULE).alertmanager is None
    config = load(tmp_path, ONE_RULE + ALERTS)
    assert config.alertmanager == AlertmanagerKeys(("http://alertmanager:9093",))
    assert load(tmp_path, json.dumps(effective(config))) == config
    token = load(
        tmp_path, ONE_RULE + "alertmanager: {url: http://a, bearer_token_file: /t, labels: , tls: , basic: }\n"
    )
    assert token.alertmanager == AlertmanagerKeys(("http://a",), bearer_token_file="/t")  # noqa: S106 (a path)


def test_effective_settings_load_again(tmp_path: Path) -> None:
    """The effective settings are plain JSON that means the same when it is read as a file."""
    config = load(tmp_path, EVERYTHING)
    assert load(tmp_path, json.dumps(effective(config))) == config


@pytest.mark.parametrize(
    "section",
    ["nightly", "pressure", "log", "runtime", "limits", "filesystem", "state", "web", "alertmanager", "registries"],
)
def test_an_empty_section_is_an_absent_one(tmp_path: Path, section: str) -> None:
    """A section with nothing in it has its defaults."""
    assert load(tmp_path, f"{ONE_RULE}{section}:\n") == load(tmp_path, ONE_RULE)


def test_empty_lists_and_watermarks_are_absent_ones(tmp_path: Path) -> None:
    """A list, a pair of watermarks or the regret with nothing in it has its default, each its own."""
    text = ONE_RULE.replace("{rules", "{protect: , regret: , rules")
    text += "pressure: {bytes: , inodes: }\nregistries: {also: , plain_http: }\n"
    assert load(tmp_path, text) == load(tmp_path, ONE_RULE)


def test_hash_is_of_the_meaning(tmp_path: Path) -> None:
    """Comments, key order, written-out defaults and other words for the same duration keep the hash."""
    other = (
        f"# a comment\nlog: {{format: auto, level: info}}\nstartup_delay: 30s\nnightly: {{window: 240m}}\n{ONE_RULE}"
    )
    assert load(tmp_path, other).hash == load(tmp_path, ONE_RULE).hash
    assert re.fullmatch(r"[0-9a-f]{12}", load(tmp_path, ONE_RULE).hash)


@pytest.mark.parametrize(
    "line",
    [
        "mode: pressure",
        "nightly: {window: 3h}",
        "log: {level: debug}",
        "state: {keep: 91d}",
        "registries: {check: true}",
    ],
)
def test_hash_changes_with_a_setting(tmp_path: Path, line: str) -> None:
    """Another setting is another hash."""
    assert load(tmp_path, f"{ONE_RULE}{line}\n").hash != load(tmp_path, ONE_RULE).hash


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    """The two variables replace the endpoints of the file, and show in the effective settings."""
    environ = {"CONTAINER_RUNTIME_ENDPOINT": "unix:///a.sock", "IMAGE_SERVICE_ENDPOINT": "unix:///b.sock"}
    config = load(tmp_path, EVERYTHING, environ)
    assert config.runtime == RuntimeEndpoints("unix:///a.sock", "unix:///b.sock")
    assert effective(config)["runtime"] == {"endpoint": "unix:///a.sock", "image_endpoint": "unix:///b.sock"}


def test_an_empty_variable_is_unset(tmp_path: Path) -> None:
    """An empty variable leaves what the file says."""
    environ = {"CONTAINER_RUNTIME_ENDPOINT": "", "IMAGE_SERVICE_ENDPOINT": ""}
    assert load(tmp_path, EVERYTHING, environ) == load(tmp_path, EVERYTHING)


def test_a_bad_variable_is_named() -> None:
    """A variable that is no endpoint is rejected under its own name."""
    with pytest.raises(ConfigError) as raised:
        default_config({"IMAGE_SERVICE_ENDPOINT": "tcp://10.0.0.1:1"})
    (line,) = raised.value.problems
    assert line.startswith('IMAGE_SERVICE_ENDPOINT: "tcp://10.0.0.1:1": is no unix socket; write ')


@pytest.mark.parametrize("rules", ["", "mode: full", "policy:", "policy: {rules: }", "policy: {rules: []}"])
def test_rules_are_required_where_something_is_evicted(tmp_path: Path, rules: str) -> None:
    """A file without rules is rejected with an example, unless the caller can do without."""
    path = tmp_path / "cleaner.yaml"
    path.write_text(f"limits:\n{rules}\n")
    with pytest.raises(ConfigError) as raised:
        load_config(path, {}, rules_required=True)
    (line,) = raised.value.problems
    assert line.startswith("policy.rules: (absent): no rule says which images may be evicted; write rules: [{name: ")
    config = load_config(path, {}, rules_required=False)
    assert config == default_config({})
    assert missing_in(config) == (line,)


def test_nothing_is_missing_with_a_rule(tmp_path: Path) -> None:
    """A file with a rule lacks nothing."""
    assert missing_in(load(tmp_path, ONE_RULE)) == ()


def test_the_example_of_the_error_works(tmp_path: Path) -> None:
    """The rule that the error about missing rules proposes can be pasted."""
    (line,) = missing_in(default_config({}))
    assert load(tmp_path, f"policy: {{{line.partition('write ')[2]}}}\n").policy.rules[0].name == "company"


def test_documented_keys_are_the_keys() -> None:
    """The tables name every key of the file, of a rule and of an Alertmanager, and no other."""
    of_rules = {f"policy.rules[].{name}" for name in Rule.__slots__}
    of_alerts = {
        f"alertmanager.{prefix}{field.name}"
        for prefix, section in (("", AlertmanagerKeys), ("basic.", BasicKeys), ("tls.", TlsKeys))
        for field in fields(section)
    } - {"alertmanager.tls"}
    paths = {path for path, _ in flat(effective(default_config({})))}
    assert set(documented()) == paths | of_rules | of_alerts


def test_documented_defaults_are_the_defaults() -> None:
    """The default in each row is the one of the code."""
    yaml = YAML(typ="safe", pure=True)
    written = {key: default for key, default in documented().items() if not re.search(r"\[]|alertmanager\.", key)}
    assert {key: yaml.load(default.strip("`")) for key, default in written.items()} == dict(
        flat(effective(default_config({})))
    )


def test_documented_defaults_of_a_rule(tmp_path: Path) -> None:
    """A rule needs the keys that the table calls required and has its defaults for the others."""
    yaml = YAML(typ="safe", pure=True)
    written = {key.partition("[].")[2]: default for key, default in documented().items() if "[]." in key}
    required = {key for key, default in written.items() if default == "required"}
    assert required == {"name", "match", "max_age"}
    policy = effective(load(tmp_path, ONE_RULE))["policy"]
    assert isinstance(policy, dict)
    for key in set(written) - required:
        assert policy["rules"][0][key] == yaml.load(written[key].strip("`"))


def test_documented_defaults_of_an_alertmanager(tmp_path: Path) -> None:
    """It needs an address, a user needs a name and a file; each other key has the default of its row."""
    yaml = YAML(typ="safe", pure=True)
    written = {key: default for key, default in documented().items() if key.startswith("alertmanager.")}
    required = {key for key, default in written.items() if default == "required"}
    assert required == {"alertmanager.url", "alertmanager.basic.username", "alertmanager.basic.password_file"}
    settings = dict(flat(effective(load(tmp_path, ONE_RULE + ALERTS)))) | {"alertmanager.labels": {}}
    for key in set(written) - required:
        assert settings[key] == yaml.load(written[key].strip("`"))


def test_documented_examples_load(tmp_path: Path) -> None:
    """Every YAML example in the documentation is a valid file."""
    examples = re.findall(r"```yaml\n(.*?)```", DOCUMENTATION.read_text("utf-8"), re.DOTALL)
    assert [len(load(tmp_path, example).policy.rules) for example in examples] == [1, 2, 1, 1, 1]
