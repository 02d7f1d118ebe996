#!/usr/bin/env bash
# The lowest versions that pyproject.toml declares must run the product: installs them into .venv-lowest, and runs a
# small part of the tests there. torch is the exception: its floor cannot be tested here, because only the version in
# constraints.txt has a small CPU build everywhere.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d .venv-lowest ] || python3 -m venv .venv-lowest
.venv-lowest/bin/python - > .venv-lowest/lowest.txt <<'PYTHON'
import re
import tomllib

with open("pyproject.toml", "rb") as file:
    dependencies = tomllib.load(file)["project"]["dependencies"]
for name, version in (re.match(r"([\w-]+)>=([\d.]+)", line).groups() for line in dependencies):
    if name != "torch":
        print(f"{name}=={version}")
PYTHON
.venv-lowest/bin/python -m pip install --quiet --no-compile --constraint constraints.txt \
    --constraint .venv-lowest/lowest.txt --editable . pytest pytest-xdist
# Old packages warn about new ones that they use: those warnings are not errors here.
.venv-lowest/bin/python -m pytest -n 2 --dist worksteal --override-ini filterwarnings=default --disable-warnings \
    tests/test_lowest_versions.py tests/envs/test_market_v0.py tests/envs/test_recommend_v0.py
