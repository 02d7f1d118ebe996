"""Kills, damaged files, full disks, bad command lines and bad calls, and a table of what came of them; see --help."""

import sys

from interplay.experiments.cli.entry import main

if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.faults.command:faults"))
