"""Labels of the agents of a small market."""

from __future__ import annotations

from interplay.envs.config import MarketConfig
from interplay.envs.drawing.picture import Picture
from interplay.envs.world import State

_FEW = 8  # agents that stand in one column, with room for their names


def label_agents(picture: Picture, state: State, config: MarketConfig) -> None:
    """Names of agents, and what each item does to those that take it."""
    if not picture.columns:
        return
    if config.num_users <= _FEW:
        picture.label("users", [f"user {number}" for number in range(config.num_users)])
    if config.num_items <= _FEW:
        appeals, effects = (table[0].tolist() for table in (state.population.appeal, state.population.mood_effect))
        words = [f"item {number}" for number in range(config.num_items)]
        if not config.built_in.mood.is_idle:
            words = [f"{name}\nappeal {appeal:.2g}, mood {effect:+.2g}"
                     for name, appeal, effect in zip(words, appeals, effects, strict=True)]
        picture.label("items", words)
