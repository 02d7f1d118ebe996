"""The same as ``interplay fidelity``; see its ``--help``."""

import sys

from interplay.experiments.cli.entry import main

if __name__ == "__main__":
    sys.exit(main(["fidelity", *sys.argv[1:]]))
