"""The same as ``interplay recommend``; see its ``--help``."""

import sys

from interplay.experiments.cli.entry import main

if __name__ == "__main__":
    sys.exit(main(["recommend", *sys.argv[1:]]))
