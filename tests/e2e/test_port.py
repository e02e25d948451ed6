"""The default port, on nodes with IPv4, IPv6 or both; the runtime is not there yet."""

import subprocess
import sys
from pathlib import Path

import pytest

from lab.waiting import DEADLINE_SECONDS
from support import own_network
from support.lab_node import config_text, environment_of

RULES = {"rules": [{"name": "company", "match": ["registry.gitlab.com/golem-ai/**"], "max_age": "30d"}]}


@pytest.mark.parametrize(
    ("settings", "answering"),
    [
        ([], "127.0.0.1 ::1"),
        (["net.ipv6.bindv6only=1"], "127.0.0.1 ::1"),
        (["net.ipv6.conf.all.disable_ipv6=1"], "127.0.0.1"),
    ],
    ids=["both", "bindv6only", "disable_ipv6"],
)
def test_default_port_is_served_on_both_families(tmp_path: Path, settings: list[str], answering: str) -> None:
    """Whatever the node's defaults are, probes are answered at each of its addresses, before the runtime is there."""
    config = tmp_path / "cleaner.yaml"
    config.write_text(config_text(policy=RULES, state={"path": str(tmp_path / "ledger.db")}), encoding="utf-8")
    command = ["unshare", "--net", sys.executable, own_network.__file__, str(config), *settings]
    environment = environment_of(f"unix://{tmp_path}/none.sock")
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )
    assert ended.stdout == f"{answering}\n", ended.stderr
