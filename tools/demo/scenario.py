"""What is on the demo's node: one of each kind of image, on a disk past its high watermark.

The lists show which images may be evicted, and why the others stay.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from lab import ImageSpec, Lab, Layer

MIB = 1 << 20
SIZE_MIB = 660
LAYER_BYTES = 16 * MIB
"""Of random content, one in each image: on disk once packed and once unpacked."""
GITLAB = "registry.gitlab.com"
SCALEWAY = "rg.fr-par.scw.cloud"
GRACE_SECONDS = 8
"""`pressure.grace`: what was pulled since is `recent`."""

RELEASES = {f"v{number}": 95 - 10 * number for number in range(1, 10)}
"""Tag of golem-ai/inbox, and days since it was built."""

CONFIG = """\
mode: pressure
policy:
  protect: ["registry.gitlab.com/golem-ai/base/**"]
  rules:
    - {{name: gitlab, match: ["registry.gitlab.com/golem-ai/**"], max_age: 30d, keep_newest: 1}}
    - {{name: scaleway, match: ["rg.fr-par.scw.cloud/**"], max_age: 30d}}
pressure: {{check_every: 1s, bytes: {{high: 75, low: 65}}, grace: {grace}s}}
startup_delay: 2s
web: {{listen: "127.0.0.1:{port}"}}
state: {{path: "{ledger}"}}
log: {{format: json}}
"""


def write_config(path: Path, port: int) -> Path:
    """The daemon's configuration."""
    path.write_text(CONFIG.format(grace=GRACE_SECONDS, port=port, ledger=path.with_name("ledger.db")))
    return path


def pull_settled(lab: Lab) -> None:
    """Images that have been there for longer than the grace, one of them in use."""
    inbox = [_image("golem-ai/inbox", tag, days, seed) for seed, (tag, days) in enumerate(RELEASES.items(), 1)]
    fallback = _image("golem-ai/inbox-fallback", "v1", 50, 20)
    foreign = _image("prometheus/node-exporter", "v1.9", 200, 21)
    protected = _image("golem-ai/base/python", "3.12", 120, 22)
    lab.push(*inbox, fallback, foreign, protected)
    lab.pull_all([f"{GITLAB}/golem-ai/inbox:{tag}" for tag in RELEASES])
    lab.pull(f"{SCALEWAY}/golem-ai/inbox-fallback:v1")
    lab.pull("quay.io/prometheus/node-exporter:v1.9")
    lab.pull(f"{GITLAB}/golem-ai/base/python:3.12")
    lab.load(_image("golem-ai/debug", "local", 90, 23), f"{GITLAB}/golem-ai/debug:local")
    lab.start_pod(f"{GITLAB}/golem-ai/inbox:v2")


def pull_recent(lab: Lab) -> None:
    """An old release that somebody rolls back to just now."""
    lab.push(_image("golem-ai/inbox", "rollback", 60, 30))
    lab.pull(f"{GITLAB}/golem-ai/inbox:rollback")


def _image(repository: str, tag: str, days: int, seed: int) -> ImageSpec:
    created = datetime.now(UTC) - timedelta(days=days)
    return ImageSpec(repository, tag, (Layer(LAYER_BYTES, seed),), created=created.strftime("%Y-%m-%dT%H:%M:%SZ"))
