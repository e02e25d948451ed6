"""Killed with no warning in the middle of sweeps, 200 times: nothing that was evicted is forgotten, or made up."""

import json
import random
import signal
import sqlite3
import subprocess
import time
from datetime import timedelta
from pathlib import Path

from cleaner.node.clock import NeverStop, SystemTimer
from cleaner.node.ledger import Ledger
from cleaner.sweep import Node, look
from lab import ImageSpec, Lab, Layer
from support.lab_node import CLEANER, disk_of, environment_of, runtime_of

COMPANY = "registry.gitlab.com"
KILLS = 200
IMAGES = 120
LONGEST_SECONDS = 0.25
RULES = [{"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}]


def test_kills(tmp_path: Path) -> None:
    """After each kill a look at the node settles what was under way: gone means evicted, and what is there is not.

    The ledger opens each time, and its clocks are at most a minute old.
    """
    drawn = random.Random(4)  # noqa: S311 - when to kill, the same in every run
    with Lab(version="1.7") as lab, runtime_of(lab) as runtime:
        by_id = pull_old(lab)
        path, config = tmp_path / "ledger.db", tmp_path / "cleaner.yaml"
        config.write_text(
            json.dumps({"policy": {"rules": RULES}, "state": {"path": str(path)}, "log": {"level": "debug"}})
        )
        evicted, settled, left_alone, ages = set[str](), 0, 0, list[float]()
        ledger = Ledger(path, keep=timedelta(days=90), grace=timedelta(hours=24), timer=SystemTimer())
        node = Node(runtime, disk_of(lab), SystemTimer(), NeverStop(), ledger)
        look(node)
        for _ in range(KILLS):
            kill_a_sweep(lab, config, drawn.uniform(0, LONGEST_SECONDS))
            pending, age = inspect(path)
            ages.append(age)
            present = {image.id for image in look(node).images}
            gone = by_id.keys() - present
            said = {
                past.image_id for past in ledger.history() if past.outcome == "evicted" and past.returned_at is None
            }
            assert ledger.refusal is None
            assert said == gone, (said ^ gone, pending)
            settled += len(pending & gone)
            left_alone += len(pending - gone)
            evicted |= gone
            if len(present) < IMAGES // 3:
                lab.pull_all(by_id[image_id] for image_id in gone)
                look(node)
        count = sum(past.outcome == "evicted" for past in ledger.history())
        ledger.close()
    print(f"\n{KILLS} kills: {count} evictions of {len(evicted)} images, {settled} settled as gone by the next look,")
    print(f"{left_alone} that had not begun; the ledger's clocks at most {max(ages):.1f} s old")
    assert (settled > 0, left_alone > 0) == (True, True)
    assert max(ages) < 60


def pull_old(lab: Lab) -> dict[str, str]:
    """Images that are past their max_age: id to reference."""
    specs = [
        ImageSpec("golem-ai/app", f"v{number}", (Layer(10_000, number),), "2020-01-01T00:00:00Z")
        for number in range(IMAGES)
    ]
    references = [image.reference(COMPANY) for image in lab.push(*specs)]
    return dict(zip(lab.pull_all(references), references, strict=True))


def kill_a_sweep(lab: Lab, config: Path, after_seconds: float) -> None:
    """Kill it so long after it began to evict, wherever that is."""
    command: list[str | Path] = [CLEANER, "sweep", "-o", "json", "--grace", "0s", "--config", config]
    sweep = subprocess.Popen(
        command, env=environment_of(lab.endpoint), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with sweep:
        assert sweep.stderr is not None
        assert any("sweep_started" in line for line in sweep.stderr)
        time.sleep(after_seconds)
        sweep.kill()
    assert sweep.returncode == -signal.SIGKILL, "it was over before it was killed"


def inspect(path: Path) -> tuple[set[str], float]:
    """As the dead left it: images whose eviction was under way, and the age of its clocks; it must be whole."""
    with sqlite3.connect(path) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        pending = {row[0] for row in ledger.execute("SELECT image_id FROM eviction WHERE outcome = 'pending'")}
        ((sampled_at,),) = ledger.execute("SELECT value FROM meta WHERE key = 'sampled_at'").fetchall()
    ledger.close()
    return pending, time.time() - sampled_at / 1_000_000
