"""What a finished run adds to its TensorBoard events: lines to compare with, hyper-parameters, a summary, pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from interplay.experiments.common.tables import table
from interplay.experiments.evaluate.evaluation import Report
from interplay.experiments.evaluate.learning import learning_picture
from interplay.experiments.evaluate.learnt import learnt
from interplay.experiments.evaluate.tables import report_table
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.tracking import HELD_OUT, REFERENCE, final_events

_RETURNS = ("user_return", "item_return")
_MOST_POINTS = 50
_SCORE = f"{HELD_OUT}normalised_score"


class Sink(Protocol):
    """The methods of TensorBoard's writer by which the final evaluation is logged."""

    def add_scalar(self, name: str, value: float, step: int, /) -> None:
        """Log a figure."""

    def add_text(self, name: str, text: str, step: int, /) -> None:
        """Log a text in Markdown."""

    def add_image(self, name: str, pixels: NDArray[np.uint8], step: int, /, *, dataformats: str) -> None:
        """Log a picture ``[H, W, 3]``."""


def log_final(run: Run, report: Report, scene: NDArray[np.uint8] | None, others: Sequence[Sink] = ()) -> None:
    """Write the events of the final evaluation.

    Args:
        run: that was evaluated.
        report: what was found.
        scene: picture ``[H, W, 3]`` of a held-out world at its end, if there is one.
        others: get the same, but for hyper-parameters.
    """
    pictures = {"learning curve": _pixels(run, report), "held-out world at its end": scene}
    with final_events(run.folder) as writer:  # written again when the run is evaluated again
        _add_hparams(writer, run, report)
        sinks: list[Sink] = [writer, *others]
        for sink in sinks:
            for name, value, step in _points(run, report):
                sink.add_scalar(name, value, step)
            sink.add_text("about this run", _summary(run, report), run.env_steps)
            for name, pixels in pictures.items():
                if pixels is not None:
                    sink.add_image(name, pixels, run.env_steps, dataformats="HWC")


def _points(run: Run, report: Report) -> Iterator[tuple[str, float, int]]:
    """Figures by name, value and step."""
    last = run.curve[-1] if run.curve else {}
    for name in _RETURNS:
        if f"{HELD_OUT}{name}" not in last:  # else the training has logged it
            yield f"{HELD_OUT}{name}", getattr(report.score, name).mean, run.env_steps
    for step, score in _scores(run, report):
        yield _SCORE, score, step
    for name, value in report.levels().items():
        for step in _steps(run):
            yield f"{REFERENCE}{name}", value, step


def _steps(run: Run) -> list[int]:
    """Where a line has points: so many that TensorBoard, which scales charts to most of the points, shows it."""
    rows = run.curve[::max(1, len(run.curve) // _MOST_POINTS)]
    return sorted({0, run.env_steps, *(int(row["env_steps"]) for row in rows)})


def _scores(run: Run, report: Report) -> Iterator[tuple[int, float]]:
    """The normalised score after each evaluation during training, and the final one."""
    if report.normalised_score is None:
        return
    name = f"{HELD_OUT}user_return"
    for row in run.curve:
        score = report.normalised(row[name]) if name in row else None
        if score is not None and row["env_steps"] < run.env_steps:
            yield int(row["env_steps"]), score
    yield run.env_steps, report.normalised_score


def _add_hparams(writer: SummaryWriter, run: Run, report: Report) -> None:
    """Hyper-parameters. TensorBoard finds by itself which differ between runs, and shows those first.

    It does so only where no run lists them, as the first of the three summaries would.
    """
    _, start, end = hparams(_chosen(run, report), {})  # type: ignore[no-untyped-call]
    for summary in (start, end):
        writer._get_file_writer().add_summary(summary, run.env_steps)  # type: ignore[no-untyped-call]


def _chosen(run: Run, report: Report) -> dict[str, Any]:
    """Hyper-parameters by name."""
    training = asdict(replace(run.task.training, options={}))
    training.pop("options")
    names = {str(side): name for side, name in report.score.names().items()}
    options = {f"{label}/{name}": value for label, of_one in run.players.options().items()
               for name, value in asdict(of_one).items()}
    return {"market": run.task.name, **names, "seed": run.settings.seed, **training, **options}


def _summary(run: Run, report: Report) -> str:
    """The run in a table, and its evaluation in another, as Markdown."""
    config, training = run.task.market.config, run.task.training
    rows = [("market", f"{run.task.name}: {config.num_users:,} users, {config.num_items:,} items, {config.horizon:,} "
                       "steps"),
            ("agents", ", ".join(f"{side} {name}" for side, name in report.score.names().items())),
            ("training", f"{run.episode:,} episodes of {training.num_worlds:,} worlds, {run.env_steps:,} steps, "
                         f"{run.wall_seconds:.0f} s"),
            ("learnt", ", ".join(f"{name} in {number:,} {what}" for name, number, what in learnt(run)) or "nothing"),
            ("result", str(report))]
    return f"{table(('', ''), rows)}\n\n{_spaced(report_table(run, report))}"


def _spaced(text: str) -> str:
    """Empty lines around the table, which Markdown needs."""
    lines = text.splitlines()
    return "\n".join(line if line.startswith("|") else f"\n{line}\n" for line in lines)


def _pixels(run: Run, report: Report) -> NDArray[np.uint8]:
    """The learning curve as ``[H, W, 3]``."""
    canvas: Any = FigureCanvasAgg(learning_picture(run, report, None))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), np.uint8)[..., :3]
