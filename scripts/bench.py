"""The same as ``interplay bench``; see its ``--help``."""

import sys

from interplay.experiments.entry import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
