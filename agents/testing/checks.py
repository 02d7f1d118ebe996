"""Does an agent keep the contract of ``agents/base.py``?

``check_agent`` reports it, in one line of your own test:

    def test_my_agent_keeps_the_contract():
        check_agent(MyAgent, MyOptions(warm_up=20))

It needs no market. What agents see is drawn at random in every shape that markets have (``synthetic_transitions.py``).
The agent has to learn within ``STEPS`` steps of three worlds, for the device within ``DEVICE_STEPS``: what is never
reached is never checked. Without options it has its defaults, with smaller values of those in ``SOON``. Where that is
not enough, give options with small memories, warm-ups and rollouts.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from operator import itemgetter
from typing import Any

import torch

from interplay.agents.base import Agent, JointAgent
from interplay.agents.parts.player import Player, check_options
from interplay.agents.testing.contract_harness import CPU, META, AgentError, AgentHarness, difference, moved
from interplay.agents.testing.synthetic_transitions import ANY_SIDES, ONE_SIDE, Trajectory
from interplay.envs.kernels import switched_off
from interplay.envs.types import InterplayError, Observation, Side, Transition

__all__ = ["DEVICE_STEPS", "STEPS", "AgentError", "check_agent"]

STEPS = 23
"""Steps that an agent learns through before it is saved; a prime, so that they end in the middle of any rollout."""
DEVICE_STEPS = 4
"""Steps on the meta device, where each takes about as long as fifteen elsewhere."""

SOON = {"warm_up": 20, "batch_size": 8, "rollout_length": 4, "fit_steps": 6}
"""Options of these names are at most so large where none are given. Clusters are fitted after ``DEVICE_STEPS``."""

_MORE = 11  # steps after that, and steps for what needs fewer


def check_agent(kind: type[Player], options: Any = None, *, device_steps: int = DEVICE_STEPS,
                device: torch.device | str = CPU) -> None:
    """Raise unless ``kind`` keeps the contract on every side that it plays.

    Args:
        kind: the agent's class.
        options: an instance of its ``Options`` with which it soon learns; None = the defaults, shortened by ``SOON``.
        device_steps: steps in which it must not touch the host. Fewer for an agent that must do so once, as
            ``q-learning`` does when it fits clusters, with options that put that after them.
        device: where the agent lives while its values are checked, and what it sees.

    Raises:
        AgentError: the first fault.
    """
    _check_class(kind, options)
    options = _soon(kind) if options is None else options
    cases = (ANY_SIDES if issubclass(kind, JointAgent) else ONE_SIDE).items()
    harnesses = [AgentHarness(kind, options, case, specs, STEPS + _MORE, torch.device(device))
                 for case, specs in cases if set(specs) <= set(kind.plays)]
    for harness in harnesses:
        lived = harness.trajectory(STEPS + _MORE)
        fresh = harness.make()
        harness.saved(fresh)  # what a file cannot hold is found first
        _check_idle(harness, lived)
        _check_acting(harness, fresh, num_worlds=3)
        trained = _check_repeats(harness, lived[:STEPS])
        _check_acting(harness, trained, num_worlds=1)
        _check_acting(harness, trained, num_worlds=5)
        _check_scores(harness, trained)
        _check_resumes(harness, trained, lived[STEPS:])
        _check_copies(harness, trained, lived[STEPS:])
        _check_gone(harness)
        _check_device(harness, lived[:device_steps])
    for harness in harnesses:  # what is wrong without graphs is found first
        _check_graphs(harness, harness.trajectory(_MORE))


def _check_class(kind: type[Player], options: Any) -> None:
    """What is known before there is an agent."""
    if not (isinstance(kind, type) and issubclass(kind, Agent | JointAgent)):
        raise AgentError(f"{kind!r} must be a class derived from interplay.agents.Agent or JointAgent")
    kind_name, name = kind.__name__, getattr(kind, "name", None)
    if not (isinstance(name, str) and name):
        raise AgentError(f"{kind_name}.name={name!r} must be a string: write name = \"my-agent\"")
    if not _overrides(kind, "scores") and not _overrides(kind, "act"):
        raise AgentError(f"{kind_name} must override scores or act")
    if inspect.isabstract(kind):
        raise AgentError(f"{kind_name} must override {' and '.join(sorted(kind.__abstractmethods__))}")
    try:
        check_options(kind)
    except InterplayError as error:
        raise AgentError(str(error)) from error
    if options is not None and not isinstance(options, kind.Options):
        raise AgentError(f"options={options!r} must be an instance of {kind_name}.Options, {kind.Options.__name__}")


def _soon(kind: type[Player]) -> Any:
    """The default options, with which the agent learns from its first steps on."""
    default = kind.Options()
    small = {name: most for name, most in SOON.items() if isinstance(getattr(default, name, None), int)}
    return replace(default, **{name: min(most, getattr(default, name)) for name, most in small.items()})


def _overrides(kind: type[Player], method: str) -> bool:
    """Whether the class has a method of its own in place of that of ``Agent`` or ``JointAgent``."""
    return getattr(kind, method) not in (getattr(Agent, method), getattr(JointAgent, method))


def _check_acting(harness: AgentHarness, player: Player, num_worlds: int) -> None:
    """Act on what was never seen, in another number of worlds than the steps that were learned from."""
    for side, spec in harness.specs.items():
        seen = harness.observation(spec, num_worlds, num_worlds)
        before = harness.state(player)["_draws"]
        harness.act(player, side, seen, True)
        harness.require(not harness.kind.deterministic or before == harness.state(player)["_draws"],
                        "act(explore=True) drew noise, but deterministic is True: leave that out")
        _check_best(harness, player, side, seen)


def _check_best(harness: AgentHarness, player: Player, side: Side, seen: Observation) -> None:
    """Without exploration nothing moves but the noise counter, and the action is the same if that does not."""
    before, first = harness.state(player), harness.act(player, side, seen, False)
    after = harness.state(player)
    changed = difference(before | {"_draws": after["_draws"]}, after)
    harness.require(not changed, f"act(explore=False) changed state_dict() at {changed}: leave that to learn")
    if before["_draws"] == after["_draws"]:  # an agent that draws even now, as `random` does, is random by nature
        second = harness.act(player, side, seen, False)
        harness.require(torch.equal(first, second), "act(explore=False) gave another action the second time, and drew "
                        "no noise: it must depend on what is seen and on what state_dict() keeps, and on nothing else")


def _check_scores(harness: AgentHarness, player: Player) -> None:
    """Scores, where there are any, are what it acts by, and an agent's own depend on no other agent's row."""
    if not _overrides(type(player), "scores"):
        return
    for side, spec in harness.specs.items():
        seen = harness.observation(spec, 5, 5)
        scores = harness.scores(player, side, seen)
        if side != "platform":
            taken = scores.masked_fill(~seen.mask, -torch.inf).argmax(-1)
            harness.require(torch.equal(taken, harness.act(player, side, seen, False)), "act(explore=False) did not "
                            "take the action of the highest score: use parts.choosing.best on self.scores")
        if "agent_ids" not in inspect.signature(type(player).scores).parameters:  # type: ignore[attr-defined]
            continue
        agent_ids = torch.tensor([spec.num_agents - 1], device=harness.device)
        alone = harness.scores(player, side, seen.map(itemgetter((slice(None), agent_ids))), agent_ids)
        same = torch.allclose(scores[:, agent_ids], alone, rtol=1e-4, atol=1e-4)
        harness.require(same, "scores gave the last agent other values when it was asked alone: agent_ids says whose "
                              "rows are there")


def _check_idle(harness: AgentHarness, lived: Trajectory) -> None:
    """An agent that says that it does not learn is not changed by learning."""
    if not harness.kind.learns:
        player = harness.make()
        before = harness.state(player)
        for step in lived:
            harness.learn(player, step)
        after = harness.state(player)
        changed = difference(before | {"learned": after["learned"]}, after)
        harness.require(not changed, f"learn changed state_dict() at {changed}, but learns is False: write "
                        "learns = True")


def _check_repeats(harness: AgentHarness, lived: Trajectory) -> Player:
    """Two agents of one seed do the same; gives one of them."""
    one, other = harness.make(), harness.make()
    before = _learnt(harness, one)
    played = harness.play(one, lived)
    learnt = any("loss" in metrics for metrics in played.metrics.values()) or difference(before, _learnt(harness, one))
    harness.require(not harness.kind.learns or bool(learnt), f"learn gave no \"loss\" and changed no tensor or module "
                    f"in {len(lived)} steps: give options with which it learns that soon, or return {{\"loss\": loss}}")
    found = played.difference(harness.play(other, lived)) or difference(harness.state(one), harness.state(other))
    harness.require(not found, f"two agents of one seed differ at {found}: take chance from self.draw alone, and "
                               "nothing from the clock, from a set's order or from what all agents of the class share")
    return one


def _learnt(harness: AgentHarness, player: Player) -> dict[str, Any]:
    """Its tensors and modules, without memories and counters."""
    return {name: value for name, value in harness.state(player).items()
            if isinstance(getattr(player, name), torch.Tensor | torch.nn.Module)}


def _check_resumes(harness: AgentHarness, trained: Player, lived: Trajectory) -> None:
    """An agent that loads what another one saved goes on as that one does."""
    resumed, saved = harness.make(), harness.saved(trained)
    harness.load(resumed, saved)
    found = (harness.play(trained, lived).difference(harness.play(resumed, lived))
             or difference(harness.saved(trained), harness.saved(resumed)))
    harness.require(not found, f"an agent that loaded what another had saved went on differently at {found}: keep all "
                             f"that act and learn read as attributes that Stateful saves. Saved: {', '.join(saved)}")


def _check_copies(harness: AgentHarness, trained: Player, lived: Trajectory) -> None:
    """An agent that loaded another's state trains itself alone."""
    copy, before = harness.make(), harness.state(trained)
    harness.load(copy, trained.state_dict())
    harness.play(copy, lived)
    found = difference(before, harness.state(trained))
    harness.require(not found, f"an agent that had loaded another's state_dict() trained that one too, at {found}: "
                             "load_state_dict must copy")


