#!/usr/bin/env bash
# Everything that has to pass: style, strict types, tests. Installs what it needs into the active environment.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
ruff check .
mypy
python -m pytest -n 2 "$@"
