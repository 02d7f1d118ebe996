"""The same as ``interplay evaluate``; see its ``--help``."""

import sys

from interplay.experiments.cli.entry import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
