"""The description of a cardiac problem: tissue, tensors, membrane, stimuli, electrodes; and how it is solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from dolfinx import mesh as dmesh

from homfem.brackets import symmetric
from homfem.kinds import CONDUCTIVITY
from homfem.kinetics import PointKinetics
from homfem.macro.coefficients import TensorInput, tensor_values
from homfem.macro.conditions import Dirichlet, Neumann
from homfem.macro.domain import Domain
from homfem.macro.reaction import SCHEMES as IONIC
from homfem.macro.stimulus import Stimulus
from homfem.parameters import Array, InputError, check_choice, check_integer, check_number
from homfem.timestepping import CRANK_NICOLSON, SCHEMES, DiffusionScheme, Splitting, get_splitting

KINDS = ("monodomain", "bidomain", "bath")
COUPLINGS = ("lagged", "midpoint", "implicit")
Kind = Literal["monodomain", "bidomain", "bath"]
TensorsInput = TensorInput | Mapping[str, TensorInput]
Electrode = Dirichlet | Neumann


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CardiacProblem:
    r"""What is solved; the equations stand in :mod:`homfem.macro.cardiac`.

    Parameters
    ----------
    mesh : dolfinx.mesh.Mesh or Domain
        The tissue (and the bath), 1D to 3D, coordinates in mm; with :class:`homfem.macro.domain.Domain` also its
        regions, boundaries and fibres.
    kind
        ``"monodomain"``, ``"bidomain"`` or ``"bath"``: a bidomain with a bath around it.
    intracellular, extracellular
        :math:`\sigma_i,\sigma_e`: an EffectiveTensor of kind conductivity (any unit that converts to mS/mm), the path
        of its file, a number or a matrix in mS/mm; or one for each region (``"*"`` for all others). In a domain with
        fibres in the axes of these: fibre, sheet, normal. A monodomain of both has
        :math:`\sigma = (\sigma_i^{-1} + \sigma_e^{-1})^{-1}`.
    conductivity
        :math:`\sigma` of a monodomain, in place of the two.
    bath
        :math:`\sigma_b` for each region of the bath, by name; numbers, or tensors in the axes of the coordinates.
    membrane : PointKinetics
        Its one field is V, and its rate of change without currents in space :math:`-I_{ion}/C_m`; time in ms.
    parameters
        Of the membrane, by name: a number, one for each region (of the tissue), a function of position, or a function
        of the model's space.
    start
        V and states of the membrane at the start, given likewise. What is not named is as the kinetics say.
    area
        :math:`\chi`: area of the membrane per volume, 1/mm, > 0; or one for each region.
    capacitance
        :math:`C_m` per area of the membrane, uF/mm^2, > 0; or one for each region. A model without units has 1.
    stimuli
        Currents through the membrane, from the extracellular into the intracellular space, uA/mm^3.
    intracellular_sources, extracellular_sources
        Currents from outside into the two spaces, uA/mm^3; those of a bidomain must sum to zero where no electrode
        fixes the extracellular potential. Extracellular ones may stand in the bath.
    electrodes
        On boundaries, of the extracellular potential: :class:`~homfem.macro.conditions.Dirichlet` (mV; 0: grounded) or
        :class:`~homfem.macro.conditions.Neumann` (current that enters, uA/mm^2).

    Raises
    ------
    InputError
        For a unit of length other than mm, what the kind does not have or what it lacks, a membrane that is none, and
        numbers out of range.
    """

    mesh: dmesh.Mesh | Domain
    membrane: PointKinetics
    area: float | Mapping[str, float]
    capacitance: float | Mapping[str, float]
    kind: Kind = "monodomain"
    intracellular: TensorsInput | None = None
    extracellular: TensorsInput | None = None
    conductivity: TensorsInput | None = None
    bath: Mapping[str, TensorInput] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    start: Mapping[str, Any] = field(default_factory=dict)
    stimuli: Sequence[Stimulus] = ()
    intracellular_sources: Sequence[Stimulus] = ()
    extracellular_sources: Sequence[Stimulus] = ()
    electrodes: Sequence[Electrode] = ()
    domain: Domain = field(init=False)

    def __post_init__(self) -> None:
        domain = self.mesh if isinstance(self.mesh, Domain) else Domain(mesh=self.mesh, unit="mm")
        if domain.unit != "mm":
            raise InputError("mesh", domain.unit, "a domain in mm")
        object.__setattr__(self, "domain", domain)
        check_choice("kind", self.kind, KINDS)
        self._check_membrane()
        self._check_tensors()
        if self.kind == "monodomain":
            for name in ("electrodes", "extracellular_sources"):
                if getattr(self, name):
                    raise InputError(name, len(getattr(self, name)), "absent in a monodomain", "Take the bidomain.")
        for k, condition in enumerate(self.electrodes):
            if not isinstance(condition, (Dirichlet, Neumann)):
                raise InputError(f"electrodes[{k}]", type(condition).__name__, "Dirichlet or Neumann")
            domain.boundary(condition.boundary, f"electrodes[{k}].boundary")
        for name in ("area", "capacitance"):
            given = getattr(self, name)
            for region, value in given.items() if isinstance(given, Mapping) else [("", given)]:
                check_number(f"{name}.{region}" if region else name, value, above=0.0)

    def _check_membrane(self) -> None:
        membrane = self.membrane
        if len(membrane.fields) != 1:
            names = [entry.name for entry in membrane.fields]
            raise InputError("membrane", names, "kinetics with one field, the membrane potential")
        if membrane.time_unit != "ms":
            raise InputError("membrane", membrane.time_unit, "kinetics with time in ms")

    def _check_tensors(self) -> None:
        given = {name: getattr(self, name) is not None for name in ("intracellular", "extracellular", "conductivity")}
        both = given["intracellular"] and given["extracellular"]
        if self.kind == "monodomain":
            if given["conductivity"] == both or given["intracellular"] != given["extracellular"]:
                allowed = "either conductivity, or intracellular and extracellular"
                raise InputError("conductivity", [name for name, there in given.items() if there], allowed)
        elif given["conductivity"] or not both:
            allowed = f"intracellular and extracellular, of a {self.kind}"
            raise InputError("intracellular", [name for name, there in given.items() if there], allowed)
        if (self.kind == "bath") != bool(self.bath):
            allowed = "a tensor for each region of the bath" if self.kind == "bath" else "absent without a bath"
            raise InputError("bath", sorted(self.bath), allowed, "Take kind = 'bath'." if self.bath else "")
        for region in self.bath:
            self.domain.region(region, "bath")
        if self.bath and set(self.domain.regions) <= set(self.bath) and not np.any(self.domain.region_of_cell == 0):
            raise InputError("bath", sorted(self.bath), "fewer than all regions: there is no tissue left")

    def tissue_tensors(self) -> dict[str, dict[str, Array]]:
        """Return the tensors of the tissue by name and region, as matrices in mS/mm.

        Of a monodomain ``"conductivity"`` alone, else ``"intracellular"`` and ``"extracellular"``; of the bath's
        regions the identity.
        """
        d = self.domain.dimension
        found = {
            name: tensor_values(name, given, CONDUCTIVITY, unit="mS/mm", dimension=d)
            for name in ("conductivity", "intracellular", "extracellular")
            if (given := getattr(self, name)) is not None
        }
        if self.kind == "monodomain" and "conductivity" not in found:
            found = {"conductivity": _in_series(found["intracellular"], found["extracellular"])}
        rest = {region: np.eye(d) for region in self.bath}
        return {name: values | rest for name, values in found.items()}


def _in_series(first: Mapping[str, Array], second: Mapping[str, Array]) -> dict[str, Array]:
    """Return for each region the inverse of the sum of the inverses."""
    found = {}
    for region in dict.fromkeys((*first, *second)):
        a, b = first.get(region, first.get("*")), second.get(region, second.get("*"))
        if region == "*" and (a is None or b is None):
            continue  # for regions that the other one names, each
        if a is None or b is None:
            name = "intracellular" if a is None else "extracellular"
            raise InputError(name, region, "given for every region that the other one has")
        series = np.linalg.inv(np.linalg.inv(a) + np.linalg.inv(b))
        found[region] = symmetric(series)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class CardiacMethod:
    r"""How a cardiac problem is discretised and solved.

    Parameters
    ----------
    splitting
        ``"godunov"`` (first order), ``"strang"`` (second order) or a :class:`~homfem.timestepping.Splitting` of the
        operators ``"reaction"`` and ``"diffusion"``.
    scheme
        Of the diffusion: ``"crank-nicolson"``, ``"backward-euler"``, or ``"tr-bdf2"``, which damps what a step is too
        long for and takes two solves.
    coupling
        Which extracellular potential drives a diffusion step of the bidomain: ``"lagged"``, that of the step before
        (first order); ``"midpoint"``, one found by a predictor (second order; twice the solves); ``"implicit"``, the
        same by iteration to ``rtol``. None: lagged with a splitting of first order, else midpoint.
    ionic
        Steps of the membrane: ``"rush-larsen"``, ``"generalized-rush-larsen"`` or ``"explicit"``
        (:func:`homfem.macro.reaction.make_reaction`).
    subcycles
        Ionic steps per stage of the splitting.
    current
        Ionic current of the nodes, ``"nodal"``, or, with a splitting of first order, of states that are interpolated in
        the cells: ``"interpolated"`` (:mod:`homfem.macro.cardiac.interpolated`).
    degree
        Of the elements, 1 or 2.
    mass
        1: consistent mass, 0: lumped mass, or what is between (degree 1). Consistent mass makes fronts on coarse meshes
        too fast, lumped mass too slow; both go to one limit.
    rtol
        Of the linear solver of a diffusion step, on the increment.
    elliptic_rtol
        Of that of the extracellular potential. On a slab with cells of 0.5 mm the default left errors of 2e-5 of the
        range of this potential, and of 4e-5 ms in the times of activation.
    preconditioner, elliptic_preconditioner
        See :class:`homfem.solve.LinearSolver`. Multigrid from the steps before takes a third of the time of factors on
        4,000 nodes in space, and two thirds on 60,000 in the plane.
    """

    splitting: str | Splitting = "godunov"
    scheme: str = CRANK_NICOLSON.name
    coupling: str | None = None
    ionic: str = "rush-larsen"
    subcycles: int = 1
    current: str = "nodal"
    degree: int = 1
    mass: float = 1.0
    rtol: float = 1e-5
    elliptic_rtol: float = 1e-4
    preconditioner: str = "ssor"
    elliptic_preconditioner: str = "multigrid"

    def __post_init__(self) -> None:
        get_splitting(self.splitting)
        check_choice("scheme", self.scheme, tuple(SCHEMES))
        if self.coupling is not None:
            check_choice("coupling", self.coupling, COUPLINGS)
        check_choice("ionic", self.ionic, tuple(IONIC))
        check_integer("subcycles", self.subcycles, at_least=1)
        check_choice("current", self.current, ("nodal", "interpolated"))
        if self.current == "interpolated" and self.split.order > 1:
            remedy = (
                "States follow V at the nodes, not in the cells: steps with interpolated currents are of first order."
            )
            raise InputError("current", self.current, "'nodal' with a splitting of second order", remedy)
        check_integer("degree", self.degree, at_least=1, at_most=2)
        check_number("mass", self.mass, at_least=0.0, at_most=1.0)
        if self.degree > 1 and self.mass < 1.0:
            raise InputError("mass", self.mass, "1 with elements of degree 2, whose lumped mass is not positive")
        check_number("rtol", self.rtol, above=0.0, below=1.0)
        check_number("elliptic_rtol", self.elliptic_rtol, above=0.0, below=1.0)

    @property
    def split(self) -> Splitting:
        """The splitting."""
        return get_splitting(self.splitting)

    @property
    def one_step(self) -> DiffusionScheme:
        """The scheme of the diffusion."""
        return SCHEMES[self.scheme]

    @property
    def coupled(self) -> str:
        """The coupling."""
        return self.coupling or ("midpoint" if self.split.order > 1 else "lagged")
