"""`plan` and `sweep --dry-run` list the same evictions, whatever the node, its disk and the configuration are."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.cli.commands import plan as plan_command
from cleaner.cli.commands import sweep as sweep_command
from cleaner.cli.main import main
from cleaner.core.kubelet import KubeletConfig, KubeletSettings
from cleaner.core.ports import Node
from cleaner.core.pressure import Pull
from support.nodes import MB, World, make_world

CASES = 300
TRIGGERS = ("pressure", "pressure", "pressure", "nightly", "manual")


@dataclass(frozen=True)
class Kubelet:
    """A kubelet with the settings of one case."""

    settings: KubeletSettings

    def read(self) -> KubeletConfig:
        return KubeletConfig("/kubelet.yaml", self.settings)


def random_node(dice: random.Random, world: World) -> Node:
    """Images of all ages and sizes, some shared or in use, beside non-image data, pulls and a kubelet."""
    for number in range(dice.randint(1, 12)):
        layers = {f"own{number}": dice.randint(1, 60), f"shared{dice.randint(1, 3)}": dice.randint(1, 30)}
        days = dice.choice([0.001, 0.01, 0.5, 20, 40, 60, 90])
        world.pull_layers(f"app{number}", layers, days)
        if dice.random() < 0.15:
            world.simulated.start_container(f"registry.example.com/app{number}:v1")
    world.simulated.write_file("logs", dice.randint(0, world.simulated.read_usage().available_bytes * 19 // 20))
    sizes = [dice.randint(1, 300) * MB for _ in range(dice.choice([0, 0, 1, 2]))]
    world.runtime.pulls = [tuple(Pull(f"sha256:{size}", size, size) for size in sizes)] * 100
    world.runtime.blind = dice.random() < 0.2
    settings = KubeletSettings(
        gc_high_percent=dice.choice([70, 85, 100]), minimum_age=timedelta(minutes=dice.choice([1, 2, 60]))
    )
    return replace(world.node, kubelet=Kubelet(settings) if dice.random() < 0.7 else None)


def random_config(dice: random.Random, state: Path) -> str:
    high = dice.randint(20, 90)
    return json.dumps(
        {
            "state": {"path": str(state)},
            "policy": {
                "grace": dice.choice(["0s", "1h", "24h"]),
                "rules": [
                    {"name": "all", "match": ["registry.example.com/**"], "max_age": dice.choice(["0s", "30d", "70d"])}
                ],
            },
            "pressure": {
                "grace": dice.choice(["0s", "5m"]),
                "bytes": {"high": high, "low": dice.randint(5, high - 1)},
            },
            "nightly": {"evictions_per_night": dice.choice([1, 3, 200])},
        }
    )


@contextmanager
def commands_on(node: Node, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the commands find this node in place of a runtime's socket."""

    @contextmanager
    def no_runtime(*_: object) -> Iterator[None]:
        yield

    with patch.context() as context:
        for command in (plan_command, sweep_command):
            context.setattr(command, "runtime_of", no_runtime)
            context.setattr(command, "node_of", lambda *_: node)
        yield


@pytest.mark.usefixtures("own_signals")
def test_plan_lists_what_a_sweep_would_evict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same images in the same order, over random nodes, usages, pulls, thresholds and triggers.

    In at least half of the cases something is evicted, and in some of each trigger something is not reached.
    """
    evicting, reached = 0, set()
    for seed in range(CASES):
        dice = random.Random(seed)  # noqa: S311 - a choice, not a secret
        folder = tmp_path / str(seed)
        folder.mkdir()
        node = random_node(dice, make_world(folder))
        config = tmp_path / f"{seed}.yaml"
        config.write_text(random_config(dice, tmp_path / "state" / "ledger.db"))
        trigger = dice.choice(TRIGGERS)

        def run(*words: str, node: Node = node, config: Path = config, trigger: str = trigger) -> dict[str, object]:
            with commands_on(node, monkeypatch):
                assert main([*words, "--trigger", trigger, "-o", "json", "--config", str(config)], {}) == 0
            document: dict[str, object] = json.loads(capsys.readouterr().out)
            return document

        planned, swept = run("plan"), run("sweep", "--dry-run")
        images = planned["images"]
        assert isinstance(images, list)
        evictions = [image["id"] for image in images if image["verdict"] == "evict"]
        listed = swept["evictions"]
        assert isinstance(listed, list)
        assert evictions == [eviction["id"] for eviction in listed], f"seed {seed}"
        evicting += bool(evictions)
        reached |= {trigger} if any(image["reason"] == "not_reached" for image in images) else set()
    assert evicting >= CASES / 2
    assert reached == {"pressure", "nightly"}


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize(("evicted", "left"), [(0, 3), (1, 2), (3, 0), (4, 0), (None, 3)])
def test_a_nightly_plan_counts_what_the_night_has_evicted(
    evicted: int | None, left: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three evictions a night, `plan` and `sweep` list what is left; the other candidates are not reached."""
    world = make_world(tmp_path)
    for number in range(5):
        world.pull_old(f"app{number}")
    world.ledger.evicted = evicted
    config = tmp_path / "cleaner.yaml"
    rules = [{"name": "all", "match": ["registry.example.com/**"], "max_age": "30d"}]
    config.write_text(json.dumps({"policy": {"rules": rules}, "nightly": {"evictions_per_night": 3}}))
    with commands_on(world.node, monkeypatch):
        assert main(["plan", "-o", "json", "--config", str(config)], {}) == 0
        images = json.loads(capsys.readouterr().out)["images"]
        assert main(["sweep", "--trigger", "nightly", "--dry-run", "-o", "json", "--config", str(config)], {}) == 0
        swept = json.loads(capsys.readouterr().out)
    assert [image["verdict"] for image in images] == ["evict"] * left + ["keep"] * (5 - left)
    assert [image["reason"] for image in images[left:]] == ["not_reached"] * (5 - left)
    assert len(swept["evictions"]) == left
    assert swept["stop_reason"] == "limit"
    with commands_on(world.node, monkeypatch):
        words = ["sweep", "--trigger", "nightly", "--dry-run", "-o", "json", "--limit", "2", "--config", str(config)]
        assert main(words, {}) == 0
    assert len(json.loads(capsys.readouterr().out)["evictions"]) == min(left, 2)
