"""The same as ``interplay ope``; see its ``--help``."""

import sys

from interplay.experiments.cli.entry import main

if __name__ == "__main__":
    sys.exit(main(["ope", *sys.argv[1:]]))
