"""The notebooks of examples/ were executed, and run as they stand, but for sizes."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import matplotlib
import pytest

import interplay as ip

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "examples" / "notebooks").glob("*.ipynb"))
SMALL = {"tour": dict(STEPS=2, EPISODES=2, WEIGHTS=2),
         "two_sided": dict(EPISODES=1, WORLDS=2, EVAL_WORLDS=2, CONTEST_EPISODES=1),
         "log_to_policy": dict(USERS=6, ITEMS=12, RATINGS=60, EPISODES=2, CHOICES=600)}


def cells(path: Path) -> list[dict[str, Any]]:
    read = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in read if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_all_cells_were_executed_in_their_order(path: Path) -> None:
    assert [cell["execution_count"] for cell in cells(path)] == list(range(1, len(cells(path)) + 1))
    outputs = [output for cell in cells(path) for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert not [output for output in outputs if output.get("name") == "stderr"]
    pictures = [base64.b64decode(output["data"]["image/png"]) for output in outputs
                if "image/png" in output.get("data", {})]
    assert len(pictures) >= 2
    assert max(map(len, pictures)) < 150_000
    assert path.stat().st_size < 500_000


@pytest.mark.parametrize("path", [  # the tour does what the example of that name does
    pytest.param(path, marks=pytest.mark.slow if path.stem == "tour" else [], id=path.stem) for path in NOTEBOOKS])
def test_cells_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    backend = matplotlib.get_backend()
    matplotlib.use("Agg")
    smaller_trainings(monkeypatch)
    others = "".join(f"\n{name} = {value}" for name, value in SMALL[path.stem].items())
    names: dict[str, Any] = {}
    for cell in cells(path):
        code = re.sub(r"^[A-Z_, ]+ = [\d, ]+$", lambda line: line[0] + others, "".join(cell["source"]),
                      flags=re.MULTILINE)
        exec(compile(code, path.name, "exec"), names)
    plt: Any = matplotlib.pyplot
    plt.close("all")
    plt.switch_backend(backend)
    assert capsys.readouterr().out


def smaller_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings be of two worlds and of ten steps."""
    train, market = ip.train, ip.market
    sizes: Any = dict(num_worlds=2, eval_worlds=2)
    monkeypatch.setattr(ip, "train", lambda *given, **named: train(*given, **named | sizes))
    monkeypatch.setattr(ip, "market", lambda *given, **named: market(*given, **named | (
        dict(horizon=10) if "horizon" in named else {})))
