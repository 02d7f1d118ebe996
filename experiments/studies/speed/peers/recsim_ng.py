"""RecSim NG (Mladenov et al. 2021, arXiv:2103.08057): its ecosystem of viable providers, in one TensorFlow graph.

Its last release needs Python 3.8 and libraries of its time:

    pip install recsim-ng==0.1.2 tensorflow-cpu==2.8.4 tensorflow-probability==0.16 edward2==0.0.2 "protobuf<3.21"
"""

from protocol import Game, main

USERS = 2_000
PROVIDERS = 10
SLATE = 3  # fixed by the story, as are the five documents for each provider
HORIZON = 50


def set_up(threads: int) -> Game:
    """A piece is an episode of all users: each answers a slate in every step, the first included."""
    import numpy as np
    import tensorflow as tf
    from recsim_ng.applications.ecosystem_simulation import simulation_config
    from recsim_ng.core import network as network_lib
    from recsim_ng.lib.tensorflow import runtime

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.random.set_seed(0)
    means = np.random.default_rng(0).normal(scale=8.0, size=(PROVIDERS, 2)).astype(np.float32)
    story = simulation_config.create_viable_provider_simulation_network(means, num_users=USERS)
    network = network_lib.Network(variables=story)

    @tf.function
    def episode():
        last = runtime.TFRuntime(network=network).execute(num_steps=HORIZON - 1)
        _, reward = network_lib.find_unique_field(last, field_name="cumulative_reward")
        _, choice = network_lib.find_unique_field(last, field_name="choice")
        return reward, choice

    def play() -> int:
        _, choice = episode()
        return HORIZON * len(choice.numpy())

    return Game(f"ecosystem_simulation, {USERS:,} users, {PROVIDERS} providers, {5 * PROVIDERS} documents, slates of "
                f"{SLATE}, episodes of {HORIZON} steps, myopic slates and the users' own random choices, in one graph",
                "user-interactions/s", play)


if __name__ == "__main__":
    main("recsim_ng", "recsim-ng", set_up)
