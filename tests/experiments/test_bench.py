"""The speed benchmark measures what it says, reports what failed, and compares with the right thing."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from interplay.experiments.studies.speed.cases import Core, cases, find_case
from interplay.experiments.studies.speed.command import BenchSettings, Entry, _shown, _tried, bench
from interplay.experiments.studies.speed.fused_loop import Fused
from interplay.experiments.studies.speed.peers import protocol
from interplay.experiments.studies.speed.report import AGENTS, USERS, Measured, _targets_with, write_bench
from interplay.experiments.studies.speed.roofline import Roofline
from refusals import refused

QUICK = {"threads": (1,), "seconds": 0.02}
HEAVY = {"core-100000", "roofline-100000", "fused-100000"}


@pytest.mark.parametrize("name", sorted(set(cases()) - HEAVY))
def test_every_case_plays(name):
    play = find_case(name).make()
    for _ in range(2):
        play()


def test_the_core_plays_past_its_horizon_and_knows_its_size():
    core = Core("viability", 3)
    case = core.case("small", "three small worlds")
    play = case.make()
    for _ in range(205):
        play()
    assert (case.users, case.agents) == (12, 18)
    assert case.held() > 4 * 2  # at least two floats each


def test_the_roofline_moves_what_a_step_moves():
    market, state = Core("town", 1, num_candidates=8).state()
    roofline = Roofline(market, state)
    roofline.play()
    assert sum(x.numel() for x in roofline._source[::2]) >= state.user_vector.numel()


@pytest.mark.slow
def test_the_fused_loop_draws_the_slates_of_the_market():
    market, state = Core("town", 1, num_users=700, num_items=30, num_candidates=13).state()
    fused = Fused(market, state)
    fused.play()
    assert (torch.from_numpy(fused.slates) == state.slate.items[0]).float().mean() > 0.99  # but close calls


def measured(name, rate, threads=1, users=None, agents=None, unit=AGENTS):
    return Measured(name, threads, "what", "1", unit, (rate, rate, 9 * rate), 1, users, agents)


@pytest.mark.slow
def test_a_report_has_rates_targets_and_a_picture(tmp_path, capsys):
    settings = BenchSettings(only=("core-2000",), repeats=2, out=tmp_path / "out", **QUICK)
    assert bench(settings) == 0
    found = json.loads((tmp_path / "out" / "report.json").read_text())["data"]
    assert [(one["name"], one["threads"], len(one["rates"])) for one in found["measured"]] == [("core-2000", 1, 10)]
    assert all(rate > 0 for one in found["measured"] for rate in one["rates"])
    assert "one town of 2,000 users x 50 items" in (tmp_path / "out" / "report.md").read_text()
    assert (tmp_path / "out" / "bench.png").stat().st_size > 1000
    assert "[2/2] core-2000" in capsys.readouterr().out


def test_what_fails_is_reported_and_not_tried_again(tmp_path):
    found, problems = {}, {}
    said = _tried(Entry("broken", 1, (sys.executable, "-c", "raise SystemExit('no such luck')")), found, problems)
    assert "no such luck" in said
    assert problems == {"broken": said}
    assert not found


def test_the_exit_status_counts_our_own_cases_and_named_peers(tmp_path, monkeypatch):
    command = "interplay.experiments.studies.speed.command"
    broken = (sys.executable, "-c", "raise SystemExit(3)")
    for name, named, status in (("vmas", (), 0), ("vmas", (f"vmas={sys.executable}",), 1), ("core-2000", (), 1)):
        monkeypatch.setattr(f"{command}._entries", lambda settings, name=name: iter([Entry(name, 1, broken)]))
        settings = BenchSettings(repeats=1, peer_python=named, out=tmp_path, **QUICK)
        assert bench(settings) == status
    assert "core-2000 failed with status 3" in (tmp_path / "report.md").read_text()


def test_targets_compare_like_with_like():
    found = [measured("core-2000", 4100.0, users=2000, agents=2050), measured("recsim_ng", 1000.0, unit=USERS),
             measured("core-kale", 100.0, users=1, agents=5), measured("vmas", 60.0),
             measured("pettingzoo-1000", 2e6, users=900, agents=1000), measured("magent2_pettingzoo", 5e5),
             measured("vmas", 1.0, threads=2)]
    rows = {(row[0], row[4]): row for row in _targets_with(found, 1)}
    assert rows["core-2000", "recsim_ng"][3:] == ["4.00", "recsim_ng", "3.00", "yes"]
    assert rows["core-kale", "vmas"][3:] == ["1.67", "vmas", "2.00", "no"]
    assert rows["pettingzoo-1000", "magent2_pettingzoo"][3:] == ["4.00", "magent2_pettingzoo", "2.00", "yes"]
    assert len(rows) == 3


@pytest.mark.parametrize(("settings", "named", "fix"), [
    ({"only": ("core",)}, ["case", "core"], ()), ({"threads": ()}, ["threads", ()], ()),
    ({"repeats": 0}, ["repeats", 0], 1), ({"seconds": 0.0}, ["seconds", 0.0], 0),
    ({"peer_python": ("vmas",)}, ["--peer-python", "vmas"], "NAME=PATH"),
    ({"profile": Path("/dev/null/x")}, ["profile", "/dev/null/x"], "--profile"),
    ({"peer_python": ("vmas=/nowhere/python",)}, ["--peer-python", "vmas=/nowhere/python"], "path"),
    ({"peer_python": ("chess=x",)}, ["--peer-python", "chess=x"], "recsim_ng")])
def test_wrong_settings_are_refused(settings, named, fix, tmp_path):
    with refused(*named, fix=fix):
        bench(BenchSettings(out=tmp_path, **settings))


def test_reports_do_not_say_where_other_pythons_are():
    typed = "python scripts/bench.py --peer-python vmas=/a/b/python --peer-python recsim_ng=/c/python --out here"
    assert _shown(typed) == "python scripts/bench.py --peer-python vmas=PATH --peer-python recsim_ng=PATH --out here"


@pytest.mark.slow
def test_busy_processes_use_the_cpu_and_end_with_their_parent():
    script = """
