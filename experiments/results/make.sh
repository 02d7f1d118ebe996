#!/usr/bin/env bash
# Makes the evidence in this folder anew: bash experiments/results/make.sh [STUDY...], by default all studies.
# It needs an installed package (pip install -e '.[dev]') and real logs in ../shared/data. On two free cores
# presets and viability take about an hour each; a benchmark that is stopped is continued by the same command.
set -euo pipefail
cd "$(dirname "$0")/../.."
R=experiments/results
DATA=${DATA:-../shared/data}

presets() {
    python scripts/benchmark.py --presets kale kale-null kale-partial contest town feed --out $R/presets
    (cd examples && python ../scripts/benchmark.py --presets town --seeds 5 --out ../$R/slot-means \
        --agents my_agent:SlotMeans first linucb linear-thompson)
    python scripts/benchmark.py --presets town --seeds 10 --out $R/town-ippo \
        --agents ippo ippo,hidden=64,num_epochs=4,rollout_length=25,num_minibatches=4,learning_rate=0.001
    python scripts/benchmark.py --presets town --seeds 30 --agents pqn pqn,hidden=64,trace_decay=0.65 --out $R/town-pqn
}

domains() {
    python scripts/benchmark.py --presets coach coach-null tutor pigou creators creators-four clearance pricing \
        --out $R/domains
    python scripts/benchmark.py --presets coach-hidden --seeds 5 --out $R/coach-hidden \
        --agents shared-critic,encoder=gru shared-critic,encoder=none
}

domains-large() { python scripts/benchmark.py --presets coach-large tutor-large shop --out $R/domains-large; }

domains-new() { python scripts/benchmark.py --presets genres genres-one merton --out $R/domains-new; }

funds-large() { python scripts/benchmark.py --presets funds-large --agents dqn --out $R/funds-large; }

bounds() { python -m interplay.experiments.studies.bounds --out $R/bounds; }

jester() {
    python scripts/benchmark.py --log "$DATA/jester" --k-core 100 --agents dqn,updates_per_step=8 --others rest --seeds 5 \
        --out $R/jester
}

congress() {
    for others in q-learning rest; do
        python scripts/benchmark.py --log "$DATA/congress-trades/trades.csv" --user-column Representative \
            --item-column Ticker --reward-column Amount --time-column TransactionDate --duplicates sum \
            --scale-rewards log --agents dqn q-learning --others $others --seeds 5 --out $R/congress/items-$others
    done
}

pretrained() {
    python scripts/pretrain.py --log "$DATA/ml-100k" --task responses --liked-above 3.5 --size 15 --batch-size 32 \
        --learning-rate 3e-3 --weight-decay 1 --dropout 0.3 --epochs 30 --patience 3 --seeds 5 --no-baselines \
        --log-dir runs --name towers
    python scripts/benchmark.py --log "$DATA/ml-100k" --encoder runs/towers \
        --agents dqn shared-critic,embed_ids=true,hidden=15 --seeds 5 --out $R/pretrained
}

representations() {
    python scripts/pretrain.py --log "$DATA/ml-100k" --seeds 5 --log-dir $R/representations --name random
    python scripts/pretrain.py --log "$DATA/ml-100k" --split own --folds --task responses --side-features \
        --liked-above 3.5 --size 64 --batch-size 32 --learning-rate 3e-3 --weight-decay 1 --dropout 0.3 --epochs 30 \
        --patience 3 --log-dir $R/representations --name folds
    python scripts/pretrain.py --log "$DATA/ml-100k" --split last --encoder transformer --size 64 --batch-size 256 \
        --weight-decay 0.1 --dropout 0.2 --epochs 40 --patience 4 --seeds 5 --log-dir $R/representations --name last
}

published-ranking() { python -m interplay.experiments.studies.published_ranking --data "$DATA" --out $R/published-ranking; }

ranking() { python -m interplay.experiments.studies.ranking --data "$DATA" --out $R/ranking; }

logs() { python -m interplay.experiments.studies.reading_logs --data "$DATA" --out $R/logs; }

log-memory() { python -m interplay.experiments.studies.log_memory --out $R/log-memory; }

logged-items() { python -m interplay.experiments.studies.logged_items --data "$DATA" --out $R/logged-items; }

unbiased() {
    python scripts/unbiased.py --log "$DATA/coat" --out $R/unbiased/coat
    python scripts/unbiased.py --agents matrix-factorisation dqn,warm_up=500,updates_per_step=4,huber_delta=100.0 --seeds 10 \
        --first-seed 10 --out $R/unbiased/agents
}

