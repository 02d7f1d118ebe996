"""The same as ``interplay ope``; see its ``--help``."""

import sys

from interplay.experiments.cli import main

if __name__ == "__main__":
    sys.exit(main(["ope", *sys.argv[1:]]))
