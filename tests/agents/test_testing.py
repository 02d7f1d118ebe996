"""What ``check_agent`` says to each fault: agents that are right but for one thing."""

import dataclasses
import random
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from interplay.agents import Agent, JointAgent
from interplay.agents.parts.choosing import best, epsilon_greedy
from interplay.agents.testing import AgentError, check_agent
from refusals import refused


@dataclasses.dataclass(frozen=True)
class FairOptions:
    epsilon: float = 0.2
    gain: float = 0.1


class Fair(Agent):
    """A running mean of the reward of each action."""

    name = "fair"
    Options = FairOptions

    def build(self):
        self.table = self.zeros(self.num_agents, self.num_actions)

    def act(self, observation, explore):
        values = self.table.expand(observation.mask.shape)
        return epsilon_greedy(self, values, observation.mask, self.options.epsilon) if explore else best(
            values, observation.mask)

    def learn(self, transition):
        taken = self.one_hot(transition.action) * transition.valid.unsqueeze(2)
        error = (taken * (transition.reward.unsqueeze(2) - self.table)).sum(0)
        self.table += self.options.gain * error
        return {"loss": error.square().mean()}


def but(**changes):
    """The class, but for one thing."""
    return type("Broken", (Fair,), {"name": "broken", **changes})


def acts(change):
    """An agent whose actions are changed: ``change(self, action, observation, explore)``."""
    return but(act=lambda self, seen, explore: change(self, Fair.act(self, seen, explore), seen, explore))


def gives(change):
    """An agent whose actions are changed, whatever it sees."""
    return acts(lambda self, action, seen, explore: change(action))


def learns(change):
    """An agent whose metrics are changed: ``change(self, metrics, transition)``."""
    return but(learn=lambda self, step: change(self, Fair.learn(self, step), step))


def reports(change):
    """An agent whose metrics are changed, whatever it learns: ``change(loss)``."""
    return learns(lambda self, metrics, step: change(metrics["loss"]))


def test_the_agent_that_the_faults_are_put_into_is_right():
    check_agent(Fair)


@dataclasses.dataclass
class Unset:
    width: int


@pytest.mark.parametrize(("kind", "things", "fix"), [
    (42, [42], ("interplay.agents.Agent", "JointAgent")), (dict, [dict], ("interplay.agents.Agent", "JointAgent")),
    (but(name=3), ["Broken.name", 3], "name"),
    (type("Idle", (Agent,), {"name": "idle"}), ["Idle"], ("scores", "act")),
    (type("Idle", (JointAgent,), {"act": lambda self, side, seen, explore: None}), ["Idle"], "learn"),
    (but(Options=dict), ["Broken.Options", dict], "@dataclass"), (but(Options=Unset), ["Broken.Options.width"], ())])
def test_what_is_wrong_with_a_class(kind, things, fix):
    with refused(*things, fix=fix, kind=AgentError):
        check_agent(kind)


def test_options_of_another_agent_are_refused():
    with refused("options", Unset(3), fix=("Fair.Options", "FairOptions"), kind=AgentError):
        check_agent(Fair, Unset(3))
    with refused("fair as users", "TypeError", "test_testing.py", "self.options.epsilon", kind=AgentError):
        check_agent(Fair, FairOptions(epsilon="high"))


def fails(kind, *named, fix=()):
    with refused(*named, fix=fix, kind=AgentError) as error:
        check_agent(kind)
    assert re.match(r"broken as [a-z ,]+: \S", str(error.value))


def forbidden(seen):
    """Actions that the mask forbids, 0 where it forbids none."""
    return (~seen.mask).float().argmax(-1)


@pytest.mark.parametrize(("kind", "named", "fix"), [
    (gives(lambda action: action.numpy()), ["act(explore=True)", "3 worlds", "ndarray"], "torch.Tensor"),
    (gives(lambda action: action.tolist()), ["list"], "torch.Tensor"),
    (gives(lambda action: action.float()), ["torch.float32", "torch.int64"], ".long()"),
    (gives(lambda action: action.int()), ["torch.int32", "torch.int64"], ".long()"),
    (gives(lambda action: action[:, 0]), ["[3]"], "[B, N] = [3, 3]"),
    (gives(lambda action: action.unsqueeze(2)), ["[3, 3, 1]"], "[B, N] = [3, 3]"),
    (gives(lambda action: action - 1), [-1], (0, 2)), (gives(lambda action: action + 3), [3], (0, 2)),
    (gives(lambda action: torch.ones(3, 3, dtype=torch.int64) * action), ["1 worlds", "[3, 3]"], "[B, N] = [1, 3]"),
    (gives(lambda action: torch.zeros(action.shape, dtype=torch.int64)), ["device cpu"], "meta"),
    *((acts(change), [call, "observation.mask", "[world, agent]"], "parts.choosing.best") for change, call in (
        (lambda self, action, seen, explore: forbidden(seen), "act(explore=True)"),
        (lambda self, action, seen, explore: action if explore else forbidden(seen), "act(explore=False)"),
        (lambda self, action, seen, explore: action if self.learned < 30 else forbidden(seen), "act(explore=True)")))],
    ids=["numpy", "list", "float", "int32", "one agent", "an axis more", "below", "above", "so many worlds", "device",
         "forbidden", "forbidden if best", "forbidden later"])
