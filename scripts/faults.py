"""Kills, damaged files, full disks, bad command lines and bad calls, and a table of what came of them; see --help."""

import sys

import tyro

from interplay.experiments.studies.faults.command import FaultSettings, main

if __name__ == "__main__":
    sys.exit(main(tyro.cli(FaultSettings)))
