"""``python -m pfnlab`` is the command ``pfnlab``."""

import sys

from pfnlab.cli import main

if __name__ == "__main__":
    sys.exit(main())
