"""Types of packed tables are read from annotations, whose form depends on NumPy's version."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from interplay.envs.kernels.packed import scalar_types


@pytest.mark.parametrize("hint", [
    NDArray[np.int64],
    np.ndarray[tuple[Any, ...], np.dtype[np.int64]],  # what NDArray is up to NumPy 2.4
    list[np.int64],  # an alias with one argument, as NDArray is from NumPy 2.5 on
])
def test_the_type_of_an_array_is_found(hint: Any) -> None:
    assert scalar_types(hint) == [np.int64]
