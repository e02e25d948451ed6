"""Killed with no warning in the middle of sweeps, 200 times: nothing that was evicted is forgotten, or made up.

Where in a sweep a kill comes is drawn by lot. A sweep that was over before it is no kill, and is not counted.
"""

import json
import random
import signal
import sqlite3
import subprocess
import time
from datetime import timedelta
from pathlib import Path

from cleaner.core.ports import Node
from cleaner.ledger.ledger import SqliteLedger
from cleaner.node.clock import NeverStop, SystemTimer
from cleaner.sweep.inspection import inspect_images
from lab import ImageSpec, Lab, Layer
from support.lab_node import CLEANER, disk_of, environment_of, runtime_of

COMPANY = "registry.gitlab.com"
KILLS = 200
IMAGES = 120
MOST_SWEEPS = 20 * KILLS
"""However slow or fast this machine is: some of them are killed where a test has to see it."""
LONGEST_SECONDS = 0.25
RULES = [{"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}]


def test_kills(tmp_path: Path) -> None:
    """After each kill an inspection settles what was under way: a missing image was evicted, one that is there was not.

    The ledger opens each time, and has the clocks of the sweep that was killed.
    """
    drawn = random.Random(4)  # noqa: S311 - when to kill, the same in every run
    with Lab(version="1.7") as lab, runtime_of(lab) as runtime:
        by_id = pull_old(lab)
        path, config = tmp_path / "ledger.db", tmp_path / "cleaner.yaml"
        config.write_text(
            json.dumps({"policy": {"rules": RULES}, "state": {"path": str(path)}, "log": {"level": "debug"}})
        )
        evicted, kills, settled, left_alone, longest = set[str](), 0, 0, 0, LONGEST_SECONDS
        ledger = SqliteLedger(path, keep=timedelta(days=90), grace=timedelta(hours=24), timer=SystemTimer())
        node = Node(runtime, disk_of(lab), SystemTimer(), NeverStop(), ledger)
        inspect_images(node)
        for _ in range(MOST_SWEEPS):
            if kills >= KILLS and settled and left_alone:
                break
            began = time.time()
            if kill_a_sweep(lab, config, drawn.uniform(0, longest)):
                kills += 1
            else:
                longest /= 2
            pending, sampled_at = inspect(path)
            # The sweep wrote its clocks before it evicted anything, however long ago that is by now.
            assert sampled_at >= began
            present = {image.id for image in inspect_images(node).images}
            gone = by_id.keys() - present
            said = {
                past.image_id for past in ledger.history() if past.outcome == "evicted" and past.regretted_at is None
            }
            assert ledger.error is None
            assert said == gone, (said ^ gone, pending)
            settled += len(pending & gone)
            left_alone += len(pending - gone)
            evicted |= gone
            if len(present) < IMAGES // 3:
                lab.pull_all(by_id[image_id] for image_id in gone)
                inspect_images(node)
        count = sum(past.outcome == "evicted" for past in ledger.history())
        ledger.close()
    print(f"\n{kills} kills: {count} evictions of {len(evicted)} images, {settled} settled by the next inspection,")
    print(f"{left_alone} that had not begun")
    assert kills >= KILLS
    assert (settled > 0, left_alone > 0) == (True, True)


def pull_old(lab: Lab) -> dict[str, str]:
    """Images that are past their max_age: id to reference."""
    specs = [
        ImageSpec("golem-ai/app", f"v{number}", (Layer(10_000, number),), "2020-01-01T00:00:00Z")
        for number in range(IMAGES)
    ]
    references = [image.reference(COMPANY) for image in lab.push(*specs)]
    return dict(zip(lab.pull_all(references), references, strict=True))


def kill_a_sweep(lab: Lab, config: Path, after_seconds: float) -> bool:
    """Kill it this long after it began to evict, wherever that is; whether it was not over by then."""
    command: list[str | Path] = [CLEANER, "sweep", "-o", "json", "--grace", "0s", "--config", config]
    sweep = subprocess.Popen(
        command, env=environment_of(lab.endpoint), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with sweep:
        assert sweep.stderr is not None
        assert any("sweep_started" in line for line in sweep.stderr)
        time.sleep(after_seconds)
        sweep.kill()
    assert sweep.returncode in {-signal.SIGKILL, 0}
    return sweep.returncode == -signal.SIGKILL


def inspect(path: Path) -> tuple[set[str], float]:
    """As the killed process left it: images whose eviction was under way, and when clocks were stored; it is whole."""
    with sqlite3.connect(path) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        pending = {row[0] for row in ledger.execute("SELECT image_id FROM eviction WHERE outcome = 'pending'")}
        ((sampled_at,),) = ledger.execute("SELECT value FROM meta WHERE key = 'sampled_at'").fetchall()
    ledger.close()
    return pending, sampled_at / 1_000_000
