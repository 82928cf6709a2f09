"""How well a cell problem is to be solved: the words that every physics has, and what is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from homfem.cells.unitcell import UnitCell
from homfem.parameters import InputError, check_choice, check_integer, check_number, check_tolerance

SYMMETRIES = ("none", "auto")
#: Of the linear solves, where nothing else is asked for.
RTOL = 1e-9
#: What to do where bounds are asked for and the mesh cells are curved, or no simplices.
STRAIGHT = (
    'Make the cell of straight simplices (order = 1, elements = "simplex") and as fine as its curved surfaces ask for: '
    "geometric_error estimates what straight facets change. Or leave it out: the value alone is better on curved cells."
)


class AccuracyOptions(TypedDict, total=False):
    """The words of :class:`Accuracy` as keywords of a function."""

    tolerance: float | None
    max_dofs: int | None
    degree: int | None
    bounds: bool | None
    symmetry: str
    backend: str | None
    rtol: float | None


#: Highest degree of elements, and the highest one that has been tested with bounds.
HIGHEST = 6
BOUNDED = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Accuracy:
    """How well a cell problem is to be solved, in words that every physics has.

    Parameters
    ----------
    tolerance
        Relative half-gap of the bounds to reach by refinement, from 1e-13 to 1; of a physics that has an estimate of
        the error in their place that estimate. Without it the cell's mesh is used as it is.
    max_dofs
        No larger linear system is solved: a first mesh that needs one is refused; refinement ends before, and what was
        reached is returned with ``tensor.reached`` false and a warning in the log.
    degree
        Degree of the conforming elements, 1 to 4, of diffusion, dispersion and flows without bounds 1 to 6; by default
        2, and for flows what the element has.
    bounds
        Whether both bounds are computed; without them the value is that of the conforming elements alone. By default
        where they cost little: for diffusion and elasticity; where a tolerance needs them in any case.
    symmetry
        ``"auto"``: mirror planes and axes that are alike are looked for on the mesh and in the coefficients, and no
        more is solved than what they leave (:mod:`homfem.certify.symmetry`). Value and bounds are those of the whole
        cell. What does not qualify is solved whole, with the reason in the log. ``"none"``: the whole cell.
    backend
        ``"identified"`` or ``"multipoint"``, see :mod:`homfem.periodic`; by default the one that the cell needs.
    rtol
        Relative residual of the linear solves, at most 1e-4; by default 1e-9, and 1e-8 for flows. What it may add to
        the bounds is in them, and where that is not small the lower side is solved sharper.
    """

    tolerance: float | None = None
    max_dofs: int | None = None
    degree: int | None = None
    bounds: bool | None = None
    symmetry: str = "none"
    backend: str | None = None
    rtol: float | None = None

    def __post_init__(self) -> None:
        if self.tolerance is not None:
            check_tolerance(self.tolerance)
        if self.max_dofs is not None:
            check_integer("max_dofs", self.max_dofs, at_least=1)
        if self.degree is not None:
            check_integer("degree", self.degree, at_least=1, at_most=HIGHEST)
        if self.bounds is not None and not isinstance(self.bounds, bool):
            raise InputError("bounds", self.bounds, "True, False or None")
        check_choice("symmetry", self.symmetry, SYMMETRIES)
        if self.rtol is not None:
            check_number("rtol", self.rtol, above=0.0, at_most=1e-4)

    def plan(self, *, degree: int, two_sided: bool, backend: str, rtol: float = RTOL, highest: int = BOUNDED) -> Plan:
        """Return the plan of a physics that has made the choices that were left to it; ``highest``: of its degrees."""
        remedy = f"Up to {highest} only without bounds: say bounds = False." if two_sided and highest > BOUNDED else ""
        most = BOUNDED if two_sided else highest
        check_integer("degree", degree, at_least=0, at_most=most, remedy=remedy)
        return Plan(
            tolerance=self.tolerance,
            max_dofs=self.max_dofs,
            degree=degree,
            two_sided=two_sided,
            symmetric=self.symmetry == "auto",
            backend=backend,
            rtol=rtol if self.rtol is None else self.rtol,
        )

    def allow_symmetry(self, allowed: bool, otherwise: str) -> None:
        """Refuse ``symmetry="auto"`` where a physics does not have it; ``otherwise`` says where not."""
        if self.symmetry != "none" and not allowed:
            raise InputError(
                "symmetry", self.symmetry, f"'none' {otherwise}", "Leave it out: the whole cell is solved."
            )

    def between_bounds(self, cell: UnitCell, boundary: str, *, wanted: bool, backend: bool = True) -> bool:
        """Return whether there are bounds from both sides; refuse a tolerance where there are none.

        Parameters
        ----------
        cell
            Straight simplices and faces that match have both.
        boundary
            Only the periodic problem has them.
        wanted
            Whether they are asked for.
        backend
            Whether the backend has them.
        """
        matching = cell.matching
        found = wanted and straight(cell) and matching and boundary == "periodic" and backend
        if self.tolerance is not None and not found:
            allowed, remedy = "None without two-sided bounds", "Choose the resolution instead."
            if not matching:
                allowed = "None on faces that do not match: no bounds there"
            elif not straight(cell):
                allowed, remedy = f"None on {cell.kind}s of order {cell.order}: no two-sided bounds there", STRAIGHT
            raise InputError("tolerance", self.tolerance, allowed, remedy)
        return found


def straight(cell: UnitCell) -> bool:
    """Return whether a cell is of straight simplices, as bounds need it."""
    return cell.simplicial and cell.order == 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """An :class:`Accuracy` in which a physics has made the choices that were left to it.

    Parameters
    ----------
    tolerance, max_dofs, degree, backend, rtol
        As there.
    two_sided
        Whether both bounds are computed.
    symmetric
        Whether mirror planes are looked for.
    """

    tolerance: float | None
    max_dofs: int | None
    degree: int
    two_sided: bool
    symmetric: bool
    backend: str
    rtol: float

    def allowance(self, usual: float) -> float:
        """Return what the residual may take off a bound, relative to it: ``usual``, or a tenth of a tolerance."""
        return usual if self.tolerance is None else min(usual, 0.1 * self.tolerance)
