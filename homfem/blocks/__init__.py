"""Diffusion in block media: rectangles of constant diffusivity in a periodic cell.

Three methods on one call, :func:`homogenize_blocks`:

``"semi-analytical"``
    The method of March, Carr and Turner, complete (:mod:`homfem.blocks.semi_analytical`; the block solution is derived
    in :mod:`homfem.blocks.elements`).
``"finite-volume"``
    The vertex-centred finite volumes that they compare with (:mod:`homfem.blocks.finite_volume`); an upper bound.
``"corner-galerkin"``
    Galerkin for the interface fluxes with the corner singularities and two guaranteed bounds
    (:mod:`homfem.blocks.galerkin`).

:mod:`homfem.blocks.tables` regenerates the tables of the paper; :mod:`homfem.blocks.boxes` does three dimensions.

**Which one when.** Measured with one thread of a 2-core machine (``tests/benchmarks/blocks_efficiency.py``; cases A-D
of the paper, the error of the worst entry; the corner-Galerkin times include both bounds):

* corner-Galerkin is the best choice almost always. It reaches 1e-5 in 5 to 15 ms and 30 to 150 unknowns, where the
  semi-analytical method would need 30,000 to 90,000 unknowns and minutes (extrapolated; it reaches 1e-4) and finite
  volumes need 4 to 5 million nodes and 6 to 12 s. At 1e-3 it is 2 to 4 times faster than the semi-analytical method:
  its fixed cost of about 5 ms, not the system, is what counts there. Aggregated media of 128 x 128 blocks take about
  3 s for both bounds with a relative half-gap of 1e-6.
* Certified finite elements on the same blocks (:func:`homfem.cells.blocks`) take 25 ms for 1e-3 and, by the midpoint
  of their bounds, 25 to 200 ms for 1e-5: the second best, and the choice for tensors whose axes are not those of
  the blocks, for three dimensions, and for any other physics.
* The semi-analytical method repeats the paper, and takes a few milliseconds for 1e-2 on small media. N_eig = N_x - 1
  gives a smaller error than the paper's 2 N_x - 3 at N_x >= 4, for less work.
* Finite volumes are the simplest check, and an upper bound. Their error falls as slowly as that of the semi-analytical
  method (the corner singularities rule both), and where insulating blocks leave conducting ones touching at a corner,
  they let flux through the corner.
* Every block of another diffusivity: each vertex has its own exponents, and the tables of the corner-Galerkin method
  cost more than the solution (64 x 64 blocks: 3 s).
* Anisotropic blocks: where the ratios D_x/D_y around a vertex do not cancel (:mod:`homfem.blocks.corners`), exponents
  may be complex; they are left to the polynomials, and the bracket, guaranteed as ever, closes slowly (2e-3 to 1e-2 at
  degree 8): the certified finite elements are better there.
* Insulating blocks: both bounds are as sharp as elsewhere, also where a direction does not percolate.
"""

from homfem.blocks.accuracy import BlockAccuracy
from homfem.blocks.effective import METHODS, homogenize_blocks
from homfem.blocks.media import aggregated, checkerboard, inclusions_image, paper_case, pixelated
from homfem.blocks.medium import BlockMedium

__all__ = [
    "METHODS",
    "BlockAccuracy",
    "BlockMedium",
    "aggregated",
    "checkerboard",
    "homogenize_blocks",
    "inclusions_image",
    "paper_case",
    "pixelated",
]
