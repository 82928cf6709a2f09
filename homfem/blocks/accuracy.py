"""How well the diffusion problem of a block medium is to be solved: shared words, and those of the methods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

from homfem.parameters import check_tolerance


class BlockOptions(TypedDict, total=False):
    """The words of :class:`BlockAccuracy` as keywords of a function."""

    tolerance: float | None
    max_dofs: int | None
    degree: int | None
    singular: int
    collapse: bool
    abscissas: int | tuple[int, int]
    modes: int | None
    merge: bool
    intervals: int | tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockAccuracy:
    """How well the diffusion problem of a block medium is to be solved.

    Parameters
    ----------
    tolerance
        Corner-Galerkin: degrees are tried in turn until the relative half-gap of the bounds is below it. The other
        methods keep their resolution; ``reached`` is False where their error may be larger
        (:func:`homfem.blocks.effective.judged`). At least 1e-13.
    max_dofs
        Corner-Galerkin with a tolerance: ``reached`` is False where the next system would have more unknowns.
    degree
        Corner-Galerkin: polynomial degree, 0 to 12, by default 4.
    singular
        Corner-Galerkin: singular functions per end of an interface, 0 to 2.
    collapse
        Corner-Galerkin: join equal neighbouring rows and columns first where that at least halves the number of
        blocks; the tensor is the same.
    abscissas
        Semi-analytical method: N_x = N_y or (N_x, N_y) >= 2.
    modes
        Semi-analytical method: N_eig within eq. 62 of March, Carr and Turner.
    merge
        Semi-analytical method: merging of equal neighbours.
    intervals
        Finite volumes: mesh intervals per block, one number or two.
    """

    tolerance: float | None = None
    max_dofs: int | None = None
    degree: int | None = None
    singular: int = 2
    collapse: bool = True
    abscissas: int | tuple[int, int] = 16
    modes: int | None = None
    merge: bool = False
    intervals: int | tuple[int, int] = 16

    def __post_init__(self) -> None:
        if self.tolerance is not None:
            check_tolerance(self.tolerance, below=math.inf)

    @property
    def order(self) -> int:
        """The polynomial degree."""
        return 4 if self.degree is None else self.degree
