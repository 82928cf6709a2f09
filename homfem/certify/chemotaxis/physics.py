"""Chemotaxis as a physics: what is solved on one mesh, the bounds of its three tensors, where the errors are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, Unpack

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem.brackets import EPS
from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, AccuracyOptions, Plan
from homfem.certify.adapt import on_root
from homfem.certify.chemotaxis.data import ChemotaxisData, Coefficients, checked
from homfem.certify.chemotaxis.sides import Diffusing, distances, driven_means, pairing, vectors
from homfem.certify.loop import solve_cell
from homfem.certify.physics import CellSolution, MeshSolution
from homfem.certify.symmetry import Loads
from homfem.coefficients import NamedCoefficient
from homfem.keywords import inherits, part_of, takes
from homfem.kinds import DIFFUSION, SENSITIVITY
from homfem.local import roundoff
from homfem.local.chemotaxis import tensor_function
from homfem.local.problem import Correctors
from homfem.parameters import Array, InputError, PercolationError
from homfem.tensors import EffectiveTensor

NAME = "chemotaxis"
CONVENTIONS: Mapping[str, str] = {
    "average": "per volume of the whole cell",
    "flux": "of cells: - motility grad n + n sensitivity grad c, with the density n in the phases in which they move; "
    "the sensitivity is not symmetric in general: row the flux, column the gradient of the attractant",
    "bounds": "of coefficients.sensitivity entry by entry, guaranteed; constant_motility_sensitivity is the rule for a "
    "motility that is the same everywhere, another number where it is not",
}


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
        accuracy.allow_symmetry(False, f"for {NAME}")
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
            part.require_percolation()
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
        """Solve all problems on one mesh; collective."""
        data = self.data(cell)
        sensitivity = tensor_function(cell, data.sensitivity)
        turned = tensor_function(cell, {name: matrix.T for name, matrix in data.sensitivity.items()})
        moving, spreading = (
            Diffusing(cell=cell, coefficient=tensor_function(cell, table), sensitivity=by, phases=tuple(table))
            for table, by in ((data.motility, sensitivity), (data.attractant, turned))
        )
        options: dict[str, Any] = {"degree": plan.degree, "rtol": plan.rtol}
        first = spreading.solve((), **options)
        d = cell.dimension
        if not plan.two_sided:
            return _one_sided(self, moving.solve((), **options), first, moving, sensitivity)
        above = moving.solve(first.functions, **options)
        beside = spreading.solve(above.functions[:d], **options)
        average = beside.average.copy()
        average[:d, :d] = first.average
        # Its own correctors stay those that drive the cells, to the last digit.
        beside = replace(beside, functions=(*first.functions, *beside.functions[d:]), average=average)
        pair = (
            _Half.of(moving, above, first, plan.rtol),
            _Half.of(spreading, beside, above, plan.rtol),
        )
        return _two_sided(self, data, pair, sensitivity)

    def record(self, cell: UnitCell) -> dict[str, Any]:
        """Return what the tensor keeps of the input."""
        active = [name for name in cell.phase_names if name in self.motility]
        return {"unit": self.sensitivity_unit, "physics": NAME, "kind": SENSITIVITY, "active_phases": tuple(active),
                "conventions": CONVENTIONS}  # fmt: skip

    @property
    def sampled(self) -> bool:
        """Whether a coefficient is a function of position: none is."""
        return False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Half:
    """One of the two diffusions with its errors: of unit gradients, and of what the other one drives.

    Parameters
    ----------
    upper, broken
        Conforming and Crouzeix-Raviart correctors: of unit gradients, then of the driven loads.
    lower, noise, excess
        The energies below; what round-off can have done to both sides, and the residual to the lower one.
    places
        Of :func:`homfem.certify.chemotaxis.sides.distances`.
    """

    own: Diffusing
    upper: Correctors
    broken: Correctors
    noise: Array
    excess: Array
    places: Array

    @classmethod
    def of(cls, own: Diffusing, upper: Correctors, other: Correctors, rtol: float) -> _Half:
        """Solve the lower side; collective."""
        means = driven_means(own, other)
        broken = own.solve(vectors(own.cell, means), degree=1, rtol=rtol, element="CR")
        return cls(
            own=own,
            upper=upper,
            broken=broken,
            noise=own.noise(upper) + own.noise(broken),
            excess=own.excess(broken, means),
            places=distances(own, upper, broken, other, means),
        )

    @property
    def dimension(self) -> int:
        """Number of unit gradients."""
        return self.own.cell.dimension

    @property
    def sides(self) -> tuple[Array, Array]:
        """The effective tensor from below and from above, each moved for what may be wrong with it."""
        d, noise = self.dimension, np.diag(self.noise)
        below = self.broken.average[:d, :d] - noise
        # What the residuals add to combined loads is at most d times what they add to each.
        return below - d * np.diag(self.excess[:d]), self.upper.average[:d, :d] + noise

    @property
    def energies(self) -> Array:
        r""":math:`\varepsilon` of each unit gradient."""
        d = self.dimension
        apart = np.diag(self.upper.average - self.broken.average)[:d] + self.excess[:d] + self.noise
        return np.sqrt(np.maximum(apart, 0.0))

    @property
    def driven(self) -> Array:
        r""":math:`\eta` of each driven load, with what the residual leaves; collective."""
        total = self.own.cell.comm.allreduce(self.places.sum(axis=1), op=MPI.SUM)[self.dimension :]
        return np.asarray(np.sqrt(total) * (1.0 + 1e-12) + np.sqrt(self.excess[self.dimension :]))

    def named(self, unit: str) -> NamedCoefficient:
        """The effective tensor with its bounds."""
        lower, upper = (0.5 * (side + side.T) for side in self.sides)
        d = self.dimension
        value = 0.5 * (self.upper.average + self.broken.average)[:d, :d]
        return NamedCoefficient(value=value, lower=lower, upper=upper, unit=unit, basis="matrix", order="loewner")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChemotaxisOnMesh(MeshSolution):
    """Chemotaxis on one mesh; ``halves`` are the two diffusions with their errors, none of one side alone."""

    halves: tuple[_Half, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether the error is bounded, by the widths of the bounds of each entry."""
        return bool(self.halves)

    def gaps(self) -> Array:
        """Return the part of the errors in each mesh cell, each relative to its energy, on rank 0; collective."""
        found = np.zeros(0)
        for half in self.halves:
            size = np.concatenate([np.diag(half.upper.average)[: half.dimension]] * 2)
            driven = np.diag(half.upper.average)[half.dimension :]
            size[half.dimension :] = np.maximum(driven, 1e-3 * driven.max(initial=0.0))
            size = np.where(size > 0.0, size, 1.0)
            part = (half.places / size[:, None]).sum(axis=0)
            found = part if not found.size else found + part
        return on_root(self.cell, found)

    def geometric_error(self) -> float:
        """Zero: what straight facets change is not estimated, which a warning says."""
        return 0.0


