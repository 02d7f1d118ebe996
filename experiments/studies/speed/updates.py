"""What learning costs beside its own matrix products, and beside updates of Stable-Baselines3 of the same size.

Operators of a round of learning are noted as torch runs them, and those of each kind are run again on their own. What
compiled loops do is not seen by torch: for learners that use them, matrix products are those of the loops
(``products``), and all else is the rest: the loops' other arithmetic, Python, optimisers, and copies into memories. CPU
time of one thread, the least of some rounds, because other programs can only add to it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from interplay.agents.loops.flat import calls_noted
from interplay.envs.checking import Count
from interplay.envs.transitions import transitions
from interplay.envs.types import Side, Transition
from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import made_line
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.tables import table
from interplay.experiments.common.threads import working_threads
from interplay.experiments.loop.play import advance
from interplay.experiments.loop.run import Run
from interplay.experiments.studies.command_lines import reported
from interplay.experiments.studies.speed.products import Products, of_learning, seconds
from interplay.experiments.studies.speed.sb3 import PEERS

_PRODUCTS = "matrix products"
KINDS: dict[str, tuple[str, ...]] = {
    _PRODUCTS: ("mm", "addmm", "bmm", "baddbmm", "_addmm_activation"),
    "layer norms": ("native_layer_norm", "native_layer_norm_backward"),
    "rectifiers": ("relu", "threshold_backward"),
    "optimiser": ("_fused_adam_", "_foreach_lerp_", "_foreach_norm", "_foreach_mul_"),
    "gathers and copies": (
        "index", "index_select", "gather", "scatter_add", "scatter_add_", "index_add", "copy_", "cat", "stack",
        "_to_copy", "clone", "sort", "argsort")}
_NEVER = 10**9  # steps
_OTHER, _LOOPS = "other arithmetic", "other arithmetic of loops"
_VIEWS = {"view", "t", "transpose", "detach", "expand", "unsqueeze", "squeeze", "slice", "select", "_unsafe_view",
          "as_strided", "permute", "alias", "split", "unbind", "lift_fresh", "_reshape_alias", "unfold"}


@dataclass(frozen=True)
class UpdateSettings:
    """Measure learning beside its matrix products, and beside Stable-Baselines3."""

    presets: tuple[str, ...] = ("kale", "town")
    """Markets, whose users learn while items rest."""
    agents: tuple[str, ...] = ("dqn", "pqn", "ippo")
    """Learners, with options as NAME,OPTION=VALUE."""
    num_worlds: Count = 16
    """Worlds side by side."""
    rounds: Count = 15
    """Rounds, of which the fastest counts."""
    out: Path | None = None
    """Folder of the report."""


@dataclass(frozen=True)
class Cost:
    """What a round of learning costs: all that follows the steps of one rollout, or the steps from update to update.

    Attributes:
        preset, agent: the market, and the learner in it.
        steps: of the worlds, in a round.
        whole: seconds of a round.
        kinds: seconds of the operators of each kind, or of what loops do.
        by_torch: seconds of the matrix products of torch's code, which the loops replace.
        keeping: of ``whole``, seconds in which steps go into a memory; None for learners on rollouts.
        peer: seconds of a round of Stable-Baselines3; None where it has no such learner.
        peer_updates: of these, seconds of its updates.
    """

    preset: str
    agent: str
    steps: int
    whole: float
    kinds: Mapping[str, float]
    by_torch: float
    keeping: float | None
    peer: float | None
    peer_updates: float | None


class _Noted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operator with what it was given."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: dict[str, list[Callable[[], Any]]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name not in _VIEWS:
            kind = next((kind for kind, names in KINDS.items() if name in names), _OTHER)
            self.calls.setdefault(kind, []).append(lambda: func(*args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))


def least(work: Callable[[], Any], rounds: int) -> float:
    """CPU seconds of the fastest round."""
    def once() -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    return min(once() for _ in range(rounds))


class _Learner:
    """A learner that has played until it learns, and the steps of its next round, as many as follow an update."""

    def __init__(self, preset: str, agent: str, num_worlds: int, steps: int | None = None) -> None:
        run = Run.start(TrainSettings(preset=preset, users=agent, items="rest", num_worlds=num_worlds, device="cpu"),
                        Path())
        self.player, self.spec = run.players["users"], run.task.market.specs["users"]
        self.steps = steps or _steps_of_round(self.player.options)
        while not _learns(run, self.steps):
            run.step()
            if run.episode_ended:
                run.next_episode()
        self._round = _next_round(run, self.steps)

    def learn(self, within: Callable[[], AbstractContextManager[Any]] = nullcontext) -> float:
        """Seconds of CPU time, without those of acting, from which a learner may know what it did."""
        spent = 0.0
        for step in self._round:
            self.player.act_as("users", step["users"].observation, explore=True)
            with within():
                spent += least(lambda step=step: self.player.learn_from(step), 1)  # type: ignore[misc]
        return spent


def cost(preset: str, agent: str, num_worlds: int, rounds: int) -> Cost:
    """Measure a learner that has played until it learns."""
    learner = _Learner(preset, agent, num_worlds)
    learn, options = learner.learn, learner.player.options
    whole, products = (min(learn() for _ in range(rounds)),
                       of_learning(learner.player.name, options, learner.spec, num_worlds))
    calls: list[Any] = []
    learn(lambda: _into(calls))
    loops_learn = not {"fit", "improve", "update"}.isdisjoint(call.func.__name__ for call in calls)
    by_torch = _kinds_by_torch(learn, rounds)
    kinds = _kinds_by_loops(calls, products, rounds) if loops_learn and products is not None else by_torch
    keeping = None
    if hasattr(options, "update_every"):
        idle = _Learner(preset, f"{agent},update_every={_NEVER}", num_worlds, learner.steps)
        keeping = min(idle.learn() for _ in range(rounds))
    times: tuple[float | None, float | None] = (None, None)
    if learner.player.name in PEERS:
        peer = PEERS[learner.player.name](learner.spec, num_worlds * learner.spec.num_agents, options)
        times = least(lambda: (peer.keep(), peer.update()), rounds), least(peer.update, rounds)
    return Cost(preset, agent, learner.steps, whole, kinds, by_torch[_PRODUCTS], keeping, *times)


@contextmanager
def _into(calls: list[Any]) -> Iterator[None]:
    """Add what calls loops in this block."""
    with calls_noted() as noted:
        yield
    calls += noted


def _kinds_by_loops(calls: Sequence[Callable[[], Any]], products: Products, rounds: int) -> dict[str, float]:
    """Seconds of the loops' products, and of all else that they do."""
    of_products = seconds(products, rounds)
    return {_PRODUCTS: of_products, _LOOPS: least(lambda: [call() for call in calls], rounds) - of_products}


