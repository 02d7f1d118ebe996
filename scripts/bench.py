"""The same as ``interplay bench``; see its ``--help``."""

import sys

from interplay.experiments.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
