"""The same as ``interplay train``; see its ``--help``."""

import sys

from interplay.experiments.cli.entry import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
