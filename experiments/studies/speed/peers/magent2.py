"""MAgent2 (Zheng et al. 2018, arXiv:1712.00600), its C++ engine: two armies on a grid, each with arrays."""

import itertools

from protocol import Game, main

AGENTS = 12_800
MAP = 400  # as dense as the engine's own battle on its map of 45: two agents on 25 fields
EPISODE = 100


def set_up(threads: int) -> Game:
    """A piece is a step of both armies; dead agents are not counted, and all return after an episode."""
    import numpy as np
    from magent2.builtin.config import battle
    from magent2.gridworld import GridWorld

    config = battle.get_config(MAP)
    config.set({"minimap_mode": False})  # as PettingZoo has it, and less to observe
    world = GridWorld(config)
    world.set_seed(0)
    armies = world.get_handles()
    random = np.random.default_rng(0)
    starts = itertools.cycle([True] + [False] * (EPISODE - 1))

    def reset() -> None:
        world.reset()
        for army in armies:
            world.add_agents(army, method="random", n=AGENTS // len(armies))

    def play() -> int:
        if next(starts):
            reset()
        units = 0
        for army in armies:
            world.get_observation(army)
            alive = world.get_num(army)
            actions = random.integers(world.get_action_space(army)[0], size=alive, dtype=np.int32)
            world.set_action(army, actions)
            units += alive
        world.step()
        for army in armies:
            world.get_reward(army)
        world.clear_dead()
        return units

    return Game(f"battle, 1 world of {AGENTS:,} agents at the start, with observations as arrays, random actions, "
                f"reset every {EPISODE} steps", "agent-steps/s", play)


if __name__ == "__main__":
    main("magent2", "magent2", set_up)
