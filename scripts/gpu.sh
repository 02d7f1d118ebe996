#!/usr/bin/env bash
# Everything about one GPU in at most six minutes: is the product right there, how fast is it, how soon does it learn.
# Writes rows.jsonl, report.json and report.md into the folder that --out names (bench/gpu by default); --help shows all.
#   bash scripts/gpu.sh                        on the GPU
#   bash scripts/gpu.sh --device cpu --quick   without one: tiny sizes, which show that everything runs
# It installs nothing. Installed must be: a torch that sees the GPU, and what pyproject.toml lists as dependencies.
# It uses, where installed: numba (kernels of the CPU that it compares with), vmas (the simulator beside).
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
export PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python3}" -u -m interplay.experiments.studies.gpu "$@"
