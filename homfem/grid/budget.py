"""What a solution on the grid may take: memory, and the threads of compiled loops.

Memory in three dimensions, arrays counted, in bytes per voxel of the grid: phases 1 (2 beyond 255 phases),
coefficients 8, symbols 6. While potentials are solved: potential, load and residual of each of the three loads 72,
conjugate gradients 24, single-precision transforms 12. While fluxes are solved: three fluxes 72, conjugate gradients
40, transforms 12, spanning tree 9 (only with insulators). That is about 120 and 145 bytes at a time, and 2.4 GB for
256^3 voxels; coefficients that are full matrices take 100 bytes more. The images of nodes that are split between
groups of voxels (:mod:`homfem.grid.potential`) come on top: 70 bytes for each voxel at such a node.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from homfem.grid.image import Image
from homfem.limits import memory_limit, require_memory
from homfem.parameters import InputError, check_integer

#: Bytes per voxel of the grid that a solution takes, by dimension (see above).
BYTES_PER_VOXEL = {2: 110, 3: 145}
#: Bytes for each coefficient: element matrices, and what they are made with.
BYTES_PER_COEFFICIENT = 1400


def require_grid(image: Image, refine: int, max_dofs: int | None, coefficients: int) -> None:
    """Refuse a first grid that does not fit into the memory, coefficients included, or has over ``max_dofs`` voxels."""
    voxels = float(image.phases.size) * float(refine) ** image.dimension
    name, value = ("refine", refine) if refine > 1 else ("image", image.shape)
    needed = BYTES_PER_VOXEL[image.dimension] * voxels + BYTES_PER_COEFFICIENT * coefficients
    require_memory(name, value, needed, f"a grid of {voxels:.3g} voxels")
    if max_dofs is not None and voxels > max_dofs:
        remedy = "Allow more, or take a part of the image or a smaller refine."
        raise InputError("max_dofs", max_dofs, f">= {voxels:.0f}, the number of voxels of the first grid", remedy)


def next_cuts(image: Image, history: list[Mapping[str, float]], tolerance: float, max_dofs: int | None) -> int:
    """Cuts of a voxel of the next grid: the gap falls about like the size of the voxels; within the budget."""
    last = history[-1]
    rate = 1.0
    if len(history) > 1:
        before = history[-2]
        rate = math.log(before["relative_gap"] / last["relative_gap"]) / math.log(last["cuts"] / before["cuts"])
        rate = min(max(rate, 0.5), 2.0)
    cuts = int(last["cuts"])
    wanted = math.ceil(cuts * (last["relative_gap"] / tolerance) ** (1.0 / rate) * 1.02)
    wanted = max(cuts + 1, min(wanted, 3 * cuts))
    most = memory_limit() / BYTES_PER_VOXEL[image.dimension]
    if max_dofs is not None:
        most = min(most, max_dofs)
    allowed = int((most / image.phases.size) ** (1.0 / image.dimension) * (1.0 + 1e-12))
    return max(cuts, min(wanted, allowed))


@contextmanager
def threads_set(wanted: int | None) -> Iterator[int]:
    """Set the number of threads of compiled loops for the block."""
    import numba

    if wanted is None:
        under_mpi = any(int(os.environ.get(name, "1")) > 1 for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"))
        wanted = 1 if under_mpi else len(os.sched_getaffinity(0))
    else:
        check_integer("threads", wanted, at_least=1)
    before = numba.get_num_threads()
    number = min(wanted, numba.config.NUMBA_NUM_THREADS)
    numba.set_num_threads(number)
    try:
        yield number
    finally:
        numba.set_num_threads(before)
