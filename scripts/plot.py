"""The same as ``interplay plot``; see its ``--help``."""

import sys

from interplay.experiments.cli.entry import main

if __name__ == "__main__":
    sys.exit(main(["plot", *sys.argv[1:]]))
