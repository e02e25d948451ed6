"""The ledger: which images were seen, used, evicted and re-pulled on this node, in SQLite.

Start at `ledger.py`. It must not judge an image, and it never stops a sweep: a broken file only costs history.
"""

from cleaner.ledger.in_memory import InMemoryLedger
from cleaner.ledger.ledger import SqliteLedger

__all__ = ["InMemoryLedger", "SqliteLedger"]
