#!/usr/bin/env bash
# Everything that has to pass: style, strict types, tests. Installs what it needs into the active virtual
# environment, or into .venv, which it makes if need be. Arguments go to pytest, such as `-m slow`. Without any, slow
# tests are left out. `bash scripts/lowest.sh` runs a part of the tests with the lowest versions of the dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE  # else each of hundreds of processes compiles all that it imports, in seconds
if [ -z "${VIRTUAL_ENV:-}" ]; then
    [ -d .venv ] || python3 -m venv .venv
    . .venv/bin/activate
fi
python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[dev]"
if [ $# -eq 0 ]; then  # beside mypy, which uses one core
    # Each process of the tests would compile these loops for itself, in more than a minute.
    python -c "
import interplay as ip
market = ip.market('town')
worlds = market.reset(worlds=range(3))
market.observe(worlds)
market.step(worlds, *market.random_actions(worlds))" &
    compiling_market=$!
    python -c "
import torch
import interplay as ip
from interplay.agents import Setting, find_agent
from interplay.agents.testing.synthetic_transitions import ONE_SIDE, trajectory
sides = ONE_SIDE['users']
small = dict(warm_up=1, batch_size=4)
for name, options in (('dqn', small), ('dqn', dict(num_quantiles=2, **small)), ('ippo', dict(rollout_length=2)),
                      ('q-learning', dict(fit_steps=2))):
    agent = find_agent(name)
    player = agent.of(sides, Setting(0, torch.device('cpu'), 1, 0.9), agent.Options(**options))
    for moved in trajectory(sides, 6, False):
        player.act_as('users', moved['users'].observation, True)
        player.learn_from(moved)
market = ip.market('coach')
worlds = market.reset(worlds=range(3))
market.step(worlds, *market.random_actions(worlds))
ip.pettingzoo('kale').reset()" &
    compiling_rest=$!
fi
ruff check .
mypy
if [ $# -eq 0 ]; then
    # So that the processes below, which begin with the same, find all modules compiled to bytecode.
    python -m pytest --collect-only -m "not slow" > /dev/null || true
    wait "$compiling_market"
    wait "$compiling_rest"
    python -m pytest -n 3 --dist worksteal -m "not slow"  # three for two cores: some wait for processes
else
    python -m pytest -n 2 --dist worksteal "$@"
fi
