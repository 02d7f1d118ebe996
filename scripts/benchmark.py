"""The same as ``interplay benchmark``; see its ``--help``."""

import sys

from interplay.experiments.cli.entry import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))
