"""``python -m afterword``: the command line."""

import sys

from afterword.cli import main

if __name__ == "__main__":
    sys.exit(main())
