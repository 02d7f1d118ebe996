"""The command line: ``interplay train``, ``evaluate``, ``benchmark``, ``plot``, ``ope``, ``fidelity`` ..."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from interplay.envs.checking import check_value
from interplay.envs.types import InterplayError
from interplay.experiments.bench.command import BenchSettings, bench
from interplay.experiments.benchmark import BenchmarkSettings, benchmark
from interplay.experiments.evaluation import evaluate, report
from interplay.experiments.export import Recorder, check_export
from interplay.experiments.fidelity.settings import FidelitySettings
from interplay.experiments.flags import Many
from interplay.experiments.guarding import guarded
from interplay.experiments.ope.command import OpeSettings, ope
from interplay.experiments.representation.command import pretrain
from interplay.experiments.representation.recommending import RecommendSettings, recommend
from interplay.experiments.representation.settings import PretrainSettings
from interplay.experiments.representation.unbiased_command import UnbiasedSettings, unbiased
from interplay.experiments.run import Run
from interplay.experiments.settings import Device, TrainSettings
from interplay.experiments.stopping import Stopped, quiet_threads, stoppable
from interplay.experiments.tables import report_table
from interplay.experiments.terminal import print_anything
from interplay.experiments.training import train


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status. Wrong input ends in one line on standard error."""
    with stoppable(), quiet_threads(), current_folder_last():
        return _main(arguments)


@contextmanager
def current_folder_last() -> Iterator[None]:
    """So that my_module:MyAgent is found in the current folder, but no file there replaces a library."""
    before, here = sys.path[:], os.getcwd()
    sys.path[:] = [*(path for path in before if path not in ("", here)), here]
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def _safe_path_in_processes() -> Iterator[None]:
    """Python processes that start in here do not look for libraries in the current folder first."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:  # scripts that start later, such as those of peers, need their own folder
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _main(arguments: Sequence[str] | None) -> int:
    commands: dict[str, Callable[..., Any]] = {"train": _train, "evaluate": _evaluate, "benchmark": _benchmark,
                                                "plot": _plot, "ope": _ope, "pretrain": _pretrain,
                                                "recommend": _recommend, "fidelity": _fidelity, "unbiased": _unbiased,
                                                "bench": _bench}
    print_anything()
    commands = guarded(commands, arguments)
    try:
        status: int | None = tyro.extras.subcommand_cli_from_dict(commands, args=arguments, prog="interplay",
                                                      config=(tyro.conf.OmitArgPrefixes,))
    except InterplayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped", file=sys.stderr)
        return stop.status if isinstance(stop, Stopped) else 130
    except BrokenPipeError:  # whoever reads what is printed, such as head, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains as it ends
        return 141  # as a shell says of who was ended by it
    except OSError as error:  # the disk is full, or a folder cannot be written
        print(f"error: {error}: free space, or choose another place", file=sys.stderr)
        return 2
    return status or 0


def _train(settings: TrainSettings) -> None:
    """Train users and items against each other, then evaluate them on held-out worlds."""
    train(settings)


def _pretrain(settings: PretrainSettings) -> None:
    """Train two towers on a log, beside what they have to beat."""
    pretrain(settings)


def _recommend(settings: RecommendSettings) -> None:
    """Lists of items for users of a log, from what pretrain or train wrote."""
    recommend(settings)


def _unbiased(settings: UnbiasedSettings) -> None:
    """Compare what is learnt from a self-selected log with and without inverse propensities."""
    unbiased(settings)


def _evaluate(run: Annotated[Path, tyro.conf.Positional], eval_worlds: int | None = None,
              device: Device = "auto", export: Path | None = None,
              explore: bool = False, allow_code: bool = False) -> None:
    """Load a run's checkpoint and repeat its evaluation.

    Args:
        run: folder that train wrote.
        eval_worlds: held-out worlds; by default as many as the run used.
        device: where to evaluate.
        export: file NAME.market.parquet to write every step to: what users saw, were offered, took and got, and the
            propensities of slates. It can be read as a log, and by ope.
        explore: write steps of agents that explore, as they did at the end of training, which is what off-policy
            evaluation needs of a platform; the evaluation is without.
        allow_code: import the code that the run's folder names as module:Name. Allow it only if you trust both.
    """
    torch.set_num_threads(1)
    check_value("eval_worlds", eval_worlds, Many | None)
    if export is not None:
        check_export(export)
    elif explore:
        raise InterplayError("--explore says which steps --export writes: name a file with it, as in --export "
                             "run.market.parquet")
    loaded = Run.load(run, device, allow_code)
    if eval_worlds is not None:
        loaded.game = loaded.game._replace(training=replace(loaded.game.training, eval_worlds=eval_worlds))
    market, worlds = loaded.game.held_out, loaded.game.training.eval_worlds
    recorder = None if export is None else Recorder(market)
    found = report(market, loaded.cast, worlds, loaded.settings.seed, None if explore else recorder)
    print(report_table(loaded, found))
    if recorder is not None and export is not None:
        if explore:
            evaluate(market, loaded.cast, worlds, recorder, explore=True)
        recorder.write(export)
        print(f"wrote {export}")


def _benchmark(settings: BenchmarkSettings) -> int:
    """Train agents on markets with many seeds; write a report, scores, learning curves and a picture."""
    with _safe_path_in_processes():
        return benchmark(settings)


def _bench(settings: BenchSettings) -> int:
    """Measure the speed of the market, its facades and training, beside peers and the machine's own limit."""
    return bench(settings)


def _ope(settings: OpeSettings) -> None:
    """Estimate what a policy would have earned from what another policy did (off-policy evaluation)."""
    ope(settings)


def _fidelity(settings: FidelitySettings) -> None:
    """Play a market and say how like a log it is, and whether the difference is more than the log's own noise."""
    from interplay.experiments.fidelity.command import fidelity  # here, because matplotlib takes a second to load

    fidelity(settings)


def _plot(folders: Annotated[tuple[Path, ...], tyro.conf.Positional], out: Path = Path()) -> None:
    """Draw summary.png and curves.png from what benchmarks found, one panel for each market.

    Args:
        folders: that benchmark wrote.
        out: folder of the pictures.
    """
    from interplay.experiments.plots import plot_folders  # here, because matplotlib takes a second to load

    if not folders:
        raise InterplayError("plot needs a folder that benchmark wrote, such as: plot benchmark")
    plot_folders(folders, out)
