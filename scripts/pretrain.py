"""The same as ``interplay pretrain``; see its ``--help``."""

import sys

from interplay.experiments.cli.entry import main

if __name__ == "__main__":
    sys.exit(main(["pretrain", *sys.argv[1:]]))
