"""`coach`: a person, and a coach that may send a message in each step: too many tire, wrong ones drive away.

StepCountJITAI (Karine and Marlin 2024, see ``mechanisms.coaching``, which has its equations) as a market: the user is
the person with its coach, the items are the messages.

- Observation (user): the context as a probability of each (0 or 1 where there is no noise), habituation h,
  disengagement d and the part of the episode that is left; and the topics of each message: (.5, .5) of the generic one,
  (1, 0) and (0, 1) of those for a context.
- Actions: 0 = no message, 1 = the generic one, 2 and 3 = those for contexts 0 and 1. All are allowed.
- Reward: steps walked, 0 in the step in which the person leaves.
- Start: h = d = .1, and either context is as likely, as in every step.
- End: ``terminated`` when d reaches .99, ``truncated`` after 50 steps.

Exact values (``experiments.exact.coach``) of ``coach``: optimum 3397.8; always the message for the context 1535.0;
greedy users, which send none where it would earn nothing, 1768.5; that message in every second step 3154.7, and
wherever h is at most .4052 3237.9; that message by chance, with the best probability, 3005.6; always the generic one
387.5; random 516.

- ``coach-null``: messages do not tire, so that the greedy policy is optimal.
- ``coach-noisy``: what shows the context is drawn from N(c, .4); see ``--market coaching.context_noise=1``.
- ``coach-hidden``: h, d and the time are not seen, but the messages so far, from which h follows, since it began at .1.
  Without memory, an agent can only send at all times (1535.0) or by chance (3005.6); with memory, it can reach 3397.8.

``coach-large``: 24 people that differ, and 9 programmes that compete for them (``mechanisms.programmes``).

- Observation (user): as above, with logarithms of the person's own factors of what a message adds to h, of what a step
  without one takes from h, of what a wrong message adds to d, and of the steps walked; and, of each message in the
  slate, its topics, how it matches the person's taste, how strong it is, and how many steps it caused in the last step.
- Slates: 4 of the 9, more often those to the person's taste.
- Items: programmes, of which three send generic messages and three each those for a context. Each chooses how strong
  its messages are: half, as in ``coach``, or half as strong again. Tabular ones have one state.
- Rewards: a person earns its steps, a programme those that its messages caused.
- Start and end as above. No exact value is known; ``programmes.spread=0``, ``liking=0`` and one strength are ``coach``.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from interplay.envs.behaviour.synthetic import CERTAIN, GivenPopulation, SyntheticBehaviour, TownPopulation
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.clock import Clock
from interplay.envs.mechanisms.coaching import Coaching
from interplay.envs.mechanisms.programmes import Programmes
from interplay.envs.population import Population
from interplay.envs.presets.base import Preset, Training


def _behaviour(config: MarketConfig) -> SyntheticBehaviour:
    """One person and three messages. Its responses mean that it reads them all, and pay nothing."""
    return SyntheticBehaviour(GivenPopulation(
        appeal=[CERTAIN] * 3, topics=[[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]))


_CONFIG = MarketConfig(
    num_users=1, num_items=3, slate_size=3, embedding_size=1, num_topics=2, num_segments=1, horizon=50,
    slate_order="fixed", item_state="single", mechanisms=(Coaching(), Clock()))


def _training(episodes: int = 128, discount: float = 0.99, **options: Mapping[str, Any]) -> Training:
    """Learners count hundreds of steps, so that values are about as large as in other markets."""
    known: dict[str, Mapping[str, Any]] = {
        "dqn": {"learning_rate": 0.003, "target_rate": 0.02, "num_steps": 3},
        "pqn": {"learning_rate": 0.002, "rollout_length": 25, "trace_decay": 0.9, "num_minibatches": 8,
                "epsilon_end": 0.02},
        "shared-critic": {"learning_rate": 0.003, "target_rate": 0.02, "num_steps": 3}}
    own = {name.replace("_", "-"): more for name, more in options.items()}
    every = {name: {**known.get(name, {}), **own.get(name, {})} for name in (*known, *own)}
    return Training(num_worlds=64, episodes=episodes, eval_worlds=2048, discount=discount, reward_scale=0.01,
                    options=every).sized_for_gpu(1024)


_TRAINING = _training()
# Values depend on contexts that are still to be drawn: only errors that count in full lead to their mean.
_EXACT_MEANS = {"huber_delta": 100.0}
_ONE_PERSON = _training(dqn=_EXACT_MEANS)
# At first all messages seem bad, as most people leave after wrong ones: a policy with less entropy may stop to send any
# in one of the contexts before it has found the right one, and never try again.
_UNTIRED = _training(dqn=_EXACT_MEANS, ippo={"entropy": 0.2})
_AGENTS = ("dqn", "pqn", "ippo")


def _with(coaching: Coaching) -> MarketConfig:
    return replace(_CONFIG, mechanisms=(coaching, Clock()))


COACH = Preset("coach", _CONFIG, _behaviour, _ONE_PERSON,
               "a coach's messages to one person: those that come too often lose their effect, so planning pays",
               _AGENTS, seeds=10)

COACH_NULL = Preset("coach-null", _with(Coaching(habituation_start=0.0, habituation_gain=0.0)), _behaviour,
                    _UNTIRED,
                    "coach without habituation: the control in which being myopic costs nothing", _AGENTS, seeds=10)

COACH_NOISY = Preset("coach-noisy", _with(Coaching(context_noise=0.4)), _behaviour, _ONE_PERSON,
                     "coach that is not sure of the context, so that a message may be wrong", _AGENTS, seeds=10)

# Encoders read all messages so far in each update: small batches and few episodes, which suffice here.
_REMEMBERING = _training(24, 0.98, shared_critic={"batch_size": 64})

COACH_HIDDEN = Preset("coach-hidden",
                      replace(_CONFIG, mechanisms=(Coaching(hidden=True),), user_sees="history", history_length=50),
                      _behaviour, _REMEMBERING,
                      "coach that does not see habituation, only the messages that it has sent",
                      tuple(f"shared-critic,encoder={encoder}" for encoder in ("none", "gru", "transformer")), seeds=10)


def _programmes(config: MarketConfig) -> SyntheticBehaviour:
    """People and programmes with vectors of a town; of three messages one is generic, and one for each context.

    People respond to none of them, so that programmes earn by steps alone.
    """
    return SyntheticBehaviour(partial(_with_programmes, TownPopulation(config)))


def _with_programmes(town: TownPopulation, key: Tensor) -> Population:
    people = town(key)
    kind = torch.arange(people.appeal.shape[1], device=key.device).expand_as(people.appeal) % 3
    topics = torch.stack([torch.where(kind == 0, 0.5, (kind == context).float()) for context in (1, 2)], dim=2)
    nothing = torch.zeros_like(people.appeal)
    return replace(people, topics=topics, appeal=nothing - CERTAIN, mood_effect=nothing,
                   preference_weight=torch.zeros_like(people.preference_weight))


COACH_LARGE = Preset(
    "coach-large",
    replace(_CONFIG, num_users=24, num_items=9, slate_size=4, embedding_size=4, slate_order="ranked", temperature=0.5,
            mechanisms=(Programmes(spread=0.5, liking=0.5), Clock())),
    _programmes,
    replace(_TRAINING, num_worlds=8, episodes=20, eval_worlds=64, others="q-learning", on_gpu={"num_worlds": 128}),
    "24 people that differ, and 9 programmes that compete for them and tire them", ("dqn", "pqn"), seeds=5)
