"""Train, look, go on, compare: the whole library in one page."""

import interplay as ip

run = ip.train("kale", users="dqn", items="rest", seed=0, episodes=100, keep_replay=True)
print(run.score)                       # user return 38.9 [...], optimum 39.221 (greedy 11.990, random 13.687)
run.plot("learning.png")               # the learning curve, with random, greedy and optimum as lines
print(run.curve)                       # a polars frame: steps, returns, losses, held-out returns

run = ip.load(run.folder)              # also by another process, another day
run.resume(episodes=50)                # train longer, from the same replay
print(run.evaluate(worlds=4096, users="greedy"))                             # others in its place

table = ip.benchmark(["kale", "contest"], agents=["pqn", ip.agents.DQN(double=False), "my_agent:SlotMeans"], seeds=5)
table.plot("benchmark.png")
print(table.markdown())
table.frame.write_csv("benchmark.csv")

market = ip.market("kale", satiation={"gain": 2.0})                          # a preset with other numbers
run = ip.train(market, users=ip.agents.DQN(hidden=32), items="q-learning", callbacks=[ip.Evaluate(every=5)])

log = ip.log("ratings.csv", user="who", item="what", reward="stars")
print(log.summary)                     # what was read
print(ip.train(log, users="dqn").recommend(users=["ann"], k=5))
