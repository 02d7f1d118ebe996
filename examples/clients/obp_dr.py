# /// script
# requires-python = ">=3.11"
# dependencies = ["interplay", "pandas==2.3.3", "seaborn==0.13.2", "pyyaml==6.0.4"]
# [tool.interplay]
# without-dependencies = ["obp==0.5.7", "pyieoe==0.1.1"]
# ///
"""Off-policy evaluation by the Open Bandit Pipeline of a log that a market wrote, beside the truth and `ip.ope`."""
import numpy as np
from obp.ope import DoublyRobust, InverseProbabilityWeighting, OffPolicyEvaluation, RegressionModel
from sklearn.linear_model import Ridge

from interplay.envs.recommend_v0 import RecommendVectorEnv
from interplay.experiments.offpolicy.evaluation import evaluate_policy
from interplay.experiments.offpolicy.feedback import BanditFeedback

ROUNDS = 20_000
generator = np.random.default_rng(0)

# A log of one-step episodes, so that choices are a bandit: slot 1 is taken more often than others
worlds = RecommendVectorEnv(ROUNDS, "town", horizon=1, slate_size=4)
context, info = worlds.reset(seed=0)
weight = np.array([0, 4.0, 2.0, 1.0, 1.0]) * info["action_mask"]
logger = weight / weight.sum(1, keepdims=True)
action = (generator.random((ROUNDS, 1)) > logger.cumsum(1)).sum(1)
_, reward, *_ = worlds.step(action)

# A policy that prefers slot 4, and what it would have earned
wanted = np.array([0, 1.0, 1.0, 1.0, 6.0]) * info["action_mask"]
target = wanted / wanted.sum(1, keepdims=True)
propensity = logger[np.arange(ROUNDS), action]
feedback = dict(n_rounds=ROUNDS, n_actions=5, context=context, action=action, reward=reward, position=None,
                pscore=propensity)
model = RegressionModel(n_actions=5, base_model=Ridge()).fit_predict(
    context=context, action=action, reward=reward, n_folds=3, random_state=0)
found = OffPolicyEvaluation(bandit_feedback=feedback, ope_estimators=[InverseProbabilityWeighting(), DoublyRobust()])
estimates = found.estimate_policy_values(action_dist=target[:, :, None], estimated_rewards_by_reg_model=model)
log = BanditFeedback(context, action, reward, propensity, num_actions=5)
ours = {each.name: each.estimate.mean for each in evaluate_policy(log, target)}
worlds.reset(seed=0)
_, truth, *_ = worlds.step((generator.random((ROUNDS, 1)) > target.cumsum(1)).sum(1))
print(f"ipw {estimates['ipw']:.4f} (ip.ope {ours['IPS']:.4f}), dr {estimates['dr']:.4f} (ip.ope {ours['DR']:.4f}), "
      f"truth {truth.mean():.4f}, log {reward.mean():.4f}")