def _check_gone(harness: AgentHarness) -> None:
    """What agents that have left do and earn changes nothing for others; at first no agent is there."""
    lived = harness.trajectory(_MORE, empty=True)
    one, other = harness.make(), harness.make()
    found = difference(harness.play(one, lived).actions, harness.play(other, lived, _made_up).actions)
    for side, spec in harness.specs.items():  # in many worlds, where small differences of values show
        seen = harness.observation(spec, 200, 0)
        same = torch.equal(harness.act(one, side, seen, False), harness.act(other, side, seen, False))
        found = found or ("" if same else f"act(explore=False), {side}")
    harness.require(not found, f"what agents did and earned after they had gone made a difference at {found}: leave "
                               "out rows where transition.valid is False")


def _made_up(step: Transition) -> Transition:
    """The same step, but agents that have left did nothing and earned much."""
    return replace(step, action=torch.where(step.valid, step.action, 0),
                   reward=torch.where(step.valid, step.reward, 10.0),
                   response=torch.where(step.valid, step.response, 1.0))


def _check_device(harness: AgentHarness, lived: Trajectory) -> None:
    """No value is read by the host, and no tensor that was made there meets one of the device."""
    there = replace(harness, device=META)
    there.play(there.make(), moved(lived, META))


def _check_graphs(harness: AgentHarness, lived: Trajectory) -> None:
    """Steps that are recorded and replayed give what they give without."""
    if not harness.kind.capturable:
        return
    one, other = harness.make(), harness.make()
    with switched_off():  # which round in another way, and a CPU records steps without them
        found = (difference(harness.play(one, lived).actions, harness.replay(other, lived))
                 or difference(harness.state(one), harness.state(other)))
    harness.require(not found, f"steps that were recorded as a graph and replayed differ at {found}: keep what changes "
                             "in tensors on the device, or write capturable = False")