def _kinds_by_torch(learn: Callable[[Callable[[], _Noted]], Any], rounds: int) -> dict[str, float]:
    """Seconds of the operators of each kind, as torch's code without loops runs them."""
    noted = _Noted()
    learn(lambda: noted)
    with torch.no_grad():
        return {kind: least(lambda calls=calls: [call() for call in calls], rounds)  # type: ignore[misc]
                for kind, calls in noted.calls.items()}


def _steps_of_round(options: Any) -> int:
    steps: int = getattr(options, "rollout_length", getattr(options, "update_every", 1))
    return steps


def _learns(run: Run, steps: int) -> bool:
    """Whether it has learnt, and a round begins."""
    player, num_users = run.players["users"], run.task.market.config.num_users
    warm = run.env_steps * num_users >= 2 * getattr(player.options, "warm_up", 0)
    return warm and player.learned >= 2 * steps and player.learned % steps == 0


def _next_round(run: Run, steps: int) -> list[dict[Side, Transition]]:
    """Steps that follow each other, as in play: a learner may know values of what it has seen."""
    market, now, round_of = run.task.market, run.now, list[dict[Side, Transition]]()
    for _ in range(steps):
        after, step, action = advance(market, run.players, now, explore=True)
        round_of.append({"users": transitions(market, now.state, now.seen, action, step, after.seen)["users"]})
        now = after
    return round_of


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from the costs."""
    costs = [Cost(**{"by_torch": one["kinds"][_PRODUCTS], "keeping": None, **one}) for one in source["data"]["costs"]]
    kinds = [*KINDS, _LOOPS, _OTHER]
    columns = ["market", "learner", "steps", "learning, ms", "times its matrix products", "times those of torch's code",
               *(f"{kind}, ms" for kind in kinds), "the rest, ms", "updates alone, ms",
               "updates, times products of torch's code", "SB3, ms", "times SB3", "SB3's updates alone, ms"]
    return (f"{made_line(source['made'])} A round of learning of users in {source['data']['num_worlds']} worlds, on "
            "one thread: all that follows the steps of one rollout, or the steps from one update to the next. Times "
            f"are milliseconds of CPU time, the least of {source['data']['rounds']} rounds. Operators of each kind "
            "were run again on their own. Some learners work by compiled loops. Their products are those of the "
            "loops, of the same sizes and in the same blocks. Their rest is Python, copies into memories, and ippo's "
            "optimiser. The "
            "rest of other learners is Python, views and autograd's own work. Torch's code, which loops replace, makes "
            "more products for the same update, each of them an operator. Updates alone are the round less the same "
            "steps of a learner that only keeps them. SB3 is a round of Stable-Baselines3's DQN or PPO. It keeps as "
            "many steps, PPO with their values and returns. It makes as many updates, with as many rows, on two hidden "
            "layers of the same width. These read all of an agent's features at once; those here score each option. "
            "Log-probabilities of what was done are part of playing in both.\n\n"
            + table(columns, [_line(one, kinds) for one in costs]) + "\n")


def _line(one: Cost, kinds: Sequence[str]) -> list[str]:
    found = [one.kinds.get(kind, 0.0) for kind in kinds]
    numbers = [one.whole, *found, one.whole - sum(found)]
    whole, *others = (f"{1e3 * seconds:.2f}" for seconds in numbers)
    updates, peer = ["", ""], ["", "", ""]
    if one.keeping is not None:
        alone = one.whole - one.keeping
        updates = [f"{1e3 * alone:.2f}", f"{alone / one.by_torch:.1f}"]
    if one.peer is not None and one.peer_updates is not None:
        peer = [f"{1e3 * one.peer:.2f}", f"{one.whole / one.peer:.2f}", f"{1e3 * one.peer_updates:.2f}"]
    return [one.preset, one.agent, str(one.steps), whole, f"{one.whole / found[0]:.1f}",
            f"{one.whole / one.by_torch:.1f}", *others, *updates, *peer]


def study(settings: UpdateSettings) -> str:
    """Measure all, and write ``report.md`` and ``report.json``; gives the report's text."""
    with working_threads(1):
        costs = [cost(preset, agent, settings.num_worlds, settings.rounds)
                 for preset in settings.presets for agent in settings.agents]
    return reported(settings.out, text, __name__, {"num_worlds": settings.num_worlds, "rounds": settings.rounds,
                                                   "costs": [asdict(one) for one in costs]})


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.speed.updates:study"))
