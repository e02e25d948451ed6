"""Real Alertmanagers, the oldest and the newest of Debian: they receive, group and resolve what the daemon tells."""

import json
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab import Lab
from lab.toolbox import ALERTMANAGERS
from support.certificates import make_authority
from support.daemon_process import DaemonProcess, wait_for
from support.lab_node import config_text, run_cleaner_at
from support.real_alertmanager import RealAlertmanager, time_of

RULES = {"rules": [{"name": "company", "match": ["registry.gitlab.com/golem-ai/**"], "max_age": "30d"}]}
RECLAIM, RUNTIME = "ImageCleanerNodeCannotReclaim", "ImageCleanerNodeRuntimeUnreachable"
LASTS_SECONDS = 5
"""Four repeats and a timeout, of a second each."""
ROUNDED = timedelta(milliseconds=1)
"""Alertmanager tells its times in whole milliseconds."""
PASSWORD = "correct horse"  # noqa: S105 (of this test)
PASSWORD_HASH = "$2b$04$7KdrphI/LACLMKxI/m7sPeCwNozODkyQKLCEpJuBOK.dXSZtFlC0W"  # noqa: S105 (the same)


@pytest.fixture(scope="module")
def lab(require_lab: None) -> Iterator[Lab]:
    """A node without a candidate."""
    with Lab(version="1.7", size_mib=200) as lab:
        yield lab


