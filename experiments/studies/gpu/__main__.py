"""``python -m interplay.experiments.studies.gpu``, which ``scripts/gpu.sh`` runs."""

from __future__ import annotations

import sys

from interplay.experiments.cli.main import main

if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.gpu.command:gpu"))
