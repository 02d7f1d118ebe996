"""DQN of TorchRL on the Gymnasium view, with TorchRL's own actor, replay buffer and loss."""
import matplotlib
import numpy as np
import torch
from tensordict.nn import TensorDictSequential
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import GymEnv
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import MLP, EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, SoftUpdate

import interplay  # noqa: F401  (registers the environment)

matplotlib.use("Agg")
import matplotlib.pyplot as plt

EPISODES, BATCH, UPDATES = 150, 128, 50

torch.manual_seed(0)
env = GymEnv("interplay/Recommend-v0", preset="kale", categorical_action_encoding=True)
env.set_seed(0)
network = MLP(in_features=env.observation_spec["observation"].shape[-1], out_features=env.action_spec.n,
              num_cells=[64, 64], activation_class=torch.nn.ReLU)
actor = QValueActor(network, in_keys=["observation"], spec=env.action_spec)
explore = EGreedyModule(env.action_spec, eps_init=1.0, eps_end=0.05, annealing_num_steps=EPISODES * 25)
behave = TensorDictSequential(actor, explore)
loss = DQNLoss(actor, action_space=env.action_spec, delay_value=True)
loss.make_value_estimator(gamma=0.97)
target = SoftUpdate(loss, eps=0.98)
optimiser = torch.optim.Adam(loss.parameters(), lr=1e-3)
memory = TensorDictReplayBuffer(storage=LazyTensorStorage(20_000), batch_size=BATCH)


def play(policy):
    """One episode: its steps and its return."""
    with torch.no_grad():
        steps = env.rollout(50, policy)
    return steps, steps["next", "reward"].sum().item()


curve = []
for _ in range(EPISODES):
    steps, earned = play(behave)
    explore.step(len(steps))
    memory.extend(steps)
    curve.append(earned)
    for _ in range(UPDATES):
        optimiser.zero_grad()
        loss(memory.sample())["loss"].backward()
        optimiser.step()
        target.step()

with set_exploration_type(ExplorationType.DETERMINISTIC):
    score = np.mean([play(actor)[1] for _ in range(20)])
print(f"mean return {score:.2f}; random users earn 13.69, greedy ones 11.99, the optimum is 39.22")

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.plot(curve)
axes.axhline(39.221, color="grey", linestyle="--")
axes.annotate("optimum", (0, 39.221), va="bottom")
axes.set(title="TorchRL's DQN on kale, in training", xlabel="episode", ylabel="user return")
figure.savefig("torchrl_dqn.png")
