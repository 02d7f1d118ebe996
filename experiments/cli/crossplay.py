"""``interplay crossplay``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from interplay.envs.checking import check_value
from interplay.experiments.common.flags import Many
from interplay.experiments.common.threads import working_threads
from interplay.experiments.evaluate.crossplay import cross_play, loaded


@working_threads(1)
def command(runs: Annotated[tuple[Path, ...], tyro.conf.Positional], eval_worlds: int | None = None,
            out: Path | None = None, allow_code: bool = False) -> None:
    """Let the users of each run play with the items of each other run: do they rely on each other's habits?

    Args:
        runs: folders that train wrote, all of one market.
        eval_worlds: held-out worlds; by default as many as the first run used.
        out: picture of the two matrices to write; its ending says in which format.
        allow_code: import the code that the runs' folders name as module:Name. Allow it only if you trust both.
    """
    check_value("eval_worlds", eval_worlds, Many | None)
    found = cross_play(*loaded(runs, allow_code), eval_worlds)
    print(found.markdown())
    if out is not None:
        found.picture().write(out)
        print(f"\nwrote {out}")
