"""``python -m interplay`` is the same as ``interplay``; ``torchrun -m interplay`` needs it."""

import sys

from interplay.experiments.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
