"""The study of training beside an earlier commit."""

import pytest

from interplay.experiments.cli.main import main
from interplay.experiments.common.checkout import ROOT
from interplay.experiments.common.reports import rendered
from refusals import assert_refuses

STUDY = "interplay.experiments.studies.speed.earlier:study"
SMALL = ["--presets", "kale", "--num-worlds", "2", "--warm-up", "1", "--steps", "2", "--rounds", "3"]


@pytest.mark.slow
def test_a_checkout_beside_itself(tmp_path):
    main(["--against", str(ROOT), "--agents", "dqn", *SMALL, "--out", str(tmp_path)], STUDY)
    line = (tmp_path / "report.md").read_text().splitlines()[-1]
    assert line.startswith("| kale   | dqn   |")
    assert all(float(cell) > 0.0 for cell in line.split("|")[3:-1])
    assert rendered(tmp_path) == (tmp_path / "report.md").read_text()


def test_an_agent_that_the_checkout_lacks(capfd):
    assert main(["--against", str(ROOT), "--agents", "no-such-agent", *SMALL], STUDY) == 2
    *said, refusal = capfd.readouterr().err.splitlines()
    assert any("no-such-agent" in line for line in said)
    assert_refuses(refusal, str(ROOT), fix="commit")
