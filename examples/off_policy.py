"""From a log to a policy, and an estimate of what the policy will earn before it is used."""
import matplotlib
import numpy as np
from sklearn.linear_model import Ridge

from interplay.experiments.offpolicy.evaluation import evaluate_policy
from interplay.experiments.offpolicy.feedback import BanditFeedback

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROUNDS, ACTIONS, FEATURES = 20_000, 8, 5
generator = np.random.default_rng(0)

# 1. A log: some logger chose by chance, and the log has its propensities
context = generator.normal(size=(ROUNDS, FEATURES))
appeal = context @ generator.normal(size=(FEATURES, ACTIONS))
clicks = 1 / (1 + np.exp(-appeal))                             # the truth, which no log has


def softmax(scores):
    """Probabilities of actions, a row for each round."""
    weight = np.exp(scores - scores.max(1, keepdims=True))
    return weight / weight.sum(1, keepdims=True)


logger = softmax(0.5 * appeal + generator.normal(size=ACTIONS))
action = (generator.random((ROUNDS, 1)) > logger.cumsum(1)).sum(1).clip(max=ACTIONS - 1)
rows = np.arange(ROUNDS)
reward = (generator.random(ROUNDS) < clicks[rows, action]).astype(float)

# 2. A policy learnt from the first half: a ridge regression for each action
old, new = slice(0, ROUNDS // 2), slice(ROUNDS // 2, None)
models = [Ridge().fit(context[old][action[old] == a], reward[old][action[old] == a]) for a in range(ACTIONS)]
policy = softmax(12 * np.stack([model.predict(context[new]) for model in models], axis=1))

# 3. Its value, estimated on the second half, beside the truth
feedback = BanditFeedback(num_actions=ACTIONS, context=context[new], action=action[new], reward=reward[new],
                          propensity=logger[rows, action][new])
found = evaluate_policy(feedback, policy)
truth, logged = (policy * clicks[new]).sum(1).mean(), reward[new].mean()
for each in found:
    print(f"{each.name:12} {each.estimate}")
print(f"truth {truth:.4f}; the logger earned {logged:.4f}")

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for place, each in enumerate(found):
    axes.plot(each.estimate.mean, place, "o", color="C0")
    if each.estimate.ci95:                                     # DM's error is unknown, so it has none
        axes.plot(each.estimate.ci95, [place, place], color="C0")
axes.axvline(truth, color="C3", linestyle="--", label="truth")
axes.axvline(logged, color="grey", linestyle=":", label="logger")
axes.set(title="What eight estimators say of a learnt policy", xlabel="clicks a round, with 95 % interval")
axes.set_yticks(range(len(found)), [each.name for each in found])
axes.legend(loc="center")
figure.savefig("off_policy.png")
