"""`genres`: creators choose for which users their content is and how good it is; users take what is best for them.

Jagadeesan, Garg and Steinhardt, "Supply-side equilibria in recommender systems", NeurIPS 2023; see
``mechanisms.genres``, which has the equations.

- Items: 4 creators. In each step each chooses content for one group of users, for the other, or for both, in one of 12
  qualities, or keeps its content (rest). Quality costs quality ** 8 in `genres`, and quality ** 1.2 in `genres-one`.
- Users: two, one of each group. They do nothing, and stand for all.
- Rewards: a creator earns the number of users that take its content, less its cost. A user earns what that is worth.
- Observation: own content and the part of users that took it. Tabular agents have one state.
- Start: any content. End: after 20 steps, as truncation.
- Known (``experiments.exact.genres``): up to a power of 2 there is an equilibrium of one genre, for all users, whose
  quality is drawn from F(r) = min(1, (r^power / 2)^(1/3)); above, a creator gains by serving one group alone, so that
  there is none. With `genres.num_groups=1` all users are alike.
"""

from functools import partial

from interplay.envs.behaviour.synthetic import CERTAIN, all_alike
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.genres import Genres
from interplay.envs.presets.base import Preset, Training

_USERS, _CREATORS = 2, 4


def _preset(name: str, cost_power: float, summary: str) -> Preset:
    """The highest quality costs as much as all users are worth."""
    config = MarketConfig(
        num_users=_USERS, num_items=_CREATORS, slate_size=_CREATORS, embedding_size=1, num_topics=1, num_segments=1,
        horizon=20, slate_order="fixed", response_mode="mean", user_state="single", item_state="single",
        mechanisms=(Genres(cost_power=cost_power, highest=_USERS ** (1.0 / cost_power)),))
    # What is best changes with what others do, so old steps must be forgotten soon.
    training = Training(num_worlds=16, episodes=50, eval_worlds=16, discount=0.0, side="items", others="rest",
                        measure="item_return", options={"q-learning": {"learning_rate": 0.1}}).sized_for_gpu(256)
    return Preset(name, config, partial(all_alike, appeal=-CERTAIN), training, summary, ("q-learning",), seeds=10)


GENRES = _preset("genres", 8.0, "creators of content for one group of users or for all, where good content is dear")
GENRES_ONE = _preset("genres-one", 1.2, "genres where good content is cheap: all make content for everyone")
