"""Users' reward is what they learn, not what they click: `--mechanism students:Knowledge`."""
from dataclasses import dataclass

from interplay.envs.mechanisms import Mechanism


@dataclass(frozen=True)
class Knowledge(Mechanism):
    """Knowledge of a topic grows when one of its items is taken, most at the edge of what is known, and fades."""

    gain: float = 0.3
    forgetting: float = 0.02

    replaces_user_reward = True

    def user_columns(self, sizes):
        return [f"knowledge of topic {g}" for g in range(sizes.num_topics)]

    def user_tables(self, start):
        return {"known": start.full_users(0.1, start.sizes.num_topics)}      # [worlds, users, topics]

    def update(self, state, outcome):
        topic = outcome.topics_taken                                         # [worlds, users, topics], 0 for a skip
        known = state["known"] * (1 - self.forgetting)
        return {"known": known + self.gain * topic * known * (1 - known)}

    def user_reward(self, before, after, outcome):                           # [worlds, users]
        return (after["known"] - before["known"]).sum(-1)

    def see_users(self, state):
        return state["known"]
