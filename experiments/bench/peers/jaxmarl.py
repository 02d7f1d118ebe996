"""JaxMARL (Rutherford et al. 2024, arXiv:2311.10090): many worlds of MPE's simple_spread, mapped over and compiled."""

from protocol import Game, main

WORLDS = 32_768
EPISODE = 25


def set_up(threads: int) -> Game:
    """A piece is an episode of all worlds, one compiled call as JaxMARL's own loops are; worlds reset themselves."""
    import jax
    import jaxmarl

    env = jaxmarl.make("MPE_simple_spread_v3", num_agents=3)

    def step(carry, key):  # type: ignore[no-untyped-def]
        _, state = carry
        key_act, key_step = jax.random.split(key)
        keys = jax.random.split(key_act, (env.num_agents, WORLDS))
        actions = {agent: jax.vmap(env.action_space(agent).sample)(keys[i]) for i, agent in enumerate(env.agents)}
        observation, state, rewards, _, _ = jax.vmap(env.step)(jax.random.split(key_step, WORLDS), state, actions)
        return (observation, state), rewards

    @jax.jit
    def episode(carry, key):  # type: ignore[no-untyped-def]
        # Observations are carried and rewards returned, so that the compiler has to make them.
        return jax.lax.scan(step, carry, jax.random.split(key, EPISODE))

    keys = iter(range(1, 1 << 31))
    carry = jax.vmap(env.reset)(jax.random.split(jax.random.PRNGKey(0), WORLDS))

    def play() -> int:
        nonlocal carry
        carry, rewards = jax.block_until_ready(episode(carry, jax.random.PRNGKey(next(keys))))
        return EPISODE * WORLDS * len(rewards)

    return Game(f"MPE_simple_spread_v3, {WORLDS:,} worlds of 3 agents, with observations, random actions, reset every "
                f"{EPISODE} steps", "agent-steps/s", play)


if __name__ == "__main__":
    main("jaxmarl", "jaxmarl", set_up)