def test_what_is_wrong_with_actions(kind, named, fix):
    fails(kind, *named, fix=fix)


def flipped(self, action, seen, explore):
    """The other end of what is allowed, each second time."""
    self.odd = SimpleNamespace(on=not getattr(self, "odd", SimpleNamespace(on=False)).on)  # which is no state
    return action if explore or self.odd.on else seen.mask.long().cumsum(-1).argmax(-1)


def counted(self, action, seen, explore):
    self.table += 1.0
    return action


def overwritten(self, action, seen, explore):
    seen.own.zero_()
    return action


@pytest.mark.parametrize(("change", "named", "fix"), [
    (flipped, ["act(explore=False)", "noise"], "state_dict()"), (counted, ["act(explore=False)", "table"], "learn"),
    (overwritten, ["act(explore=True)", "3 worlds", "tensors"], "copy")])
def test_acting_changes_nothing(change, named, fix):
    fails(acts(change), *named, fix=fix)


def rated(change):
    """An agent with scores that are changed: ``change(scores, agent_ids)``."""
    def scores(self, seen, agent_ids=None):
        table = self.table if agent_ids is None else self.table[agent_ids]
        return change(table.expand(seen.mask.shape), agent_ids)
    return but(scores=scores)


@pytest.mark.parametrize(("change", "named", "fix"), [
    (lambda scores, agent_ids: -scores, ["act(explore=False)"], ("parts.choosing.best", "self.scores")),
    (lambda scores, agent_ids: scores if agent_ids is None else scores + 1.0, ["scores", "last agent"], "agent_ids"),
    (lambda scores, agent_ids: scores[..., 1:], ["scores", "5 worlds", "[5, 3, 2]"], "[5, 3, 3]")])
def test_scores_are_what_an_agent_acts_by(change, named, fix):
    check_agent(rated(lambda scores, agent_ids: scores))
    fails(rated(change), *named, fix=fix)


def by_scores(change):
    """An agent that leaves to ``Agent.act`` what its scores say."""
    return type("Broken", (Fair,), {"name": "broken", "act": Agent.act,
                                    "scores": lambda self, seen: change(self.table.expand(seen.mask.shape))})


@pytest.mark.parametrize(("change", "named", "fix"), [
    (lambda scores: scores[..., 1:], ["scores", "[3, 3, 2]"], "[3, 3, 3]"),
    (lambda scores: scores[0], ["scores", "torch.float32 [3, 3]"], "[3, 3, 3]"),
    (lambda scores: scores.long(), ["scores", "torch.int64"], "torch.float32"),
    (lambda scores: scores.tolist(), ["scores"], "torch.float32"),
    (lambda scores: scores * torch.nan, ["scores", "nan"], "numbers")])
def test_scores_fit_the_mask(change, named, fix):
    check_agent(by_scores(lambda scores: scores.double()))
    fails(by_scores(change), *named, fix=fix)


def bare(self, spec, setting, options=None):
    self.hidden = 3


@pytest.mark.parametrize(("init", "named"), [(bare, ["super().__init__"]),
                                             (lambda self, hidden=3: None, ["arguments"])])
def test_an_init_of_ones_own_says_what_to_do(init, named):
    fails(but(__init__=init), "Broken.__init__", *named, fix="build")


def untidy(self, metrics, step):
    step.reward.add_(1.0)
    return metrics


def forgetful(self, metrics, step):
    self.learned -= 1
    return metrics


@pytest.mark.parametrize(("kind", "named", "fix"), [
    (reports(lambda loss: {"loss": 0.5}), ["learn()['loss']", "float"], ("float()", ".item()")),
    (reports(lambda loss: loss), ["learn", "tensor"], "{'loss': loss}"),
    (reports(lambda loss: {3: loss}), ["learn()[3]", "int"], "str"),
    (reports(lambda loss: {"loss": loss.expand(2)}), ["learn()['loss']", "[2]"], "mean"),
    (reports(lambda loss: {"loss": loss / 0.0}), ["learn()['loss']"], "finite"),
    (learns(forgetful), ["learn", "self.learned"], ()), (learns(untidy), ["learn", "tensors"], "copy"),
    (but(learn=lambda self, step: {}), ["learn", '"loss"', "23 steps"], "options")],
    ids=["float", "tensor", "name", "shape", "infinite", "clock", "writes", "lossless"])
def test_what_is_wrong_with_learning(kind, named, fix):
    fails(kind, *named, fix=fix)


def test_an_agent_may_give_no_metrics():
    check_agent(but(learn=lambda self, step: Fair.learn(self, step) and None))


def test_metrics_need_not_be_detached():
    check_agent(reports(lambda loss: {"loss": loss.clone().requires_grad_() * 2.0}))


