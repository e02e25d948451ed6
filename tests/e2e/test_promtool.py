"""The metrics as Prometheus's own tool sees them."""

import subprocess
from pathlib import Path

import pytest

from lab.fetch import package

GOLDEN = Path(__file__).parents[1] / "unit" / "outlets" / "golden" / "metrics.txt"


@pytest.fixture(scope="module")
def promtool() -> Path:
    """Debian 12's promtool, unpacked into the lab's cache."""
    return package("bookworm", "prometheus") / "usr" / "bin" / "promtool"


def test_promtool_has_nothing_to_say_of_the_scrape(promtool: Path) -> None:
    """`promtool check metrics` accepts the golden scrape without a remark."""
    checked = subprocess.run(
        [promtool, "check", "metrics", "--extended"], input=GOLDEN.read_bytes(), capture_output=True, check=False
    )
    print(checked.stdout.decode())
    assert (checked.returncode, checked.stderr.decode()) == (0, "")
