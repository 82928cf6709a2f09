r"""Start values for one linear system that is solved over and over, from the solutions before.

A solve starts from :math:`x = 2x_1 - x_2` with the last two solutions, and its residual from the images
:math:`Ax = 2Ax_1 - Ax_2`, which every checked solve leaves behind, so that it costs no product with the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping

from petsc4py import PETSc

from homfem.parameters import Array


class Successive:
    """The last two solutions of one of the sequences that a matrix is solved for, and their images; collective.

    Parameters
    ----------
    vector
        Of the form of the solutions.

    Attributes
    ----------
    image : PETSc.Vec
        Of the start value, after :meth:`start`.
    """

    def __init__(self, vector: PETSc.Vec) -> None:
        self._solutions, self._images = [vector.duplicate() for _ in range(2)], [vector.duplicate() for _ in range(2)]
        self.image = vector.duplicate()
        for held in (*self._solutions, *self._images, self.image):
            held.set(0.0)

    def start(self, x: PETSc.Vec) -> None:
        """Put the extrapolated solution into ``x``, its image into ``image``; zero at first."""
        for held, target in ((self._solutions, x), (self._images, self.image)):
            held[0].copy(target)
            target.scale(2.0)
            target.axpy(-1.0, held[1])

    def keep(self, x: PETSc.Vec, b: PETSc.Vec, residual: PETSc.Vec) -> None:
        """Keep a solution of the right-hand side ``b`` with the residual that it has."""
        for now, before in (self._solutions, self._images):
            now.copy(before)
        x.copy(self._solutions[0])
        b.copy(self._images[0])
        self._images[0].axpy(-1.0, residual)

    def state(self) -> Mapping[str, Array]:
        """Return what a restart needs, by name: the owned values, as views."""
        kept = {"solution": self._solutions, "image": self._images}
        return {f"{name} {age}": held[age].array for name, held in kept.items() for age in range(2)}
