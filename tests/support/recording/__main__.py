"""Records each containerd of the lab into `tests/recordings`; needs root."""

from lab import VERSIONS, Lab
from support.lab_bench import lab_bench
from support.recording import record, write

for version in VERSIONS:
    with Lab(version=version) as lab, lab_bench(lab) as bench:
        print(write(record(bench)))
