"""The outlet that writes the log.

Start at `outlet.py` (when a line is written) and `keys.py` (what is in it); `logger.py` writes it. It must not
change what happens.
"""

from cleaner.outlets.log.logger import configure_logging
from cleaner.outlets.log.outlet import Logs

__all__ = ["Logs", "configure_logging"]
