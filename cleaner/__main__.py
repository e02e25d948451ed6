"""`python -m cleaner`, the same as the command `cleaner`."""

import sys

from cleaner.cli.main import main

sys.exit(main())
