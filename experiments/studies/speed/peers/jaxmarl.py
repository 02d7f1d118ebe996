"""JaxMARL (Rutherford et al. 2024, arXiv:2311.10090): many worlds of MPE's simple_spread, mapped over and compiled."""

import itertools

from protocol import Game, main

WORLDS = 32_768


def set_up(threads: int) -> Game:
    """A piece is a step of all worlds in one compiled call; worlds reset themselves."""
    import jax
    import jaxmarl

    env = jaxmarl.make("MPE_simple_spread_v3", num_agents=3)

    @jax.jit
    def step(state, key):
        key_act, key_step = jax.random.split(key)
        keys = jax.random.split(key_act, (env.num_agents, WORLDS))
        actions = {agent: jax.vmap(env.action_space(agent).sample)(keys[i]) for i, agent in enumerate(env.agents)}
        # All of it is returned, so that the compiler has to make observations and rewards, too.
        return jax.vmap(env.step)(jax.random.split(key_step, WORLDS), state, actions)

    seeds = itertools.count(1)
    _, state = jax.vmap(env.reset)(jax.random.split(jax.random.PRNGKey(0), WORLDS))

    def play() -> int:
        nonlocal state
        _, state, rewards, _, _ = jax.block_until_ready(step(state, jax.random.PRNGKey(next(seeds))))
        return WORLDS * len(rewards)

    return Game(f"MPE_simple_spread_v3, {WORLDS:,} worlds of 3 agents, with observations, random actions, reset "
                "every 25 steps", "agent-steps/s", play)


if __name__ == "__main__":
    main("jaxmarl", "jaxmarl", set_up)
