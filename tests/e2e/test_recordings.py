"""The recordings that the faulty runtime is compared with are what real containerds do."""

from lab import Lab
from support.lab_bench import lab_bench
from support.recording import read, record


def test_containerd_does_what_was_recorded(lab: Lab) -> None:
    """Each containerd, put through the scenario again, does what its recording says."""
    with lab_bench(lab) as bench:
        played = record(bench)
    recording = read(played["containerd"])
    for now, then in zip(played["steps"], recording["steps"], strict=True):
        assert now == then, "record anew with `make recordings` if containerd has changed, and let `versions.py` follow"
