"""A simulated node behind the same ports, for the demo and for tests.

Start at `node.py`. It must not be kinder than containerd.
"""

from cleaner.simulation.demo import DEMO_POLICY, build_demo
from cleaner.simulation.until import UntilSwept

__all__ = ["DEMO_POLICY", "UntilSwept", "build_demo"]
