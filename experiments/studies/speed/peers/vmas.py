"""VMAS (Bettini et al. 2022, arXiv:2207.03530): many worlds of MPE's simple_spread in one batch of torch tensors."""

import itertools

from protocol import Game, main

WORLDS = 32_768
AGENTS = 3
EPISODE = 25  # MPE's own length, which is what the other peers that play it have


def set_up(threads: int) -> Game:
    """A piece is a step of all worlds, which are reset at once: none of this scenario ends early."""
    import torch
    import vmas

    torch.set_num_threads(threads)
    env = vmas.make_env("simple_spread", num_envs=WORLDS, device="cpu", n_agents=AGENTS, seed=0)

    ends = itertools.cycle([False] * (EPISODE - 1) + [True])

    @torch.no_grad()
    def play() -> int:
        env.step([env.get_random_action(agent) for agent in env.agents])
        if next(ends):
            env.reset()
        return WORLDS * len(env.agents)

    return Game(f"simple_spread, {WORLDS:,} worlds of {AGENTS} agents, with observations, random actions, reset every "
                f"{EPISODE} steps", "agent-steps/s", play)


if __name__ == "__main__":
    main("vmas", "vmas", set_up)
