"""Command lines that cannot work: each ends with status 2 and one line of at most 300 characters on standard error."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from interplay.experiments.studies import main
from refusals import assert_said

ROWS = "".join(f"u{u},i{i},{(u * i) % 3},{u * i}\n" for u in range(8) for i in range(6))
FILES = {
    "log.csv": "user,item,reward,time\n" + ROWS,
    "huge.csv": "user,item,reward,propensity\na,b,3e38,1\na,c,-3e38,1\nb,c,1,1\nb,b,2,1\n",
    "text.csv": "user,item,reward\na,b," + "words " * 400 + "\n",
    "wide.csv": ",".join(f"column number {n}" for n in range(300)) + "\n" + ",".join(["1"] * 300) + "\n",
    "broken_module.py": "x = = 1\n",
    "failing_module.py": "raise RuntimeError('no')\n",
}

KALE = "train --preset kale --episodes 1 --num-worlds 1 --eval-worlds 1 "
LOG = "train --log log.csv --episodes 1 --num-worlds 1 --eval-worlds 1 "
TOWERS = "pretrain --log log.csv --epochs 1 --size 4 "

NAMES = [
    KALE + "--users :", KALE + "--users ../../x:Y", KALE + "--users a:", KALE + "--users :b", KALE + "--users os:path",
    KALE + "--users os:nope", KALE + "--users broken_module:X", KALE + "--users failing_module:X",
    KALE + "--users 1.2:x", KALE + "--users os.path:join", KALE + "--users interplay.agents:Agent",
    KALE + "--users interplay.agents:Player", KALE + '--users ""', KALE + "--users ,", KALE + "--users dqn,hidden",
    KALE + "--users slateq", KALE + "--items os:path", KALE + f"--users {'x' * 2000}", KALE + "--platform :",
    "train --preset os:path", "train --preset :", "train --preset interplay.envs.presets:Preset",
    "train --preset ../x:y", 'train --preset ""', "train --log nope", "train --log .", "train --log wide.csv",
    "train --log text.csv", "train --log huge.csv", "pretrain --log huge.csv", "ope huge.csv",
    LOG + "--user-column nope", LOG + "--user-column item", LOG + "--user-features nope.csv", LOG + "--encoder nope",
    LOG + f"--user-column {'x' * 2000}", LOG + "--split own", LOG + "--split own --split-column time",
    "recommend --run nope", "evaluate nope", "plot", "plot nope", "benchmark --presets os:path",
    "benchmark --presets nope", "benchmark --agents nope", "benchmark --agents os:path", "benchmark --agents :",
    "benchmark --others nope --presets kale --agents q-learning", "benchmark --agents slateq --presets kale",
    "ope nope", "ope log.csv", "estimators --preset os:path", "estimators --preset nope", "fidelity --log nope",
    "fidelity --log log.csv --users nope", "fidelity --log log.csv --users :",
    "fidelity --log log.csv --preset os:path", "fidelity --log log.csv --position-column nope",
    "train kale", "evaluate nope other", "agents other", "presets --json", "recommend", "recommend -k 5", "suite",
    "unbiased --agents nope", "unbiased --agents :", "unbiased --agents slateq", "bench --only nope",
    "bench --peer-python x", "bench --peer-python nope=/x",
]

NUMBERS = [
    KALE + "--users dqn --user-option hidden=1000000000000", KALE + "--users dqn --user-option learning_rate=1e999",
    KALE + "--users dqn --user-option learning_rate=nan", KALE + "--users dqn --user-option 'hidden={[]}'",
    KALE + f"--users dqn --user-option hidden={'(' * 300}", KALE + f"--users dqn --user-option hidden={'9' * 3000}",
    KALE + f"--users dqn --user-option {'x' * 3000}", KALE + "--market horizon=0", KALE + "--market num_users=1e400",
    KALE + "--market num_users=1000000000000", KALE + "--market =3", KALE + "--market num_users",
    KALE + "--market temperature=0", KALE + f"--market {'x' * 3000}=1", KALE + "--num-worlds 1000000000000",
    KALE + "--num-worlds 100000000000000000000000", KALE + "--eval-worlds 1000000000000000000",
    KALE + "--episodes 0", KALE + "--episodes -1", KALE + "--seed -1", KALE + "--seed 99999999999999999999",
    KALE + "--discount nan", KALE + "--discount inf", KALE + "--discount 1", KALE + "--threads 0",
    KALE + "--threads 100000000000000000000", LOG + "--reward-range -inf inf", LOG + "--reward-range nan 1",
    LOG + "--reward-range 1 0", LOG + "--reward-range 0 0", LOG + "--reward-range -1e300 1e300", LOG + "--held-out nan",
    LOG + "--held-out 1", LOG + "--held-out -inf", LOG + "--clip-rewards nan 1", LOG + "--clip-rewards 3 1",
    LOG + "--implicit-above inf", LOG + "--k-core -1", LOG + "--clip-weights nan --targets ips --missing zero",
    LOG + "--clip-weights 0 --targets ips --missing zero", TOWERS + "--learning-rate nan", TOWERS + "--learning-rate 0",
    TOWERS + "--weight-decay nan", TOWERS + "--dropout nan", TOWERS + "--dropout 1", TOWERS + "--size 0",
    TOWERS + "--size 1000000000000", TOWERS + "--batch-size 0", TOWERS + "--epochs 0", TOWERS + "--patience 0",
    TOWERS + "--num-negatives -1", TOWERS + "--num-negatives 1000000000000", TOWERS + "--k 0", TOWERS + "--seeds 0",
    TOWERS + "--seeds 1000000000000", TOWERS + "--seed -1", TOWERS + "--encoder gru --history-length 0",
    TOWERS + "--liked-above nan", "recommend --run . -k 0", "benchmark --seeds 0", "benchmark --scale nan",
    "benchmark --scale 0", "benchmark --workers 0", "ope log.csv --folds 0", "ope log.csv --seed -1",
    "estimators --rounds 0", "estimators --rounds 1000000000000", "estimators --repeats 0",
    "estimators --temperature nan", "estimators --temperature 0", "estimators --preset kale --steps 0",
    "fidelity --log log.csv --gap nan", "fidelity --log log.csv --resamples 0",
    "fidelity --log log.csv --most-worlds 0", "unbiased --log log.csv --split random --sizes -1",
    "unbiased --log log.csv --split random --ridges nan", "unbiased --log log.csv --split random --clip 0",
    "unbiased --agents dqn --episodes 0", "bench --threads 0", "bench --repeats 0", "bench --seconds nan",
]

WITHOUT_EFFECT = {
    "train --preset kale --missing mask": "--missing mask",
    "train --preset kale --cross-fit 5": "--cross-fit 5",
    "train --log log.csv --missing zero --cross-fit 5": "--cross-fit 5",
    "train --log log.csv --user-column who --guess-columns": "--guess-columns True",
    "train --preset kale --held-out 0.2": "--held-out 0.2",
    "train --preset kale --split random": "--split random",
    "train --preset kale --user-column user": "--user-column user",
    "train --log log.csv --preset town": "--preset town",
    "train --log log.csv --data-dir .": "--data-dir .",
    "train --log log.csv --held-out 0.2 --split last": "--held-out 0.2",
    "train --log log.csv --split-column time": "--split-column time",
    "train --log log.csv --clip-weights 9": "--clip-weights 9.0",
    "train --preset kale --allow-code": "--allow-code True",
    "benchmark --log log.csv --presets kale": "--presets kale",
    "benchmark --presets kale --missing zero": "--missing zero",
    "pretrain --log log.csv --task responses --loss softmax": "--loss softmax",
    "pretrain --log log.csv --task responses --num-negatives 0": "--num-negatives 0",
    "pretrain --log log.csv --task responses --k 10": "--k 10",
    "pretrain --log log.csv --history-length 50": "--history-length 50",
    "estimators --steps 10": "--steps 10",
    "ope . --target-column target": "--target-column target",
    "ope . --context-columns a b": "--context-columns a b",
    "ope log.csv --target-column time --folds 3": "--folds 3",
    "ope log.csv --target-column time --policy uniform": "--policy uniform",
    "ope log.csv --allow-code": "--allow-code True",
    "ope . --action-column item": "--action-column item",
    "recommend --run . --spreadsheet-safe": "--spreadsheet-safe True",
    "evaluate nope --explore": "--explore",
    "fidelity --log log.csv --preset kale --missing mask": "--missing mask",
    "fidelity --log log.csv --episodes 3": "--episodes 3",
    "unbiased --agents dqn --sizes 3": "--sizes 3",
    "unbiased --log log.csv --episodes 10": "--episodes 10",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", [*NAMES, *NUMBERS], ids=lambda line: line[:80])
def test_it_ends_in_one_line(line: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(line)) == 2
    assert_said(capsys.readouterr().err)
    assert not (here / "runs").exists()


@pytest.mark.parametrize(("line", "flag"), WITHOUT_EFFECT.items(), ids=list(WITHOUT_EFFECT))
def test_a_flag_without_effect_is_an_error(line: str, flag: str, here: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    """Also if its value is the default."""
    assert main(shlex.split(line)) == 2
    assert_said(capsys.readouterr().err, flag)


def test_a_resumed_run_keeps_its_settings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = shlex.split("--episodes 1 --num-worlds 1 --eval-worlds 1 --users random --items rest --market horizon=2")
    assert main(["train", "--preset", "kale", "--seed", "3", "--name", "run", *small]) == 0
    capsys.readouterr()
    for flags, name, value in (("--preset town", "preset='kale'", "'town'"), ("--seed 0", "seed=3", 0),
                               ("--missing zero", "missing='mask'", "'zero'"), ("--log-dir other", "log_dir", "other")):
        assert main(shlex.split(f"train --resume runs/run {flags}")) == 2
        assert_said(capsys.readouterr().err, "--resume runs/run", name, value)
    assert main(shlex.split("train --resume runs/run --preset kale --seed 3 --log-dir runs --threads 2")) == 0


@pytest.mark.parametrize(("line", "thing", "fix"), [
    ("train kale", "kale", "interplay train --help"), ("suite", "--agent", "module:Class"),
    ("presets --json", "--json", "leave it out")])
def test_what_the_parser_refuses_is_named(line: str, thing: str, fix: str, here: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(line)) == 2
    assert_said(capsys.readouterr().err, thing, fix=fix)