def _mean(sensitivity: fem.Function, p: Correctors, q: Correctors, cell: UnitCell, along: bool = True) -> Array:
    r""":math:`\langle P_i\cdot SQ_j\rangle`; without ``along`` :math:`\langle e_i\cdot SQ_j\rangle`; collective."""
    d, of = cell.dimension, pairing(cell, sensitivity)
    zero = fem.Function(p.functions[0].function_space)
    axes = np.eye(d)
    return np.array(
        [[of(p.functions[i] if along else zero, axes[i], q.functions[j], axes[j]) for j in range(d)] for i in range(d)]
    )


def _one_sided(
    physics: Chemotaxis, above: Correctors, first: Correctors, moving: Diffusing, sensitivity: fem.Function
) -> ChemotaxisOnMesh:
    cell, d = moving.cell, moving.cell.dimension
    found = {
        name: NamedCoefficient(value=side.average[:d, :d], unit=physics.unit, basis="matrix")
        for name, side in (("motility", above), ("attractant", first))
    }
    rule = _mean(sensitivity, above, first, cell, along=False)
    found["constant_motility_sensitivity"] = NamedCoefficient(value=rule, unit=physics.sensitivity_unit, basis="matrix")
    tensor = EffectiveTensor(value=_mean(sensitivity, above, first, cell), physics=NAME, coefficients=found)
    return ChemotaxisOnMesh(tensor=tensor, cell=cell, correctors=above, compared=first)


def _two_sided(
    physics: Chemotaxis, data: ChemotaxisData, pair: tuple[_Half, _Half], sensitivity: fem.Function
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
    width = _width(data, moving, spreading)
    found = {
        "motility": moving.named(physics.unit),
        "attractant": spreading.named(physics.unit),
        "sensitivity": NamedCoefficient(
            value=value, lower=value - width, upper=value + width, unit=physics.sensitivity_unit, basis="matrix"
        ),
        "constant_motility_sensitivity": NamedCoefficient(
            value=_mean(sensitivity, above, first, cell, along=False), unit=physics.sensitivity_unit, basis="matrix"
        ),
    }
    size = float(np.abs(value).max())
    curved = bool(cell.comm.allreduce(len(cell.slivers[0]), op=MPI.SUM))
    warnings = ("what straight facets on curved surfaces change is not estimated",) if curved else ()
    tensor = EffectiveTensor(
        value=value,
        physics=NAME,
        coefficients=found,
        estimated_error=_relative(float(width.max()), size),
        warnings=warnings,
    )
    return ChemotaxisOnMesh(
        tensor=tensor, cell=cell, correctors=above, dual=moving.broken, compared=spreading.upper, halves=pair
    )


def _relative(width: float, size: float) -> float:
    return width / size if size > 0.0 else float(width > 0.0)


def _width(data: ChemotaxisData, moving: _Half, spreading: _Half) -> Array:
    """The half-width of each entry's bounds, see :mod:`homfem.certify.chemotaxis.sides`; collective."""
    largest, d = data.largest, moving.dimension
    width = np.outer(moving.energies, moving.driven) + np.outer(spreading.driven, spreading.energies)
    width += largest * np.outer(moving.energies, spreading.energies)
    roots = [np.sqrt(np.maximum(np.diag(half.upper.average)[:d], 0.0)) for half in (moving, spreading)]
    # An error of a field changes its energy by twice as much: so much of the noise, and the sums themselves.
    loose = [
        np.divide(half.noise, root, out=np.zeros(d), where=root > 0.0)
        for half, root in zip((moving, spreading), roots, strict=True)
    ]
    width += largest * (np.outer(loose[0], roots[1]) + np.outer(roots[0], loose[1]))
    return np.asarray(width + largest * roundoff.STEPS * EPS * np.outer(*roots))


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
        :math:`D_n` of each phase in which cells move: a number > 0 or a symmetric positive definite matrix.
    sensitivity
        S of each phase in which cells follow the attractant: a number of either sign or any matrix. Cells do not follow
        it in a phase that is not named.
    attractant
        :math:`D_c` of each phase in which the attractant diffuses.
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
