"""The node's memory on disk: what was seen, used, evicted and regretted, over restarts.

Refuses to hinder a sweep: whatever is wrong with the file costs memory, and nothing else.
"""

from cleaner.node.ledger.ledger import Ledger

__all__ = ["Ledger"]
