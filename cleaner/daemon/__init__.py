"""The daemon: its loop, the inventory, the forecast, the kubelet watch and the trusted clock.

Start at `loop.py`. It must not know how a runtime, a disk or a ledger works, nor which image is evicted.
"""

from cleaner.daemon.loop import Daemon
from cleaner.daemon.settings import DaemonSettings, Host
from cleaner.daemon.trusted_clock import TrustedClock

__all__ = ["Daemon", "DaemonSettings", "Host", "TrustedClock"]
