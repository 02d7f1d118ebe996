"""What a fitted market is worth where the truth is known: policies that are learnt and ranked in it, in the true town.

One town, the same people and items in all worlds, writes logs of different lengths, from slates that the market draws
at random and the log keeps. In each episode half of the users choose at random, so that the log shows all items, and
the others what they like, so that it shows what that leads to. A market is fitted to
each. DQN is trained there and plays in the true town; so do other policies, whose returns in the fitted market and
whose off-policy estimates from the same log are compared with the true ones. In the true town every policy sees what
the fitted market knows of the users and items, as a deployed one would.

Run as ``python -m interplay.experiments.studies.fitting --out experiments/results/fit/town``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import Tensor

from interplay.agents import Player
from interplay.envs.market import Market
from interplay.envs.presets.folders import save_preset
from interplay.experiments.api.names import pairs
from interplay.experiments.cli.main import main
from interplay.experiments.common.options import parse_pairs, split_agent
from interplay.experiments.common.reports import made_by, made_line, publish
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.tables import table
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.fit.fitting import fit_log
from interplay.experiments.loop.make_players import make_player
from interplay.experiments.loop.run import Run
from interplay.experiments.studies.command_lines import typed
from interplay.experiments.studies.towns import GAP, LOG_SEED, STEP, Decision, OneTown, Writer, in_truth, log_of

_EVALUATION_SEED = 2000
_RESAMPLES = 500
_BY_WORLD = "by world"

POLICIES = ("random", "first", "popularity", "greedy", "conditional-logit,temperature=0.2",
            "conditional-logit,temperature=1", "conditional-logit,temperature=3", "dqn")
"""Agents of the users that are ranked; dqn is the one that was trained in the fitted market."""


@dataclass(frozen=True)
class FittingSettings:
    """Fit markets to logs of a town, train and rank policies there, and play them in the town."""

    out: Path | None = None
    """Folder of the report."""
    rows: tuple[int, ...] = (100_000, 10_000, 1_000)
    """Lengths of the logs."""
    writers: tuple[str, ...] = ("conditional-logit,temperature=0.2+random",)
    """Agents that play the users who write logs; users take turns with those that are joined by ``+``."""
    num_seeds: int = 1
    """Towns, each with logs and trainings of its own."""
    episodes: int = 20
    """Episodes of each training."""
    worlds: int = 16
    """Episodes of each evaluation."""


def study(settings: FittingSettings) -> str:
    """Fit, train and compare, and write ``report.md`` and ``report.json``; gives the report's text."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    report = ""
    for seed in range(settings.num_seeds):
        for row in _of_town(settings, seed):
            rows.append(row)
            report = publish(settings.out, text, made_by(typed(__name__)), {"rows": rows})
            print(report, flush=True)
    return report


def _of_town(settings: FittingSettings, seed: int) -> Iterator[dict[str, Any]]:
    """A row for each length of the log; DQN that was trained in the town itself comes first."""
    run = _trained(TrainSettings(preset=f"{OneTown.__module__}:TOWN_{seed}", seed=seed, users="dqn", items="rest",
                                 device="cpu", episodes=settings.episodes))
    truth = run.task.market
    now = {"seed": seed, "trained in the truth": evaluate(truth, run.players, settings.worlds).user_return.mean}
    for writer, count in product(settings.writers, settings.rows):
        with tempfile.TemporaryDirectory() as folder:
            yield {**now, "writer": writer, "rows": count,
                   "policies": _compared(settings, truth, count, writer, seed, Path(folder))}


def _compared(settings: FittingSettings, truth: Market, count: int, writer: str, seed: int,
              folder: Path) -> list[dict[str, Any]]:
    """Of each policy its return in the fitted market and in the truth, and its estimate from the log."""
    fitted = fit_log(log_of(truth, count, writer), "fitted", GAP, seed, STEP)
    save_preset(folder, fitted.preset, fitted.tables)
    config = truth.config
    sizes = {"horizon": config.horizon, "slate_size": config.slate_size, "num_users": len(fitted.tables.people)}
    run = _trained(TrainSettings(preset=str(folder), seed=seed, users="dqn", items="rest", device="cpu", discount=0.97,
                                 episodes=settings.episodes, market=pairs(sizes)))
    market, found = run.task.market, []
    players = {name: run.players["users"] if name == "dqn" else _policy(run, name) for name in POLICIES}
    estimates = _estimates(truth, market, players, count, writer)
    for name, player in players.items():
        inside = evaluate(market, run.players.replaced("users", player), settings.worlds).user_return.mean
        true = torch.stack([each.response.sum(1) for each in
                            in_truth(truth, market, player, range(settings.worlds), _EVALUATION_SEED)]).sum(0)
        found.append({"policy": name, "fitted": inside, "true": float(true.mean()), _BY_WORLD: true.tolist(),
                      "estimate": estimates[name]})
    return found


def _trained(settings: TrainSettings) -> Run:
    """A run that is finished; nothing is written."""
    run = Run.start(settings, Path())
    while not run.finished:
        run.step()
        if run.episode_ended:
            run.next_episode()
    return run


