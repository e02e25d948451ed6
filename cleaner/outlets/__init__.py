"""Outlets: where events and reports go. A folder for each, and `web.py` for the port that is scraped.

An outlet takes events and must not change what happens. Start at the folder of the output: `log`, `metrics`,
`alertmanager` or `terminal`.
"""

import sys

# structlog imports rich where it finds it, to draw tracebacks: 5 MiB that the daemon never needs. Tables import it.
if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog  # noqa: F401 - imported for its choice

    del sys.modules["rich"]