def test_an_agent_that_learns_says_so():
    fails(but(learns=False), "state_dict()", "table", "learns", False, fix="learns = True")


def drawing(draw):
    """An agent that takes chance from elsewhere."""
    return acts(lambda self, action, seen, explore: draw() and action)


def layered(self, spec, setting, options=None):
    Fair.__init__(self, spec, setting, options)
    self.layer = torch.nn.Linear(2, 2)


def shared(self, spec, setting, options=None):
    """What one agent of the class learns, all of them know."""
    Fair.__init__(self, spec, setting, options)
    tables = vars(type(self))["tables"]
    self.table = tables.setdefault((spec, setting), self.table)


@pytest.mark.parametrize(("kind", "named", "fix"), [
    (drawing(lambda: [torch.rand(1)]), ["act(explore=True)", "generator", "torch"], "self.draw"),
    (drawing(lambda: [np.random.rand()]), ["generator", "numpy"], "self.draw"),  # noqa: NPY002
    (drawing(lambda: [random.random()]), ["generator", "random"], "self.draw"),
    (but(__init__=layered), ["__init__", "generator", "torch"], "build"),
    (but(__init__=shared, tables={}), ["two agents"], "self.draw"),
    (but(deterministic=True), ["act(explore=True)", "noise", "deterministic", True], ())],
    ids=["torch", "numpy", "random", "layer", "shared table", "deterministic"])
def test_chance_comes_from_the_agents_own_noise(kind, named, fix):
    fails(kind, *named, fix=fix)


def saves(change):
    """An agent whose state is changed."""
    return but(state_dict=lambda self: change(Fair.state_dict(self)))


def aliased(self, state):
    for name, value in state.items():
        setattr(self, name, value)


@pytest.mark.parametrize(("kind", "named", "fix"), [
    (saves(lambda state: state | {"table": state["table"].numpy()}),
     ["torch.load(weights_only=True)", "state_dict()", "UnpicklingError"], ()),
    (saves(lambda state: state | {"choose": lambda: 0}), ["torch.save(state_dict())"], ()),
    (saves(lambda state: {"table": state["table"]}), ["state_dict()", "_draws", "learned"], "super().state_dict()"),
    (saves(lambda state: state | {"table": torch.zeros_like(state["table"])}), ["act in step", "Stateful"],
     "_draws, learned, table"),
    (but(load_state_dict=lambda self, state: self.table.copy_(state["table"])), ["act in step", "Stateful"], ()),
    (but(load_state_dict=aliased), ["table"], "copy"),
    (but(load_state_dict=lambda self, state: state["tables"]), ["load_state_dict", "KeyError", "test_testing.py"], ())],
    ids=["numpy", "function", "no base", "not saved", "no base loaded", "aliased", "raises"])
def test_what_is_wrong_with_saving_and_loading(kind, named, fix):
    fails(kind, *named, fix=fix)


def undying(self, step):
    return Fair.learn(self, replace(step, valid=torch.ones_like(step.valid)))


def counting(self, step):
    """Weighs rewards rightly, but likes an action the better the more often the gone took it."""
    metrics = Fair.learn(self, step)
    taken = torch.nn.functional.one_hot(step.action, self.spec.num_actions) * ~step.valid.unsqueeze(2)
    self.table += taken.sum(0)
    return metrics


def dividing(self, step):
    """Forgets that there may be nobody."""
    return {"loss": Fair.learn(self, step)["loss"] / step.valid.sum()}


@pytest.mark.parametrize(("learn", "named", "fix"), [
    (undying, "act in step", "transition.valid"), (counting, "act in step", "transition.valid"),
    (dividing, "learn()['loss']", "finite")])
def test_the_gone_teach_nothing(learn, named, fix):
    fails(but(learn=learn), named, fix=fix)


def branches(self, metrics, step):
    if step.terminated.any():
        return {}
    return metrics


@pytest.mark.parametrize(("kind", "line"), [
    (reports(lambda loss: {"loss": torch.tensor(loss.item())}), "torch.tensor(loss.item())"),
    (reports(lambda loss: {"loss": loss.cpu()}), "loss.cpu()"),
    (reports(lambda loss: {"loss": loss[loss > 0.5].sum()}), "loss[loss > 0.5]"),
    (reports(lambda loss: {"loss": (loss * torch.ones(2)).mean()}), "loss * torch.ones(2)"),
    (learns(branches), "if step.terminated.any():")], ids=["item", "cpu", "index", "host", "branch"])
def test_what_touches_the_host_is_named(kind, line):
    fails(kind, "meta device", "build", "learn", "test_testing.py", line)


def late(self, metrics, step):
    return metrics if self.learned != 3 else metrics | {"fit": torch.tensor(step.reward.std().item())}


def test_an_agent_may_touch_the_host_once_after_the_steps_that_are_looked_at():
    kind = learns(late)
    kind.capturable = False
    check_agent(kind, device_steps=2)
    fails(kind, "meta device")
