"""What a reaction-diffusion problem is, and how it is solved, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dolfinx import mesh as dmesh

from homfem.kinetics import PointKinetics
from homfem.macro.coefficients import TensorInput
from homfem.macro.conditions import Condition, Outflow, Robin
from homfem.macro.domain import Domain
from homfem.macro.flow import VelocityInput
from homfem.macro.initial import FieldInput
from homfem.macro.stimulus import Stimulus
from homfem.parameters import InputError, check_choice, check_integer, check_number
from homfem.quantities import TIME, check_unit
from homfem.tensors import EffectiveTensor
from homfem.timestepping import BACKWARD_EULER, IMPLICIT, SCHEMES, TR_BDF2, DiffusionScheme, Splitting, get_splitting


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Species:
    r"""What diffuses, flows and reacts.

    Parameters
    ----------
    name
        Its name, that of a field of the kinetics if it reacts.
    tensor
        D, a tensor averaged over the tissue or one for each region, in the domain's unit of length squared per time:
        an :class:`~homfem.tensors.EffectiveTensor`, its file, a number or a matrix. In a domain with fibres it is in
        their axes. None: it does not diffuse.
    volume_fraction
        :math:`\phi`, 0 < phi <= 1, or one for each region; None: those of the tensors, 1 of plain numbers. A tensor
        with retardation R gives its capacity :math:`\phi R`, which may be above 1.
    initial
        u at the start; on boundaries that are held it is what they are held to.
    velocity
        v (:data:`homfem.macro.flow.VelocityInput`), the flux of the fluid per area of tissue; None: nothing flows.
    conditions
        On named boundaries, at most one on each (:mod:`homfem.macro.conditions`); nothing passes elsewhere.
    sources
        s: per volume of tissue and time (:mod:`homfem.macro.stimulus`).
    unit
        Of u, for results.
    """

    name: str
    tensor: TensorInput | Mapping[str, TensorInput] | None = None
    volume_fraction: float | Mapping[str, float] | None = None
    initial: FieldInput = 0.0
    velocity: VelocityInput | None = None
    conditions: Sequence[Condition] = ()
    sources: Sequence[Stimulus] = ()
    unit: str = ""

    @property
    def fraction(self) -> float | dict[str, float]:
        """The volume fraction, or one for each region, checked; of a tensor its capacity."""
        given: Any = self.volume_fraction
        most = 1.0 if given is not None else np.inf
        if given is None and isinstance(self.tensor, Mapping):
            own = {key: _own(entry) for key, entry in self.tensor.items()}
            given = own if len(set(own.values())) > 1 else set(own.values()).pop()
        elif given is None:
            given = _own(self.tensor)
        path = f"species.{self.name}.volume_fraction"
        if isinstance(given, Mapping):
            return {key: check_number(f"{path}.{key}", entry, above=0.0, at_most=most) for key, entry in given.items()}
        return check_number(path, given, above=0.0, at_most=most)

    @property
    def operator(self) -> Any:
        """What its matrices depend on: species that agree in it share them."""
        conditions = [
            (type(entry).__name__, entry.boundary, entry.coefficient if isinstance(entry, Robin) else None)
            for entry in self.conditions
        ]
        return _plain(self.tensor), _plain(self.fraction), _plain(self.velocity), tuple(conditions)


def _own(tensor: TensorInput) -> float:
    return tensor.storage if isinstance(tensor, EffectiveTensor) else 1.0


def _plain(given: Any) -> Any:
    """Return what tells an input from others, hashable and the same on every rank."""
    if isinstance(given, EffectiveTensor):
        return given.physics, given.unit, given.value.tobytes(), given.storage, given.averaged_over
    if isinstance(given, Mapping):
        return tuple((key, _plain(entry)) for key, entry in sorted(given.items()))
    if isinstance(given, (int, float, list, tuple, np.ndarray)):
        return np.asarray(given, dtype=np.float64).tobytes()
    return str(given) if given is None or isinstance(given, str) or hasattr(given, "__fspath__") else id(given)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReactionDiffusion:
    r"""What is solved.

    Parameters
    ----------
    mesh : dolfinx.mesh.Mesh or Domain
        The tissue, 1D to 3D; a mesh is taken to be in um.
    species
        What diffuses and reacts; the first one is what a threshold is for by default.
    kinetics
        R, per volume of tissue: its fields are species of these names. None: no reaction.
    parameters
        Numbers of the kinetics in place of its own, or one for each region (degree 1). Coordinates ``x``, ``y``, ``z``
        among its parameters are those of the nodes.
    time_unit
        Unit of time of all numbers, that of the kinetics.
    degree
        Of the elements, 1 or 2.

    Raises
    ------
    InputError
        For names that are given twice, kinetics of other fields or units, unknown boundaries.
    """

    mesh: dmesh.Mesh | Domain
    species: Sequence[Species]
    kinetics: PointKinetics | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    time_unit: str = "s"
    degree: int = 1
    domain: Domain = field(init=False)

    def __post_init__(self) -> None:
        domain = self.mesh if isinstance(self.mesh, Domain) else Domain(mesh=self.mesh, unit="um")
        object.__setattr__(self, "domain", domain)
        check_unit("time_unit", self.time_unit, TIME)
        check_integer("degree", self.degree, at_least=1, at_most=2)
        names = [species.name for species in self.species]
        if not names or len(set(names)) < len(names):
            raise InputError("species", names, "one species at least, with names that differ")
        if self.kinetics is not None:
            for variable in self.kinetics.fields:
                check_choice(f"kinetics.{self.kinetics.name}.fields", variable.name, names)
            if self.kinetics.time_unit != self.time_unit:
                raise InputError("kinetics", self.kinetics.time_unit, f"kinetics with time in {self.time_unit}")
        elif self.parameters:
            raise InputError("parameters", sorted(self.parameters), "absent without kinetics")
        for species in self.species:
            path = f"species.{species.name}"
            for k, condition in enumerate(species.conditions):
                domain.boundary(condition.boundary, f"{path}.conditions[{k}].boundary")
                if isinstance(condition, Outflow) and species.velocity is None:
                    raise InputError(f"{path}.conditions[{k}]", "outflow", "absent where nothing flows",
                                     "Give a velocity.")  # fmt: skip

    @property
    def diffusivity_unit(self) -> str:
        """Unit of the tensors."""
        return f"{self.domain.unit}^2/{self.time_unit}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """How a reaction-diffusion problem is discretised and solved.

    Parameters
    ----------
    splitting
        How reaction and transport take turns: ``"strang"`` (second order), ``"godunov"`` (first order), a
        :class:`~homfem.timestepping.Splitting` of the operators ``"reaction"`` and ``"diffusion"``, or ``"implicit"``:
        not at all, one Newton solve for both. Where a value that is held at a boundary would react or change in time,
        splitting leaves an error of first order near it, though a small one.
    subcycles
        Reaction steps per stage of the splitting.
    scheme
        ``"tr-bdf2"``, ``"crank-nicolson"`` or ``"backward-euler"``; None: TR-BDF2, with a splitting of first order
        backward Euler.
    stabilization
        ``"supg"``, ``"none"``, or ``"auto"``: SUPG where a cell has a Peclet number above 1, with ``positivity`` fluxes
        that are limited to the range about each node.
    positivity
        Keep what starts non-negative so (:mod:`homfem.macro.positive`): with a splitting, elements of degree 1, and
        starts, sources, boundary values and fluxes that are not negative.
    rtol, preconditioner
        Of the linear solvers, on the increments of a step (:class:`homfem.solve.LinearSolver`); None: factors where
        these are cheap, else Jacobi's or, where something flows, incomplete factors.
    """

    splitting: str | Splitting = "strang"
    subcycles: int = 1
    scheme: str | None = None
    stabilization: str = "auto"
    positivity: bool = False
    rtol: float = 1e-12
    preconditioner: str | None = None

    def __post_init__(self) -> None:
        if self.splitting != IMPLICIT:
            try:
                get_splitting(self.splitting)
            except InputError as error:
                raise InputError(error.name, error.value, f"{error.allowed}, {IMPLICIT!r}", error.remedy) from error
        check_integer("subcycles", self.subcycles, at_least=1)
        if self.scheme is not None:
            check_choice("scheme", self.scheme, tuple(SCHEMES))
        check_choice("stabilization", self.stabilization, ("auto", "supg", "none"))
        check_number("rtol", self.rtol, above=0.0, below=1.0)
        if self.positivity and (self.implicit or self.stabilization == "supg"):
            other = f"splitting = {IMPLICIT!r}" if self.implicit else "stabilization = 'supg'"
            raise InputError("positivity", True, f"false with {other}: it is not proved to keep it")

    @property
    def implicit(self) -> bool:
        """Whether transport and reaction are solved together."""
        return self.splitting == IMPLICIT

    @property
    def split(self) -> Splitting:
        """The splitting; with one Newton solve that of nothing."""
        if self.implicit:
            return Splitting(name=IMPLICIT, order=2, stages=(("diffusion", 1.0),))
        return get_splitting(self.splitting)

    @property
    def order(self) -> int:
        """Order in time."""
        return min(self.split.order, self.one_step.order)

    @property
    def one_step(self) -> DiffusionScheme:
        """The scheme in time."""
        if self.scheme is not None:
            return SCHEMES[self.scheme]
        return TR_BDF2 if self.split.order > 1 else BACKWARD_EULER
