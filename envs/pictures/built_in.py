"""What pictures show of the mechanisms that a market's config switches on by numbers."""

from __future__ import annotations

import torch

from interplay.envs.config import MarketConfig
from interplay.envs.pictures.colours import BOOST, BUDGET, MOOD, SATIATION
from interplay.envs.pictures.picture import Picture
from interplay.envs.world import State

_FEW = 8  # agents that stand in one column, with room for their names
_MOST_TOPICS = 2  # with a bar each


def draw_built_in(picture: Picture, state: State, config: MarketConfig) -> None:
    """Bars of mood, satiation, budgets and boosts, as far as the market has them."""
    if config.mood_weight > 0.0 or config.leaving:
        picture.bar("users", "mood", state.mood, low=-config.mood_max, high=config.mood_max, colour=MOOD)
    if config.satiation_weight > 0.0:
        _draw_satiation(picture, state, config)
    if config.budgets:
        picture.bar("items", "budget", state.energy, high=config.energy_max, colour=BUDGET)
    if config.boost_levels:
        factors = torch.tensor((1.0, *config.boost_levels), device=state.boost_level.device)[state.boost_level]
        picture.bar("items", "boost", factors, low=1.0, high=max(config.boost_levels), colour=BOOST)
    if picture.columns:
        _label(picture, state, config)


def _draw_satiation(picture: Picture, state: State, config: MarketConfig) -> None:
    topics = state.satiation.unbind(2) if config.num_topics <= _MOST_TOPICS else [state.satiation.mean(2)]
    for number, values in enumerate(topics):
        name = "satiation" if len(topics) == 1 else f"satiation {number}"
        picture.bar("users", name, values, high=config.satiation_max, colour=SATIATION)


def _label(picture: Picture, state: State, config: MarketConfig) -> None:
    """Names of agents, and what each item does to those that take it."""
    if config.num_users <= _FEW:
        picture.label("users", [f"user {number}" for number in range(config.num_users)])
    if config.num_items <= _FEW:
        appeals, effects = (table[0].tolist() for table in (state.population.appeal, state.population.mood_effect))
        words = [f"item {number}" for number in range(config.num_items)]
        if config.mood_weight > 0.0 or config.leaving:
            words = [f"{name}\nappeal {appeal:.2g}, mood {effect:+.2g}"
                     for name, appeal, effect in zip(words, appeals, effects, strict=True)]
        picture.label("items", words)