ope() {
    python scripts/estimators.py --out $R/ope/bandit
    python scripts/estimators.py --temperature 0.5 --out $R/ope/bandit-less-overlap
    python scripts/estimators.py --preset town --repeats 300 --out $R/ope/town
    for campaign in men all women; do
        for policy in random bts; do
            python scripts/ope.py "$DATA/obd/$policy/$campaign" --out $R/ope/open-bandit/$policy-$campaign
        done
    done
    python scripts/ope.py "$DATA/obd/random/men" --policy most-clicked --out $R/ope/open-bandit/random-men-most-clicked
}

fidelity() {
    python scripts/fidelity.py --log "$DATA/ml-100k" --out $R/fidelity/ml-100k
    python scripts/fidelity.py --log "$DATA/ml-100k" --users random --out $R/fidelity/ml-100k-random
    python scripts/train.py --preset town --users conditional-logit --items rest --episodes 1 --name town
    python scripts/evaluate.py runs/town --eval-worlds 20 --export runs/town.market.parquet
    python scripts/fidelity.py --log runs/town.market.parquet --preset town --out $R/fidelity/town
}

# Markets fitted to logs, and the fidelity of each with users that were held out; then markets where the truth is known.
fit() {
    one() {
        local name=$1; shift
        interplay fit "$@" --out runs/fit/$name
        mkdir -p $R/fit/$name
        cp runs/fit/$name/report.json runs/fit/$name/report.md $R/fit/$name
        interplay fidelity --preset runs/fit/$name --out $R/fit/$name/fidelity
    }
    one ml-100k "$DATA/ml-100k"
    one ml-100k-split-1 "$DATA/ml-100k" --seed 1  # splits that nobody had looked at while the model was made
    one ml-100k-split-2 "$DATA/ml-100k" --seed 2
    one oulad "$DATA/oulad/studentAssessment.csv" --user-column id_student --item-column id_assessment \
        --reward-column score
    one congress-trades "$DATA/congress-trades/trades.csv" --user-column Representative --item-column Ticker \
        --reward-column Amount --time-column TransactionDate --scale-rewards log
    one coat "$DATA/coat"
    python -m interplay.experiments.studies.fitting --out $R/fit/town
}

logged_users() { python -m interplay.experiments.studies.logged_users --data "$DATA" --out $R/logged-users; }

intervals() { python -m interplay.experiments.studies.interval_coverage --out $R/intervals --repeats 8000; }

viability() {  # the first takes more than an hour
    python scripts/benchmark.py --presets viability --out $R/viability
    python -m interplay.experiments.studies.viability_training --out $R/viability-length
    python -m interplay.experiments.studies.viability_training --agents shared-critic,mixing=vdn \
        shared-critic,mixing=qmix shared-critic,mixing=none --episodes 18 --num-worlds 16 --out $R/viability-teams
}

budgets() {
    one() { python -m interplay.experiments.studies.budgets --out $R/budgets --plans "$@"; }
    one kale,episodes=200 --agents q-learning dqn pqn --num-seeds 1
    one kale,episodes=25 kale,episodes=50 --num-seeds 1 --agents q-learning,rate_power=0.6 \
        dqn,learning_rate=0.001,target_rate=0.01 pqn shared-critic ippo
    one kale,episodes=50 kale,episodes=64 --agents q-learning dqn pqn
    one kale,episodes=64 --agents shared-critic ippo --num-seeds 3
    one kale,sizes_of=cuda --agents q-learning dqn pqn shared-critic --num-seeds 1
    one kale,num_worlds=1024,episodes=20 --agents ippo --num-seeds 1
    one kale-null,episodes=32 kale-null,episodes=64 --num-seeds 2
    one viability,episodes=25 viability,episodes=50 --agents q-learning --num-seeds 1
    one viability,episodes=25 --agents dqn shared-critic,mixing=qmix --num-seeds 1
    one viability,sizes_of=cuda,episodes=12 --agents dqn shared-critic,mixing=vdn --num-seeds 1
    one contest,episodes=50 contest,episodes=100 contest,sizes_of=cuda,episodes=25 --num-seeds 1
    one contest,num_worlds=256,episodes=25 --agents dqn,updates_per_step=2 --num-seeds 1
    one town,episodes=20 town,episodes=40 --agents dqn pqn --num-seeds 1
    one town,num_worlds=32,episodes=10 --num-seeds 1 --agents dqn,updates_per_step=2 \
        dqn,updates_per_step=2,capacity=400000 pqn,num_minibatches=8 pqn,rollout_length=5
    one town,num_worlds=16,episodes=20 --agents dqn pqn pqn,num_epochs=2,num_minibatches=4,learning_rate=0.003 \
        dqn,hidden=64,update_every=1,batch_size=256,learning_rate=0.001,target_rate=0.01
    one feed,episodes=10 feed,num_worlds=16,episodes=10 --agents slateq --num-seeds 1
}

