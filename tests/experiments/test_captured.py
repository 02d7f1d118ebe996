"""Training by graphs has the results of training without: on a CPU, where operators are recorded one by one."""

import pytest
import torch

from interplay.agents import Agent, Exploring, JointAgent, find_agent
from interplay.agents.pqn import PQNOptions
from interplay.envs import kernels
from interplay.experiments.common.notes import InterplayWarning
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.run import Run
from refusals import refused

SOON = ("warm_up=60", "batch_size=16", "hidden=8")


class Alternating(Agent):
    """Reads how often it has learned, so that a graph could only repeat one of its two steps."""

    def build(self):
        self.kept = self.zeros(1)

    def scores(self, seen):
        return self.kept.expand(seen.mask.shape)

    def learn(self, step):
        if self.learned % 2:
            self.kept += 1


class Growing(Alternating):
    """Keeps a list that grows."""

    def learn(self, step):
        self.kept += 1
        self.all = [*getattr(self, "all", []), 1]


def started(folder, capture, preset="kale", options=SOON, **settings):
    return Run.start(TrainSettings(preset=preset, num_worlds=3, device="cpu", market=("horizon=12",), capture=capture,
                                   user_option=options, **settings), folder)


def trained(run, steps):
    with kernels.switched_off():
        for _ in range(steps):
            run.step()
            if run.episode_ended:
                run.next_episode()
    return run


def same(one, other):
    found = [[*run.now.state.tensors(), *run.stats.tensors()] for run in (one, other)]
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0, equal_nan=True)
    assert str(one.players.state_dict()) == str(other.players.state_dict())


@pytest.mark.parametrize(("users", "items", "options"), [
    ("pqn", "rest", ("hidden=8",)), ("dqn", "rest", (*SOON, "num_steps=3", "update_every=4")),
    ("dqn", "rest", (*SOON, "priority=0.6")), ("ippo", "rest", ("rollout_length=8", "hidden=8")),
    ("shared-critic", "shared-critic", SOON), ("q-learning", "random", ("fit_steps=5",))])
def test_graphs_change_no_bit(users, items, options, tmp_path):
    one, other = (trained(started(tmp_path, capture, options=options, users=users, items=items), 50)
                  for capture in ("off", "on"))
    assert other.captured.num_graphs > 0
    assert not other.captured.note
    same(one, other)


def test_a_platform_is_captured_too(tmp_path):
    one, other = (trained(started(tmp_path, capture, "feed", options=()), 30) for capture in ("off", "on"))
    assert other.captured.num_graphs > 1  # steps and resets
    same(one, other)


def test_a_resumed_run_goes_on_by_graphs(tmp_path):
    run = started(tmp_path, "on", users="ippo", options=("rollout_length=8", "hidden=8"))
    run.write_config()
    trained(run, 29).save()
    same(trained(run, 30), trained(Run.load(tmp_path), 30))


def test_an_evaluation_in_between_changes_nothing(tmp_path):
    run, other = (trained(started(tmp_path, capture, users="dqn"), 40) for capture in ("on", "off"))
    players = run.players.copied()
    for _ in range(3):
        players.act(run.now.seen, explore=True)
    same(trained(run, 5), trained(other, 5))


def test_an_agent_that_reads_its_own_count_says_so(tmp_path):
    with refused("alternating", "self.learned", fix="self.progress"):
        trained(started(tmp_path, "on", users=f"{__name__}:Alternating", options=()), 5)


@pytest.mark.filterwarnings("ignore:training goes on without graphs")
def test_an_agent_that_cannot_be_captured_trains_without(tmp_path, monkeypatch):
    monkeypatch.setattr(Alternating, "capturable", False)
    one, other = (trained(started(tmp_path, capture, users=f"{__name__}:Alternating", options=()), 30)
                  for capture in ("off", "on"))
    assert other.captured.note == "'alternating' says that it cannot be captured"
    same(one, other)


def test_a_run_says_once_that_it_has_no_graphs(tmp_path, monkeypatch):
    monkeypatch.setattr(Alternating, "capturable", False)
    with pytest.warns(InterplayWarning) as found:
        trained(started(tmp_path, "on", users=f"{__name__}:Alternating", options=()), 30)
    assert [str(each.message) for each in found] == [
        "training goes on without graphs: 'alternating' says that it cannot be captured"]


@pytest.mark.filterwarnings("ignore:training goes on without graphs")
def test_what_grows_at_every_step_has_no_graph(tmp_path, monkeypatch):
    monkeypatch.setattr("interplay.agents.parts.captured._PATIENCE", 20)
    run = trained(started(tmp_path, "on", users=f"{__name__}:Growing", options=()), 30)
    assert "keeps a number that changes at every step" in run.captured.note
    assert run.players["users"].kept.item() == 30


class Twice(JointAgent):
    """Refers to one player in two ways."""

    def build(self):
        self.first = find_agent("pqn")(self.specs["users"], self.setting, PQNOptions(rollout_length=4, hidden=8))
        self.again = [self.first]

    def act(self, side, seen, explore):
        return self.first.act(seen, explore)

    def learn(self, steps):
        return self.first.learn_from(steps)


def test_a_player_that_two_attributes_refer_to_counts_once(tmp_path):
    one, other = (trained(started(tmp_path, capture, users=f"{__name__}:Twice", options=()), 40)
                  for capture in ("off", "on"))
    assert other.captured.num_graphs > 0
    same(one, other)


class Bare(Agent):
    """Learns a weight that is in no module."""

    Options = Exploring

    def build(self):
        self.weight = torch.nn.Parameter(torch.zeros(self.num_actions))
        self.optimiser = torch.optim.SGD([self.weight], lr=0.1)

    def scores(self, seen):
        return self.weight.expand(seen.mask.shape)

    def learn(self, step):
        loss = step.mean((self.weight[step.action] - step.reward) ** 2)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"loss": loss}


class Scheduled(Bare):
    """Has a rate that Python changes."""

    def build(self):
        super().build()
        self.rates = torch.optim.lr_scheduler.ExponentialLR(self.optimiser, 0.9)

    def learn(self, step):
        metrics = super().learn(step)
        self.rates.step()
        return metrics


@pytest.mark.parametrize(("kind", "graphs"), [(Bare, True), (Scheduled, False)])
def test_what_an_optimiser_holds_stays_and_its_rates_are_no_constants(kind, graphs, tmp_path):
    one, other = (trained(started(tmp_path, capture, users=f"{__name__}:{kind.__name__}", options=()), 40)
                  for capture in ("off", "on"))
    assert (other.captured.num_graphs > 0) == graphs
    assert other.players["users"].weight.abs().sum() > 0
    same(one, other)


def test_metrics_are_not_overwritten_by_the_next_step(tmp_path):
    run = trained(started(tmp_path, "on", users="dqn"), 40)
    kept = run.step()
    before = kept["users/loss"].clone()
    trained(run, 3)
    assert torch.equal(kept["users/loss"], before)
