"""What a solution on the grid may take: voxels in every direction, and the coefficients beside them."""

from __future__ import annotations

import numpy as np
import pytest

from homfem.grid import Image
from homfem.grid.budget import require_grid
from homfem.limits import VARIABLE, MemoryLimitError
from homfem.parameters import InputError


@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 4)])
def test_the_voxels_of_the_first_grid_are_counted(shape):
    image = Image.from_labels(np.arange(np.prod(shape)).reshape(shape) % 2, {"a": 0, "b": 1})
    count = int(np.prod(3 * np.array(shape)))
    require_grid(image, 3, count, 2)
    with pytest.raises(InputError, match=f"max_dofs = {count - 1}: it must be >= {count}"):
        require_grid(image, 3, count - 1, 2)


def test_many_coefficients_take_memory_too(monkeypatch):
    image = Image.from_labels(np.eye(4, dtype=int), {"a": 0, "b": 1})
    monkeypatch.setenv(VARIABLE, "20 kB")
    require_grid(image, 1, None, 2)
    with pytest.raises(MemoryLimitError, match=r"image = \(4, 4\)"):
        require_grid(image, 1, None, 1000)