@pytest.fixture(params=ALERTMANAGERS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def daemon_for(lab: Lab, folder: Path, alertmanager: dict[str, object]) -> DaemonProcess:
    """A daemon that can evict nothing, and tells it in seconds."""
    used = lab.usage().used_percent
    quick = {"repeat_every": "1s", "timeout": "1s", "runtime_down_for": "1s", "labels": {"cluster": "lab"}}
    return DaemonProcess(
        folder,
        lab.endpoint,
        {"NODE_NAME": "node-1"},
        mode="pressure",
        policy=RULES,
        pressure={"check_every": "1s", "bytes": {"high": used + 20, "low": used + 10}},
        alertmanager=quick | alertmanager,
    )


def test_the_whole_chain(version: str, lab: Lab, tmp_path: Path) -> None:
    """A full disk and a stopped runtime are reported, grouped and resolved, whatever happens to Alertmanager."""
    used = lab.usage().used_percent
    with (
        RealAlertmanager(tmp_path, version, ["cluster"]) as told,
        daemon_for(lab, tmp_path, {"url": told.url}) as daemon,
    ):
        daemon.wait_for_checks(2)
        assert wait_for(told.query, "amtool has an answer") == []
        lab.fill(used + 25)
        assert_sent_and_grouped(told, lab)
        again_seconds = seconds_until_again(told, daemon)
        assert_resolved(told, lab)
        lab.fill(used + 25)
        (alert,) = told.wait_for_alerts(RECLAIM)
        # Both times are of the same post, which Alertmanager has only got after the agent wrote it.
        assert time_of(alert, "endsAt") - time_of(alert, "updatedAt") <= timedelta(seconds=LASTS_SECONDS) + ROUNDED
        daemon.send_signal(signal.SIGKILL)
        daemon.wait_for_exit()
        began = time.monotonic()
        told.wait_for_alerts()
        ended_seconds = time.monotonic() - began
        print(f"\nAlertmanager {version}: {len(told.notifications)} notifications; again after {again_seconds:.1f} s")
        print(f"its start; a killed agent's alert ended after {ended_seconds:.1f} s (meant: at most {LASTS_SECONDS} s)")
    lab.drop_ballast()


def assert_sent_and_grouped(told: RealAlertmanager, lab: Lab) -> None:
    """The full disk with its labels and words, and then the runtime that is stopped, in one group."""
    (alert,) = told.wait_for_alerts(RECLAIM)
    assert alert["labels"] == {"alertname": RECLAIM, "severity": "warning", "node": "node-1", "cluster": "lab"}
    assert "% of bytes" in alert["annotations"]["description"]
    lab.stop()
    told.wait_for_alerts(RECLAIM, RUNTIME)
    group = told.wait_for_notification("firing", RECLAIM, RUNTIME)
    assert (group["groupLabels"], len(group["alerts"])) == ({"cluster": "lab"}, 2)


def seconds_until_again(told: RealAlertmanager, daemon: DaemonProcess) -> float:
    """Alertmanager hangs, is killed, and starts again without alerts; gives the seconds until it has both again."""
    daemon.wait_for(lambda: is_heard(daemon), "Alertmanager accepts what it is sent")
    known = len(daemon.events("alertmanager_down"))
    told.send_signal(signal.SIGSTOP)
    down = daemon.wait_for_event("alertmanager_down", known + 1)
    assert down["error"] == "does not answer within 1 s"
    daemon.wait_for_checks(1)
    told.kill()
    sent = len(told.notifications)
    told.start()
    began = time.monotonic()
    told.wait_for_alerts(RECLAIM, RUNTIME)
    seconds = time.monotonic() - began
    told.wait_for_notification("firing", RECLAIM, RUNTIME, after=sent)
    daemon.wait_for(lambda: is_heard(daemon), "Alertmanager accepts what it is sent again")
    return seconds


def is_heard(daemon: DaemonProcess) -> bool:
    """Whether the last that the agent's log says of Alertmanager is not that it is down."""
    events = [line["event"] for line in daemon.lines() if line["event"] in {"alertmanager_down", "alertmanager_up"}]
    return events[-1:] != ["alertmanager_down"]


def assert_resolved(told: RealAlertmanager, lab: Lab) -> None:
    """The runtime starts, and then there is space."""
    lab.start()
    told.wait_for_alerts(RECLAIM)
    told.wait_until_last_told(**{RECLAIM: "firing", RUNTIME: "resolved"})
    lab.drop_ballast()
    told.wait_for_alerts()
    told.wait_until_last_told(**{RECLAIM: "resolved", RUNTIME: "resolved"})


def test_tls_and_a_password(version: str, lab: Lab, tmp_path: Path) -> None:
    """Over TLS with certificates on both sides and a password, an agent that ends leaves its alert to its successor."""
    authority = make_authority(tmp_path / "tls")
    certificate, key = authority.sign("server")
    client, client_key = authority.sign("client")
    (tmp_path / "password").write_text("wrong\n", encoding="utf-8")
    asked = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": str(authority.file)}
    web = {"tls_server_config": {"cert_file": str(certificate), "key_file": str(key)} | asked}
    section: dict[str, object] = {
        "tls": {"ca_file": str(authority.file), "cert_file": str(client), "key_file": str(client_key)},
        "basic": {"username": "cleaner", "password_file": str(tmp_path / "password")},
        # What is sent lasts for a minute longer: a machine that stops for seconds ends no alert.
        "timeout": "1m",
    }
    users = {"basic_auth_users": {"cleaner": PASSWORD_HASH}}
    amtool = {"tls_config": section["tls"], "basic_auth": {"username": "cleaner", "password": PASSWORD}}
    with RealAlertmanager(tmp_path, version, ["alertname"], web | users, amtool) as told:
        with daemon_for(lab, tmp_path, section | {"url": told.url}) as daemon:
            lab.stop()
            down = daemon.wait_for_event("alertmanager_down")
            (tmp_path / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
            daemon.wait_for_event("alertmanager_up")
            told.wait_for_notification("firing", RUNTIME)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait_for_exit() == 0
            exited_at = datetime.now(UTC)
            assert PASSWORD not in daemon.log_text()
        # Resolved by the agent, the alert would have ended before the agent did.
        assert min(wait_for(lambda: told.ends_of(RUNTIME) or None, "Alertmanager says when it ends")) > exited_at
        assert "HTTP 401; check alertmanager.basic" in down["error"]
        lab.start()
        config = tmp_path / "check.yaml"
        config.write_text(config_text(policy=RULES, alertmanager=section | {"url": told.url}), encoding="utf-8")
        checked = run_cleaner_at(["check", "-o", "json"], lab.endpoint, config)
        assert checked.returncode == 0
        (finding,) = [found for found in json.loads(checked.stdout)["findings"] if found["subject"] == "alertmanager"]
        print(f"\n{finding['detail']}; before: {down['error']}")
        assert finding["detail"].startswith(f"{told.url}: Alertmanager {version}.")
