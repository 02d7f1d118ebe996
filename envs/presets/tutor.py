"""`tutor`: a student chooses what to study next, so that it recalls as much as it can of all.

Exponential forgetting (Reddy, Levine and Dragan 2017, see ``mechanisms.tutoring``, which has the equations), or FSRS-6.

- Observation (user): how likely each item is recalled now, ln(1 + its stability) / 4, and the part of the episode that
  is left; and the topics of each item, of which each has one of its own. Tabular agents see the step, and the steps
  since each item was studied, up to 3, in place of that.
- Actions: 0 = study nothing, 1 + i = study item i. All are allowed.
- Reward: the mean probability of recall over all items, after the step.
- Start: all items have just been studied. End: ``truncated`` after the last step; learners see it come.

Exact values (``experiments.exact.tutor``):

- ``tutor`` (theta .05, .2, .8; 5 between steps): optimum 11.1100, items in turn 10.646, greedy 10.565;
- ``tutor-fast`` (theta .1, .5, 2; 1 between steps): optimum 12.7323, greedy 12.5134, items in turn 11.9882;
- ``tutor-null`` (theta .2 of all; 5 between steps): 11.1723 for all three, the control in which planning gains nothing.

``tutor-fsrs``: 20 facts for 30 days in FSRS-6, of which the first stability differs. No exact value is known.

``tutor-large``: 16 students and 24 concepts that build on each other (``mechanisms.curriculum``), which compete.

- Observation (user): mean recall, the share of concepts known and the part of the episode that is left; and, of each
  concept in the slate, its place in the order, how much builds on it and how much of that is not recalled, and the
  student's recall, readiness, stability and forgetting.
- Slates: 6 of the 24, more often those that the student is ready for and does not recall, and those that pay for it.
- Actions: 0 = study nothing, k = study the concept in slot k.
- Items: concepts, or their authors, which want to be studied with success: one earns 1 for each student that studies it
  and recalls it, and pays for each step in which it is shown more.
- Rewards: a student earns its mean recall of all concepts after the step, in which concept i counts in proportion to
  i. So what comes first earns least, but all else builds on it.
- Start: nothing is known; prerequisites and forgetting are drawn for each world. End: ``truncated`` after 60 steps,
  which learners see come.
- No exact value is known. Without prerequisites, with all known at the start, it is the model of ``tutor``.
"""

from dataclasses import replace

from interplay.envs.behaviour.synthetic import GivenPopulation, SyntheticBehaviour, all_alike
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.boosts import Boosts
from interplay.envs.mechanisms.clock import Clock
from interplay.envs.mechanisms.curriculum import Curriculum
from interplay.envs.mechanisms.tutoring import Tutoring
from interplay.envs.presets.base import Preset, Training


def _behaviour(config: MarketConfig) -> SyntheticBehaviour:
    """One student that responds as likely as the mechanism says. Items differ in their topics alone."""
    topics = [[float(i == g) for g in range(config.num_topics)] for i in range(config.num_items)]
    return SyntheticBehaviour(GivenPopulation(appeal=[0.0] * config.num_items, topics=topics))


_CONFIG = MarketConfig(
    num_users=1, num_items=3, slate_size=3, embedding_size=1, num_topics=3, num_segments=1, horizon=15,
    slate_order="fixed", user_state="mechanism", item_state="single",
    mechanisms=(Tutoring(forgetting=(0.05, 0.2, 0.8)), Clock()))

_TRAINING = Training(num_worlds=64, episodes=200, eval_worlds=256, discount=0.99,
                     options={"q-learning": {"rate_power": 0.4}, "dqn": {"learning_rate": 0.003, "target_rate": 0.02}}
                     ).sized_for_gpu(1024)
_AGENTS = ("q-learning", "dqn", "pqn", "ippo")


def _with(tutoring: Tutoring) -> MarketConfig:
    return replace(_CONFIG, mechanisms=(tutoring, Clock()))


TUTOR = Preset("tutor", _CONFIG, _behaviour, _TRAINING,
               "a student of three items that it forgets: studying what fades most is not best", _AGENTS, seeds=10)

TUTOR_FAST = Preset("tutor-fast", _with(Tutoring(forgetting=(0.1, 0.5, 2.0), delay=1.0)), _behaviour, _TRAINING,
                    "tutor with shorter delays and faster forgetting", _AGENTS, seeds=10)

TUTOR_NULL = Preset("tutor-null", _with(Tutoring(forgetting=(0.2,))), _behaviour, _TRAINING,
                    "tutor with items alike: the control in which planning gains nothing", _AGENTS, seeds=10)

TUTOR_FSRS = Preset("tutor-fsrs",
                    replace(_CONFIG, num_items=20, slate_size=20, num_topics=20, horizon=30, user_state="none",
                            mechanisms=(Tutoring(model="fsrs", delay=1.0, spread=1.0), Clock())),
                    _behaviour, _TRAINING, "tutor by FSRS-6, the model of the program Anki: 20 facts, 30 days",
                    ("dqn", "pqn", "ippo"), seeds=5)


def _concepts(config: MarketConfig) -> SyntheticBehaviour:
    """Students and concepts that differ by the mechanism alone, which says how likely students respond."""
    return all_alike(config, appeal=0.0)


TUTOR_LARGE = Preset(
    "tutor-large",
    MarketConfig(
        num_users=16, num_items=24, slate_size=6, embedding_size=1, num_topics=1, num_segments=1, horizon=60,
        item_state="boost", mechanisms=(
            Boosts(levels=(2.0, 4.0), cost=0.1), Clock(),
            Curriculum(delay=1.0, forgetting=0.05, spread=0.5, advanced=1.0, ordering=2.0))),
    _concepts,
    replace(_TRAINING, num_worlds=8, episodes=20, eval_worlds=64, reward_scale=10.0, others="q-learning",
            options={"dqn": {"learning_rate": 0.003, "target_rate": 0.02, "num_steps": 3},
                     "pqn": {"learning_rate": 0.002, "rollout_length": 20, "num_minibatches": 8}},
            on_gpu={"num_worlds": 128}),
    "16 students and 24 concepts that build on each other and compete for students", ("dqn", "pqn"), seeds=5)