import os, time
from interplay.experiments.studies.speed.command import busy_processes
with busy_processes(1):
    time.sleep(0.3)
print(sum(os.times()[2:4]), flush=True)  # of children that have ended
with busy_processes(1):
    os._exit(7)
"""
    # It returns once no process holds the output: a busy process that was left behind would keep it open.
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=100)
    assert float(found.stdout) > 0.0
    assert found.returncode == 7


@pytest.mark.parametrize(("clock", "said"), [("wall", False), ("cpu", True)])
def test_a_report_says_what_its_seconds_are_of(clock, said, tmp_path):
    write_bench(tmp_path, [measured("core-2000", 5.0)], {}, "interplay bench", clock=clock)
    assert ("used the CPU for" in (tmp_path / "report.md").read_text()) == said


def test_seconds_of_the_cpu_leave_out_what_others_take():
    """A piece that sleeps takes none of it."""
    def piece():
        time.sleep(0.01)
        return 1

    wall, cpu = (statistics.median(protocol.measured(piece, 0.001, clock)) for clock in protocol.CLOCKS.values())
    assert cpu > 3 * wall


def test_threads_are_compared_beside_busy_processes(tmp_path):
    found = [measured("core-2000", 100.0), measured("core-2000", 90.0, threads=2), measured("vmas", 1.0, threads=2)]
    write_bench(tmp_path, found, {}, "interplay bench --busy 1", busy=1)
    lines = (tmp_path / "report.md").read_text().split("## Beside busy processes")[1].splitlines()
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| core")] == [
        ["core-2000", "2", "90", "0.90"]]
    assert not any("vmas" in line for line in lines)
    write_bench(tmp_path, found, {}, "interplay bench")
    assert "busy" not in (tmp_path / "report.md").read_text()
