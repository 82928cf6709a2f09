"""Chemotaxis as a physics: what is solved on one mesh, the bounds of its three tensors, where the errors are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, Unpack

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, AccuracyOptions, Plan
from homfem.certify.adapt import on_root
from homfem.certify.chemotaxis.data import ChemotaxisData, Coefficients, checked
from homfem.certify.chemotaxis.geometry import geometric_error
from homfem.certify.chemotaxis.halves import Half, carried, width_of
from homfem.certify.chemotaxis.sides import Diffusing, pairing
from homfem.certify.loop import solve_cell
from homfem.certify.physics import CellSolution, MeshSolution, sampled
from homfem.certify.symmetry import Loads
from homfem.coefficients import NamedCoefficient
from homfem.keywords import inherits, part_of, takes
from homfem.kinds import DIFFUSION, SENSITIVITY
from homfem.local.chemotaxis import tensor_function
from homfem.local.problem import Correctors
from homfem.parameters import Array, ConvergenceError, InputError, PercolationError
from homfem.tensors import EffectiveTensor

NAME = "chemotaxis"
#: Diffusivities that are farther apart are refused where the solver fails.
CONTRAST = 1e10
NOTHING = (
    "the bounds of the sensitivity are farther apart than it is large, and say nothing: the mesh is too coarse, or the "
    "coefficients of the phases are too far apart"
)
CONVENTIONS: Mapping[str, str] = {
    "average": "per volume of the whole cell",
    "flux": "of cells: - motility grad n + n sensitivity grad c, with the density n in the phases in which they move; "
    "the sensitivity is not symmetric in general: row the flux, column the gradient of the attractant",
    "rule": "constant_motility_sensitivity, for a motility that is the same everywhere; another number where it is not",
    "bounds": "of coefficients.sensitivity entry by entry, guaranteed",
}
SAMPLED = "none: coefficients are functions of position, and the error is that of what was sampled in the mesh cells"


@dataclass(frozen=True, kw_only=True, slots=True)
class Chemotaxis:
    """Cells that follow an attractant; see :func:`solve_chemotaxis` for the parameters."""

    motility: Coefficients
    sensitivity: Coefficients
    attractant: Coefficients
    unit: str = ""
    sensitivity_unit: str = ""

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse what does not go together; return the physics and the plan."""
        DIFFUSION.check_unit(self.unit)
        checked(self.motility, self.sensitivity, self.attractant, cell.phase_names, cell.dimension)
        accuracy.allow_symmetry(False, f"for {NAME}: the fluxes of its bounds are made on whole cells")
        if accuracy.backend not in (None, "identified") or not cell.matching:
            remedy = "Choose a cell whose opposite faces match."
            raise InputError("backend", accuracy.backend or cell.faces, "'identified', on faces that match", remedy)
        two_sided = accuracy.between_bounds(cell, "periodic", wanted=accuracy.bounds is not False)
        degree = 2 if accuracy.degree is None else accuracy.degree
        return self, accuracy.plan(degree=degree, two_sided=two_sided, backend="identified")

    def data(self, cell: UnitCell) -> ChemotaxisData:
        """Return the coefficients of the phases that the cell has, as matrices."""
        motility, sensitivity, attractant = (
            {name: value for name, value in table.items() if name in cell.phase_names}
            for table in (self.motility, self.sensitivity, self.attractant)
        )
        return checked(motility, sensitivity, attractant, cell.phase_names, cell.dimension)

    def active(self, cell: UnitCell) -> UnitCell:
        """Return what cells or the attractant enter; refuse parts that one of them enters alone; collective."""
        cell.require_whole()
        named = [name for name in cell.phase_names if name in self.motility or name in self.attractant]
        active = cell.restrict(named)
        for name, table in (("motility", self.motility), ("attractant", self.attractant)):
            part = cell.restrict([phase for phase in named if phase in table])
            part.require_percolation(name)
            if set(part.phase_names) != set(named) and len(part.whole.parts) > 1:
                allowed = "of phases that are connected, where the other one enters further phases"
                raise PercolationError(name, part.phase_names, allowed, "Leave out the phases of islands.")
        return active.without_islands()

    def loads(self, dimension: int) -> Loads:
        """Return the unit gradients along all axes."""
        return Loads.of(tuple(range(dimension)))

    def symmetric(self, active: UnitCell) -> tuple[UnitCell, Loads, CellSymmetry]:
        """Not reached: the whole cell is solved."""
        raise InputError("symmetry", "auto", "'none'")

    def solve(self, cell: UnitCell, loads: Loads, plan: Plan) -> ChemotaxisOnMesh:
        """Solve all problems on one mesh; refuse contrasts at which that fails; collective."""
        try:
            return self._solve(cell, plan)
        except ConvergenceError as error:
            data = self.data(cell)
            for name in ("motility", "attractant"):
                table = getattr(data, name)
                sizes = [float(np.linalg.eigvalsh(one)[end]) for one in table.values() if not callable(one)
                         for end in (0, -1)]  # fmt: skip
                if max(sizes, default=1.0) > CONTRAST * min(sizes, default=1.0):
                    allowed = f"one whose values are within a factor of {CONTRAST:.0e}: beyond, round-off decides"
                    remedy = "Leave out the phases into which next to nothing moves."
                    raise InputError(name, getattr(self, name), allowed, remedy) from error
            raise

    def _solve(self, cell: UnitCell, plan: Plan) -> ChemotaxisOnMesh:
        data = self.data(cell)
        sensitivity = tensor_function(cell, "sensitivity", data.sensitivity)
        coefficients = {name: tensor_function(cell, name, getattr(data, name)) for name in ("motility", "attractant")}
        size = _unit_of(sensitivity, *coefficients.values())
        sensitivity.x.array[:] /= size
        turned = fem.Function(sensitivity.function_space)
        turned.x.array[:] = _matrices(sensitivity).transpose(0, 2, 1).ravel()
        moving, spreading = (
            Diffusing(cell=cell, coefficient=coefficients[name], sensitivity=by, phases=tuple(getattr(data, name)))
            for name, by in (("motility", sensitivity), ("attractant", turned))
        )
        options: dict[str, Any] = {"degree": plan.degree, "rtol": plan.rtol}
        first = spreading.solve((), **options)
        d = cell.dimension
        if not plan.two_sided:
            return _one_sided(self, moving.solve((), **options), first, moving, sensitivity, size)
        above = moving.solve(first.functions, **options)
        beside = spreading.solve(above.functions[:d], **options)
        average = beside.average.copy()
        average[:d, :d] = first.average
        # Its own correctors stay those that drive the cells, to the last digit.
        beside = replace(beside, functions=(*first.functions, *beside.functions[d:]), average=average)
        pair = (Half.of(moving, above, first, plan.rtol), Half.of(spreading, beside, above, plan.rtol))
        return _two_sided(self, pair, sensitivity, size)

    def record(self, cell: UnitCell) -> dict[str, Any]:
        """Return what the tensor keeps of the input."""
        active = [name for name in cell.phase_names if name in self.motility]
        return {"unit": self.sensitivity_unit, "physics": NAME, "kind": SENSITIVITY, "active_phases": tuple(active),
                "conventions": {**CONVENTIONS, "bounds": SAMPLED} if self.sampled else CONVENTIONS}  # fmt: skip

    @property
    def sampled(self) -> bool:
        """Whether a coefficient is a function of position."""
        return any(map(sampled, (self.motility, self.sensitivity, self.attractant)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChemotaxisOnMesh(MeshSolution):
    """Chemotaxis on one mesh; ``halves`` are the two diffusions with their errors, none of one side alone.

    ``unit`` is the sensitivity in whose multiples they know it, ``largest`` in these what is in the widths.
    """

    halves: tuple[Half, ...] = ()
    largest: float = 0.0
    unit: float = 1.0

    @property
    def proved(self) -> bool:
        """Whether the error is bounded, by the widths of the bounds of each entry."""
        return bool(self.halves)

    def gaps(self) -> Array:
        """Return what each mesh cell has of the widths of the bounds, on rank 0; collective."""
        return on_root(self.cell, carried(self.largest, *self.halves))

    def geometric_error(self) -> float:
        """Return an estimate of what straight facets change, the largest over all pairs of directions; collective."""
        return self.unit * geometric_error(*self.halves) if self.halves else 0.0


def _mean(sensitivity: fem.Function, p: Correctors, q: Correctors, cell: UnitCell, along: bool = True) -> Array:
    r""":math:`\langle P_i\cdot SQ_j\rangle`; without ``along`` :math:`\langle e_i\cdot SQ_j\rangle`; collective."""
    d, of = cell.dimension, pairing(cell, sensitivity)
    zero = fem.Function(p.functions[0].function_space)
    axes = np.eye(d)
    return np.array(
        [[of(p.functions[i] if along else zero, axes[i], q.functions[j], axes[j]) for j in range(d)] for i in range(d)]
    )


def _one_sided(
    physics: Chemotaxis,
    above: Correctors,
    first: Correctors,
    moving: Diffusing,
    sensitivity: fem.Function,
    size: float,
) -> ChemotaxisOnMesh:
    cell, d = moving.cell, moving.cell.dimension
    found = {
        name: NamedCoefficient(value=side.average[:d, :d], unit=physics.unit, basis="matrix")
        for name, side in (("motility", above), ("attractant", first))
    }
    rule = size * _mean(sensitivity, above, first, cell, along=False)
    found["constant_motility_sensitivity"] = NamedCoefficient(value=rule, unit=physics.sensitivity_unit, basis="matrix")
    tensor = EffectiveTensor(value=size * _mean(sensitivity, above, first, cell), physics=NAME, coefficients=found)
    return ChemotaxisOnMesh(tensor=tensor, cell=cell, correctors=above, compared=first)


def _two_sided(
    physics: Chemotaxis, pair: tuple[Half, Half], sensitivity: fem.Function, unit: float
) -> ChemotaxisOnMesh:
    moving, spreading = pair
    cell, d = moving.own.cell, moving.dimension
    above, first = moving.upper, spreading.upper
    value = _mean(sensitivity, above, first, cell)
    # The computed parts of the first two terms: zero but for the residuals.
    of, axes = pairing(cell, spreading.own.coefficient), np.eye(d)
    value -= above.average[:d, d:]
    value -= np.array(
        [
            [of(spreading.upper.functions[d + i], 0.0 * axes[i], first.functions[j], axes[j]) for j in range(d)]
            for i in range(d)
        ]
    )
    largest, bounded = _largest(moving.own, spreading.own, sensitivity), not physics.sampled
    value, width = unit * value, unit * width_of(largest, moving, spreading)
    sides: dict[str, Any] = {"lower": value - width, "upper": value + width} if bounded else {}
    found = {
        "motility": moving.named(physics.unit, bounded),
        "attractant": spreading.named(physics.unit, bounded),
        "sensitivity": NamedCoefficient(value=value, unit=physics.sensitivity_unit, basis="matrix", **sides),
        "constant_motility_sensitivity": NamedCoefficient(
            value=unit * _mean(sensitivity, above, first, cell, along=False),
            unit=physics.sensitivity_unit,
            basis="matrix",
        ),
    }
    error = _relative(float(width.max()), float(np.abs(value).max()))
    tensor = EffectiveTensor(
        value=value,
        physics=NAME,
        coefficients=found,
        estimated_error=error,
        reached=error <= 1.0,
        warnings=(NOTHING,) if error > 1.0 else (),
    )
    return ChemotaxisOnMesh(
        tensor=tensor, cell=cell, correctors=above, dual=moving.below, compared=spreading.upper, halves=pair,
        largest=largest, unit=unit,
    )  # fmt: skip


def _unit_of(sensitivity: fem.Function, motility: fem.Function, attractant: fem.Function) -> float:
    """A sensitivity of the size of the given one over that of the diffusivities: a power of two; collective."""
    comm = sensitivity.function_space.mesh.comm
    s, n, c = (
        comm.allreduce(float(np.abs(one.x.array).max(initial=0.0)), op=MPI.MAX)
        for one in (sensitivity, motility, attractant)
    )
    return float(2.0 ** np.round(np.log2(s) - 0.5 * (np.log2(n) + np.log2(c)))) if s > 0.0 else 1.0


def _matrices(function: fem.Function) -> Array:
    d = function.ufl_shape[0]
    return np.asarray(function.x.array.reshape(-1, d, d))


def _largest(moving: Diffusing, spreading: Diffusing, sensitivity: fem.Function) -> float:
    r"""The largest :math:`\|D_n^{-1/2}SD_c^{-1/2}\|_2` of all mesh cells; collective."""
    cell, given = moving.cell, _matrices(sensitivity)
    owned = cell.mesh.topology.index_map(cell.dimension).size_local
    inside = np.flatnonzero(given[:owned].any(axis=(1, 2)))
    left, right = (np.linalg.cholesky(one.matrices[inside]) for one in (moving, spreading))
    scaled = np.linalg.solve(right, np.linalg.solve(left, given[inside]).transpose(0, 2, 1))
    own = float(np.linalg.norm(scaled, 2, axis=(1, 2)).max(initial=0.0))
    return float(cell.comm.allreduce(own, op=MPI.MAX))


def _relative(width: float, size: float) -> float:
    return width / size if size > 0.0 else float(width > 0.0)


@takes(Accuracy)
@inherits(solve_cell)
def solve_chemotaxis(
    cell: UnitCell,
    motility: Coefficients,
    sensitivity: Coefficients,
    attractant: Coefficients,
    *,
    unit: str = "",
    sensitivity_unit: str = "",
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> CellSolution:
    r"""Solve the cell problems of cells that follow an attractant, and bound what they give; collective.

    The macroscopic flux of the cells is :math:`-D_n^*\nabla n+n\,S^*\nabla c` with the sensitivity

    .. math:: S^*_{ij}=\frac1{|Y|}\int(e_i+\nabla\chi^n_i)\cdot S(e_j+\nabla\chi^c_j)\,dy ,

    in which the correctors of both diffusions meet (:mod:`homfem.local.chemotaxis`). It is not symmetric in general,
    and need not lie between anything: its bounds, entry by entry, are products of two errors
    (:mod:`homfem.certify.chemotaxis.sides`).

    Parameters
    ----------
    cell
    motility
        :math:`D_n` of each phase in which cells move: a number > 0, a symmetric positive definite matrix, or a function
        of position: ``f(x)`` of points (d, n) in mesh units, with values of shape (n,) or (n, d, d).
    sensitivity
        S of each phase in which cells follow the attractant: a number of either sign, any matrix, or a function. Cells
        do not follow it in a phase that is not named.
    attractant
        :math:`D_c` of each phase in which the attractant diffuses, as the motility.
    unit, sensitivity_unit
        Of both diffusivities, and of S: that of a diffusivity over that of the attractant.
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them; ``tolerance`` is of the bounds of S*, over its largest entry.

    Returns
    -------
    CellSolution
        The value of the tensor is S*. ``coefficients`` has ``motility`` and ``attractant`` with bounds in every
        direction, ``sensitivity`` with bounds of each entry, and ``constant_motility_sensitivity``,
        :math:`\langle S(I+\nabla\chi^c)\rangle`, which is S* where the motility is the same everywhere.

    Raises
    ------
    InputError
        For a phase that the cell does not have, coefficients out of range, a sensitivity where no cell moves or no
        attractant is.
    BudgetError, MemoryLimitError
    PercolationError
        If cells or the attractant reach from cell to cell in no direction.
    ConvergenceError

    Notes
    -----
    The two sets of phases may differ; that of each must be connected then. Bounds need simplices with straight sides.
    ``estimated_error`` is the half-width of the widest entry over the largest entry: a guaranteed error. Functions of
    position are sampled at the midpoints of the mesh cells: it is that of the sampled medium then, without bounds.

    Source
    ------
    Two-scale expansion of Keller, Segel 1971, doi 10.1016/0022-5193(71)90050-6.

    Examples
    --------
    Where S is a number times the motility, so is S*, whatever the attractant does.

    >>> from homfem.cells import laminate
    >>> layers = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.25)
    >>> S = homogenize_chemotaxis(layers, {"layer1": 1.0, "layer2": 10.0}, {"layer1": 1.0, "layer2": 4.0},
    ...                           {"layer1": 1.0, "layer2": 0.1}).value
    >>> [round(float(entry), 9) for entry in S.diagonal()]
    [0.826446281, 2.5]
    """
    given = Chemotaxis(
        motility=motility,
        sensitivity=sensitivity,
        attractant=attractant,
        unit=unit,
        sensitivity_unit=sensitivity_unit,
    )
    return solve_cell(cell, given, Accuracy(**accuracy), config=config)


homogenize_chemotaxis = part_of(
    solve_chemotaxis,
    "homogenize_chemotaxis",
    lambda solution: solution.tensor,
    returns=EffectiveTensor,
    summary="Return the effective sensitivity, motility and attractant's diffusion of a cell with bounds; collective.",
)
