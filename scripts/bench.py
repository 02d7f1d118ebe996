"""How fast the market, its facades and training are, beside peers; see --help."""

import sys

from interplay.experiments.cli.entry import main

if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.speed.command:bench"))
