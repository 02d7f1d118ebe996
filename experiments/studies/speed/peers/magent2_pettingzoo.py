"""MAgent2 (Zheng et al. 2018, arXiv:1712.00600) as PettingZoo's dicts: its battle, larger than it comes."""

from protocol import Game, main

MAP = 112
EPISODE = 100


def set_up(threads: int) -> Game:
    """A piece is a step of all agents; dead agents are not counted, and all return after an episode."""
    from magent2.environments import battle_v4

    env = battle_v4.parallel_env(map_size=MAP, max_cycles=EPISODE, seed=0)
    env.reset(seed=0)
    for number, agent in enumerate(env.agents):
        env.action_space(agent).seed(number)
    many = len(env.agents)

    def play() -> int:
        if not env.agents:
            env.reset()
        units = len(env.agents)
        env.step({agent: env.action_space(agent).sample() for agent in env.agents})
        return units

    return Game(f"battle_v4, 1 world of {many:,} agents at the start, with observations as dicts, random actions, "
                f"reset every {EPISODE} steps", "agent-steps/s", play)


if __name__ == "__main__":
    main("magent2_pettingzoo", "magent2", set_up)
