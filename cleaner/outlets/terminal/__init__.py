"""Tables, JSON and notices that the commands print.

Start at `tables.py` and `json_documents.py`, or at `history.py` for past evictions. It must not be loaded by the
daemon.
"""

from cleaner.outlets.terminal.history import history_document, print_history
from cleaner.outlets.terminal.json_documents import check_document, plan_document, sweep_document
from cleaner.outlets.terminal.metric_changes import read_samples
from cleaner.outlets.terminal.notices import (
    grace_notices,
    ledger_notices,
    limit_notices,
    memory_notices,
    mode_notices,
    reach_notices,
    registry_notices,
    reserve_notices,
    reserve_text,
    start_notices,
    watch_notices,
)
from cleaner.outlets.terminal.progress import ProgressLines
from cleaner.outlets.terminal.removed_externally import print_removed_externally, removed_externally_document
from cleaner.outlets.terminal.tables import (
    holders_line,
    print_changes,
    print_check,
    print_holders,
    print_plan,
    print_sweep,
)

__all__ = [
    "ProgressLines",
    "check_document",
    "grace_notices",
    "history_document",
    "holders_line",
    "ledger_notices",
    "limit_notices",
    "memory_notices",
    "mode_notices",
    "plan_document",
    "print_changes",
    "print_check",
    "print_history",
    "print_holders",
    "print_plan",
    "print_removed_externally",
    "print_sweep",
    "reach_notices",
    "read_samples",
    "registry_notices",
    "removed_externally_document",
    "reserve_notices",
    "reserve_text",
    "start_notices",
    "sweep_document",
    "watch_notices",
]
