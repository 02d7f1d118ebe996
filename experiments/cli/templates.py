"""What ``interplay new`` writes: for each kind a working file, its test, and how it is used."""

from __future__ import annotations

from string import Template
from typing import NamedTuple


class Files(NamedTuple):
    """Texts with ``$module``, ``$name``, ``$kind`` (a class) and ``$constant`` to fill in.

    Attributes:
        source: the file.
        test: its test.
        use: command lines, one a line.
    """

    source: str
    test: str
    use: str

    def filled(self, **names: str) -> Files:
        """These with names in place."""
        return Files(*(Template(text).substitute(names) for text in self))


_AGENT = Files('''"""An agent: `interplay train --preset kale --users $module:$kind`."""

from interplay.agents import Agent, Exploring


class $kind(Agent):
    """Keeps the mean reward of each action and takes the best. Scores are [worlds, agents, actions].

    What `build` makes, tensors and networks, is saved and restored by itself; see interplay.agents.Agent.
    """

    name = "$name"
    Options = Exploring  # random actions at first, fewer later

    def build(self):
        self.mean, self.count = (self.zeros(self.num_agents, self.num_actions) for _ in range(2))

    def scores(self, seen):
        return self.mean.expand(seen.mask.shape)

    def learn(self, step):
        taken = self.one_hot(step.action) * step.valid[..., None]
        self.count += taken.sum(0)
        self.mean += (taken * (step.reward[..., None] - self.mean)).sum(0) / self.count.clamp(min=1)
''', '''from $module import $kind

from interplay.agents.testing import check_agent


def test_it_keeps_the_contract():
    check_agent($kind)
''', '''interplay check $module:$kind
interplay train --preset kale --users $module:$kind
interplay benchmark --presets kale --agents $module:$kind dqn''')

_PRESET = Files('''"""A market: `interplay train --preset $module:$constant`."""

from interplay.envs.mechanisms import Mood, Satiation
from interplay.envs.presets import GivenPopulation, Preset, Training

$constant = Preset.given(
    "$name",
    GivenPopulation(appeal=[1.0, 0.6, 0.2, 0.0], mood_effect=[-1, -1, 1, 1], topics=[[1, 0], [1, 0], [0, 1], [0, 1]]),
    Training(num_worlds=64, episodes=100, eval_worlds=512),
    "one user, four dishes: the sweet ones please now and spoil the mood",
    mechanisms=(Mood(weight=0.6), Satiation(weight=0.4, gain=2.0, recovery=1.0)),
    # interplay show market explains these numbers
    slate_size=4, slate_order="fixed", horizon=50, user_state="own", item_state="single")
''', '''import interplay as ip

from $module import $constant


def test_it_trains(tmp_path):
    run = ip.train($constant, users="q-learning", items="rest", episodes=1, num_worlds=2, eval_worlds=4,
                   log_dir=tmp_path)
    assert run.score.user_return.mean > 0.0
''', '''interplay train --preset $module:$constant
interplay show $module:$constant''')

_MECHANISM = Files('''"""A mechanism: `interplay train --preset town --mechanism $module:$kind`."""

from dataclasses import dataclass

from interplay.envs.mechanisms import Mechanism


@dataclass(frozen=True)
class $kind(Mechanism):
    """A user who has just responded is less eager for a while; interplay.envs.mechanisms.base lists all hooks."""

    name = "$name"
    weight: float = 0.5
    decay: float = 0.8

    def user_columns(self, sizes):
        return ["recent responses"]

    def user_tables(self, start):
        return {"$module": start.full_users(0.0)}  # [worlds, users]

    def shift(self, state, items):  # [worlds, users, slots], added to the logit of a response
        return -self.weight * state["$module"][..., None].expand(items.shape)

    def update(self, state, outcome):
        return {"$module": self.decay * state["$module"] + (1 - self.decay) * outcome.response}

    def see_users(self, state):  # [worlds, users, columns], what users know of it
        return state["$module"][..., None]

    def draw(self, picture, state):  # in pictures and films
        picture.bar("users", "tired", state["$module"])
''', '''from $module import $kind

from interplay.envs.testing import check_mechanism


def test_it_keeps_the_contract():
    check_mechanism($kind)
''', '''interplay check $module:$kind
interplay train --preset town --mechanism $module:$kind --market $name.weight=1.0''')

_DATASET = Files('''"""A data set: `interplay train --log FILE.$module`, once this file is in envs/data."""

import polars

from interplay.envs.data import DataSet, make_log


class $kind(DataSet):
    """Lines of a user, an item and a reward, with spaces between them."""

    name = "$name"
    rows = "a reward of an item by a user; no times"

    def matches(self, path):
        return path.suffix == ".$module"

    def read(self, path, columns=None):
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        return make_log(polars.DataFrame([{"user": user, "item": item, "reward": float(reward)}
                                          for user, item, reward in rows]), source=path.name)
''', '''from $module import $kind


def test_it_reads_its_files(tmp_path):
    file = tmp_path / "log.$module"
    file.write_text("ann jazz 1\\nbob opera 0\\nann opera 0\\n", encoding="utf-8")
    log = $kind().read(file)
    assert $kind().matches(file)
    assert (log.num_users, log.num_items) == (2, 2)
    assert log.reward.tolist() == [1.0, 0.0, 0.0]
''', '''cp $module.py $data
interplay train --log FILE.$module''')

TEMPLATES = {"agent": _AGENT, "preset": _PRESET, "mechanism": _MECHANISM, "dataset": _DATASET}
"""By kind."""