suite() {  # a row each for experiments/results/suite, and the page that is made of them; minutes for each agent
    for agent in random greedy popularity linucb linear-thompson beta-bernoulli matrix-factorisation q-learning dqn pqn ippo \
        mappo shared-critic shared-critic,mixing=vdn shared-critic,mixing=qmix slateq; do
        python -m interplay suite --agent $agent --ml-100k "$DATA/ml-100k" --out $R/suite
    done
    python -m interplay.experiments.suite.leaderboard
}

reproductions() {
    local studies=interplay.experiments.studies.reproductions
    python -m $studies.pricing --out $R/pricing
    for study in satisfaction boredom; do
        python -m $studies.$study --out $R/reproductions/$study
    done
    python -m $studies.coaching --episodes 40 --out $R/reproductions/coaching
    python -m $studies.arena --sessions 5 --sessions-of-others 3 --out $R/reproductions/arena
    python -m $studies.coat --data "$DATA" --out $R/reproductions/coat
    python -m $studies.summary --out $R/reproductions  # all of them in one table
}

clients() { python -m interplay.experiments.studies.clients --out $R/clients; }

faults() { python scripts/faults.py --out $R/faults; }

frames() { python -m interplay.experiments.studies.frames --out $R/frames; }

film() {
    python scripts/train.py --preset kale --users dqn --name kale-dqn
    interplay watch runs/kale-dqn --against greedy --out docs/kale.gif
}

speed() {
    python scripts/bench.py --peers --repeats 2 --seconds 2 --out $R/speed/core
    python scripts/bench.py --only gymnasium-kale gymnasium-cartpole pettingzoo-21 --repeats 5 --seconds 2 \
        --out $R/speed/single
    python scripts/bench.py --only gymnasium-kale gymnasium-cartpole pettingzoo-21 --threads 1 --repeats 2 --seconds 2 \
        --clock cpu --out $R/speed/single-cpu
    python scripts/bench.py --only core-100000 fused-100000 --repeats 5 --seconds 2 --out $R/speed/large
    python scripts/bench.py --only core-12800 pettingzoo-10000 --busy 1 --repeats 2 --seconds 2 --out $R/speed/busy
    OMP_WAIT_POLICY=ACTIVE python scripts/bench.py --only core-12800 pettingzoo-10000 --busy 1 --repeats 1 --seconds 2 \
        --out $R/speed/busy-spinning
    python -m interplay.experiments.studies.speed.to_score kale 37.26 --learners pqn pqn,exploration_fraction=0.2 \
        dqn,learning_rate=0.003,target_rate=0.05 single-dqn single-dqn,learning_rate=0.003,target_rate=0.02 single-pqn \
        single-pqn,learning_rate=0.001,rollout_length=32 --seeds 10 --num-worlds 64 --episodes 24 --seconds 100 \
        --pause 0.25 --out $R/speed/to_score
    python -m interplay.experiments.studies.speed.to_score kale 37.26 --learners \
        dqn,hidden=48,batch_size=96,updates_per_step=28,warm_up=500,num_steps=2,double=False,huber_delta=5,learning_rate=0.004,target_rate=0.04,exploration_fraction=0.25,epsilon_end=0.1 \
        single-dqn single-dqn,learning_rate=0.003,target_rate=0.02 --seeds 10 --num-worlds 256 --episodes 4 \
        --seconds 100 --pause 0.05 --out $R/speed/to_score-dqn
    python -m interplay.experiments.studies.speed.updates --rounds 15 --out $R/speed/updates
    python -m interplay.experiments.studies.speed.seeds --rounds 12 --out $R/speed/seeds
    [ -e ../earlier ] || git worktree add --detach ../earlier ab031e1
    python -m interplay.experiments.studies.speed.earlier --against ../earlier --out $R/speed/earlier
}

# On a machine with a GPU; no part of all studies.
gpu() { bash scripts/gpu.sh --out $R/gpu; }

for study in "${@:-presets domains domains-large domains-new funds-large bounds jester congress pretrained representations published-ranking ranking logged_users logged-items logs log-memory unbiased ope fidelity reproductions fit intervals viability budgets suite clients faults frames film speed}"; do
    for name in $study; do "$name"; done
done
python scripts/plot.py $R/presets $R/viability --out $R  # the pictures of docs/results.md
python -m interplay.experiments.benchmark.readme
