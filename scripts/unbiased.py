"""The same as ``interplay unbiased``; see its ``--help``."""

import sys

from interplay.experiments.entry import main

if __name__ == "__main__":
    sys.exit(main(["unbiased", *sys.argv[1:]]))
