r"""The multiplication of neutrons in a lattice, one group or several: the flux as the weight of what is averaged.

With the flux of :mod:`homfem.local.multigroup`, periodic,

.. math:: \hat\Sigma=\frac{\int\Sigma\varphi}{\int\varphi}

keeps every reaction rate per mean flux, and the factor k exactly, that of the uniform medium of these cross-sections.
The mean by volume, :math:`k_\mathrm{vol}` of the plain means, is the limit of a lattice that is thin beside the paths
of neutrons. Leakage by a small buckling B takes :math:`k(B)=k\,(1-B\cdot M^2B)`, with the migration area

.. math:: M^2_{ij}=k\,\frac{\int\varphi^2(e_i+\nabla\chi_i)\cdot D(e_j+\nabla\chi_j)}{\int\nu\Sigma_f\varphi^2} ,\qquad
          -\nabla\cdot(\varphi^2D(e_j+\nabla\chi_j))=0 ,

for one group (:mod:`homfem.local.reaction`), by the adjoint flux for several (:mod:`homfem.local.bloch`).

**Bounds.** One group is a symmetric problem: k is the largest quotient :math:`\int\nu\Sigma_fu^2/(\int D|\nabla u|^2+
\Sigma_au^2)`, and is bounded from both sides by :mod:`homfem.local.eigenvalue_bounds`, for the cell as it is meshed.
The error of all else is estimated by the change from elements of one degree less, and of several groups with the
adjoint flux (:mod:`homfem.certify.multiplication.groups`).

Source: Larsen 1975, doi 10.1063/1.522714; Bell, Glasstone 1970, Nuclear Reactor Theory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, Unpack

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem

from homfem import solve
from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, AccuracyOptions, Plan
from homfem.certify.loop import solve_cell
from homfem.certify.multiplication.groups import GroupsOnMesh, responding
from homfem.certify.multiplication.materials import CrossSections, check_materials
from homfem.certify.physics import CellSolution, MeshSolution
from homfem.certify.reaction.on_mesh import DecayOnMesh, left_of, per_amount
from homfem.certify.symmetry import Loads
from homfem.coefficients import NamedCoefficient
from homfem.keywords import inherits, part_of, takes
from homfem.kinds import kind_of
from homfem.local.eigenvalue_bounds import eigenvalue_bounds
from homfem.local.multigroup import Groups
from homfem.local.reaction import Reacting
from homfem.parameters import Array, InputError, check_choice
from homfem.tensors import EffectiveTensor

#: A drift of neutrons, relative to the migration area over the period, that is more than round-off.
DRIFT = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Multiplication:
    """Neutrons in a lattice; see :func:`solve_multiplication` for the parameters."""

    materials: Mapping[str, CrossSections]
    spectrum: npt.ArrayLike | None = None

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse what does not go together; return the physics with its spectrum, and the plan."""
        chi = check_materials(cell.phase_names, self.materials, self.spectrum)
        kind_of("multiplication").check_unit(f"{cell.length_unit}^2" if cell.length_unit else "", "cell.length_unit")
        accuracy.allow_symmetry(False, "for a multiplication")
        check_choice("backend", accuracy.backend or "identified", ("identified",))
        if not cell.matching:
            raise InputError("cell", cell.name, "one whose opposite faces match")
        straight = cell.simplicial and cell.order == 1
        if accuracy.tolerance is not None and not straight:
            allowed = "None but on straight simplices"
            raise InputError("tolerance", accuracy.tolerance, allowed, "Choose the resolution instead.")
        if accuracy.bounds and len(chi) > 1:
            raise InputError("bounds", accuracy.bounds, "False for several groups", "One group alone has bounds.")
        usual = 2 if accuracy.tolerance is None else 3  # the estimate is the error of one degree less
        return replace(self, spectrum=chi), accuracy.plan(
            degree=usual if accuracy.degree is None else accuracy.degree,
            two_sided=straight and len(chi) == 1 and accuracy.bounds is not False,
            backend="identified",
        )

    def active(self, cell: UnitCell) -> UnitCell:
        """Return the whole cell."""
        cell.require_whole()
        return cell

    def loads(self, dimension: int) -> Loads:
        """Return the bucklings along all axes."""
        return Loads.of(tuple(range(dimension)))

    def symmetric(self, active: UnitCell) -> tuple[UnitCell, Loads, CellSymmetry]:
        """Refuse: the whole cell is solved."""
        raise InputError("symmetry", "auto", "'none' for a multiplication", "Leave it out: the whole cell is solved.")

    @property
    def groups(self) -> int:
        """Number of groups."""
        return next(iter(self.materials.values())).groups

    def solve(self, cell: UnitCell, loads: Loads, plan: Plan) -> MeshSolution:
        """Solve on one mesh; collective."""
        return self._one(cell, plan) if self.groups == 1 else self._several(cell, plan)

    def _table(self, name: str) -> dict[str, Array]:
        return {phase: np.asarray(getattr(one, name)) for phase, one in self.materials.items()}

    def _one(self, cell: UnitCell, plan: Plan) -> DecayOnMesh:
        def field(name: str, factor: float) -> fem.Function:
            return cell.cell_function({phase: factor * float(value[0]) for phase, value in self._table(name).items()})

        square = cell.length**2
        medium = Reacting(
            cell=cell,
            diffusivity=field("diffusion", 1.0),
            rate=field("absorption", square),
            capacity=field("production", square),
        )
        spectrum, correctors = left_of(medium, plan, plan.degree)
        other, compared = left_of(medium, plan, plan.degree - 1 if plan.degree > 1 else 2)
        bounds = eigenvalue_bounds(medium, spectrum, degree=plan.degree) if plan.two_sided else None
        k = 1.0 / spectrum.value
        factor = NamedCoefficient(value=np.asarray(k), basis="scalar")
        warnings: tuple[str, ...] = ()
        gap = abs(spectrum.value / other.value - 1.0)
        if bounds is not None:
            factor = replace(factor, lower=np.asarray(1.0 / bounds.upper))
            if bounds.lower is None or bounds.lower <= 0.0:
                warnings = (f"no upper bound of the multiplication: {bounds.reason}",)
            else:
                factor = replace(factor, upper=np.asarray(1.0 / bounds.lower))
                gap = 0.5 * (bounds.upper / bounds.lower - 1.0)
        area, rough = (
            square / spec.value * per_amount(medium, found.average)
            for spec, found in ((spectrum, correctors), (other, compared))
        )
        tensor = EffectiveTensor(
            value=area,
            coefficients={"multiplication": factor, **self._weighted(cell, (spectrum.function,), area)},
            conventions=self._conventions(cell),
            estimated_error=max(_change(area, rough), gap),
            warnings=warnings,
        )
        return DecayOnMesh(
            tensor=tensor,
            cell=cell,
            correctors=correctors,
            dual=spectrum,
            compared=compared,
            medium=medium,
            other=other,
        )

    def _several(self, cell: UnitCell, plan: Plan) -> GroupsOnMesh:
        square, groups = cell.length**2, self.groups
        removal, production = self._table("removal"), self._table("production")
        medium = Groups(
            cell=cell,
            diffusion=cell.cell_function(self._table("diffusion")),
            removal=cell.cell_function({phase: square * one for phase, one in removal.items()}),
            production=cell.cell_function({phase: square * one for phase, one in production.items()}),
            scattering=cell.cell_function({phase: square * one for phase, one in self._table("scattering").items()}),
            spectrum=fem.Constant(cell.mesh, np.asarray(self.spectrum, dtype=np.float64)),
        )
        spectrum, response, correctors = responding(medium, plan.degree)
        other, rough, compared = responding(medium, plan.degree - 1 if plan.degree > 1 else 2)
        k = 1.0 / spectrum.value
        area, before = square * k * response.dispersion, square / other.value * rough.dispersion
        drift = cell.length * k * response.velocity
        errors = abs(spectrum.value / other.value - 1.0), _change(area, before)
        coefficients = {
            "multiplication": NamedCoefficient(value=np.asarray(k), basis="scalar"),
            **self._weighted(cell, tuple(spectrum.function.sub(g).collapse() for g in range(groups)), area),
        }
        warnings: tuple[str, ...] = ()
        if np.linalg.norm(drift) > DRIFT * np.linalg.norm(area, 2) / cell.length:
            coefficients["drift"] = NamedCoefficient(value=drift, unit=cell.length_unit, basis="vector")
            warnings = (
                "the lattice has no centre of symmetry, and its groups drift: 1/k(B) has the part i B . drift / k",
            )
        tensor = EffectiveTensor(
            value=area,
            coefficients=coefficients,
            conventions=self._conventions(cell),
            estimated_error=max(errors),
            warnings=warnings,
        )
        return GroupsOnMesh(
            tensor=tensor,
            cell=cell,
            correctors=correctors,
            dual=spectrum,
            compared=compared,
            medium=medium,
            other=other,
            errors=errors,
        )

    def _weighted(self, cell: UnitCell, fluxes: tuple[fem.Function, ...], area: Array) -> dict[str, NamedCoefficient]:
        """What is weighted by flux and volume, the mean by volume, and the flux in each phase; collective."""
        phases, groups = list(cell.phase_names), len(fluxes)
        amounts = np.array([[_within(cell, flux, phase) for flux in fluxes] for phase in phases])
        volumes = np.array([_within(cell, None, phase) for phase in phases])
        share = amounts / amounts.sum(axis=0)
        per_length = f"1/{cell.length_unit}" if cell.length_unit else ""
        scalar = groups == 1
        found: dict[str, NamedCoefficient] = {}
        for name in ("absorption", "production", "scattering"):
            table = np.array([self._table(name)[phase] for phase in phases])
            weights = share[:, :, None] if name == "scattering" else share
            if name == "scattering" and scalar:
                continue
            mean = (weights * table).sum(axis=0)
            found[name] = NamedCoefficient(
                value=np.asarray(mean[0] if scalar else mean), unit=per_length, basis="scalar" if scalar else ""
            )
        by_volume = volumes / volumes.sum()
        means = {
            name: np.tensordot(by_volume, np.array([self._table(name)[phase] for phase in phases]), axes=1)
            for name in ("removal", "production", "scattering")
        }
        found["volume_multiplication"] = NamedCoefficient(
            value=np.asarray(uniform_multiplication(means, np.asarray(self.spectrum))), basis="scalar"
        )
        flux = (amounts / volumes[:, None]) / (amounts.sum() / volumes.sum())
        found["flux"] = NamedCoefficient(value=flux[:, 0] if scalar else flux)
        if scalar:
            unit = cell.length_unit
            found["diffusion"] = NamedCoefficient(
                value=area * float(found["absorption"].value), unit=unit, basis="matrix"
            )
        return found

    def _conventions(self, cell: UnitCell) -> dict[str, str]:
        rows, several = ", ".join(cell.phase_names), {}
        if self.groups > 1:
            several = {
                "estimated_error": "with the adjoint flux, the larger of factor and migration area; no guarantee"
            }
            if cell.order == 1 and cell.comm.allreduce(len(cell.slivers[0])):
                several["geometric_error"] = "what straight facets change in the factor, as much relative to the area"
        return several | {
            "value": "the migration area: k(B) = k (1 - B . M^2 B)",
            "average": "cross-sections are weighted by flux and volume, and keep the rates; volume_multiplication is "
            "that of the plain means, the limit of a thin lattice",
            "flux": f"the mean in each phase ({rows}), over that of the cell"
            + ("" if self.groups == 1 else " and groups"),
        }

    def record(self, cell: UnitCell) -> dict[str, Any]:
        """Return what the tensor keeps of the input."""
        unit = f"{cell.length_unit}^2" if cell.length_unit else ""
        kind = kind_of("multiplication")
        return {"unit": unit, "physics": "multiplication", "kind": kind, "active_phases": tuple(cell.phase_names)}

    @property
    def sampled(self) -> bool:
        """No coefficient is a function of position."""
        return False


