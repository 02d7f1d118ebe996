"""MPE2, the particle environments of Lowe et al. (2017, arXiv:1706.02275): one world, as PettingZoo's dicts."""

from protocol import Game, main


def set_up(threads: int) -> Game:
    """A piece is an episode of 25 steps; pure Python and NumPy on vectors of two, which use one thread."""
    from mpe2 import simple_spread_v3

    env = simple_spread_v3.parallel_env(N=3, max_cycles=25)
    env.reset(seed=0)
    for number, agent in enumerate(env.agents):
        env.action_space(agent).seed(number)

    def play() -> int:
        env.reset()
        units = 0
        while env.agents:
            units += len(env.agents)
            env.step({agent: env.action_space(agent).sample() for agent in env.agents})
        return units

    return Game("simple_spread_v3, 1 world of 3 agents, with observations as dicts, random actions, "
                "reset every 25 steps", "agent-steps/s", play)


if __name__ == "__main__":
    main("mpe2", "mpe2", set_up)
