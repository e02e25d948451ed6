"""Where reports go: metrics, log, the port that serves them, tables and JSON."""

import sys

# structlog imports rich where it finds it, to draw tracebacks: 5 MiB that the daemon never needs. Tables import it.
if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog  # noqa: F401 - imported for its choice

    del sys.modules["rich"]