def _policy(run: Run, name: str) -> Player:
    """An agent of the users that need not learn."""
    agent, options = split_agent(name)
    return make_player(run.task, agent, parse_pairs(options, "policy"), {"users": run.task.market.spec_of("users")}, 0)


def _estimates(truth: Market, fitted: Market, players: Mapping[str, Player], rows: int,
               writer: str) -> dict[str, float]:
    """What each policy earns by a step on the log's decisions: self-normalised inverse propensities.

    Of each decision in the log all is known: what was seen, and how likely the action was.
    """
    sums = {name: np.zeros(2) for name in players}
    taken = 0  # in a log with this many rows
    for world in range(rows):  # as many as it takes
        for each in in_truth(truth, fitted, Writer(truth, writer), range(world, world + 1), LOG_SEED):
            assert each.log_chance is not None, "the writer knows the truth"
            for name, player in players.items():
                weight = (_chance(player, each) * each.present / each.log_chance.exp()).double()
                sums[name] += [float((weight * each.response).sum()), float(weight.sum())]
            taken += int((each.action > 0).sum())
            if taken >= rows:
                return {name: float(earned / weight) for name, (earned, weight) in sums.items()}
    raise AssertionError("each world adds rows")


def _chance(player: Player, decision: Decision) -> Tensor:
    """How likely the policy acts as the log did, float32 ``[B, U]``."""
    chance = player.log_propensity_as("users", decision.seen, decision.action, False)
    assert chance is not None, "policies that are ranked know their propensities"
    if bool((chance == 0.0).all()):  # it leaves nothing to chance, and is sure of what it would do itself
        return (decision.action == player.act_as("users", decision.seen, False)).float()
    return chance.exp()


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    rows = source["data"]["rows"]
    parts = ["# Fitted markets where the truth is known", made_line(source["made"]), _READING,
             table(["town", "users of the log", "rows", "random", "DQN of the fitted market", "DQN of the town",
                    "normalised", "rank correlation of the fitted market", "of off-policy estimates",
                    "of the town itself"], [_line(row) for row in rows])]
    for row in rows:
        cells = [[each["policy"], f"{each['true']:.0f}{_error(each)}", f"{each['fitted']:.0f}",
                  f"{each['estimate']:.4f}"] for each in row["policies"]]
        parts += [f"## Town {row['seed']}, {row['rows']:,} rows of {_writer(row)} users",
                  table(["policy", "return in the town", "in the fitted market", "estimate of a step"], cells)]
    return "\n\n".join(parts) + "\n"


def _line(row: Mapping[str, Any]) -> list[str]:
    policies = {each["policy"]: each for each in row["policies"]}
    random, dqn, best = policies["random"]["true"], policies["dqn"]["true"], row["trained in the truth"]
    true, fitted, estimate = ([each[name] for each in row["policies"]] for name in ("true", "fitted", "estimate"))
    return [str(row["seed"]), _writer(row), f"{row['rows']:,}", f"{random:.0f}", f"{dqn:.0f}", f"{best:.0f}",
            f"{(dqn - random) / (best - random):.3f}", f"{kendalltau(true, fitted).statistic:.2f}",
            f"{kendalltau(true, estimate).statistic:.2f}",
            _ceiling([each.get(_BY_WORLD, ()) for each in row["policies"]])]


def _writer(row: Mapping[str, Any]) -> str:
    """The agent of the log's users; there was one alone when the first reports were made."""
    name: str = row.get("writer", "random")
    return name


def _error(policy: Mapping[str, Any]) -> str:
    """The standard error of its return in the town; the first reports did not keep what it follows from."""
    values = policy.get(_BY_WORLD, ())
    return f" ± {np.std(values, ddof=1) / len(values) ** 0.5:.0f}" if len(values) > 1 else ""


def _ceiling(by_world: Sequence[Sequence[float]]) -> str:
    """The mean rank correlation of two evaluations in the town, each of as many worlds, drawn from these worlds."""
    returns, rng = np.array(by_world), np.random.default_rng(0)
    if returns.size == 0:
        return ""
    drawn = returns[:, rng.integers(returns.shape[1], size=(2 * _RESAMPLES, returns.shape[1]))].mean(2).T
    return f"{np.mean([kendalltau(*pair).statistic for pair in drawn.reshape(_RESAMPLES, 2, -1)]):.2f}"


_READING = """\
Each town is one world of `town`, with the same people and items in all episodes. Returns are sums over its users, and
means over held-out episodes in the true town, where policies see what the fitted market knows. *Normalised*: 0 is
random, 1 is DQN that was trained in the town itself and sees it as it is. Rank correlations are Kendall's tau of the
returns of the policies below with their true returns. That *of the town itself* is the mean of two evaluations in the
town, of as many episodes each, drawn from those that were played (bootstrap): noise alone allows no more. Off-policy
estimates are self-normalised inverse propensities of each decision in the same log. ± is a standard error."""


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.fitting:study"))
