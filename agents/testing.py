"""Does an agent keep the contract of ``agents/base.py``?

``check_agent`` tells, in one line of a test of one's own:

    def test_my_agent_keeps_the_contract():
        check_agent(MyAgent, MyOptions(warm_up=20))

It needs no market. What agents see is drawn at random in every shape that markets have (``parts/lives.py``). Give
options with which the agent really learns within ``STEPS`` steps of three worlds, that is small memories, warm-ups and
rollouts, for the device within ``DEVICE_STEPS``: what is never reached is never checked.
"""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import replace
from operator import itemgetter
from typing import Any

import torch

from interplay.agents.base import Agent, JointAgent
from interplay.agents.parts.lives import ANY_SIDES, ONE_SIDE, Life, life, observation
from interplay.agents.parts.player import Player
from interplay.agents.parts.trial import META, AgentError, Trial, difference
from interplay.envs.types import Observation, Side, Transition

__all__ = ["DEVICE_STEPS", "STEPS", "AgentError", "check_agent"]

STEPS = 41
"""Steps that an agent learns through before it is saved; a prime, so that they end in the middle of any rollout."""
DEVICE_STEPS = 4
"""Steps on the meta device, where each takes about as long as fifteen elsewhere."""

_MORE = 20  # steps after that, and steps for what needs fewer


def check_agent(kind: type[Player], options: Any = None, *, device_steps: int = DEVICE_STEPS) -> None:
    """Raise unless ``kind`` keeps the contract, whatever side it plays.

    Args:
        kind: the agent's class.
        options: an instance of its ``Options`` with which it soon learns; None = the defaults.
        device_steps: steps in which it must not touch the host. Fewer for an agent that must do so once, as
            ``q-learning`` does when it fits clusters, with options that put that after them.

    Raises:
        AgentError: the first fault.
    """
    _check_class(kind, options)
    for case, specs in (ANY_SIDES if issubclass(kind, JointAgent) else ONE_SIDE).items():
        if not set(specs) <= set(kind.plays):
            continue
        trial = Trial(kind, options, case, specs, STEPS + _MORE)
        lived = life(specs, STEPS + _MORE, kind.sees_expected_reward)
        _check_idle(trial, lived)
        _check_acting(trial, trial.make(), num_worlds=3)
        trained = _check_repeats(trial, lived[:STEPS])
        _check_acting(trial, trained, num_worlds=1)
        _check_acting(trial, trained, num_worlds=5)
        _check_scores(trial, trained)
        _check_resumes(trial, trained, lived[STEPS:])
        _check_copies(trial, trained, lived[STEPS:])
        _check_gone(trial)
        _check_device(trial, lived[:device_steps])


def _check_class(kind: type[Player], options: Any) -> None:
    """What is known before there is an agent."""
    if not (isinstance(kind, type) and issubclass(kind, Agent | JointAgent)):
        raise AgentError(f"{kind!r} must be a class derived from interplay.agents.Agent or JointAgent")
    who, name = kind.__name__, getattr(kind, "name", None)
    if not (isinstance(name, str) and name):
        raise AgentError(f"{who}.name={name!r} must be a string: write name = \"my-agent\"")
    if not _overrides(kind, "scores") and not _overrides(kind, "act"):
        raise AgentError(f"{who} must override scores or act")
    if inspect.isabstract(kind):
        raise AgentError(f"{who} must override {' and '.join(sorted(kind.__abstractmethods__))}")
    if not (isinstance(kind.Options, type) and dataclasses.is_dataclass(kind.Options)):
        raise AgentError(f"{who}.Options={kind.Options!r} must be a dataclass: decorate it with @dataclass")
    for field in dataclasses.fields(kind.Options):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise AgentError(f"{who}.Options.{field.name} has no default: give it one")
    if options is not None and not isinstance(options, kind.Options):
        raise AgentError(f"options={options!r} must be an instance of {who}.Options, {kind.Options.__name__}")


def _overrides(kind: type[Player], method: str) -> bool:
    """Whether the class has a method of its own in place of that of ``Agent`` or ``JointAgent``."""
    return getattr(kind, method) not in (getattr(Agent, method), getattr(JointAgent, method))


def _check_acting(trial: Trial, player: Player, num_worlds: int) -> None:
    """Act on what was never seen, in another number of worlds than the steps that were learned from."""
    for side, spec in trial.specs.items():
        seen = observation(spec, num_worlds, num_worlds, trial.kind.sees_expected_reward)
        before = trial.saved(player)["_draws"]
        trial.act(player, side, seen, True)
        trial.require(not trial.kind.deterministic or before == trial.saved(player)["_draws"], "act(explore=True) drew "
                      "noise, but deterministic is True: leave that out")
        _check_best(trial, player, side, seen)


def _check_best(trial: Trial, player: Player, side: Side, seen: Observation) -> None:
    """Without exploration nothing moves but the noise counter, and the action is the same if that does not."""
    before, first = trial.saved(player), trial.act(player, side, seen, False)
    after = trial.saved(player)
    changed = difference(before | {"_draws": after["_draws"]}, after)
    trial.require(not changed, f"act(explore=False) changed state_dict() at {changed}: leave that to learn")
    if before["_draws"] == after["_draws"]:  # whoever draws even now, as `random` does, is random by nature
        second = trial.act(player, side, seen, False)
        trial.require(torch.equal(first, second), "act(explore=False) gave another action the second time, and drew no "
                      "noise: it must depend on what is seen and on what state_dict() keeps, and on nothing else")