def uniform_multiplication(means: Mapping[str, Array], spectrum: Array) -> float:
    r"""Return the factor of a uniform medium, :math:`k=\nu\Sigma_f\cdot(\Sigma-\Sigma_s^T)^{-1}\chi`.

    Parameters
    ----------
    means
        ``removal`` and ``production`` of each group, ``scattering`` from row to column.
    spectrum
        :math:`\chi`.
    """
    matrix = np.diag(np.atleast_1d(means["removal"])) - np.atleast_2d(means["scattering"]).T
    return float(np.atleast_1d(means["production"]) @ np.linalg.solve(matrix, np.atleast_1d(spectrum)))


def _within(cell: UnitCell, flux: fem.Function | None, phase: str) -> float:
    """The integral of a function, or 1, over a phase; collective."""
    inside = cell.cell_function({name: float(name == phase) for name in cell.phase_names})
    return solve.integrate((inside if flux is None else inside * flux) * ufl.dx)


def _change(one: Array, other: Array) -> float:
    return float(np.linalg.norm(one - other, 2) / np.linalg.norm(one, 2))


@takes(Accuracy)
@inherits(solve_cell)
def solve_multiplication(
    cell: UnitCell,
    materials: Mapping[str, CrossSections],
    *,
    spectrum: npt.ArrayLike | None = None,
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> CellSolution:
    r"""Solve for the multiplication of neutrons in a periodic lattice, in one group or several; collective.

    .. math:: -\nabla\cdot(D\nabla\varphi)+\Sigma_a\varphi=\frac1k\,\nu\Sigma_f\varphi .

    Parameters
    ----------
    cell
    materials
        :class:`CrossSections` of every phase, lengths in ``cell.length_unit``.
    spectrum
        :math:`\chi_g`, the part of the fission neutrons that is born in each group; adds up to one. By default all in
        the first.
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them.

    Returns
    -------
    CellSolution
        ``tensor.value`` is the migration area :math:`M^2`, in ``cell.length_unit`` squared. ``tensor.coefficients``:
        ``multiplication`` (k, for one group with bounds), ``volume_multiplication`` (of the plain means),
        ``absorption``, ``production`` and for several groups ``scattering`` (weighted by flux and volume), ``flux``
        (its mean in each phase over that of the cell), for one group ``diffusion`` (:math:`M^2\hat\Sigma_a`), and
        ``drift`` where groups have one. ``dual`` is the :class:`homfem.local.spectral.Spectrum`, whose eigenvalue is
        1/k.

    Raises
    ------
    InputError
        For a phase without data, numbers out of range, nothing that multiplies or absorbs, a spectrum that does not add
        up to one.
    BudgetError, MemoryLimitError
    ConvergenceError

    Examples
    --------
    >>> from homfem.cells import laminate
    >>> slab = laminate([0.6, 0.4], axis="x", dimension=2, resolution=0.1)
    >>> fuel = CrossSections(diffusion=0.05, absorption=1.0, production=1.5)
    >>> moderator = CrossSections(diffusion=0.1, absorption=0.3)
    >>> tensor = solve_multiplication(slab, {"layer1": fuel, "layer2": moderator}).tensor
    >>> k = tensor.coefficients["multiplication"]
    >>> bool(k.lower < 1.279774009 < k.upper), round(float(tensor.coefficients["volume_multiplication"].value), 9)
    (True, 1.25)
    """
    given = Multiplication(materials=materials, spectrum=spectrum)
    return solve_cell(cell, given, Accuracy(**accuracy), config=config)


homogenize_multiplication = part_of(
    solve_multiplication,
    "homogenize_multiplication",
    lambda solution: solution.tensor,
    returns=EffectiveTensor,
    summary="Return the migration area of a lattice with its multiplication and weighted cross-sections; collective.",
)
