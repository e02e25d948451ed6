"""The ledger: which images were seen, used, evicted and re-pulled on this node, in SQLite.

Start at `ledger.py`. Evictions are in `eviction_rows.py`, other rows in `rows.py`, tables in `schema.py`. It
must not judge an image, and it never stops a pressure sweep: while its file cannot be used, nightly sweeps are
suspended.
"""

from cleaner.ledger.in_memory import InMemoryLedger
from cleaner.ledger.ledger import SqliteLedger
from cleaner.ledger.place import require_place
from cleaner.ledger.spare_space import lacks_space

__all__ = ["InMemoryLedger", "SqliteLedger", "lacks_space", "require_place"]
