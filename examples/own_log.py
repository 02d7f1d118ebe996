"""A log of your own: read it, train on it, look at the score, recommend."""
import csv
import random

import interplay as ip

USERS, ITEMS, RATINGS = 40, 30, 600

# Your file stands here. This one: people of two tastes rate films of two kinds from 1 to 5.
chance = random.Random(0)
pairs = chance.sample([(user, item) for user in range(USERS) for item in range(ITEMS)], RATINGS)
with open("ratings.csv", "w", newline="", encoding="utf-8") as file:
    rows = csv.writer(file)
    rows.writerow(["who", "what", "stars"])
    for user, item in pairs:
        liked = 4 if user % 2 == item % 2 else 2
        rows.writerow([f"person {user}", f"film {item}", liked + chance.choice([-1, 0, 1])])

log = ip.log("ratings.csv", user="who", item="what", reward="stars", missing="impute", held_out=0.25)
print(log.summary)
run = ip.train(log, users="dqn", items="rest", seed=0, episodes=60, num_worlds=8)
print(run.score)                                              # held-out ratings, beside random and greedy
run.plot("own_log.png")
print(run.recommend(users=["person 0", "person 1"], k=5))     # films of an even number, then of an odd one
