"""Time and peak memory of reading a MovieLens-like ratings.csv of many rows: python measure_ratings.py ROWS FOLDER.

Writes the file first, in a process of its own, so that what is measured is the reading alone.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

USERS, FILMS, CHUNK = 162_000, 59_000, 1_000_000


def write(path: Path, num_rows: int) -> None:
    """Rows sorted by user, as published, with popular films and half stars."""
    rng = np.random.default_rng(0)
    user = np.sort(rng.integers(USERS, size=num_rows)) + 1
    with path.open("wb") as file:
        file.write(b"userId,movieId,rating,timestamp\n")
        for start in range(0, num_rows, CHUNK):
            size = min(CHUNK, num_rows - start)
            pl.DataFrame({
                "userId": user[start:start + size], "movieId": (FILMS * rng.random(size) ** 4).astype(int) * 3 + 1,
                "rating": rng.integers(1, 11, size=size) / 2, "timestamp": rng.integers(8e8, 16e8, size=size),
            }).write_csv(file, include_header=False)


def measure(folder: Path) -> None:
    """Print what reading took."""
    from interplay.envs.data import read_log

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    log = read_log(folder)
    seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{len(log):,} rows, {log.num_users:,} users, {log.num_items:,} items: {seconds:.1f} s, peak "
          f"{peak / 2**20:.2f} GiB ({before / 2**20:.2f} before)")


if __name__ == "__main__":
    target = Path(sys.argv[2])
    if len(sys.argv) == 3:
        target.mkdir(parents=True, exist_ok=True)
        write(target / "ratings.csv", int(sys.argv[1]))
        subprocess.run([sys.executable, __file__, "0", str(target), "measure"], check=True)
    else:
        measure(target)
