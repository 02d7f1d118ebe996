"""How far off-policy estimators are off where the truth is known; see --help."""

import sys

from interplay.experiments.cli.entry import main

if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.estimators.command:estimators"))
