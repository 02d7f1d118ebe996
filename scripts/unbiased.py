"""What a log's selection does to what is learnt from it; see --help."""

import sys

from interplay.experiments.cli.entry import main

if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.unbiased.command:unbiased"))
