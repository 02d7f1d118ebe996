# /// script
# requires-python = ">=3.11"
# dependencies = ["interplay", "numpy==1.26.4", "pandas==2.3.3", "colorlog==4.7.2", "colorama==0.4.4",
#                 "pyyaml==6.0.4", "tabulate==0.10.0", "texttable==1.7.2", "thop==0.1.1.post2209072238",
#                 "psutil==7.2.2", "plotly==7.1.0"]
# [tool.interplay]
# without-dependencies = ["recbole==1.2.1"]
# ///
"""BPR of RecBole, a ranking model, on what users of a market liked: a log in RecBole's own format."""
from pathlib import Path

from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

import interplay as ip

STEPS, EPOCHS = 150, 60

# 1. A log: users take slots by chance, and the file has what pleased them
market = ip.market("town", num_users=300, num_items=100)
state, liked = market.reset(worlds=[0], seed=0), set()
for _ in range(STEPS):
    state, step = market.step(state, *market.random_actions(state))
    liked |= {(user, int(step.chosen[0, user])) for user in step.response[0].nonzero().ravel().tolist()}
Path("market").mkdir(exist_ok=True)
rows = [f"{user}\t{item}" for user, item in sorted(liked)]
Path("market/market.inter").write_text("\n".join(["user_id:token\titem_id:token", *rows]))

# 2. Models of RecBole
for name in ("Pop", "BPR"):
    config = Config(model=name, dataset="market", config_dict={
        "data_path": ".", "load_col": {"inter": ["user_id", "item_id"]}, "epochs": EPOCHS, "use_gpu": False})
    init_seed(config["seed"], reproducibility=True)
    training, validation, test = data_preparation(config, create_dataset(config))
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, get_model(name)(config, training.dataset))
    trainer.fit(training, validation, saved=False)
    print(f"{name}: NDCG@10 {trainer.evaluate(test, load_best_model=False)['ndcg@10']:.3f}", end=" ")
print(f"of {len(liked)} pairs")