def _check_scores(trial: Trial, player: Player) -> None:
    """Scores, where there are any, are what it acts by, and an agent's own depend on nobody else's row."""
    if not _overrides(type(player), "scores"):
        return
    for side, spec in trial.specs.items():
        seen = observation(spec, 5, 5, trial.kind.sees_expected_reward)
        scores = trial.scores(player, side, seen)
        if side != "platform":
            taken = scores.masked_fill(~seen.mask, -torch.inf).argmax(-1)
            trial.require(torch.equal(taken, trial.act(player, side, seen, False)), "act(explore=False) did not take "
                          "the action of the highest score: let it choose with parts.choosing.best from self.scores")
        if "who" not in inspect.signature(type(player).scores).parameters:  # type: ignore[attr-defined]
            continue
        who = torch.tensor([spec.num_agents - 1])
        alone = trial.scores(player, side, seen.map(itemgetter((slice(None), who))), who)
        trial.require(torch.allclose(scores[:, who], alone, rtol=1e-4, atol=1e-4), "scores gave the last agent other "
                      "values when it was asked alone: who says whose rows are there")


def _check_idle(trial: Trial, lived: Life) -> None:
    """Whoever says that it does not learn is not changed by learning."""
    if not trial.kind.learns:
        player = trial.make()
        before = trial.saved(player)
        for step in lived:
            trial.learn(player, step)
        after = trial.saved(player)
        changed = difference(before | {"learned": after["learned"]}, after)
        trial.require(not changed, f"learn changed state_dict() at {changed}, but learns is False: write learns = True")


def _check_repeats(trial: Trial, lived: Life) -> Player:
    """Two agents of one seed do the same; gives one of them."""
    one, other = trial.make(), trial.make()
    before = _learnt(trial, one)
    played = trial.play(one, lived)
    learnt = any("loss" in metrics for metrics in played.metrics.values()) or difference(before, _learnt(trial, one))
    trial.require(not trial.kind.learns or bool(learnt), f"learn gave no \"loss\" and changed no tensor or module in "
                  f"{len(lived)} steps: give options with which it learns that soon, and return {{\"loss\": loss}}")
    found = played.difference(trial.play(other, lived)) or difference(trial.saved(one), trial.saved(other))
    trial.require(not found, f"two agents of one seed differ at {found}: take chance from self.draw alone, and nothing "
                             "from the clock, from a set's order or from what all agents of the class share")
    return one


def _learnt(trial: Trial, player: Player) -> dict[str, Any]:
    """Its tensors and modules, without memories and counters."""
    return {name: value for name, value in trial.saved(player).items()
            if isinstance(getattr(player, name), torch.Tensor | torch.nn.Module)}


def _check_resumes(trial: Trial, trained: Player, lived: Life) -> None:
    """Whoever loads what another saved goes on as that one does."""
    resumed, saved = trial.make(), trial.saved(trained)
    trial.load(resumed, saved)
    found = (trial.play(trained, lived).difference(trial.play(resumed, lived))
             or difference(trial.saved(trained), trial.saved(resumed)))
    trial.require(not found, f"an agent that loaded what another had saved went on differently at {found}: keep all "
                             f"that act and learn read as attributes that Stateful saves. Saved: {', '.join(saved)}")


def _check_copies(trial: Trial, trained: Player, lived: Life) -> None:
    """An agent that loaded another's state trains itself alone."""
    copy, before = trial.make(), trial.saved(trained)
    trial.load(copy, trained.state_dict())
    trial.play(copy, lived)
    found = difference(before, trial.saved(trained))
    trial.require(not found, f"an agent that had loaded another's state_dict() trained that one too, at {found}: "
                             "load_state_dict must copy")


def _check_gone(trial: Trial) -> None:
    """Whatever they do and earn who have gone, others go on as if they had not; at first nobody is there."""
    lived = life(trial.specs, _MORE, trial.kind.sees_expected_reward, empty=True)
    one, other = trial.make(), trial.make()
    found = difference(trial.play(one, lived).actions, trial.play(other, lived, _made_up).actions)
    for side, spec in trial.specs.items():  # in many worlds, where small differences of values show
        seen = observation(spec, 200, 0, trial.kind.sees_expected_reward)
        same = torch.equal(trial.act(one, side, seen, False), trial.act(other, side, seen, False))
        found = found or ("" if same else f"act(explore=False), {side}")
    trial.require(not found, f"what agents did and earned after they had gone made a difference at {found}: leave out "
                             "rows where transition.valid is False")


def _made_up(step: Transition) -> Transition:
    """The same step, but that they who have gone did nothing and earned much."""
    return replace(step, action=torch.where(step.valid, step.action, 0),
                   reward=torch.where(step.valid, step.reward, 10.0),
                   response=torch.where(step.valid, step.response, 1.0))


def _check_device(trial: Trial, lived: Life) -> None:
    """No value is read by the host, and no tensor that was made there meets one of the device."""
    there = replace(trial, device=META)
    there.play(there.make(), [{side: step.map(lambda x: x.to(META)) for side, step in moment.items()}
                              for moment in lived])
